"""Commands run one after the other, in a shell that is opened anew where it has ended: never in silence."""

from __future__ import annotations

from typing import Protocol

from dockerpty import log
from dockerpty.host.in_order import InOrder
from dockerpty.host.shell.departure import give_up, learn_end
from dockerpty.host.shell.running import by_keys, run_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from dockerpty.host.oneshot import OnOutput
    from dockerpty.host.requests import Plan
    from dockerpty.host.results import CommandStatus, RunResult, ShellCommand
    from dockerpty.host.shell.running import Recover
    from dockerpty.host.shell.shell import Shell

_log = log.get(__name__)


class Follower(Protocol):
    """Reads along what a command writes."""

    def also(self, on_output: OnOutput | None) -> OnOutput:
        """Give a function that takes output, and hands it on to the caller's."""

    def end(self) -> None:
        """Nothing more comes."""


def settle(shell: Shell, recover: Recover = by_keys) -> Plan[None]:
    """Have a shell back from a command that it was left with; else it is over."""
    if shell.over:
        return
    shell.catch_up()
    if shell.busy and not shell.channel.ended:
        back = yield from recover(shell, shell.sent)
        if not back and not shell.channel.ended:
            yield from give_up(shell, "it could not be brought back from a command that was given up")
    if shell.channel.ended:
        yield from learn_end(shell)


def live(shell: Shell | None, reopen: Callable[[], Plan[Shell]], recover: Recover = by_keys) -> Plan[Shell]:
    """Give a shell that takes commands: this one, brought back to its prompt if it was left, or else another one.

    That the state of the old one is gone is said in the log, and by the next command's result.

    Args:
        shell: the one of the last command; None before there was any.
        reopen: opens another one.
    """
    if shell is not None:
        yield from settle(shell, recover)
        if not shell.over:
            return shell
    opened = yield from reopen()
    if shell is not None and (shell.used or shell.replaces):
        opened.replaces = True
        _log.warning("the shell of %s is another one: %s", shell.host, shell.why or "it had ended with 0")
    return opened


def run_many(
    commands: str | ShellCommand | Sequence[str | ShellCommand],
    give_shell: Callable[[], Plan[Shell]],
    *,
    timeout: float | None = None,
    stop_on_error: bool = False,
    check: bool = False,
    follow: Callable[[str], Follower | None] | None = None,
    on_output: OnOutput | None = None,
    **more: Any,
) -> Plan[RunResult]:
    """Run commands one after the other, also after one that failed.

    Args:
        commands, timeout, stop_on_error, check: as for `InOrder`.
        give_shell: gives a shell that takes commands (see `live`); asked before each.
        follow: is told each command that is run, and may give somebody who reads along what it writes.
        on_output, more: as for `run_one`, for all.

    Raises:
        CommandFailed: a command that is checked failed.
        ValueError, SessionBusyError: as `run_one`.
        Whatever `give_shell` raises.
    """
    in_order = InOrder(commands, timeout, stop_on_error=stop_on_error, check=check)
    for each in in_order:
        follower = None if follow is None else follow(each.cmd)
        more["on_output"] = on_output if follower is None else follower.also(on_output)
        try:
            status = yield from _run_anyway(give_shell, each, more)
        finally:
            if follower is not None:
                follower.end()
        in_order.add(each, status)
    return in_order.result()


def _run_anyway(
    give_shell: Callable[[], Plan[Shell]], command: ShellCommand, more: dict[str, Any]
) -> Plan[CommandStatus]:
    """Run a command, in another shell if the first had ended before it got it."""
    status = yield from run_one((yield from give_shell()), command, **more)
    given = more.get("stdin") if command.stdin is None else command.stdin
    # Of a file some may have been read.
    if status.skipped and status.shell_exited and not hasattr(given, "read"):
        status = yield from run_one((yield from give_shell()), command, **more)
    return status
