"""Commands one after the other, whatever runs them: what time each has, and which are not run. Asks nobody."""

from __future__ import annotations

import time
from dataclasses import replace

from dockerpty.host.results import CommandStatus, RunResult, ShellCommand, commands_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def check_timeout(seconds: float | None) -> float | None:
    """Give a time limit back.

    Raises:
        ValueError: it is none: 0 or less.
    """
    if seconds is not None and not seconds > 0:
        raise ValueError(f"a time limit is more than 0 seconds, not {seconds}; None is no limit")
    return seconds


class InOrder:
    """The commands that are to be run, in order: `for command in these`, with `these.add(command, status)` for each.

    Args:
        commands: one or several.
        timeout: seconds: of a single command its limit, of a sequence the budget of all. What comes after that is
            not run.
        stop_on_error: nothing is run after a failure.
        check: a failure is raised at once, also where a command says so itself.
        host: what runs them, for those that are not run.

    Raises:
        TypeError, ValueError: these are no commands, or no limits.
    """

    def __init__(
        self,
        commands: str | ShellCommand | Sequence[str | ShellCommand],
        timeout: float | None = None,
        *,
        stop_on_error: bool = False,
        check: bool = False,
        host: str = "",
    ) -> None:
        self.commands = commands_of(commands)
        for each in self.commands:
            check_timeout(each.timeout)
        self._timeout = check_timeout(timeout)
        self._alone = isinstance(commands, (str, ShellCommand))
        self._until = None if timeout is None else time.monotonic() + timeout
        self._stop_on_error = stop_on_error
        self._check = check
        self._host = host
        self._done: list[CommandStatus] = []

    def __iter__(self) -> Iterator[ShellCommand]:
        """Give each with the time that it has; those that are not run are told by the result alone."""
        for each in self.commands:
            left = self._timeout
            if not self._alone and self._until is not None:
                left = self._until - time.monotonic()
            if why := self._why_not(left):
                self.add(each, CommandStatus.unrun(each.cmd, why, host=self._host))
            elif each.timeout is None:
                yield replace(each, timeout=left)
            else:
                yield each if self._alone or left is None else replace(each, timeout=min(left, each.timeout))

    def _why_not(self, left: float | None) -> str:
        last = self._done[-1] if self._done else None
        if self._stop_on_error and last is not None and not last.ok:
            return last.error if last.skipped else "a command before it failed"
        if left is not None and left <= 0:
            return f"the {self._timeout:g} s for all commands were over"
        return ""

    def add(self, command: ShellCommand, status: CommandStatus) -> None:
        """Take what came of a command.

        Raises:
            CommandFailed: it failed, and is checked.
        """
        self._done.append(status)
        if self._check if command.check is None else command.check:
            status.check()

    def result(self) -> RunResult:
        """Give what came of all."""
        return RunResult(self._done)
