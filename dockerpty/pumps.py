"""The two directions of a session: what is typed, and what the container writes.

Both are `dockerpty.io.Pump`s that know a session's rules: detach keys and the end of input on the way in; on the way
out the modes switched on in the user's terminal, the end of the caller's stdout, and the text of an exec that could not
start.
"""

from __future__ import annotations

import errno
import select
import time

from dockerpty import keys
from dockerpty.errors import DockerptyError
from dockerpty.io import BROKEN, HIGH_WATER, READ_SIZE, STDERR, Pump
from dockerpty.unstarted import START_ERROR_WAIT_S, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from dockerpty.keys import Matcher
    from dockerpty.modes import ModeTracker

#: What was typed before the detach keys has so long to be taken by the process.
_DETACH_FLUSH_S = 2.0
# A stream as fast as this (bytes per second) is left alone for so long each time that it has run dry: what gathers
# comes by one read, and neither side is woken for each frame. It halves our CPU. A faster one would fill its socket
# (208 KiB) before that, since a sleep is longer than it was asked to be.
_FAST, _FASTER = 64e6, 400e6
_GATHER_S = 0.0002
# A rate is that of so long a time.
_RATE_S = 0.01
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL if hasattr(select, "poll") else 0


class InputPump(Pump):
    """What the user types, or what is piped in, on its way to the process.

    Args:
        matcher: withholds and finds the detach keys; None for input that is not typed.
        detach_timeout: seconds after which a withheld key is released.
        at_end: what the end of input means, one of `close`, `half-close`, `eot`, `keep`.
    """

    def __init__(
        self,
        from_stream: Any,
        to_stream: Any,
        *,
        matcher: Matcher | None = None,
        detach_timeout: float = 0.5,
        at_end: str = "half-close",
        is_terminal: bool = False,
    ) -> None:
        super().__init__(from_stream, to_stream, wait_for_output=False, propagate_close=False)
        self.matcher = matcher
        #: The caller's terminal is gone.
        self.hung_up = False
        #: The connection broke: what was typed is lost. `failure` is what it broke with.
        self.lost = False
        self.failure: ConnectionError | None = None
        self._detach_timeout = detach_timeout
        self._at_end = at_end
        self._is_terminal = is_terminal
        self._held_since = 0.0
        self._half_close = False
        if matcher is not None:
            self.is_plain = matcher.starts.isdisjoint

    #: The process takes no more input. (Of the class, since the base asks for the sinks before all is set.)
    _refused = False

    def sinks(self) -> tuple[Any, ...]:
        return () if self._refused else super().sinks()

    def deliver(self, stream: int, pieces: list[memoryview]) -> None:
        matcher = self.matcher
        self._forward(pieces[0] if matcher is None else matcher.feed(bytes(pieces[0])))
        if matcher is not None:
            self.holds = not matcher.idle
            if matcher.held or matcher.detached:
                self._held_since = time.monotonic()

    @property
    def detached(self) -> bool:
        """The detach keys were typed, and what came before them is on its way."""
        return self.matcher is not None and self.matcher.detached and not self.to_stream.needs_write()

    def release_at(self) -> float | None:
        """Say when a withheld key is to be released, or what a process does not read is to be given up."""
        if self.matcher is None:
            return None
        if self.matcher.detached:
            return self._held_since + _DETACH_FLUSH_S if self.to_stream.needs_write() else None
        return self._held_since + self._detach_timeout if self.matcher.held else None

    def release(self) -> None:
        if self.matcher is None:
            return
        if self.matcher.detached:
            self.to_stream.drop()
        else:
            self._forward(self.matcher.release())
            # Released keys may be half of the engine's own: until that is settled each byte is looked at.
            self.holds = not self.matcher.idle

    def failed(self, error: OSError) -> None:
        if not (self._is_terminal and error.errno == errno.EIO):
            raise error
        self.hung_up = self.eof = True

    def serve(self, ready: dict[int, int], buffer: memoryview) -> None:
        if self._is_terminal and not self.eof and ready.get(self.fileno(), 0) & select.POLLHUP:
            # Reading would give an end of input, which a terminal that is gone is not: nothing is sent for it.
            self.hung_up = self.eof = True
        super().serve(ready, buffer)
        if self._half_close and not self.to_stream.needs_write():
            self._half_close = False
            self._end_input()

    def busy(self) -> bool:
        return super().busy() or (self._half_close and not self.to_stream.needs_write())

    def end(self) -> None:
        """The input has ended: pass that on as the process can understand it."""
        self.eof = True
        self.release()
        if self.to_stream.closed:
            return
        if self._at_end == "eot":
            self._forward(keys.end_of_input(self.last))
        elif self._at_end == "half-close":
            self._half_close = True
        elif self._at_end == "close":
            self.to_stream.close()

    def refused(self, sink: Any, error: OSError) -> None:
        if isinstance(error, ConnectionError) and error.errno not in BROKEN:
            # No process closes its stdin so: the network has no way any more, or TLS has failed.
            self.lost, self.failure = True, error
        super().refused(sink, error)

    def broken(self, sink: Any) -> None:
        """The process has closed its stdin: the rest of the input is dropped, the output goes on."""
        self.eof = self._refused = True
        sink.drop()

    def _end_input(self) -> None:
        try:
            self._guarded(self.to_stream, self.to_stream.half_close)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            # Silence would leave a reader waiting for an end that never comes.
            raise DockerptyError(
                "end the input of",
                "the process",
                "this client's connection can only be closed as a whole",
                "pass a docker.DockerClient, or stdin_eof='ignore'",
            ) from error

    def _forward(self, data: bytes | memoryview) -> None:
        if not data:
            return
        try:
            self.give(self.to_stream, (data,))
        except OSError as error:
            self.refused(self.to_stream, error)
        self.moved += len(data)
        self.last = data[-1]
        if self.observer is not None:
            self.observer(memoryview(data))


class OutputPump(Pump):
    """What the container writes, on its way to the caller's stdout and stderr.

    Args:
        modes: follows what is switched on in the terminal that is written to; None where there is none.
        may_fail_to_start: hold the first output back for a moment if it looks like the text of a failed start.
    """

    def __init__(
        self,
        from_stream: Any,
        to_stream: Any,
        error_stream: Any = None,
        *,
        modes: ModeTracker | None = None,
        may_fail_to_start: bool = False,
    ) -> None:
        super().__init__(from_stream, to_stream, propagate_close=False, error_stream=error_stream)
        self.modes = modes
        self.stdout_closed = False
        self.hung_up = False
        #: The stream broke: what it carried is not all. `failure` is what it broke with, if anything was said.
        self.lost = False
        self.failure: ConnectionError | None = None
        self.read_size = getattr(getattr(to_stream, "fd", None), "read_size", READ_SIZE)
        self._framed = self._inner is not from_stream
        if may_fail_to_start:
            self.gate = self._withholds
        if modes is not None:
            self.observer = modes.feed
        self._start_error = StartError(self._framed)
        self._withheld_until = 0.0
        #: Who asks something of the process is not to wait for the answer: while these move nothing is left to gather.
        self.questions: Sequence[Pump] = ()
        self._is_fast = False
        self._measured_at, self._measured, self._asked = 0.0, 0, 0

    def interest(self) -> list[tuple[int, int]]:
        # For nothing: poll tells of a pipe that lost its reader, or of a terminal that is gone, also while all is idle.
        return super().interest() + [(sink.fileno(), 0) for sink in self.sinks() if _tells_its_end(sink)]

    def serve(self, ready: dict[int, int], buffer: memoryview) -> None:
        for sink in self.sinks():
            if _tells_its_end(sink) and ready.get(sink.fileno(), 0) & _GONE:
                self.hung_up = self.hung_up or sink.fd.is_terminal
                self.broken(sink)
        super().serve(ready, buffer)

    def ran_dry(self) -> None:
        now, asked = time.monotonic(), sum([pump.moved for pump in self.questions])
        if now - self._measured_at >= _RATE_S:
            rate = (self.moved - self._measured) / (now - self._measured_at)
            self._is_fast = _FAST < rate < _FASTER and asked == self._asked
            self._measured_at, self._measured, self._asked = now, self.moved, asked
        if self._is_fast and asked == self._asked and not self.eof:
            time.sleep(_GATHER_S)

    def failed(self, error: OSError) -> None:
        if not isinstance(error, ConnectionError):
            raise error
        self.lost = self.eof = True
        self.failure = error

    def release_at(self) -> float | None:
        """Say when the withheld text is output after all."""
        return self._withheld_until if self._start_error.held is not None and not self.eof else None

    def release(self) -> None:
        """Write the withheld text where it came for, and keep nothing back from now on."""
        self.gate = None
        held = self._start_error.release()
        if held is not None:
            self.holds = False
            self.deliver(held[0], [memoryview(held[1])])

    def say_on_stderr(self, text: bytes) -> None:
        """Write what is no output of the process."""
        sink = self.error_stream or self.to_stream
        if not sink.closed:
            self._guarded(sink, sink.write, text)

    def settle(self) -> None:
        """Wait for what a thread still has to write, while that is taken: the terminal is about to change."""
        for sink in self.sinks():
            if not sink.closed and hasattr(sink.fd, "settle"):
                while sink.fd.settle() and sink.needs_write():
                    self._guarded(sink, sink.do_write)

    def drain(self) -> None:
        """Wait until everything is written, or nobody takes it any more."""
        for sink in self.sinks():
            while not sink.closed and sink.needs_write():
                poll = select.poll()
                poll.register(sink.write_fileno(), select.POLLOUT)
                poll.poll()
                self._guarded(sink, sink.do_write)
            if not sink.closed and hasattr(sink.fd, "drain"):
                self._guarded(sink, sink.fd.drain)

    def take_withheld(self) -> bytes:
        """Return the text that was not written, and forget it."""
        return self._start_error.take()

    def end(self) -> None:
        self.eof = True
        self.lost = self._framed and self.from_stream.frames.mid_frame

    def broken(self, sink: Any) -> None:
        if sink is self.to_stream:
            self.stdout_closed = True
        super().broken(sink)
        sink.abandon()

    def refused(self, sink: Any, error: OSError) -> None:
        if error.errno == errno.EIO and getattr(sink.fd, "is_terminal", True):
            self.hung_up = True
            self.broken(sink)
        else:
            super().refused(sink, error)

    def _withholds(self, stream: int, pieces: list[memoryview]) -> bool:
        """The gate of what may not start: keep the first output back if it may be the text of a failed start."""
        if not self._start_error.takes(stream, b"".join(pieces)):
            self.release()
            return False
        if not self.holds:
            self.holds = True
            self._withheld_until = time.monotonic() + START_ERROR_WAIT_S
        return True


class WatchPump(OutputPump):
    """What the container writes, for somebody who only looks on: whoever is too slow misses some, and nobody waits.

    A viewer that does not read starves all others, and in the end the container (Engine 20.10: after about 1 MB). So
    this one reads always, and waits for nothing. Above `HIGH_WATER` what comes for a sink is skipped, until that has
    taken all it has.

    Args:
        redraw: asked for when output goes on after some was skipped.
        Others: as `OutputPump` takes them.
    """

    def __init__(
        self,
        from_stream: Any,
        to_stream: Any,
        error_stream: Any = None,
        *,
        modes: ModeTracker | None = None,
        redraw: Callable[[], None],
    ) -> None:
        self._redraw = redraw
        self.patient = False
        self._skipped: dict[Any, int] = {}
        super().__init__(from_stream, to_stream, error_stream, modes=modes)

    def has_room(self) -> bool:
        return True

    def ran_dry(self) -> None:
        """Nothing is left to gather."""

    def quiet(self) -> bool:
        # What waits for a sink is no reason to leave the source alone; nor is it to be served without us.
        return not self._skipped and super().quiet()

    def is_done(self) -> bool:
        return super().is_done() and not self._skipped

    def busy(self) -> bool:
        return super().busy() or any(not sink.needs_write() for sink in self._skipped)

    def serve(self, ready: dict[int, int], buffer: memoryview) -> None:
        super().serve(ready, buffer)
        for sink in [each for each in self._skipped if not each.needs_write()]:
            self._go_on(sink)

    def deliver(self, stream: int, pieces: list[memoryview]) -> None:
        sink = self.error_stream if stream == STDERR and self.error_stream is not None else self.to_stream
        if sink in self._skipped or sink.backlog() > HIGH_WATER:
            count = sum(map(len, pieces))
            self._skipped[sink] = self._skipped.get(sink, 0) + count
            self.moved += count  # it came: that is no silence of the far side's
        else:
            super().deliver(stream, pieces)

    def broken(self, sink: Any) -> None:
        self._skipped.pop(sink, None)
        super().broken(sink)

    def _go_on(self, sink: Any) -> None:
        mark = b"[%d bytes skipped]" % self._skipped.pop(sink)
        if sink.closed:
            return
        # What was written last may be half of an escape sequence, which CAN ends (ECMA-48, 8.3.7 and VT100).
        is_terminal = getattr(sink.fd, "is_terminal", False)
        line = b"\x18\r\n" + mark + b"\r\n" if is_terminal else b"\n" + mark + b"\n"
        self._guarded(sink, sink.write, line)
        if self.observer is not None:
            self.observer(memoryview(line))
        if not self.eof:
            self._redraw()


def _tells_its_end(sink: Any) -> bool:
    return not sink.closed and getattr(sink.fd, "tells_its_end", False)
