"""`dpty start`: start containers, and attach to one."""

from __future__ import annotations

import sys

from dockerpty.cli.engine import container_named, engine_of
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import FAILED, code_of, show
from dockerpty.cli.session import START_LIMIT_S, bridge, keywords, refuse_session_flags
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError, EngineUnreachable
from dockerpty.pty import RunOperation
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line
    from dockerpty.engine.client import Engine


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    values = line.values
    attached = values["attach"] or values["interactive"]
    if not attached:
        refuse_session_flags(line, "without -a or -i")
    elif len(line.words) > (0 if values["latest"] else 1):
        reason = "only one container at once can be attached to"
        raise UsageError("use", "-a or -i", reason, "start the others without it")
    engine = engine_of(line)
    try:
        containers = line.words
        if values["latest"]:
            from dockerpty.readiness import newest

            containers = [newest(engine, running=False), *containers]
        if not attached:
            return _start(engine, containers, line)
        interactive = values["interactive"] and not values["no_input"]
        session = keywords(line, interactive and is_terminal(sys.stdin))
        container = container_named(engine, containers[0])
        operation = RunOperation(engine, container, interactive, logs=False, **session)
        return bridge(engine, operation, line)
    finally:
        engine.close()


def _start(engine: Engine, containers: list[str], line: Line) -> int:
    """Start all, also those behind one that cannot be; what failed has its code where all have the same."""
    codes = set()
    for container in containers:
        try:
            container = container_named(engine, container)
            engine.send(calls.start_container(container), subject=container, timeout=START_LIMIT_S)
        except EngineUnreachable:
            raise  # nor would it answer for the others
        except DockerptyError as error:
            codes.add(code_of(error, line.command, line.common.values["debug"]))
        else:
            show(container)
    if not codes:
        return 0
    return codes.pop() if len(codes) == 1 else FAILED
