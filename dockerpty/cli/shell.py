"""`dpty shell`: the best shell that a container has, or one beside it."""

from __future__ import annotations

import sys

from dockerpty.cli.engine import engine_of
from dockerpty.cli.pull import fetch_missing
from dockerpty.cli.session import bridge, container_of, keywords, notices, variables_of
from dockerpty.engine.pull import with_image
from dockerpty.errors import CannotStart
from dockerpty.pty import ExecOperation
from dockerpty.result import NOT_FOUND_CODE
from dockerpty.shell import Toolbox, ToolboxOperation, find_shell, shell_command
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.cli.grammar import Line
    from dockerpty.engine.client import Engine


def command(line: Line, common: Line) -> int:
    """Run the command line, and return its exit code."""
    values = line.values
    engine = engine_of(common)
    try:
        container, words = container_of(engine, line, "open a shell in")
        process = {
            "user": values["user"] or "",
            "environment": variables_of(line),
            "privileged": values["privileged"],
        }
        if values["toolbox"] is not None:
            return _beside(engine, line, container, words, process)
        try:
            shell = values["shell"] or find_shell(engine, container, **process)
        except CannotStart as error:
            if error.exit_code != NOT_FOUND_CODE:
                raise
            return _beside(engine, line, container, words, process, missing=error)
        argv = shell_command(shell, words, values["login"])
        return _session(engine, line, container, argv, process, values["workdir"])
    finally:
        engine.close()


def _beside(
    engine: Engine,
    line: Line,
    container: str,
    words: list[str],
    process: dict[str, Any],
    missing: CannotStart | None = None,
) -> int:
    """Open a shell in a toolbox, because it was asked for, or because of what is missing."""
    values = line.values
    try:
        toolbox = _toolbox(engine, line, container, process)
    except CannotStart as error:
        if missing is None or error.exit_code != NOT_FOUND_CODE:
            raise
        hint = f"{error.hint} to open one beside it; `dpty cp` needs none"
        raise CannotStart(
            missing.action, missing.subject, f"{missing.reason}, and {error.reason}", hint
        ) from error
    with toolbox:
        why = "" if missing is None else f"{container} has no shell: "
        notices(line)(
            f"{why}this is one from {toolbox.image}, in a container beside {container} that ends with it;"
            f" the files of {container} are in {toolbox.root}"
        )
        shell = shell_command(values["shell"] or toolbox.shell, words, values["login"])
        process = {**process, "user": toolbox.user, "environment": toolbox.environment}
        return _session(engine, line, toolbox, toolbox.command(shell, values["workdir"]), process, None)


def _toolbox(engine: Engine, line: Line, container: str, process: dict[str, Any]) -> Toolbox:
    image = line.values["toolbox"]
    if image is None:
        return Toolbox(engine, container, **process)
    # Its name was given: that is to ask for it, as with `run`.
    return with_image(
        lambda: Toolbox(engine, container, image, **process), lambda: fetch_missing(engine, line, image)
    )


def _session(
    engine: Engine,
    line: Line,
    container: str | Toolbox,
    argv: list[str],
    process: dict[str, Any],
    workdir: str | None,
) -> int:
    tty = is_terminal(sys.stdin) and is_terminal(sys.stdout) and not line.values["no_input"]
    kind = ExecOperation if isinstance(container, str) else ToolboxOperation
    operation = kind.create(
        engine,
        container,
        argv,
        not line.values["no_input"],
        tty=tty,
        workdir=workdir,
        **process,
        **keywords(line, tty),
    )
    return bridge(engine, operation, line)
