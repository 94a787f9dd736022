"""The command `dpty`: global options, and which command it is. Each command is a file here.

argv is read by the pure `grammar` with the rows of `table`; only help and errors load more. How every way out
becomes an exit code stands in `outcome`.
"""

from __future__ import annotations

import sys

from dockerpty.cli.grammar import read, unknown_command
from dockerpty.cli.outcome import FAILED, code_of, finish, flush, say, show
from dockerpty.cli.table import COMMANDS, COMMON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dockerpty.cli.grammar import Line


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default this process's.

    Returns:
        the exit code. A death by a signal (our reader has gone, Ctrl-C) is really died: this does not return then.
    """
    command, debug, common = COMMON, False, None
    try:
        common = read(COMMON, sys.argv[1:] if argv is None else argv)
        debug = common.values["debug"]
        level = "debug" if debug else common.values["log_level"]
        if level:
            _tell_steps(level)
        if common.values["help"] or common.values["version"] or not common.words:
            code = _without_command(common)
        else:
            name, *rest = common.words
            if name == "__complete":
                from dockerpty.cli.complete import answer

                return finish(answer(rest))
            if name not in COMMANDS:
                raise unknown_command(name, list(COMMANDS))
            command = COMMANDS[name]
            line = read(command, rest)
            line.common = common
            code = _help(name) if line.values["help"] else _function_of(name)(line)
        flush()
    except BaseException as error:  # noqa: BLE001  # whatever it is, it becomes a line and a code here
        code = code_of(error, command, debug)
    if common is not None and common.way is not None:
        common.way.close()
    return finish(code)


def _function_of(name: str) -> Callable[[Line], int]:
    """Load a command's file, and no other. Written out, so that checkers see who leans on whom."""
    if name == "exec":
        from dockerpty.cli.exec import command
    elif name == "run":
        from dockerpty.cli.run import command
    elif name == "attach":
        from dockerpty.cli.attach import command
    elif name == "start":
        from dockerpty.cli.start import command
    elif name == "ps":
        from dockerpty.cli.ps import command
    elif name == "cp":
        from dockerpty.cli.cp import command
    elif name == "shell":
        from dockerpty.cli.shell import command
    elif name == "script":
        from dockerpty.cli.script import command
    elif name == "watch":
        from dockerpty.cli.watch import command
    elif name == "replay":
        from dockerpty.cli.replay import command
    elif name == "prune":
        from dockerpty.cli.prune import command
    elif name == "completion":
        from dockerpty.cli.completion import command
    elif name == "version":
        from dockerpty.cli.version import command
    else:
        from dockerpty.cli.help import command
    return command


def _without_command(common: Line) -> int:
    if common.values["help"]:
        return _help("")
    if common.values["version"]:
        from dockerpty import __version__

        show(f"dpty {__version__}")
        return 0
    from dockerpty.cli.help import text

    say(text(COMMON), prefix="")
    return FAILED


def _help(name: str) -> int:
    from dockerpty.cli.help import print_help

    return print_help(name)


def _tell_steps(level: str) -> None:
    """Let our loggers write to stderr from this level on; they hold their lines while a terminal is raw."""
    import logging

    logging.basicConfig(format="dpty: %(name)s: %(message)s")
    # `logging` knows docker's "warn" and "fatal", too.
    logging.getLogger("dockerpty").setLevel(level.upper())
