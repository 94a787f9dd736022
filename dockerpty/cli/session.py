"""What the commands with a session share: its terminal, its settings, and its end as an exit code."""

from __future__ import annotations

import os
import sys

from dockerpty import keys
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import SIGPIPE, say
from dockerpty.engine import from_environment
from dockerpty.errors import DetachKeysError, TerminalError
from dockerpty.pty import PseudoTerminal
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.cli.grammar import Line
    from dockerpty.engine import Engine
    from dockerpty.pty import Operation


def engine_of(common: Line) -> Engine:
    """Give the engine that the global options name. Connects to nothing yet."""
    return from_environment(common.values["host"], common.values["connect_timeout"])


def is_interactive(line: Line) -> bool:
    """Say whether stdin is read: -i asks for it, and -n for the opposite, which wins as it does in ssh."""
    return bool(line.values["interactive"]) and not line.values["no_input"]


def wants_tty(line: Line) -> bool:
    """Say whether the process gets a terminal, before anything is created.

    Raises:
        TerminalError: a person's terminal was asked for, where stdin is none.
    """
    wanted = line.values["tty"]
    if wanted == "auto":
        return is_terminal(sys.stdin) and is_terminal(sys.stdout)
    if wanted and is_interactive(line) and not line.values["detach"] and not is_terminal(sys.stdin):
        raise TerminalError(
            "give the process a terminal",
            reason="the input device is not a TTY",
            hint="use --tty=auto, which gives it one only where there is one, or leave out -t",
        )
    return bool(wanted)


def refuse_session_flags(line: Line) -> None:
    """Refuse what only a session can keep to, on a line that asks for none.

    Raises:
        UsageError: a time limit together with `--detach`.
        DetachKeysError: keys that nobody can type.
    """
    values = line.values
    for dest in ("timeout", "idle_timeout"):
        if values[dest] is not None:
            flag = f"--{dest.replace('_', '-')}"
            raise UsageError("use", flag, "nobody is there to keep it with --detach", line.command.see)
    keys.parse(values["detach_keys"])


def keywords(line: Line, tty: bool) -> dict[str, Any]:
    """Give the settings of the session as the library's keywords."""
    values = line.values
    typed = values["detach_keys"]
    return {
        # Only a terminal has them, so that nothing else need look for docker's configuration.
        "detach_keys": configured_detach_keys() if typed is None and tty else typed,
        "sig_proxy": values["sig_proxy"],
        "timeout": values["timeout"],
        "idle_timeout": values["idle_timeout"],
        # As docker has it.
        "raw": False if os.environ.get("NORAW") else None,
    }


def configured_detach_keys() -> str | None:
    """Give `detachKeys` of docker's client configuration, `None` where it has none.

    A file that cannot be read is told of and left alone, as docker does it: it is not ours. So are keys that are none.
    """
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    path = os.path.join(folder, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        say(f"cannot read {path}: {error}; the detach keys are the default ones")
        return None
    import json

    try:
        spelled = json.loads(text).get("detachKeys")
    except (ValueError, AttributeError) as error:
        say(f"cannot read {path}: {error}; the detach keys are the default ones")
        return None
    if not isinstance(spelled, str) or not spelled:
        return None
    try:
        keys.parse(spelled)
    except DetachKeysError as error:
        say(f"cannot use detachKeys in {path}: {error.reason}; the detach keys are the default ones")
        return None
    return spelled


def bridge(engine: Engine, operation: Operation) -> int:
    """Run the session, and return the exit code; below zero for a death by that signal."""
    terminal = PseudoTerminal(engine, operation, notice=say)
    code = terminal.start()
    if terminal.result is not None and terminal.result.reason == "stdout-closed":
        return -SIGPIPE
    if code is None:
        say(f"detached from {operation.describe()}")
        return 0
    return code
