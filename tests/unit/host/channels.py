"""Channels without an engine, and a driver for plans over them: processes of this machine, and what a test wrote down.

`Here().drive(plan)` runs a plan: `Open` starts its command here, `Wait` polls, and an exec is inspected by asking the
process. `LocalChannel` and `Scripted` have the names of `dockerpty.host.channel.Channel`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dockerpty import plan
from dockerpty.engine.calls import Call, Reply, inspect_container, inspect_exec
from dockerpty.errors import DockerptyError, NotFound
from dockerpty.frames import STDERR, STDOUT
from dockerpty.host.requests import Ask, Close, Invoke, Open, Request, Wait

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

T = TypeVar("T")

DEADLINE_S = 60.0
CONTAINER = "c0ffee" + 58 * "0"
_READ = 64 * 1024


class LocalChannel:
    """A process of this machine, through pipes or a terminal, as `Channel` has those of a container.

    Args:
        env: all of its environment; ours by default.
        size: of its terminal, as (rows, cols).

    Attributes:
        process: as `subprocess` has it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        tty: bool = False,
        env: Mapping[str, str] | None = None,
        *,
        cwd: str | None = None,
        stdin: bool = True,
        mark: str = "",
        size: tuple[int, int] | None = None,
    ) -> None:
        self.tty = tty
        self.container = CONTAINER
        self.mark = mark
        self.user = ""
        self.ended = self.refused = False
        self.error: DockerptyError | None = None
        self._queue = b""
        self._ending = False
        if tty:
            master, slave = os.openpty()
            rows, cols = size or (24, 80)
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            self.process = subprocess.Popen(
                argv,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=env,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_take_terminal,
            )
            os.close(slave)
            self._input: int | None = master
            self._outputs = {master: STDOUT}
        else:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                argv,
                stdin=pipe if stdin else subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                env=env,
                cwd=cwd,
                bufsize=0,
                start_new_session=True,
            )
            assert self.process.stdout is not None
            assert self.process.stderr is not None
            self._input = None if self.process.stdin is None else os.dup(self.process.stdin.fileno())
            self._outputs = {
                os.dup(self.process.stdout.fileno()): STDOUT,
                os.dup(self.process.stderr.fileno()): STDERR,
            }
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        for fd in self._descriptors():
            os.set_blocking(fd, False)
        self.exec_id = f"{self.process.pid:064x}"

    @property
    def unsent(self) -> int:
        return len(self._queue)

    def write(self, data: bytes) -> None:
        if self._ending:
            raise RuntimeError("the input of this process was ended before")
        if self.refused or self.ended:
            return
        self._queue += data
        self.flush()

    def end_input(self) -> None:
        if self.tty and not self._ending:
            self.write(b"\x04")
        self._ending = True
        self.flush()

    def flush(self) -> None:
        try:
            while self._queue and self._input is not None:
                self._queue = self._queue[os.write(self._input, self._queue) :]
        except BlockingIOError:
            return  # no room now
        except OSError:
            self.refused, self._queue = True, b""
        if (self._ending or self.refused) and not self.tty and self._input is not None:
            os.close(self._input)
            self._input = None

    def read(self) -> list[tuple[int, bytes]]:
        found = []
        for fd, stream in list(self._outputs.items()):
            try:
                data = os.read(fd, _READ)
            except BlockingIOError:
                continue  # nothing now
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""  # nobody has the terminal open any more
            if data:
                found.append((stream, data))
            else:
                del self._outputs[fd]
                os.close(fd)
        if not self._outputs:
            self.ended = self.refused = True
            self._queue = b""
            if self.tty:
                self._input = None
        return found

    def end_waits(self) -> bool:
        return False

    def learn_end(self) -> None:
        """It needs not be learned here."""

    def pending(self) -> bool:
        return False

    def interest(self) -> list[tuple[int, int]]:
        wanted = dict.fromkeys(self._outputs, select.POLLIN)
        if self._queue and self._input is not None:
            wanted[self._input] = wanted.get(self._input, 0) | select.POLLOUT
        return list(wanted.items())

    def cut(self) -> None:
        """End it: nothing here waits in another thread."""
        self.close()

    def close(self) -> None:
        """As when a client goes: the process is left without its streams."""
        for fd in self._descriptors():
            os.close(fd)
        self._outputs, self._input = {}, None
        self.ended = self.refused = True

    def kill(self) -> None:
        """End the process and all of its session's that is in its group, and close."""
        self.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended
        self.process.wait(DEADLINE_S)

    def inspection(self) -> dict[str, Any]:
        """What an engine says of an exec."""
        code = self.process.poll()
        if code is not None and code < 0:
            code = 128 - code
        return {
            "ID": self.exec_id,
            "Running": code is None,
            "ExitCode": code,
            "Pid": self.process.pid,
            "ContainerID": self.container,
        }

    def _descriptors(self) -> set[int]:
        return {*self._outputs} | ({self._input} if self._input is not None else set())


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class _Silence:
    """From here on nothing comes, and no end."""


SILENCE = _Silence()


class Heard:
    """What follows comes once this was written, behind what an earlier one has heard."""

    def __init__(self, data: bytes) -> None:
        self.data = data


Step = bytes | tuple[int, bytes] | Heard | DockerptyError | _Silence


class Scripted:
    """A channel that says what a test wrote down, a step with each `read`, and then ends.

    Args:
        steps: bytes of stdout; (stream, bytes); `Heard`; an error that it breaks with; `SILENCE`.
        takes: bytes of what is written that are taken until the next `room`; None for all.

    Attributes:
        written: what was taken.
        input_ended: `end_input` was called, and all is taken.
        closed: it was closed.
    """

    def __init__(
        self, steps: Iterable[Step], *, tty: bool = False, mark: str = "", takes: int | None = None
    ) -> None:
        self.exec_id = "e" * 64
        self.tty = tty
        self.container = CONTAINER
        self.mark = mark
        self.user = ""
        self.ended = self.refused = self.closed = self.input_ended = False
        self.error: DockerptyError | None = None
        self.written = b""
        self._steps = list(steps)
        self._queue = b""
        self._takes = takes
        self._ending = False
        self._heard = 0

    @property
    def unsent(self) -> int:
        return len(self._queue)

    def write(self, data: bytes) -> None:
        if self._ending:
            raise RuntimeError("the input of this process was ended before")
        if not self.refused and not self.ended:
            self._queue += data
            self.flush()

    def end_input(self) -> None:
        self._ending = True
        self.flush()

    def room(self, count: int | None) -> None:
        """Take so many bytes more of what is written; None for all."""
        self._takes = count if count is None or self._takes is None else self._takes + count
        self.flush()

    def flush(self) -> None:
        count = len(self._queue) if self._takes is None else min(len(self._queue), self._takes)
        self.written += self._queue[:count]
        self._queue = self._queue[count:]
        if self._takes is not None:
            self._takes -= count
        self.input_ended = self._ending and not self._queue

    def ready(self) -> bool:
        """Whether the next step can be taken."""
        if self.ended or not self._steps:
            return True
        step = self._steps[0]
        return self._hears(step.data) if isinstance(step, Heard) else step is not SILENCE

    def read(self) -> list[tuple[int, bytes]]:
        while not self.ended:
            if not self.ready():
                return []
            if not self._steps:
                self._end()
                return []
            step = self._steps.pop(0)
            if isinstance(step, Heard):
                self._heard = self.written.index(step.data, self._heard) + len(step.data)
            elif isinstance(step, DockerptyError):
                self._end(step)
            else:
                assert not isinstance(step, _Silence)
                return [(STDOUT, step) if isinstance(step, bytes) else step]
        return []

    def end_waits(self) -> bool:
        return False

    def learn_end(self) -> None:
        """It needs not be learned here."""

    def pending(self) -> bool:
        return False

    def interest(self) -> list[tuple[int, int]]:
        return []

    def cut(self) -> None:
        self._end()

    def close(self) -> None:
        self.closed = True
        self._end()

    def _hears(self, data: bytes) -> bool:
        return self.written.find(data, self._heard) >= 0

    def _end(self, error: DockerptyError | None = None) -> None:
        if not self.ended:
            self.ended = self.refused = True
            self.error = error
            self._queue = b""


class Here:
    """Answers plans on this machine. As a context it ends in its end what it has started.

    Args:
        opens: makes the channel of an `Open`, or raises; by default a process of this machine.
        asks: answers a call; by default an exec of ours is inspected, and nothing else is known.

    Attributes:
        requests: all that were answered, in order.
        opened: the channels that were.
        closed: the channels that were.
    """

    def __init__(
        self,
        opens: Callable[[Open], Any] | None = None,
        asks: Callable[[Call], Reply] | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.opened: list[Any] = []
        self.closed: list[Any] = []
        self.opens = opens or local
        self.asks = asks or self.inspect

    def drive(self, steps: Plan[T]) -> T:
        """Run a plan to its end."""
        return plan.drive(steps, self.answer)

    def answer(self, request: Request) -> Any:
        """Do what a plan asks for."""
        self.requests.append(request)
        if isinstance(request, Ask):
            return self.asks(request.call)
        if isinstance(request, Open):
            channel = self.opens(request)
            self.opened.append(channel)
            return channel
        if isinstance(request, Wait):
            return wait(request)
        if isinstance(request, Invoke):
            return request.function()
        assert isinstance(request, Close)
        self.closed.append(request.channel)
        request.channel.close()
        return None

    def inspect(self, call: Call) -> Reply:
        """Inspect an exec that was started here, and the container, which runs."""
        if call == inspect_container(CONTAINER):
            return reply({"Id": CONTAINER, "State": {"Running": True, "OOMKilled": False}})
        for channel in self.opened:
            if call == inspect_exec(channel.exec_id) and isinstance(channel, LocalChannel):
                return reply(channel.inspection())
        raise NotFound("ask for", str(call.subject), "it was not started here")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for channel in self.opened:
            if isinstance(channel, LocalChannel):
                channel.kill()


def local(request: Open) -> LocalChannel:
    """Start the process that a plan asks for here."""
    given = [*request.environment, *([request.mark] if request.mark else [])]
    return LocalChannel(
        request.command,
        request.tty,
        {"PATH": os.environ["PATH"], "HOME": "/"} | dict(each.split("=", 1) for each in given),
        cwd=request.workdir,
        stdin=request.stdin,
        mark=request.mark,
        size=request.size,
    )


def reply(content: Any) -> Reply:
    """Make an engine's answer."""
    import json

    return Reply(200, {"content-type": "application/json"}, json.dumps(content).encode())


def wait(request: Wait) -> bool:
    """Wait as an executor does, and no longer than a test may take."""
    limit = time.monotonic() + DEADLINE_S
    until = limit if request.until is None else min(request.until, limit)
    poll = select.poll()
    channels: tuple[Any, ...] = request.channels
    for channel in channels:
        waited = channel.unsent
        channel.flush()
        if channel.unsent < waited or channel.ended or channel.pending():
            return True
        if isinstance(channel, Scripted) and channel.ready():
            return True
        for fd, events in channel.interest():
            poll.register(fd, events)
    while True:
        left = until - time.monotonic()
        if left <= 0:
            if request.until is None or limit < request.until:
                raise TimeoutError(f"nothing came on {request.channels} within {DEADLINE_S:g} s")
            return False
        if poll.poll(left * 1000 + 1):
            return True


__all__ = ["CONTAINER", "SILENCE", "Heard", "Here", "LocalChannel", "Scripted", "local", "reply", "wait"]
