"""What comes of commands, transfers and waits, and what a command is asked with: values.

A `CommandStatus` is made by `of` from what came, and so by one rule for every way a command can end.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any, Self

#: Of a command that has no exit code: it was too slow, was not run, or nobody knows.
NO_CODE = -1
# Characters of a command in a message.
_SHOWN = 60


class Status(enum.Enum):
    """How something ended."""

    Success = 0
    Failed = 1
    Error = 2
    Unstable = 3
    Skipped = 4

    @property
    def is_ok(self) -> bool:
        """Whether nothing went wrong: it went well, or had not to be done."""
        return self in (Status.Success, Status.Skipped)


class _Four(NamedTuple):
    command: str
    output: str
    status: Status
    retcode: int


class CommandStatus(_Four):
    """What came of a command: a tuple of four, with the rest as attributes.

    Equality, hash and unpacking are the tuple's. `bool()` says whether it went well.

    Attributes:
        command: its text.
        output: what it wrote, as text and without one final newline.
        status: how it ended.
        retcode: its exit code, 128 + n if signal n killed it; -1 where there is none.
        stdout, stderr: the bytes; with a terminal all are in `stdout`.
        timed_out: it was interrupted since its time was over.
        skipped: it was not run.
        interrupted: somebody interrupted it.
        dropped_bytes: how much of its output was not kept.
        duration: seconds.
        started: when, with a time zone.
        shell_exited: its shell ended with it.
        session_lost: the shell is another one than the last command's, whose state is gone.
        error: what went wrong that is not the command's own doing, in one sentence; or empty.
        host: the name of the host.
    """

    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False
    skipped: bool = False
    interrupted: bool = False
    dropped_bytes: int = 0
    duration: float = 0.0
    started: datetime | None = None
    shell_exited: bool = False
    session_lost: bool = False
    error: str = ""
    host: str = ""

    def __new__(cls, command: str, output: str, status: Status, retcode: int, **more: Any) -> Self:
        """Make one of the four, and of any of the attributes by name."""
        return super().__new__(cls, command, output, status, retcode)._with(more)

    @classmethod
    def of(
        cls,
        command: str,
        retcode: int | None,
        stdout: bytes = b"",
        stderr: bytes = b"",
        *,
        terminal: bool = False,
        encoding: str = "utf-8",
        errors: str = "replace",
        **more: Any,
    ) -> Self:
        """Make the status of a command that was run.

        Args:
            retcode: its exit code; None if it has none to know.
            terminal: its output came through one.
            encoding, errors: of `output`, as for `bytes.decode`.
            more: any of the attributes. With `timed_out` there is no exit code; with `shell_exited` it is the shell's,
                and any but 0 is an error.
        """
        if more.get("timed_out") or retcode is None:
            status, retcode = Status.Error, NO_CODE
        elif retcode == 0:
            status = Status.Success
        else:
            status = Status.Error if more.get("shell_exited") else Status.Failed
        # Two streams are two texts: half a character at the end of one is not made whole by the other.
        output = stdout.decode(encoding, errors) + stderr.decode(encoding, errors)
        if terminal:
            output = output.replace("\r\n", "\n")
        return cls(command, output.removesuffix("\n"), status, retcode, stdout=stdout, stderr=stderr, **more)

    @classmethod
    def unrun(cls, command: str, error: str, **more: Any) -> Self:
        """Make the status of a command that was not run.

        Args:
            error: why.
        """
        return cls(command, "", Status.Error, NO_CODE, skipped=True, error=error, **more)

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.status.is_ok

    def __bool__(self) -> bool:
        return self.ok

    @property
    def value(self) -> str:
        """The output."""
        return self.output

    @property
    def exit_code(self) -> int:
        """The exit code, -1 where there is none."""
        return self.retcode

    @property
    def signal(self) -> int | None:
        """The signal that killed it, as far as its exit code tells (129 to 192)."""
        return self.retcode - 128 if 129 <= self.retcode <= 192 else None

    @property
    def truncated(self) -> bool:
        """Whether some of its output was not kept."""
        return self.dropped_bytes > 0

    def check(self) -> Self:
        """Give itself if it went well.

        Raises:
            CommandFailed: it did not.
        """
        if self.ok:
            return self
        from dockerpty.host.failure import CommandFailed

        where = f" on {self.host}" if self.host else ""
        raise CommandFailed("run", f"{_shown(self.command)}{where}", self._why(), host=self.host, status=self)

    def _why(self) -> str:
        if self.error:
            return self.error
        if self.timed_out:
            return "its time was over"
        if self.signal is not None:
            return f"it was killed by signal {self.signal}"
        return "its exit code is not known" if self.retcode == NO_CODE else f"it exited with {self.retcode}"

    def _replace(self, **changes: Any) -> Self:
        """Give a copy in which these, of the four or of the attributes, are others."""
        four = {name: changes.pop(name) for name in self._fields if name in changes}
        return super()._replace(**four)._with({**self.__dict__, **changes})

    __replace__ = _replace

    def _with(self, more: dict[str, Any]) -> Self:
        unknown = more.keys() - CommandStatus.__annotations__.keys()
        if unknown:
            raise TypeError(f"the status of a command has no {min(unknown)}")
        self.__dict__.update(more)
        return self


class RunResult(tuple[CommandStatus, ...]):
    """What came of some commands: a sequence of what came of each."""

    __slots__ = ()

    @property
    def statuses(self) -> list[CommandStatus]:
        """What came of each command, in their order."""
        return list(self)

    @property
    def first_failure(self) -> CommandStatus | None:
        """The first that did not go well."""
        return next((each for each in self if not each.ok), None)

    @property
    def status(self) -> Status:
        """Success, or that of the first failure."""
        failure = self.first_failure
        return Status.Success if failure is None else failure.status

    @property
    def only(self) -> CommandStatus:
        """What came of the single command.

        Raises:
            ValueError: there was another number of them.
        """
        if len(self) != 1:
            raise ValueError(f"there is the status of {len(self)} commands, and not of a single one")
        return self[0]

    def __bool__(self) -> bool:
        return self.first_failure is None

    def check(self) -> Self:
        """Give itself if all went well.

        Raises:
            CommandFailed: one did not; the first of them.
        """
        if self.first_failure is not None:
            self.first_failure.check()
        return self

    def __repr__(self) -> str:
        return f"RunResult({self.statuses!r})"


Results = RunResult


class FileTransfer(NamedTuple):
    """What came of one source of a transfer.

    Attributes:
        source: as it was passed.
        target: where it went, or was to go.
        status: how it ended.
        bytes: how many were moved.
        error: what went wrong, or why it was skipped; or empty.
    """

    source: Any
    target: str
    status: Status
    bytes: int = 0
    error: str = ""


class _Two(NamedTuple):
    status: Status
    message: str


class TransferResult(_Two):
    """What came of a transfer: a tuple of two, with the rest as attributes.

    Attributes:
        status: Success, or that of the first file that did not go well.
        message: which that was, and why; or empty.
        files: what came of each source, also of those that were not reached.
        duration: seconds.
        host: the name of the host.
    """

    files: tuple[FileTransfer, ...] = ()
    duration: float = 0.0
    host: str = ""

    @classmethod
    def of(cls, files: Sequence[FileTransfer], *, duration: float = 0.0, host: str = "") -> Self:
        """Make the result of what came of each source."""
        status, message = Status.Success, ""
        failed = next((each for each in files if not each.status.is_ok), None)
        if failed is not None:
            where = f" ({host})" if host else ""
            status, message = failed.status, f"{failed.source}{where}: {failed.error or 'it was not moved'}"
        result = cls(status, message)
        result.files, result.duration, result.host = tuple(files), duration, host
        return result

    @property
    def bytes(self) -> int:
        """How many were moved."""
        return sum(each.bytes for each in self.files)

    @property
    def value(self) -> dict[Any, FileTransfer]:
        """What came of each source, by the source as it was passed."""
        return {each.source: each for each in self.files}

    @property
    def ok(self) -> bool:
        """Whether all went well."""
        return self.status.is_ok

    def __bool__(self) -> bool:
        return self.ok

    def check(self) -> Self:
        """Give itself if all went well.

        Raises:
            TransferError: something did not.
        """
        if self.ok:
            return self
        from dockerpty.host.errors import TransferError

        raise TransferError("transfer", "files", self.message, host=self.host, transfer=self)


@dataclass(frozen=True)
class ExpectResult:
    """What was found by a wait.

    Attributes:
        index: which of the patterns.
        before: what came before the match.
        after: what matched; `pexpect.EOF` or `pexpect.TIMEOUT` if it was that.
        match: the match, by which its groups can be had.
        text: all up to the end of the match.
    """

    index: int
    before: str
    after: Any
    match: Any
    text: str


@dataclass(frozen=True)
class Expect:
    """A response, and the pattern that it is for.

    Attributes:
        pattern: a regular expression, as `str` or `bytes` or compiled.
        response: what is sent when output matches it; no newline is added.
        count: how often at most; None for any number of times.
    """

    pattern: Any
    response: str | bytes
    count: int | None = 1

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"a response is given once at least, not {self.count} times")


@dataclass
class ShellCommand:
    """A command, with what is to be different for it; None is as for all that are run with it.

    Attributes:
        cmd: its text.
        expects: a pair of pattern and response, an `Expect`, or a list of these.
        timeout: seconds.
        stdin: what it reads.
        check: whether its failure is an error.
    """

    cmd: str
    expects: Any = None
    timeout: float | None = None
    stdin: Any = None
    check: bool | None = None


def commands_of(given: Any) -> list[ShellCommand]:
    """Write out what stands for commands: a text, a `ShellCommand`, or a sequence of both.

    Raises:
        TypeError: it is none of these.
    """
    single = isinstance(given, (str, bytes, ShellCommand)) or given is None
    listed = [
        each if isinstance(each, ShellCommand) else ShellCommand(each)
        for each in ([given] if single else given)
    ]
    for each in listed:
        if not isinstance(each.cmd, str):
            raise TypeError(f"a command for a shell is a text, not {type(each.cmd).__name__}")
    return listed


def answers(expects: Any) -> list[tuple[Any, str | bytes, int | None]]:
    """Write out what stands for `expects`: pattern, response, and how often at most.

    Raises:
        TypeError: it is neither a pair, nor an `Expect`, nor a list of these.
    """
    if expects is None:
        return []
    if isinstance(expects, Expect) or (
        isinstance(expects, tuple) and expects and isinstance(expects[0], (str, bytes, re.Pattern))
    ):
        return [_answer(expects)]
    if isinstance(expects, (list, tuple)):
        return [_answer(each) for each in expects]
    raise _no_answer(expects)


def _answer(each: Any) -> tuple[Any, str | bytes, int | None]:
    if isinstance(each, Expect):
        pattern, response, count = each.pattern, each.response, each.count
    elif isinstance(each, tuple) and len(each) == 2:
        (pattern, response), count = each, None
    else:
        raise _no_answer(each)
    if not isinstance(pattern, (str, bytes, re.Pattern)) or not isinstance(response, (str, bytes)):
        raise _no_answer(each)
    return pattern, response, count


def _no_answer(what: Any) -> TypeError:
    # Its kind alone: a response may be a secret.
    return TypeError(f"a {type(what).__name__} is no pair of pattern and response, and no list of pairs")


def _shown(command: str) -> str:
    """Give so much of a command that one knows it, on one line and without what a terminal would obey."""
    line = "".join(each if each.isprintable() else " " for each in command.strip())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
