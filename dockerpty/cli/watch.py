"""`dpty watch`: look on at a container's first process."""

from __future__ import annotations

from dockerpty.cli.engine import engine_of
from dockerpty.cli.session import bridge, container_of, keywords
from dockerpty.pty import RunOperation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line


def command(line: Line) -> int:
    """Run the command line, and return its exit code: 0 for who leaves with Ctrl-C, which is the way out."""
    engine = engine_of(line)
    try:
        container, _ = container_of(engine, line, "watch")
        session = keywords(line, False)
        operation = RunOperation.attach(engine, container, False, logs=False, looks_on=True, **session)
        return bridge(engine, operation, line)
    except KeyboardInterrupt:
        return 0
    finally:
        engine.close()
