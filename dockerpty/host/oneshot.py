"""One command in a process of its own, which reads no state and leaves none: a plan.

What it writes is read to the end, and kept as far as it was asked for. Nothing of it is left running when the plan is
over: not when its time is, nor when whoever waits for it gives up.
"""

from __future__ import annotations

import shlex
import time
from datetime import UTC, datetime

from dockerpty import unstarted
from dockerpty.container.ending import CONTAINER_LOOKS
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError, NotFound, StartRefused
from dockerpty.frames import STDERR, STDOUT
from dockerpty.host.processes import closing, ending_of, kill, killing_on_error
from dockerpty.host.requests import Ask, Open, Wait
from dockerpty.host.results import CommandStatus, Status
from dockerpty.host.stdin import Stdin
from dockerpty.result import KILLED_CODE
from dockerpty.signals import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal

    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan
    from dockerpty.host.stdin import Given

    #: Is given the stream, 1 or 2, and bytes.
    OnOutput = Callable[[int, bytes], object]
    #: Which end of an output is kept that is too much.
    Keep = Literal["head", "tail"]

#: Bytes of each stream that are kept.
OUTPUT_LIMIT = 16 * 1024 * 1024
# What is kept of an end, beyond twice that limit, before the rest is dropped.
_TAIL_MORE = 64 * 1024

# A shell of its own, so that what the text does with its streams is not undone, and `$0` is as without this.
_MERGED_TEXT = 'exec sh -c "$0" 2>&1'
_MERGED_ARGV = 'exec "$@" 2>&1'

#: After so long a silence it is looked whether the process has ended: not every engine ends its stream then. What is
#: silent for longer is looked at less often.
_SILENCE_S, _LONGEST_SILENCE_S = 10.0, 60.0
#: What was on its way when a process was killed has come after this, or will not.
_LAST_OUTPUT_S = 1.0
_LOOK_AGAIN_S = 0.1
_SAID = 400


def oneshot(
    container: str,
    command: str | Sequence[str],
    timeout: float | None = None,
    *,
    stdin: Given | None = None,
    merge: bool = False,
    user: str = "",
    workdir: str | None = None,
    environment: Sequence[str] = (),
    privileged: bool = False,
    check: bool = False,
    on_output: OnOutput | None = None,
    output_limit: int = OUTPUT_LIMIT,
    keep: Keep = "head",
    encoding: str = "utf-8",
    errors: str = "replace",
    host: str = "",
) -> Plan[CommandStatus]:
    """Run a command in a process of its own, without a terminal.

    Args:
        container: its full id.
        command: a `str` is for `sh -c`; a list is taken as it is, without a shell.
        timeout: seconds, after which it is killed, with its children; None for no limit.
        stdin: what it reads, see `Stdin`; None for nothing.
        merge: stderr comes where stdout does, in the order in which both were written. For a list, too, the container
            needs a `sh` then.
        environment: `NAME=value`.
        check: raise `CommandFailed` if it does not go well.
        on_output: gets all that it writes, as it comes.
        output_limit: bytes of each stream that are kept; all others are counted.
        keep: which: those at its beginning, `head`, or at its end, `tail`.
        encoding, errors: of the output as text.
        host: the host's name, for the result.

    Returns:
        how it ended: a command that is too slow, fails, or cannot be started is a result, too.

    Raises:
        NotFound, APIError, EngineUnreachable: there is no such container, it does not run, the engine is away.
        ValueError: a `timeout` that is over before it begins, or no command.
        TypeError, OSError: of `stdin`, see `Stdin`; of a file that cannot be read, when it is read.
    """
    if timeout is not None and timeout <= 0:
        raise ValueError(f"a command needs more time than {timeout:g} s: None is no limit")
    text, argv = _spelled(command, merge)
    source = None if stdin is None else Stdin(stdin, encoding)
    try:
        run = _Run(text, Output(on_output, output_limit, keep), merge, encoding, errors, host)
        until = None if timeout is None else time.monotonic() + timeout
        opening = Open(
            container,
            argv,
            stdin=source is not None,
            environment=tuple(environment),
            mark=marker(),
            user=user,
            workdir=workdir,
            privileged=privileged,
        )
        try:
            channel = yield opening
        except StartRefused as refused:
            status = run.refused(refused)
        else:
            following = killing_on_error(channel, run.follow(channel, source, until))
            status = yield from closing(channel, following)
    finally:
        if source is not None:
            source.close()
    return status.check() if check else status


def _spelled(command: Any, merge: bool) -> tuple[str, tuple[str, ...]]:
    """Give a command as text, for people, and as what is started."""
    if isinstance(command, str):
        _refuse_nul(command)
        if merge:
            return command, ("sh", "-c", _MERGED_TEXT, command)
        return command, ("sh", "-c", command)
    if isinstance(command, (bytes, bytearray)) or not command:
        raise ValueError("a command is a text for the shell, or a list of a program and its arguments")
    argv = tuple(command)
    for each in argv:
        _refuse_nul(each)
    return shlex.join(argv), ("sh", "-c", _MERGED_ARGV, "sh", *argv) if merge else argv


def _refuse_nul(word: str) -> None:
    if "\0" in word:
        raise ValueError("there is a NUL in the command, which no argument can hold")


class Output:
    """What a command writes: the beginning of each stream is kept, or its end; all of it is handed on."""

    def __init__(self, on_output: OnOutput | None, limit: int, keep: Keep = "head") -> None:
        self._on_output = on_output
        self._limit = limit
        self._tail = keep == "tail"
        self._kept = {STDOUT: bytearray(), STDERR: bytearray()}
        self._dropped = 0

    def take(self, stream: int, data: bytes) -> None:
        """Keep what there is room for."""
        kept = self._kept[stream]
        if self._tail:
            kept += data
            # Not for each piece: what is kept moves each time.
            if len(kept) > 2 * self._limit + _TAIL_MORE:
                self._drop_head(kept)
        else:
            room = max(0, self._limit - len(kept))
            kept += data[:room]
            self._dropped += max(0, len(data) - room)
        if self._on_output is not None:
            self._on_output(stream, data)

    def kept(self, stream: int) -> bytes:
        """Return what was kept of a stream."""
        self._drop_head(self._kept[stream])
        return bytes(self._kept[stream])

    @property
    def dropped(self) -> int:
        """How many bytes were not kept."""
        for kept in self._kept.values():
            self._drop_head(kept)
        return self._dropped

    def _drop_head(self, kept: bytearray) -> None:
        over = max(0, len(kept) - self._limit)
        del kept[:over]
        self._dropped += over


class _Run:
    """One command that runs, and what is to be said of it."""

    def __init__(
        self, command: str, output: Output, merge: bool, encoding: str, errors: str, host: str
    ) -> None:
        self._command = command
        self._output = output
        self._text: dict[str, Any] = {"encoding": encoding, "errors": errors, "host": host}
        self._began = time.monotonic()
        self._started = datetime.now(UTC)
        # Where the reason goes why it could not be started: a shell's own words would be there.
        self._complaints = STDOUT if merge else STDERR
        # What may be such a reason is kept back, until it is known that it is none.
        self._gate: unstarted.StartError | None = unstarted.StartError(True)
        self._held_until: float | None = None

    def follow(self, channel: Channel, source: Stdin | None, until: float | None) -> Plan[CommandStatus]:
        """Feed it and read what it writes, to its end or to the end of its time."""
        patience, look = _SILENCE_S, time.monotonic() + _SILENCE_S
        while True:
            if self._read(channel):
                patience, look = _SILENCE_S, time.monotonic() + _SILENCE_S
            if channel.ended:
                break
            now = time.monotonic()
            if until is not None and now >= until:
                return (yield from self._too_slow(channel))
            if now >= look:
                if (yield from _has_ended(channel)) and not self._read(channel):
                    break
                patience = min(patience * 2, _LONGEST_SILENCE_S)
                look = time.monotonic() + patience
            if self._held_until is not None and now >= self._held_until:
                self._release()
            hungry = source is not None and source.feed(channel)
            times = [each for each in (until, self._held_until, look) if each is not None]
            # Not even hunger is a reason to let others on a loop wait.
            yield Wait((channel,), now if hungry else min(times))
        return (yield from self._over(channel))

    def refused(self, error: StartRefused) -> CommandStatus:
        """Say that the engine did not start it."""
        return self._never(error.explanation.rstrip().encode() + b"\n", error.exit_code)

    def _read(self, channel: Channel) -> bool:
        """Take what has come; say whether anything has."""
        pieces = channel.read()
        for stream, data in pieces:
            self._take(stream, data)
        return bool(pieces)

    def _take(self, stream: int, data: bytes) -> None:
        if self._gate is not None:
            if self._gate.takes(stream, data):
                if self._held_until is None:
                    self._held_until = time.monotonic() + unstarted.START_ERROR_WAIT_S
                return
            self._release()
        self._output.take(stream, data)

    def _release(self) -> None:
        gate, self._gate, self._held_until = self._gate, None, None
        held = None if gate is None else gate.release()
        if held is not None:
            self._output.take(*held)

    def _too_slow(self, channel: Channel) -> Plan[CommandStatus]:
        self._release()
        problem = yield from kill(channel)
        if not problem:
            last = time.monotonic() + _LAST_OUTPUT_S
            while not channel.ended and (self._read(channel) or time.monotonic() < last):
                yield Wait((channel,), last)
        error = f"its time was over, and it may still run: {problem}" if problem else ""
        return self._status(None, timed_out=True, error=error)

    def _over(self, channel: Channel) -> Plan[CommandStatus]:
        if channel.error is not None:
            self._release()
            # It may run on, where nobody sees it.
            yield from kill(channel)
            return self._status(None, error=str(channel.error))
        end = yield from ending_of(channel)
        if self._gate is not None and end.code is not None and end.info and unstarted.never_started(end.info):
            text = self._gate.take()
            if text:
                return self._never(text.rstrip() + b"\n", unstarted.exit_code(text, end.code))
        self._release()
        if end.code is None:
            why = str(end.error) if end.error else "the engine does not know its exit code"
            return self._status(None, error=why)
        gone, error = False, ""
        if end.reason == "removed":
            gone, error = True, "its container was removed"
        elif end.code == KILLED_CODE:
            # As all die that are in a container when it ends.
            gone, error = yield from _why_killed(channel)
        status = self._status(end.code, error=error)
        return status._replace(status=Status.Error) if gone else status

    def _never(self, text: bytes, code: int) -> CommandStatus:
        self._output.take(self._complaints, text)
        words = " ".join(text.decode("utf-8", "replace").split())[:_SAID]
        return self._status(code, error=f"it could not be started: {words}")

    def _status(self, code: int | None, **more: Any) -> CommandStatus:
        output = self._output
        return CommandStatus.of(
            self._command,
            code,
            output.kept(STDOUT),
            output.kept(STDERR),
            dropped_bytes=output.dropped,
            duration=time.monotonic() - self._began,
            started=self._started,
            **self._text,
            **more,
        )


def _has_ended(channel: Channel) -> Plan[bool]:
    """Ask whether the process has ended, though its stream has not."""
    try:
        info = (yield Ask(calls.inspect_exec(channel.exec_id))).json()
    except NotFound:
        # With its container, whose end Engine 20.10 does not always tell on the stream of an exec.
        return True
    except DockerptyError:
        return False
    # Without a code it has not started yet.
    return not info["Running"] and info["ExitCode"] is not None


def _why_killed(channel: Channel) -> Plan[tuple[bool, str]]:
    """Say whether its container is gone, or has stopped, and in a sentence what killed a process."""
    for look in range(CONTAINER_LOOKS):
        if look:
            # The end of a container follows that of what is in it.
            yield Wait(until=time.monotonic() + _LOOK_AGAIN_S)
        try:
            state = (yield Ask(calls.inspect_container(channel.container))).json()["State"]
        except NotFound:
            return True, "its container was removed"
        except DockerptyError:
            return False, ""
        memory = "killed (137): out of memory?" if state.get("OOMKilled") else ""
        if not state.get("Running"):
            return True, "; ".join(filter(None, ("its container stopped", memory)))
        if memory:
            return False, memory
    return False, ""
