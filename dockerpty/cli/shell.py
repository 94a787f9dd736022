"""`dpty shell`: the best shell that a container has, or one beside it."""

from __future__ import annotations

import sys

from dockerpty.cli.engine import engine_of
from dockerpty.cli.pull import fetch_missing
from dockerpty.cli.session import bridge, container_of, keywords, notices, variables_of
from dockerpty.shell import open_shell
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    values = line.values
    tty = is_terminal(sys.stdin) and is_terminal(sys.stdout) and not values["no_input"]
    engine = engine_of(line)
    try:
        container, words = container_of(engine, line, "open a shell in")
        operation, notice = open_shell(
            engine,
            container,
            words,
            not values["no_input"],
            shell=values["shell"],
            login=values["login"],
            toolbox=values["toolbox"],
            # Its name was given: that is to ask for it, as with `run`.
            fetch=lambda: fetch_missing(engine, line, values["toolbox"]),
            tty=tty,
            environment=variables_of(line),
            user=values["user"] or "",
            workdir=values["workdir"],
            privileged=values["privileged"],
            **keywords(line, tty),
        )
        if notice:
            notices(line)(notice)
        return bridge(engine, operation, line)
    finally:
        engine.close()
