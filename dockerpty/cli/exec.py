"""`dpty exec`: run a command in a running container."""

from __future__ import annotations

from dockerpty.cli.engine import engine_of
from dockerpty.cli.session import (
    bridge,
    container_of,
    is_interactive,
    keywords,
    refuse_session_flags,
    variables_of,
    wants_tty,
)
from dockerpty.engine import calls
from dockerpty.pty import ExecOperation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    values = line.values
    tty = wants_tty(line)
    detach = values["detach"]
    if detach:
        refuse_session_flags(line)
    engine = engine_of(line)
    try:
        container, words = container_of(engine, line, "exec in")
        operation = ExecOperation.create(
            engine,
            container,
            words,
            is_interactive(line) and not detach,
            tty=tty,
            environment=variables_of(line),
            user=values["user"] or "",
            workdir=values["workdir"],
            privileged=values["privileged"],
            reap=not detach and not values["no_reap"],
            **keywords(line, tty),
        )
        if detach:
            start = calls.start_exec(operation.exec_id, tty=tty, detach=True)
            # Before its start: what is over soon may be forgotten as soon.
            info = engine.send(calls.inspect_exec(operation.exec_id)).json() if values["json"] else {}
            engine.send(start, subject=f"in {container}")
            if values["json"]:
                from dockerpty.cli.capture import show_detached

                show_detached(info["ContainerID"], operation.exec_id, words)
            return 0
        return bridge(engine, operation, line)
    finally:
        engine.close()
