"""Bytes between descriptors: Stream, Demuxer and Pump, and readiness for them.

Everything here is bounded and never waits, except `select`. What a descriptor of the caller's needs before it may be
read or written without touching its flags is next door in `host_io`; what one connection to an engine is, in
`engine.connection`; who is served when, in `loop`. The rules of the frames themselves are in `frames`.

The names and their meaning are those of the library of 2014; what is new is keyword-only or a new name.
"""

from __future__ import annotations

import errno
import os
import select as _select
import time

from dockerpty.errors import ProtocolError
from dockerpty.frames import Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, ClassVar, TypeVar

    T = TypeVar("T")


#: One read. A unix socket holds some 208 KiB; above 64 KiB nothing was gained on a real engine (docs/design.md).
READ_SIZE = 65536
#: Above HIGH_WATER bytes waiting for a sink its source is not read; below LOW_WATER it is read again.
HIGH_WATER = 65536
LOW_WATER = 32768
#: What a key or a line of text stays below, and a stream that fills the socket does not.
SHORT_READ = 4096
#: Reads in one turn of a loop, so that a fast stream cannot keep keys and signals waiting.
READS_PER_TURN = 16
# So long a full sink is waited for where it stands, once in a turn.
_SOON_S = 0.001

STDOUT, STDERR = 1, 2
NEWLINE = 0x0A
READABLE = (
    _select.POLLIN | _select.POLLHUP | _select.POLLERR | _select.POLLNVAL if hasattr(_select, "poll") else 0
)
WRITABLE = (
    _select.POLLOUT | _select.POLLHUP | _select.POLLERR | _select.POLLNVAL if hasattr(_select, "poll") else 0
)

#: The far end takes no more, which it may have meant.
BROKEN = (errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN, errno.ENOTCONN)


def set_blocking(fd: Any, blocking: bool = True) -> bool:
    """Set or clear O_NONBLOCK on `fd` (a number, or an object with `fileno()`).

    The flag belongs to the open file description: other processes that share it see the change.

    Returns:
        Whether it was blocking before.
    """
    number = fd if isinstance(fd, int) else fd.fileno()
    previous = os.get_blocking(number)
    os.set_blocking(number, blocking)
    return previous


def select(
    read_streams: Sequence[T], write_streams: Sequence[T], timeout: float | None = 0
) -> tuple[list[T], list[T]]:
    """Say which of the streams can be read and which can be written now.

    Any descriptor number is served (poll, not select). A stream that holds received bytes already (plaintext inside a
    TLS object, what followed a response's head) counts as readable at once.

    Args:
        timeout: seconds to wait for the first of them; None waits without limit, 0 only looks.

    Returns:
        Two lists of the given objects, in the given order. An interrupted wait gives two empty lists.
    """
    wanted: dict[int, int] = {}
    for stream in read_streams:
        fd = _fileno(stream)
        wanted[fd] = wanted.get(fd, 0) | _select.POLLIN
    for stream in write_streams:
        fd = _write_fileno(stream)
        wanted[fd] = wanted.get(fd, 0) | _select.POLLOUT
    held = {id(stream) for stream in read_streams if _pending(stream)}
    poll = _select.poll()
    for fd, events in wanted.items():
        poll.register(fd, events)
    if held:
        timeout = 0
    try:
        ready = dict(poll.poll(None if timeout is None else max(0, timeout) * 1000))
    except InterruptedError:
        return [], []
    return (
        [s for s in read_streams if id(s) in held or ready.get(_fileno(s), 0) & READABLE],
        [s for s in write_streams if ready.get(_write_fileno(s), 0) & WRITABLE],
    )


class Stream:
    """A two-way stream of bytes over a descriptor that may take only part of what is written.

    Args:
        fd: a number, a file object, a socket, or any object with `fileno()` and, if it has them, `recv` and `send`.

    Attributes:
        fd: what was given.
        buffer: the bytes accepted by `write` and not sent yet.
        close_requested, closed: `close` waits until the buffer is empty.
    """

    ERRNO_RECOVERABLE: ClassVar[list[int]] = [errno.EINTR, errno.EDEADLK, errno.EWOULDBLOCK]

    def __init__(self, fd: Any) -> None:
        self.fd = fd
        self.close_requested = False
        self.closed = False
        self._unsent = bytearray()
        self._may_hold = hasattr(fd, "unsent")  # accepted bytes may wait inside it, as TLS records
        self._sender: Any = getattr(fd, "send", None) or self._write

    @property
    def buffer(self) -> bytes:
        return bytes(self._unsent)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return _fileno(self.fd)

    def write_fileno(self) -> int:
        """Return the descriptor to poll for writing; another one where the two directions are two pipes."""
        return _write_fileno(self.fd)

    def pending(self) -> bool:
        """Say whether received bytes wait on our side of the descriptor, where no poll sees them."""
        return _pending(self.fd)

    def backlog(self) -> int:
        """Return how many accepted bytes have not been sent."""
        return len(self._unsent)

    def set_blocking(self, value: bool) -> bool:
        """Make the descriptor blocking or not; True, or the previous state where the object has no `setblocking`."""
        if hasattr(self.fd, "setblocking"):
            self.fd.setblocking(value)
            return True
        return set_blocking(self.fd, value)

    def read(self, n: int = 4096) -> bytes:
        """Return up to `n` bytes, `b''` at the end of the stream.

        Raises:
            BlockingIOError: the descriptor is non-blocking and has nothing.
        """
        try:
            if hasattr(self.fd, "recv"):
                return self.fd.recv(n)  # type: ignore[no-any-return]  # whatever object the caller wrapped
            if hasattr(self.fd, "recv_into"):
                buffer = bytearray(n)
                return bytes(buffer[: self.fd.recv_into(memoryview(buffer))])
            return os.read(self.fileno(), n)
        except OSError as error:
            _raise_would_block(error)
            raise

    def read_into(self, buffer: memoryview) -> int:
        """Read once into `buffer`; how many bytes came, 0 at the end. Raises BlockingIOError as `read` does."""
        receive = getattr(self.fd, "recv_into", None)
        if receive is None:
            data = self.read(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        try:
            count: int = receive(buffer)
            return count
        except OSError as error:
            _raise_would_block(error)
            raise

    def write(self, data: bytes | str) -> int | None:
        """Accept `data`, try once to send, and return how much was accepted: all of it, or None if it is empty."""
        if isinstance(data, str):
            import six

            data = six.ensure_binary(data)
        if not data:
            return None
        self._unsent += data
        self.do_write()
        return len(data)

    def write_pieces(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send pieces in one attempt without copying what goes at once; keep the rest."""
        if self._unsent:
            for piece in pieces:
                self._unsent += piece
            self.do_write()
            return
        data: memoryview | bytes = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:  # as `_send` does, without its call: this is a key's way
            sent = self._sender(data)
        except OSError as error:
            if not _would_block(error):
                raise
            sent = 0
        if sent < len(data):
            self._unsent += data[sent:]

    def do_write(self) -> int:
        """Send once what waits and return how many bytes went; 0 when the far side takes nothing now."""
        sent = 0
        if self._unsent:
            sent = self._send(self._unsent)
            del self._unsent[:sent]
        elif self.needs_write():
            self.fd.flush()
        if self.close_requested and not self.needs_write():
            self.close()
        return sent

    def needs_write(self) -> bool:
        """Say whether accepted bytes have not been sent."""
        return bool(self._unsent) or (self._may_hold and bool(self.fd.unsent()))

    def half_close(self) -> None:
        """End our direction once nothing waits, and go on reading."""
        if hasattr(self.fd, "half_close"):
            self.fd.half_close()
        else:
            import socket

            self.fd.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the descriptor, as soon as nothing waits to be sent."""
        self.close_requested = True
        if not self.needs_write():
            self._close_now()

    def drop(self) -> None:
        """Forget what waits to be sent."""
        self._unsent.clear()

    def abandon(self) -> None:
        """Close the descriptor now, and drop what waits."""
        self.drop()
        self.close_requested = True
        self._close_now()

    def _close_now(self) -> None:
        if self.closed:
            return
        self.closed = True
        if hasattr(self.fd, "close"):
            self.fd.close()
        else:
            os.close(self.fileno())

    def _write(self, data: Any) -> int:
        return os.write(self.write_fileno(), data)

    def _send(self, data: Any) -> int:
        try:
            sent: int = self._sender(data)
            return sent
        except OSError as error:
            if _would_block(error):
                return 0
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fd})"


class Demuxer:
    """The payload of a multiplexed stream: what a container without a TTY writes (Engine API, "Stream format").

    Args:
        stream: only `read(n)` is needed of it; its end may be `''`, `b''` or None.

    Attributes:
        stream: what was given.
        remain: payload bytes of the current frame that were not read yet.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.frames = Decoder()

    @property
    def remain(self) -> int:
        return self.frames.remain

    def fileno(self) -> int:
        return _fileno(self.stream)

    def write_fileno(self) -> int:
        return _write_fileno(self.stream)

    def pending(self) -> bool:
        return _pending(self.stream)

    def backlog(self) -> int:
        return _backlog(self.stream)

    def set_blocking(self, value: bool) -> bool:
        return bool(self.stream.set_blocking(value))

    def read(self, n: int = 4096) -> bytes | None:
        """Return at most `n` payload bytes of one frame; None at the end of the stream.

        A frame that comes in pieces is put together. Raises BlockingIOError when nothing is there.
        """
        if n == 0:
            return b""
        frame = self.read_frame(n)
        return None if frame is None else frame[1]

    def read_frame(self, n: int = 4096) -> tuple[int, bytes] | None:
        """Return `(stream id, bytes)` as `read` does; ids: 0 stdin, 1 stdout, 2 stderr, 3 an error of the engine.

        Raises:
            ProtocolError: what came cannot be a frame.
        """
        frames, payload = self.frames, b""
        while n > 0:
            wanted = min(frames.wanted(), n - len(payload)) if frames.in_payload else frames.wanted()
            try:
                data = self.stream.read(wanted)
            except BlockingIOError:
                if payload:
                    break
                raise
            if not data:
                break
            for stream, piece in frames.feed(_binary(data)):
                payload += piece
                number = stream
            if payload and (len(payload) >= n or not frames.in_payload):
                break
        return (number, payload) if payload else None

    def write(self, data: bytes | str) -> int | None:
        accepted: int | None = self.stream.write(data)
        return accepted

    def write_pieces(self, pieces: Sequence[bytes | memoryview]) -> None:
        self.stream.write_pieces(pieces) if hasattr(self.stream, "write_pieces") else self.write(
            b"".join(pieces)
        )

    def needs_write(self) -> bool:
        return _needs_write(self.stream)

    def do_write(self) -> int | bool:
        return self.stream.do_write() if hasattr(self.stream, "do_write") else False

    def half_close(self) -> None:
        self.stream.half_close()

    @property
    def closed(self) -> bool:
        return bool(getattr(self.stream, "closed", False))

    def close(self) -> None:
        self.stream.close()

    def drop(self) -> None:
        if hasattr(self.stream, "drop"):
            self.stream.drop()

    def abandon(self) -> None:
        self.stream.abandon()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.stream})"


class Pump:
    """Moves bytes from one stream to another, as the two become ready.

    Args:
        from_stream: read with `read(n)`; bytes or text.
        to_stream: written with `write(data)`.
        wait_for_output: False for a pump whose end nobody waits for (the user's keys).
        propagate_close: close `to_stream` at the end of `from_stream`.
        error_stream: where frames of stderr go; None sends them to `to_stream` as well.

    Attributes:
        eof: the source has ended, or the far end has.
    """

    #: The largest read, where one that is larger costs more.
    read_size = READ_SIZE
    #: A full sink is given a moment, once in a turn.
    patient = True
    _may_wait = False

    def __init__(
        self,
        from_stream: Any,
        to_stream: Any,
        wait_for_output: bool = True,
        propagate_close: bool = True,
        *,
        error_stream: Any = None,
    ) -> None:
        self.from_stream = from_stream
        self.to_stream = to_stream
        self.wait_for_output = wait_for_output
        self.propagate_close = propagate_close
        self.error_stream = error_stream
        self.eof = False
        #: Something is withheld, for a moment: it has a deadline.
        self.holds = False
        #: Payload bytes that were passed on, and the last of them, if the pump cares.
        self.moved = 0
        self.last = NEWLINE
        #: Asked before anything is passed on, with the stream and its pieces: True keeps them back.
        self.gate: Callable[[int, list[memoryview]], bool] | None = None
        #: Says of what was read whether it can be passed on as it is; None where everything can.
        self.is_plain: Callable[[memoryview], bool] | None = None
        #: Shown each piece that was passed on, when nobody waits for it any more.
        self.observer: Callable[[memoryview], None] | None = None
        self._full = False
        # In place only where the source is exactly ours; twice in a turn only where it is known never to wait.
        inner = from_stream.stream if type(from_stream) is Demuxer else from_stream
        self._in_place = type(inner) is Stream and type(self).flush is Pump.flush
        self._never_waits = self._in_place and _never_waits(inner.fd)
        # The descriptor's own method where there is one: a key should not pass through more hands than it must.
        self._receive: Any = getattr(inner.fd, "recv_into", inner.read_into) if self._in_place else None
        self._inner = inner
        # Asked after every read: of the descriptor itself, not by way of its streams.
        self._pending: Any = getattr(inner.fd if type(inner) is Stream else inner, "pending", None)
        self._fd: int | None = None
        # Streams of ours, whose state is looked at in place: this is asked several times for each key.
        sinks = self.sinks()
        self._own_sinks: tuple[Stream, ...] = sinks if all(type(sink) is Stream for sink in sinks) else ()

    def fileno(self) -> int:
        if self._fd is None or not self._in_place:
            self._fd = _fileno(self.from_stream)
        return self._fd

    def set_blocking(self, value: bool) -> bool:
        return bool(self.from_stream.set_blocking(value))

    def flush(self, n: int = 4096) -> Any:
        """Read once, up to `n` bytes, and write what came.

        Returns:
            What the far end's `write` returned; 0 when nothing was there; None at the end, and ever after.
        """
        if self.eof:
            return None
        try:
            data = self.from_stream.read(n)
        except BlockingIOError:
            return 0
        if not data:
            self.end()
            return None
        try:
            return self.to_stream.write(data)
        except OSError as error:
            self.refused(self.to_stream, error)
            return None

    def is_done(self) -> bool:
        """Say whether nothing is left to wait for: the source has ended (if that matters) and all was written."""
        return (not self.wait_for_output or self.eof) and not any(_needs_write(sink) for sink in self.sinks())

    # What a loop calls -----------------------------------------------------------------------------------------------

    def lane(self, buffer: memoryview) -> Callable[[], bool]:
        """Return what a loop calls, while this is quiet, when the source is ready; it says whether this stays quiet.

        A key goes this way: it is one read and one write by the system's own functions, with no call of ours between
        them. Whatever is not as plain as that goes by `step` or `deliver`, which know all cases.
        """
        source, sink, is_plain, unsent = self._inner, self.to_stream, self.is_plain, self.to_stream._unsent
        receive: Any = (
            getattr(source.fd, "direct_read", _nothing)()
            if self._in_place and source is self.from_stream
            else None
        )
        write: Any
        write, *flags = getattr(sink.fd, "direct_write", _nothing)() or (None,)

        def long_way() -> bool:
            self._may_wait = self.patient
            if self.step(buffer):
                self.read_on(buffer)
            return self.quiet()

        def short_way() -> bool:
            if self.gate is not None:
                return long_way()
            for turn in range(READS_PER_TURN):
                try:
                    n = receive(buffer)
                except OSError:
                    n = None  # it comes again by the long way, which knows what it means
                if n is None:
                    if turn == 0:
                        return long_way()
                    self.ran_dry()
                    return True
                if n == 0:
                    self.end()
                    return False
                piece = buffer[:n]
                sent = 0
                if not unsent and (is_plain is None or (n < SHORT_READ and is_plain(piece))):
                    try:
                        sent = write(piece, *flags) or 0
                    except OSError:
                        pass  # as above
                self.moved += sent
                if sent == n:
                    self.last = piece[-1]
                if sent and self.observer is not None:
                    self.observer(piece[:sent])
                if sent < n:
                    self._may_wait = self.patient
                    self.deliver(STDOUT, [piece[sent:]])
                    return self.quiet()
                if n < SHORT_READ:
                    break
            return True

        return short_way if receive is not None and write is not None else long_way

    def sinks(self) -> tuple[Any, ...]:
        return (self.to_stream,) if self.error_stream is None else (self.to_stream, self.error_stream)

    def quiet(self) -> bool:
        """Say whether there is nothing to do but to read when poll says so: while that is so `interest` is the same."""
        if self.eof or self.holds or not self._own_sinks or (self._pending is not None and self._pending()):
            return False
        for sink in self._own_sinks:
            if sink.closed or sink._unsent or (sink._may_hold and sink.needs_write()):
                return False
        return True

    def interest(self) -> list[tuple[int, int]]:
        """Return the descriptors to poll now, with the events that matter."""
        wanted = [(_write_fileno(sink), _select.POLLOUT) for sink in self.sinks() if _needs_write(sink)]
        if self.has_room() and not self.eof:
            wanted.append((self.fileno(), _select.POLLIN))
        return wanted

    def busy(self) -> bool:
        """Say whether there is something to read that no poll would tell."""
        return self._pending is not None and not self.eof and bool(self._pending()) and self.has_room()

    def has_room(self) -> bool:
        limit = LOW_WATER if self._full else HIGH_WATER
        self._full = False
        for sink in self._own_sinks or self.sinks():
            if _backlog(sink) > limit:
                self._full = True
        return not self._full

    def serve(self, ready: dict[int, int], buffer: memoryview) -> None:
        """Write what waits where there is room, then read: until nothing comes, a sink is full or the turn is over."""
        for sink in self.sinks():
            if _needs_write(sink) and ready.get(_write_fileno(sink), 0) & WRITABLE:
                self._guarded(sink, sink.do_write)
        if self.eof or not (ready.get(self.fileno(), 0) & READABLE or (self._pending and self._pending())):
            return
        self._may_wait = self.patient
        # Somebody else may have polled this descriptor: that it is ready does not say that there is room.
        if self.has_room() and self.step(buffer):
            self.read_on(buffer)

    def read_on(self, buffer: memoryview) -> None:
        """After a step that gave much: read and pass on until nothing comes, a sink is full or the turn is over."""
        if self._never_waits:
            for _ in range(READS_PER_TURN - 1):
                if self.eof or not self.has_room():
                    break
                if not self.step(buffer):
                    self.ran_dry()
                    break

    def step(self, buffer: memoryview) -> bool:
        """Move what one read gives, without copying where both ends are ours. False: nothing more is to be expected."""
        if not self._in_place:
            return bool(self.flush(len(buffer)))
        try:
            n = self._receive(buffer)
        except OSError as error:
            if not _would_block(error):
                self.failed(error)
            return False
        if n == 0:
            self.end()
            return False
        if self._inner is self.from_stream:
            self.deliver(STDOUT, [buffer[:n]])
        else:
            frames = self.from_stream.frames
            try:
                self._deliver_frames(frames.feed(buffer[:n]))
                if frames.failed is not None:
                    raise frames.failed
            except ProtocolError as error:
                self.failed(error)
                return False
        # After so little there is hardly more: poll is asked before the next read, which for a key would be in vain.
        return bool(n >= SHORT_READ)

    def deliver(self, stream: int, pieces: list[memoryview]) -> None:
        """Write pieces of one stream (1 stdout, 2 stderr) to where they belong."""
        if self.gate is not None and self.gate(stream, pieces):
            return
        sink = self.error_stream if stream == STDERR and self.error_stream is not None else self.to_stream
        try:
            if not hasattr(sink, "write_pieces"):
                sink.write(b"".join(pieces))
            elif not sink.closed:
                self.give(sink, pieces)
        except OSError as error:
            self.refused(sink, error)
        self.moved += sum(map(len, pieces))
        if self.observer is not None:
            for piece in pieces:
                self.observer(piece)

    def give(self, sink: Any, pieces: Sequence[bytes | memoryview]) -> None:
        """Write pieces to a sink; wait for one that is full in the middle of a stream: it has room in a moment."""
        sink.write_pieces(pieces)
        if self._may_wait and self._own_sinks and len(sink._unsent) >= SHORT_READ:
            self._may_wait = False
            poll = _select.poll()
            poll.register(sink.write_fileno(), _select.POLLOUT)
            until = time.monotonic() + _SOON_S
            while sink.needs_write() and poll.poll(1) and time.monotonic() < until:
                sink.do_write()

    def ran_dry(self) -> None:
        """The source gave much, and has no more just now."""

    def failed(self, error: OSError) -> None:
        """The source cannot be read: whatever is to be done, or `error` again."""
        raise error

    def refused(self, sink: Any, error: OSError) -> None:
        """A far end took nothing: it is gone, or this is `error` again."""
        if error.errno not in BROKEN and not isinstance(error, ConnectionError):
            raise error
        self.broken(sink)

    def end(self) -> None:
        """The source has ended."""
        self.eof = True
        if self.propagate_close and hasattr(self.to_stream, "close"):
            self.to_stream.close()

    def broken(self, sink: Any) -> None:
        """A far end takes no more: that ends the pump, but for stderr, whose frames are dropped from now on.

        It is not closed: another pump may still read from it.
        """
        if sink is self.to_stream:
            self.eof = True
        if hasattr(sink, "drop"):
            sink.drop()

    def _deliver_frames(self, frames: Iterable[tuple[int, memoryview]]) -> None:
        # One write per run of pieces of one stream: the order across stdout and stderr is the order of arrival.
        run: list[memoryview] = []
        current = STDOUT
        for stream, piece in frames:
            if stream == 3:
                if run:
                    self.deliver(current, run)
                raise ProtocolError(
                    "go on with", "the stream", bytes(piece).decode("utf-8", "replace").strip()
                )
            if stream != STDERR:
                stream = STDOUT
            if stream != current and run:
                self.deliver(current, run)
                run = []
            current = stream
            run.append(piece)
        if run:
            self.deliver(current, run)

    def _guarded(self, sink: Any, action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except OSError as error:
            self.refused(sink, error)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(from={self.from_stream}, to={self.to_stream})"


def _nothing() -> None:
    """Stand in for what an object cannot say."""


def _fileno(stream: Any) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


def _write_fileno(stream: Any) -> int:
    return stream.write_fileno() if hasattr(stream, "write_fileno") else _fileno(stream)


def _pending(stream: Any) -> bool:
    """Ask for bytes that poll cannot see; an SSLSocket answers with a count."""
    return bool(stream.pending()) if hasattr(stream, "pending") else False


def _backlog(stream: Any) -> int:
    return stream.backlog() if hasattr(stream, "backlog") else 0


def _needs_write(stream: Any) -> bool:
    return bool(stream.needs_write()) if hasattr(stream, "needs_write") else False


def _never_waits(fd: Any) -> bool:
    return hasattr(fd, "recv_into") and not (hasattr(fd, "getblocking") and fd.getblocking())


def _binary(data: bytes | str) -> bytes:
    if isinstance(data, str):
        import six

        return six.ensure_binary(data)
    return data


def _would_block(error: OSError) -> bool:
    # An SSLSocket says "want read", a paramiko channel a time-out, where the system says EAGAIN.
    return (
        isinstance(error, BlockingIOError)
        or error.errno in Stream.ERRNO_RECOVERABLE
        or (isinstance(error, TimeoutError) and error.errno is None)
        or type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")
    )


def _raise_would_block(error: OSError) -> None:
    if _would_block(error) and not isinstance(error, BlockingIOError):
        raise BlockingIOError(errno.EWOULDBLOCK, "nothing to read now") from error
