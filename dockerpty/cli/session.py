"""What the commands with a session share: its terminal, its settings, and its end as an exit code."""

from __future__ import annotations

import os
import sys

from dockerpty import keys
from dockerpty.cli.engine import configuration_of, container_named
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import SIGPIPE, say
from dockerpty.container.spec import environment
from dockerpty.errors import DetachKeysError, TerminalError
from dockerpty.pty import PseudoTerminal
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerpty.cli.grammar import Line
    from dockerpty.engine.client import Engine
    from dockerpty.pty import Operation

#: For creating or starting what nobody attaches to: pulling up volumes and networks may take the engine minutes.
START_LIMIT_S = 300.0


def is_interactive(line: Line) -> bool:
    """Say whether stdin is read: -i asks for it, and -n for the opposite, which wins as it does in ssh."""
    if line.values.get("expect"):
        return True  # the script is what is read
    return bool(line.values["interactive"]) and not line.values["no_input"]


def container_of(engine: Engine, line: Line, action: str = "attach to") -> tuple[str, list[str]]:
    """Give the container that a line is about, and the words behind it; with --wait it runs when this returns.

    Args:
        action: what is to be done, for messages.
    """
    values = line.values
    if values["latest"]:
        from dockerpty.readiness import newest

        container, words = newest(engine), line.words
    else:
        container, *words = line.words
        container = container_named(engine, container)
    if values["wait"] is not None:
        from dockerpty.readiness import until_running

        until_running(engine, container, values["wait"], action=action)
    return container, words


def variables_of(line: Line) -> list[str]:
    """Give the variables of a process: those of the line, then those of ours that a program's looks depend on."""
    values = line.values
    variables = environment(values["env"], values["env_file"])
    if values["term_env"]:
        given = {entry.partition("=")[0] for entry in variables}
        wanted = [name for name in ("COLORTERM", "NO_COLOR") if name in os.environ and name not in given]
        variables += [f"{name}={os.environ[name]}" for name in wanted]
    return variables


def wants_tty(line: Line) -> bool:
    """Say whether the process gets a terminal, before anything is created.

    Raises:
        TerminalError: a person's terminal was asked for, where stdin is none.
        UsageError: ... together with --json, where stdout and stderr are to stay apart.
    """
    wanted = line.values["tty"]
    if line.values["json"]:
        if wanted and wanted != "auto":
            hint = "leave out one of them"
            raise UsageError("use", "--json with -t", "what a terminal shows is no result", hint)
        return False
    if wanted == "auto":
        return is_terminal(sys.stdin) and is_terminal(sys.stdout)
    typed = is_interactive(line) and not line.values["expect"]
    if wanted and typed and not line.values["detach"] and not is_terminal(sys.stdin):
        raise TerminalError(
            "give the process a terminal",
            reason="the input device is not a TTY",
            hint="use --tty=auto, which gives it one only where there is one, or leave out -t",
        )
    return bool(wanted)


def refuse_session_flags(line: Line, where: str = "with --detach") -> None:
    """Refuse what only a session can keep to, on a line that asks for none.

    Args:
        where: why there is none.

    Raises:
        UsageError: a time limit, a recording and the like.
        DetachKeysError: keys that nobody can type.
    """
    values = line.values
    for dest in ("timeout", "idle_timeout", "record", "expect", "reconnect", "size"):
        # Of a statement False is what it is without the flag.
        if values.get(dest) not in (None, False):
            flag = f"--{dest.replace('_', '-')}"
            raise UsageError("use", flag, f"nobody is there to keep it {where}", line.command.see)
    keys.parse(values["detach_keys"])


def keywords(line: Line, tty: bool) -> dict[str, Any]:
    """Give the settings of the session as the library's keywords."""
    values = line.values
    typed = values.get("detach_keys")
    return {
        # Only a terminal has them, so that nothing else need look for docker's configuration.
        "detach_keys": configured_detach_keys(line) if typed is None and tty else typed,
        # Who only looks on has none of both.
        "sig_proxy": values.get("sig_proxy", False),
        "timeout": values["timeout"],
        "idle_timeout": values["idle_timeout"],
        "size": values.get("size"),
        # As docker has it.
        "raw": False if os.environ.get("NORAW") else None,
        **_observers(line),
    }


def _observers(line: Line) -> dict[str, Any]:
    """Give who follows the session: a recording, a script. Nothing, on a line that asks for none.

    Raises:
        UsageError: a flag that says how to record, and none that says where; a script that may have to begin anew.
        DockerptyError: the recording exists, the script cannot be read or makes no sense.
    """
    values = line.values
    found: dict[str, Any] = {}
    for dest in ("record_input", "force"):
        if values.get(dest) and not values["record"]:
            flag = f"--{dest.replace('_', '-')}"
            raise UsageError("use", flag, "nothing is recorded without --record FILE", line.command.see)
    if values["record"]:
        from dockerpty.recording import Recording

        found["record"] = Recording(
            values["record"], keeps_input=values.get("record_input", False), force=values["force"]
        )
    if values.get("expect"):
        if values.get("reconnect"):
            raise UsageError("use", "--expect with --reconnect", "a script does not go on in the middle")
        from dockerpty.expect import load

        found["expect"] = load(values["expect"])
    return found


def configured_detach_keys(line: Line) -> str | None:
    """Give `detachKeys` of docker's client configuration, `None` where it has none.

    Keys that nobody can type are told of and left alone, as docker does it: the file is not ours.
    """
    configuration = configuration_of(line)
    spelled = configuration.text("detachKeys")
    if not spelled:
        return None
    try:
        keys.parse(spelled)
    except DetachKeysError as error:
        path = configuration.path
        say(f"cannot use detachKeys in {path}: {error.reason}; the detach keys are the default ones")
        return None
    return spelled


def notices(line: Line) -> Callable[[str], None]:
    """Give what says something to the user that is no error: nothing with --quiet."""
    return _unsaid if line.values["quiet"] else say


def bridge(engine: Engine, operation: Operation, line: Line) -> int:
    """Run the session, and return the exit code; below zero for a death by that signal."""
    values, tell = line.values, notices(line)
    terminal = PseudoTerminal(engine, operation, notice=tell)
    if values.get("reconnect"):
        from dockerpty.reconnection import PersistentTerminal

        limit = None if values["reconnect"] is True else values["reconnect"]
        terminal = PersistentTerminal(engine, operation, limit=limit, notice=tell)
    if values.get("json"):
        from dockerpty.cli.capture import start

        code = start(terminal, line)
    else:
        code = terminal.start()
    if terminal.result is not None and terminal.result.reason == "stdout-closed":
        return -SIGPIPE
    if code is None:
        tell(f"detached from {operation.describe()}")
        return 0
    return code


def _unsaid(text: str) -> None:
    """Nobody wants to hear it."""
