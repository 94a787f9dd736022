"""The three streams of a process, as asyncio has them: two to read, one to write.

Both kinds are bounded. A reader keeps no more than its limit, and `Output` reads no more than fits into both; a writer
keeps what the process has not taken yet, and `drain` waits until that is little.
"""

from __future__ import annotations

import asyncio
import errno

from dockerpty import keys, unstarted
from dockerpty.errors import DockerptyError, ProtocolError, SessionLost
from dockerpty.frames import STDERR, STDOUT, SYSTEM_ERROR, Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from dockerpty.container.attachment import AtEnd
    from dockerpty.engine.transport import Transport

    class _StreamReader(asyncio.StreamReader):
        """What we know of its inside; the same from Python 3.4 on."""

        _buffer: bytearray
        _eof: bool
        _limit: int

        def _wakeup_waiter(self) -> None: ...
        async def _wait_for_data(self, func_name: str) -> None: ...

else:
    _StreamReader = asyncio.StreamReader

#: Above HIGH_WATER bytes waiting for a process `drain` waits; below LOW_WATER it goes on. As in a session (`io`).
HIGH_WATER = 64 * 1024
LOW_WATER = 32 * 1024

_NEWLINE = 0x0A


class Reader(_StreamReader):
    """What a process writes: an `asyncio.StreamReader` that is never fed more than it has room for.

    Args:
        limit: bytes that it keeps. Only who asks for more at once (`readexactly`) makes it keep more.
        more_room: called when somebody has taken something, or waits for something.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop, more_room: Callable[[], None]) -> None:
        super().__init__(limit, loop)
        self._more_room = more_room
        self._awaited = False
        self._failure: DockerptyError | None = None

    def room(self) -> int:
        """Say how many bytes may come: none or less if it is full, unless somebody cannot go on without."""
        free = self._limit - len(self._buffer)
        return self._limit if free <= 0 and self._awaited else free

    def has_room(self) -> bool:
        """Say whether it is worth while to read again for this."""
        return self._awaited or 2 * len(self._buffer) <= self._limit

    def feed(self, data: bytes | memoryview) -> None:
        """Take what has come; whoever waited looks at it first before he may ask for more."""
        self._awaited = False
        self.feed_data(data)

    def lose(self, error: DockerptyError) -> None:
        """Raise `error` to whoever wants more than is there; what is there can still be read."""
        if not self._eof:
            self._failure = error
            self._wakeup_waiter()

    def _maybe_resume_transport(self) -> None:
        self._more_room()

    async def _wait_for_data(self, func_name: str) -> None:
        self._give_up()
        before = len(self._buffer)
        self._awaited = True
        self._more_room()
        try:
            await super()._wait_for_data(func_name)
        finally:
            self._awaited = False
        if len(self._buffer) == before:
            self._give_up()

    def _give_up(self) -> None:
        if self._failure is not None:
            raise self._failure


class Output:
    """What comes over a connection, on its way to the readers.

    Args:
        transport: the connection; whoever gave it closes it.
        buffer: where to read; nothing is left in it.
        tty: the process has a terminal: one stream, without frames.
        limit: of each reader.
        ended: called once, at the end of the stream with None, or with what it broke with.
        in_thread: does what waits, for the rare kinds of connection that wait at their end.
        gate: keeps back what may be why nothing was started; None for a process that runs.

    Attributes:
        out, err: the readers; None for stderr with a terminal.
        reads: whether the connection is looked at: nothing is full.
        moved: something has come. For whoever sets it back.
    """

    __slots__ = (
        *(
            "_again",
            "_buffer",
            "_ended",
            "_frames",
            "_gate",
            "_gate_timer",
            "_in_thread",
            "_loop",
            "_name",
            "_stopped",
        ),
        *("_transport", "err", "moved", "out", "reads"),
    )

    def __init__(
        self,
        transport: Transport,
        name: str,
        buffer: memoryview,
        *,
        tty: bool,
        limit: int,
        ended: Callable[[DockerptyError | None], None],
        in_thread: Callable[[Callable[[], Any]], asyncio.Future[Any]],
        gate: unstarted.StartError | None = None,
    ) -> None:
        """Look at nothing yet: see `start`. Messages call the process `name`."""
        loop = self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._name = name
        self._buffer = buffer
        self._frames = None if tty else Decoder()
        self._ended = ended
        self._in_thread = in_thread
        self._gate = gate
        self._gate_timer: asyncio.TimerHandle | None = None
        self._again: asyncio.Handle | None = None
        self._stopped = False
        self.out = Reader(limit, loop, self._more_room)
        self.err = None if tty else Reader(limit, loop, self._more_room)
        self.reads = self.moved = False

    def start(self) -> None:
        """Read from now on, also where nobody reads what comes: so the end is seen."""
        self._watch(True)

    def stop(self) -> None:
        """Leave the connection alone for good."""
        self._stopped = True
        self._watch(False)
        if self._gate_timer is not None:
            self._gate_timer.cancel()

    def finish(self, error: DockerptyError | None = None) -> None:
        """Let the readers see the end: `error`, behind what has come, or an ordinary one. The first time counts."""
        self.stop()
        self.release()
        for reader in (self.out, self.err):
            if reader is None:
                continue
            if error is None:
                reader.feed_eof()
            else:
                reader.lose(error)

    def holds(self) -> bool:
        """Say whether something is kept back that may be why nothing was started."""
        return self._gate is not None and self._gate.held is not None

    def release(self) -> None:
        """What was kept back is output, and so is all that comes."""
        gate, self._gate = self._gate, None
        if self._gate_timer is not None:
            self._gate_timer.cancel()
        held = None if gate is None else gate.release()
        if held is not None:
            self._deliver(*held)

    def never_started(self) -> bytes:
        """Put what was kept back where errors go, since it is why nothing was started, and return it."""
        gate, self._gate = self._gate, None
        text = b"" if gate is None else gate.take()
        if text:
            (self.err or self.out).feed(text.rstrip() + b"\n")
        return text

    def _watch(self, wanted: bool) -> None:
        if wanted == self.reads:
            return
        self.reads = wanted
        if not wanted:
            self._loop.remove_reader(self._transport.fileno())
            return
        self._loop.add_reader(self._transport.fileno(), self._receive)
        self._look_inside()

    def _look_inside(self) -> None:
        """Come back soon for what no poll tells of."""
        if self._again is None and self._transport.pending():
            self._again = self._loop.call_soon(self._receive_again)

    def _receive_again(self) -> None:
        self._again = None
        self._receive()

    def _room(self) -> int:
        room = self.out.room()
        return room if self.err is None else min(room, self.err.room())

    def _more_room(self) -> None:
        """Go on reading, where both readers have taken enough, or somebody waits for more."""
        if self.reads or self._stopped or self._room() <= 0:
            return
        if self.out.has_room() and (self.err is None or self.err.has_room()):
            self._watch(True)

    def _receive(self) -> None:
        if not self.reads:
            return
        room = self._room()
        if room <= 0:
            # Somebody waited for more than fits, and does no longer.
            self._watch(False)
            return
        transport = self._transport
        if transport.end_waits():
            self.stop()
            self._in_thread(lambda: transport.recv_into(bytearray(1))).add_done_callback(self._end_learned)
            return
        try:
            count = transport.recv_into(self._buffer[:room])
        except BlockingIOError:
            return  # asked again when it is readable
        except OSError as error:
            self._broken(error)
            return
        if not count:
            self._end()
            return
        self.moved = True
        try:
            self._take(self._buffer[:count])
        except ProtocolError as error:
            self._end(error)
            return
        if self._room() <= 0:
            self._watch(False)
        else:
            self._look_inside()

    def _take(self, data: memoryview) -> None:
        frames = self._frames
        if frames is None:
            self._deliver(STDOUT, data)
            return
        for stream, piece in frames.feed(data):
            if stream == SYSTEM_ERROR:
                text = bytes(piece).decode("utf-8", "replace").strip()
                raise ProtocolError("go on with", self._name, text)
            self._deliver(stream, piece)
        if frames.failed is not None:
            raise frames.failed

    def _deliver(self, stream: int, data: memoryview | bytes) -> None:
        if self._gate is not None:
            if self._gate.takes(stream, bytes(data)):
                if self._gate_timer is None:
                    self._gate_timer = self._loop.call_later(unstarted.START_ERROR_WAIT_S, self.release)
                return
            self.release()
        if stream == STDERR and self.err is not None:
            self.err.feed(data)
        else:
            self.out.feed(data)

    def _end_learned(self, outcome: asyncio.Future[Any]) -> None:
        error = outcome.exception()
        if isinstance(error, OSError):
            self._broken(error)
        else:
            self._end()

    def _broken(self, error: OSError) -> None:
        self._end(SessionLost("go on with", self._name, error.strerror or str(error)))

    def _end(self, error: DockerptyError | None = None) -> None:
        self.stop()
        if error is None and self._frames is not None and self._frames.mid_frame:
            error = SessionLost("go on with", self._name, "the connection ended in the middle of a frame")
        self._ended(error)


class Writer:
    """What a process reads, with the names of an `asyncio.StreamWriter`.

    Args:
        transport: the connection to it.
        at_end: how it is told that nothing more comes.
        close: closes the connection, where that is how; it may not wait here.
    """

    __slots__ = (
        *("_at_end", "_buffer", "_close", "_ended", "_ending", "_failure", "_last", "_loop", "_transport"),
        *("_waiters", "_watches"),
    )

    def __init__(
        self,
        transport: Transport,
        at_end: AtEnd,
        loop: asyncio.AbstractEventLoop,
        close: Callable[[], object],
    ) -> None:
        self._transport = transport
        self._at_end = at_end
        self._loop = loop
        self._close = close
        self._buffer = bytearray()
        self._last = _NEWLINE
        self._ending = self._ended = self._watches = False
        self._failure: OSError | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send what goes at once and keep the rest; `drain` before the next. A process that takes no more gets nothing.

        Raises:
            RuntimeError: the input was ended before.
        """
        if self._ending:
            raise RuntimeError("cannot write after write_eof() or close()")
        data = memoryview(data).cast("B")
        if not data or self._failure is not None:
            return
        self._last = data[-1]
        sent = 0 if self._buffer else self._send(data)
        self._buffer += data[sent:]
        self._go_on()

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write several pieces."""
        self.write(b"".join(data))

    async def drain(self) -> None:
        """Wait until little of what was written is still here.

        Raises:
            BrokenPipeError: the process takes no more.
        """
        if len(self._buffer) > HIGH_WATER:
            await self._until(lambda: len(self._buffer) <= LOW_WATER)
        if self._failure is not None:
            raise self._failure

    def can_write_eof(self) -> bool:
        """Say whether the process can be told that nothing more comes."""
        return self._at_end != "half-close" or self._transport.can_half_close()

    def write_eof(self) -> None:
        """End the input, behind what was written. With a terminal that is Ctrl-D, twice in the middle of a line.

        A container that was created without `StdinOnce` (`docker run -d -i`) is not told.

        Raises:
            DockerptyError: this connection can only be closed as a whole.
        """
        if self._ending or self._failure is not None:
            return
        if not self.can_write_eof():
            # Silence would leave a reader waiting for an end that never comes.
            raise DockerptyError(
                "end the input of",
                "the process",
                "this client's connection can only be closed as a whole",
                "pass a docker.DockerClient",
            )
        if self._at_end == "eot":
            self.write(keys.end_of_input(self._last))
        self._ending = True
        self._go_on()

    def close(self) -> None:
        """Do the same: the other direction of the connection is not the input's to close."""
        self.write_eof()

    def is_closing(self) -> bool:
        """Say whether nothing more can be written."""
        return self._ending or self._failure is not None

    async def wait_closed(self) -> None:
        """Wait until everything is sent and the input has ended, or nobody takes it any more."""
        await self._until(lambda: self._ended and not self._transport.unsent())

    def lose(self) -> None:
        """Drop what waits, and look at the connection no more: the process takes nothing from now on."""
        if self._failure is None:
            self._failure = BrokenPipeError(errno.EPIPE, "the process takes no more input")
        self._buffer.clear()
        self._watch(False)
        self._wake()

    def _send(self, data: memoryview | bytearray) -> int:
        try:
            return self._transport.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.lose()
            return len(data)

    def _writable(self) -> None:
        if self._buffer:
            sent = self._send(self._buffer)
            del self._buffer[:sent]
        else:
            try:
                self._transport.flush()
            except BlockingIOError:
                return  # again when there is room
            except OSError:
                self.lose()
        self._go_on()

    def _go_on(self) -> None:
        """Look for room while something waits for it; when nothing does, end what is to be ended."""
        if self._failure is not None:
            return
        if self._ending and not self._ended and not self._buffer:
            self._end()
        waits = bool(self._buffer) or self._transport.unsent()
        self._watch(waits)
        if not waits or len(self._buffer) <= LOW_WATER:
            self._wake()

    def _end(self) -> None:
        self._ended = True
        if self._at_end == "close":
            self._close()
        elif self._at_end == "half-close":
            try:
                self._transport.half_close()
            except OSError:
                self.lose()

    def _watch(self, wanted: bool) -> None:
        if wanted != self._watches:
            self._watches = wanted
            if wanted:
                self._loop.add_writer(self._transport.write_fileno(), self._writable)
            else:
                self._loop.remove_writer(self._transport.write_fileno())

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done() and self._failure is None:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
