"""`dpty exec`: run a command in a running container."""

from __future__ import annotations

from dockerpty import calls
from dockerpty.cli.session import (
    bridge,
    engine_of,
    is_interactive,
    keywords,
    refuse_session_flags,
    wants_tty,
)
from dockerpty.pty import ExecOperation
from dockerpty.spec import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line


def command(line: Line, common: Line) -> int:
    """Run the command line, and return its exit code."""
    container, *words = line.words
    values = line.values
    tty = wants_tty(line)
    detach = values["detach"]
    if detach:
        refuse_session_flags(line)
    engine = engine_of(common)
    try:
        operation = ExecOperation.create(
            engine,
            container,
            words,
            is_interactive(line) and not detach,
            tty=tty,
            environment=environment(values["env"], values["env_file"]),
            user=values["user"] or "",
            workdir=values["workdir"],
            privileged=values["privileged"],
            reap=not detach and not values["no_reap"],
            **keywords(line, tty),
        )
        if detach:
            start = calls.start_exec(operation.exec_id, tty=tty, detach=True)
            engine.send(start, subject=f"in {container}")
            return 0
        return bridge(engine, operation)
    finally:
        engine.close()
