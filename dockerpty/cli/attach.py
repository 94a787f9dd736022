"""`dpty attach`: the terminal of a container's first process."""

from __future__ import annotations

import sys

from dockerpty.cli.engine import engine_of
from dockerpty.cli.session import bridge, container_of, keywords
from dockerpty.pty import RunOperation
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    values = line.values
    interactive = not (values["no_stdin"] or values["no_input"])
    session = keywords(line, interactive and is_terminal(sys.stdin))
    engine = engine_of(line)
    try:
        container, _ = container_of(engine, line)
        return bridge(
            engine, RunOperation.attach(engine, container, interactive, logs=False, **session), line
        )
    finally:
        engine.close()
