from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import resource
import signal
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.errors import ProtocolError
from dockerpty.frames import encode
from dockerpty.io import (
    HIGH_WATER,
    LOW_WATER,
    READ_SIZE,
    READS_PER_TURN,
    Demuxer,
    Pump,
    Stream,
    select,
    set_blocking,
)
from tests.conftest import missing
from tests.unit import strategies


class Pair:
    """Two ends of a connection, both closed at the end."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.setblocking(False)

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as pair:
        yield pair


@pytest.fixture
def other() -> Iterator[Pair]:
    with Pair() as pair:
        yield pair


class SlowSocket:
    """A socket that sends at most 5 bytes at once, and counts how often it was asked to."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.sends = 0
        self.closed = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def recv(self, n: int) -> bytes:
        return self._socket.recv(n)

    def send(self, data: bytes) -> int:
        self.sends += 1
        return self._socket.send(data[:5])

    def close(self) -> None:
        self.closed += 1


class Script:
    """A stream with only `read`: gives these pieces, one per read and never beyond; None is a would-block."""

    def __init__(self, pieces: list[bytes | None], end: Any = b"") -> None:
        self._pieces = list(pieces)
        self._end = end
        self.asked: list[int] = []

    def read(self, n: int) -> Any:
        self.asked.append(n)
        if not self._pieces:
            return self._end
        piece = self._pieces.pop(0)
        if piece is None:
            raise BlockingIOError(errno.EAGAIN, "nothing now")
        if len(piece) > n:
            self._pieces.insert(0, piece[n:])
        return piece[:n]


class Sink:
    """A far end with only `write`."""

    def __init__(self, returns: int | None = 7) -> None:
        self.written: list[Any] = []
        self._returns = returns

    def write(self, data: Any) -> int | None:
        self.written.append(data)
        return self._returns


class ReadyWire:
    """What a Transport is to a Stream: gives the next piece of a script into a buffer, and never waits."""

    def __init__(self, pieces: list[bytes | None]) -> None:
        self._script = Script(pieces)

    def recv_into(self, buffer: memoryview) -> int:
        data: bytes = self._script.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Taker:
    """What host_io is to a Stream: takes parts of these lengths; 0 is a would-block; all once they are used up."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = list(lengths)
        self.data = b""

    def send(self, data: bytes | bytearray | memoryview) -> int:
        length = self._lengths.pop(0) if self._lengths else len(data)
        if length == 0:
            raise BlockingIOError(errno.EAGAIN, "full")
        self.data += bytes(data[:length])
        return min(length, len(data))


def fill(sock: socket.socket) -> None:
    """Send until the far side takes no more."""
    with contextlib.suppress(BlockingIOError):  # it is full
        while True:
            sock.send(bytes(65536))


def drained(demuxer: Demuxer, n: int = 4096) -> list[tuple[int, bytes]]:
    """Read all frames, over every would-block."""
    frames: list[tuple[int, bytes]] = []
    while True:
        try:
            frame = demuxer.read_frame(n)
        except BlockingIOError:
            continue  # no whole frame yet
        if frame is None:
            return frames
        frames.append(frame)


def per_stream(frames: list[tuple[int, bytes]]) -> dict[int, bytes]:
    texts: dict[int, bytes] = {}
    for stream, payload in frames:
        if payload:
            texts[stream] = texts.get(stream, b"") + payload
    return texts


def wire(frames: list[tuple[int, bytes]]) -> bytes:
    return b"".join(itertools.starmap(encode, frames))


# set_blocking ------------------------------------------------------------------------------------------------------


def test_set_blocking_returns_the_previous_state_of_a_number_and_of_an_object(pair: Pair) -> None:
    fd = pair.near.fileno()
    assert set_blocking(fd, True) is False
    assert os.get_blocking(fd)
    assert set_blocking(pair.near, False) is True
    assert not os.get_blocking(fd)
    assert set_blocking(pair.near, False) is False
    assert set_blocking(fd) is False
    assert os.get_blocking(fd)


# select ------------------------------------------------------------------------------------------------------------


def test_select_gives_the_objects_that_are_ready_in_the_order_given(pair: Pair, other: Pair) -> None:
    near, quiet, far = Stream(pair.near), Stream(other.near), Stream(pair.far)
    pair.far.send(b"x")
    pair.near.send(b"y")
    assert select([far, quiet, near], [near, far]) == ([far, near], [near, far])
    assert select([near, far, quiet], [far, near]) == ([near, far], [far, near])
    assert select([quiet], []) == ([], [])


def test_select_takes_numbers_too(pair: Pair) -> None:
    pair.far.send(b"x")
    number = pair.near.fileno()
    assert select([number], [number]) == ([number], [number])


def test_one_object_for_reading_and_writing_is_told_apart(pair: Pair) -> None:
    assert select([pair.near], [pair.near]) == ([], [pair.near])


def test_select_with_a_full_far_side_says_not_writable(pair: Pair) -> None:
    fill(pair.near)
    assert select([], [pair.near]) == ([], [])


def test_the_end_of_a_stream_counts_as_readable(pair: Pair) -> None:
    pair.far.close()
    assert select([pair.near], []) == ([pair.near], [])


def test_select_without_a_limit_waits_for_the_first(pair: Pair) -> None:
    signal.signal(signal.SIGALRM, lambda number, frame: pair.far.send(b"x"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        assert select([pair.near], [], timeout=None) == ([pair.near], [])
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_an_interrupted_select_gives_two_empty_lists(pair: Pair) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise InterruptedError(errno.EINTR, "a handler that wants it so")

    signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert select([pair.near], [], timeout=None) == ([], [])
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_plaintext_that_no_poll_sees_counts_as_readable_at_once(pair: Pair, layers: int) -> None:
    class Tls:
        """As an SSLSocket: `pending` counts the bytes that are decrypted already."""

        def fileno(self) -> int:
            return pair.near.fileno()

        def pending(self) -> int:
            return 3

    holder: Any = Tls()
    for wrap in (Stream, Demuxer)[:layers]:
        holder = wrap(holder)
    quiet = Stream(pair.far)
    assert select([quiet, holder], [], timeout=None) == ([holder], [])


def test_numbers_above_1024_are_served(pair: Pair) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        missing("this system gives no 1200 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    null = os.open(os.devnull, os.O_RDONLY)
    opened = [null]
    try:
        opened += [os.dup(null) for _ in range(1100)]
        high = pair.near.dup()
        opened.append(high.detach())
        assert opened[-1] > 1024
        pair.far.send(b"x")
        stream = Stream(opened.pop())
        opened_stream = stream.fileno()
        assert select([stream], [stream]) == ([stream], [stream])
        assert stream.read() == b"x"
        stream.close()
        assert opened_stream not in opened
    finally:
        for fd in opened:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Stream ------------------------------------------------------------------------------------------------------------


def test_a_stream_begins_open_and_empty(pair: Pair) -> None:
    stream = Stream(pair.near)
    assert stream.fd is pair.near
    assert (stream.buffer, stream.close_requested, stream.closed) == (b"", False, False)
    assert isinstance(stream.buffer, bytes)
    assert stream.fileno() == pair.near.fileno()
    assert not stream.needs_write()


def test_the_recoverable_errors_are_a_class_attribute() -> None:
    assert set(Stream.ERRNO_RECOVERABLE) == {errno.EINTR, errno.EDEADLK, errno.EWOULDBLOCK}


def test_streams_demuxers_and_pumps_say_what_they_stand_on() -> None:
    assert repr(Stream("fd")) == "Stream(fd)"
    assert repr(Demuxer(Stream(3))) == "Demuxer(Stream(3))"
    assert repr(Pump("a", "b")) == "Pump(from=a, to=b)"


def test_read_gives_up_to_n_bytes_and_nothing_at_the_end(pair: Pair) -> None:
    stream = Stream(pair.near)
    pair.far.send(b"x" * 5000)
    assert stream.read(3) == b"xxx"
    assert len(stream.read()) == 4096
    assert len(stream.read()) == 901
    pair.far.close()
    assert stream.read() == b""


def test_reading_an_empty_stream_says_that_it_would_block(pair: Pair) -> None:
    with pytest.raises(BlockingIOError):
        Stream(pair.near).read()
    with pytest.raises(BlockingIOError):
        Stream(pair.near).read_into(memoryview(bytearray(8)))


@pytest.mark.parametrize("code", [errno.EINTR, errno.EDEADLK, errno.EWOULDBLOCK])
def test_every_recoverable_error_says_that_it_would_block(code: int) -> None:
    class Busy:
        def recv(self, n: int) -> bytes:
            raise OSError(code, "busy")

        def send(self, data: bytes) -> int:
            raise OSError(code, "busy")

    stream = Stream(Busy())
    with pytest.raises(BlockingIOError):
        stream.read()
    assert stream.write(b"kept") == 4
    assert stream.buffer == b"kept"


def test_other_errors_pass() -> None:
    class Broken:
        def recv(self, n: int) -> bytes:
            raise ConnectionResetError(errno.ECONNRESET, "reset")

    with pytest.raises(ConnectionResetError):
        Stream(Broken()).read()


def test_an_object_without_recv_is_read_by_its_number() -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd, "rb") as reader:
        os.write(write_fd, b"abc")
        os.close(write_fd)
        assert Stream(reader).read(2) == b"ab"
        assert Stream(read_fd).read() == b"c"
        assert Stream(reader).read() == b""


def test_what_can_only_fill_a_buffer_is_read_through_it() -> None:
    stream = Stream(ReadyWire([b"abc", None]))
    assert stream.read(2) == b"ab"
    assert stream.read(10) == b"c"
    with pytest.raises(BlockingIOError):
        stream.read()
    assert stream.read() == b""


def test_write_tries_once_and_accepts_everything(pair: Pair) -> None:
    slow = SlowSocket(pair.near)
    stream = Stream(slow)
    assert stream.write(b"hello world") == 11
    assert slow.sends == 1
    assert stream.buffer == b" world"
    assert stream.needs_write()
    assert pair.far.recv(100) == b"hello"


def test_writing_nothing_does_nothing(pair: Pair) -> None:
    slow = SlowSocket(pair.near)
    assert Stream(slow).write(b"") is None
    assert slow.sends == 0


def test_writing_more_while_something_waits_keeps_the_order(pair: Pair) -> None:
    stream = Stream(SlowSocket(pair.near))
    stream.write(b"0123456")
    stream.write(b"789")
    stream.write_pieces([memoryview(b"ab"), memoryview(b"c")])
    while stream.needs_write():
        stream.do_write()
    assert pair.far.recv(100) == b"0123456789abc"


def test_text_is_written_as_utf_8(pair: Pair) -> None:
    assert Stream(pair.near).write("käse") == 5
    assert pair.far.recv(100) == "käse".encode()


def test_do_write_sends_once_and_counts_what_went(pair: Pair) -> None:
    slow = SlowSocket(pair.near)
    stream = Stream(slow)
    stream.write(b"0123456789ab")
    assert stream.do_write() == 5
    assert slow.sends == 2
    assert stream.buffer == b"ab"
    assert stream.do_write() == 2
    assert not stream.needs_write()
    assert stream.do_write() == 0
    assert pair.far.recv(100) == b"0123456789ab"


def test_do_write_counts_0_when_it_would_block(pair: Pair) -> None:
    fill(pair.near)
    stream = Stream(pair.near)
    assert stream.write(b"waits") == 5
    assert stream.do_write() == 0
    assert stream.buffer == b"waits"


def test_close_waits_until_the_buffer_is_empty(pair: Pair) -> None:
    slow = SlowSocket(pair.near)
    stream = Stream(slow)
    stream.write(b"0123456789ab")
    stream.close()
    assert (stream.close_requested, stream.closed, slow.closed) == (True, False, 0)
    stream.do_write()
    assert not stream.closed
    stream.do_write()
    assert (stream.closed, slow.closed) == (True, 1)
    stream.close()
    assert slow.closed == 1
    assert pair.far.recv(100) == b"0123456789ab"


def test_close_closes_a_number_and_an_object_that_cannot_close_itself() -> None:
    class OnlyNumber:
        def __init__(self, fd: int) -> None:
            self._fd = fd

        def fileno(self) -> int:
            return self._fd

    read_fd, write_fd = os.pipe()
    reader, writer = Stream(read_fd), Stream(OnlyNumber(write_fd))
    writer.close()
    assert reader.read() == b""
    reader.close()
    reader.close()
    for fd in (read_fd, write_fd):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_abandoning_a_stream_closes_it_now(pair: Pair) -> None:
    slow = SlowSocket(pair.near)
    stream = Stream(slow)
    stream.write(b"0123456789ab")
    stream.abandon()
    assert (stream.closed, stream.buffer, slow.closed) == (True, b"", 1)


def test_set_blocking_uses_the_objects_own_way(pair: Pair) -> None:
    stream = Stream(pair.near)
    assert stream.set_blocking(True) is True
    assert pair.near.gettimeout() is None
    assert stream.set_blocking(False) is True
    assert pair.near.gettimeout() == 0
    number = Stream(pair.near.fileno())
    assert number.set_blocking(True) is False
    assert number.set_blocking(False) is True


def test_a_half_close_ends_one_direction_only(pair: Pair) -> None:
    stream = Stream(pair.near)
    stream.half_close()
    assert pair.far.recv(10) == b""
    pair.far.send(b"still")
    assert stream.read() == b"still"


def test_an_object_with_a_half_close_of_its_own_is_asked_for_it() -> None:
    class Own:
        ended = 0

        def half_close(self) -> None:
            self.ended += 1

    own = Own()
    Stream(own).half_close()
    assert own.ended == 1


def test_ciphertext_that_waits_is_flushed_and_keeps_the_stream_writing() -> None:
    class Tls:
        waits = 2

        def send(self, data: bytes) -> int:
            return len(data)

        def unsent(self) -> bool:
            return self.waits > 0

        def flush(self) -> None:
            self.waits -= 1

    stream = Stream(Tls())
    stream.write(b"abc")
    assert stream.needs_write()
    assert stream.do_write() == 0
    assert stream.needs_write()
    stream.do_write()
    assert not stream.needs_write()


# Demuxer -----------------------------------------------------------------------------------------------------------


def compositions(length: int) -> Iterator[list[int]]:
    """Every way to cut `length` bytes."""
    for cuts in range(2 ** (length - 1)):
        sizes = [1]
        for bit in range(length - 1):
            if cuts >> bit & 1:
                sizes.append(1)
            else:
                sizes[-1] += 1
        yield sizes


TWO_FRAMES = encode(1, b"foo") + encode(1, b"d")
EXAMPLE_CUTS = [
    # All ways to cut inside and around the first payload and the second header: the rest of a header is alike.
    [*head, *middle, 1]
    for head in ([8], [1] * 8, [3, 5], [7, 1])
    for middle in compositions(11)
]


@pytest.mark.parametrize("blocks", [False, True])
def test_two_small_frames_come_out_one_by_one_however_they_are_cut(blocks: bool) -> None:
    for lengths in EXAMPLE_CUTS:
        pieces: list[bytes | None] = []
        for piece in strategies.cut(TWO_FRAMES, lengths):
            pieces += [piece, None] if blocks else [piece]
        reads = []
        demuxer = Demuxer(Script(pieces))
        while True:
            try:
                data = demuxer.read(4096)
            except BlockingIOError:
                assert blocks
                continue
            if data is None:
                break
            assert data in ((b"foo", b"d") if not blocks else (b"foo", b"f", b"o", b"fo", b"oo", b"d"))
            reads.append(data)
        assert b"".join(reads) == b"food"
        if not blocks:
            assert reads == [b"foo", b"d"]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_read_never_gives_more_than_asked_nor_bytes_of_two_frames(n: int) -> None:
    for lengths in EXAMPLE_CUTS[::7]:
        demuxer = Demuxer(Script(list(strategies.cut(TWO_FRAMES, lengths))))
        reads = []
        while (data := demuxer.read(n)) is not None:
            reads.append(data)
        assert reads == [*(b"foo"[at : at + n] for at in range(0, 3, n)), b"d"]


def test_remain_counts_what_of_the_frame_was_not_read() -> None:
    source = Script([encode(2, b"abcdef")])
    demuxer = Demuxer(source)
    assert demuxer.stream is source
    assert demuxer.remain == 0
    assert demuxer.read(2) == b"ab"
    assert demuxer.remain == 4
    assert demuxer.read() == b"cdef"
    assert demuxer.remain == 0


def test_a_frame_says_which_stream_it_is_of() -> None:
    frames = [(1, b"out"), (2, b"err"), (0, b"in"), (3, b"bad")]
    assert drained(Demuxer(Script([wire(frames)]))) == frames


@pytest.mark.parametrize("end", ["", b"", None])
def test_the_end_of_the_stream_is_none_whatever_the_stream_says(end: Any) -> None:
    demuxer = Demuxer(Script([encode(1, b"last")], end))
    assert demuxer.read() == b"last"
    assert demuxer.read() is None
    assert demuxer.read() is None


def test_a_stream_that_ends_in_a_payload_gives_what_came_and_then_its_end() -> None:
    demuxer = Demuxer(Script([encode(1, b"half a frame")[:12]]))
    assert demuxer.read() == b"half"
    assert demuxer.read() is None
    assert demuxer.frames.mid_frame


def test_an_empty_frame_is_not_the_end() -> None:
    data = encode(1, b"") + encode(2, b"") + encode(1, b"more") + encode(1, b"")
    demuxer = Demuxer(Script([data]))
    assert demuxer.read() == b"more"
    assert demuxer.read() is None


def test_nothing_in_the_middle_of_a_header_says_would_block_and_goes_on_there() -> None:
    data = encode(1, b"abc")
    demuxer = Demuxer(Script([data[:5], None, data[5:]]))
    with pytest.raises(BlockingIOError):
        demuxer.read()
    assert demuxer.read() == b"abc"


def test_nothing_in_the_middle_of_a_payload_gives_what_came_and_goes_on_there() -> None:
    data = encode(1, b"abcdef")
    demuxer = Demuxer(Script([data[:10], None, None, data[10:]]))
    assert demuxer.read() == b"ab"
    with pytest.raises(BlockingIOError):
        demuxer.read()
    assert demuxer.read() == b"cdef"


def test_a_stream_of_text_is_taken_for_its_utf_8() -> None:
    class Text:
        def __init__(self) -> None:
            self.left = encode(1, b"hi").decode()

        def read(self, n: int) -> str:
            part, self.left = self.left[:n], self.left[n:]
            return part

    assert drained(Demuxer(Text())) == [(1, b"hi")]


def test_what_cannot_be_a_frame_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        Demuxer(Script([b"HTTP/1.1 200 OK"])).read()


def test_a_demuxer_delegates_the_rest_to_its_stream(pair: Pair) -> None:
    stream = Stream(SlowSocket(pair.near))
    demuxer = Demuxer(stream)
    assert demuxer.fileno() == pair.near.fileno()
    assert demuxer.write(b"0123456789") == 10
    assert demuxer.needs_write()
    assert demuxer.backlog() == 5
    assert demuxer.do_write() == 5
    assert not demuxer.needs_write()
    assert demuxer.set_blocking(False) is False
    demuxer.close()
    assert stream.closed
    assert demuxer.closed


def test_a_stream_without_a_buffer_of_its_own_never_needs_a_write() -> None:
    demuxer = Demuxer(Script([]))
    assert demuxer.needs_write() is False
    assert demuxer.do_write() is False


pieces_with_pauses = st.lists(st.booleans(), max_size=30)


def paused(data: bytes, lengths: list[int], pauses: list[bool]) -> list[bytes | None]:
    pieces: list[bytes | None] = []
    for index, piece in enumerate(strategies.cut(data, lengths)):
        if index < len(pauses) and pauses[index]:
            pieces.append(None)
        pieces.append(piece)
    return pieces


@given(strategies.frames, strategies.cuts, pieces_with_pauses, st.integers(1, 50))
def test_no_payload_is_lost_or_moved_however_it_is_cut_paused_and_read(
    frames: list[tuple[int, bytes]], lengths: list[int], pauses: list[bool], n: int
) -> None:
    reads = drained(Demuxer(Script(paused(wire(frames), lengths, pauses))), n)
    assert all(0 < len(payload) <= n for _, payload in reads)
    assert per_stream(reads) == per_stream(frames)
    assert b"".join(payload for _, payload in reads) == b"".join(payload for _, payload in frames)


# Pump --------------------------------------------------------------------------------------------------------------


def test_a_pump_keeps_what_it_was_given() -> None:
    source, sink = Script([]), Sink()
    pump = Pump(source, sink)
    assert (pump.from_stream, pump.to_stream) == (source, sink)
    assert (pump.wait_for_output, pump.propagate_close, pump.eof) == (True, True, False)


def test_a_pump_is_polled_and_set_at_its_reading_end(pair: Pair) -> None:
    pump = Pump(Stream(pair.near), Stream(pair.far))
    assert pump.fileno() == pair.near.fileno()
    assert pump.set_blocking(False) is True
    by_number = Pump(Stream(pair.near.fileno()), Sink())
    assert by_number.set_blocking(True) is False
    assert by_number.set_blocking(False) is True


@pytest.mark.parametrize("data", [b"bytes", "text"])
def test_a_pump_works_on_anything_that_reads_and_writes(data: Any) -> None:
    sink = Sink()
    source = Script([data, None])
    pump = Pump(source, sink)
    assert pump.flush(100) == 7
    assert source.asked == [100]
    assert sink.written == [data]
    assert pump.flush() == 0
    assert not pump.is_done()
    assert pump.flush() is None
    assert pump.eof
    assert pump.is_done()
    assert pump.flush() is None
    assert len(source.asked) == 3


def test_a_pump_returns_what_write_returned() -> None:
    assert Pump(Script([b"x"]), Sink(returns=None)).flush() is None
    assert not Pump(Script([b"x"]), Sink(returns=None)).eof


def test_a_flush_reads_once(pair: Pair, other: Pair) -> None:
    pair.far.send(b"0123456789")
    pump = Pump(Stream(pair.near), Stream(other.near))
    assert pump.flush(4) == 4
    assert other.far.recv(100) == b"0123"


@pytest.mark.parametrize("propagate", [True, False])
def test_the_end_closes_the_far_end_only_if_asked(pair: Pair, other: Pair, propagate: bool) -> None:
    far_end = Stream(other.near)
    pump = Pump(Stream(pair.near), far_end, propagate_close=propagate)
    pair.far.close()
    assert pump.flush() is None
    assert pump.eof
    assert far_end.closed is propagate


def test_a_pump_that_nobody_waits_for_is_done_once_all_is_written(pair: Pair, other: Pair) -> None:
    slow = Stream(SlowSocket(other.near))
    pump = Pump(Stream(pair.near), slow, wait_for_output=False)
    assert pump.is_done()
    pair.far.send(b"0123456789")
    pump.flush()
    assert not pump.is_done()
    slow.do_write()
    assert pump.is_done()


def test_a_pump_is_not_done_before_what_came_was_written(pair: Pair, other: Pair) -> None:
    slow = Stream(SlowSocket(other.near))
    pump = Pump(Stream(pair.near), slow)
    pair.far.send(b"0123456789")
    pair.far.close()
    pump.flush()
    pump.flush()
    assert pump.eof
    assert not pump.is_done()
    slow.do_write()
    assert pump.is_done()
    assert slow.closed


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ECONNRESET])
def test_a_broken_far_end_ends_the_pump(code: int) -> None:
    class Broken:
        def write(self, data: bytes) -> int:
            raise OSError(code, "broken")

    pump = Pump(Script([b"x", b"y"]), Broken())
    assert pump.flush() is None
    assert pump.eof
    assert pump.is_done()


def test_a_far_end_that_reads_no_more_is_kept_for_what_it_still_says(pair: Pair, other: Pair) -> None:
    far_end = Stream(other.near)
    pump = Pump(Stream(pair.near), far_end, wait_for_output=False)
    other.far.send(b"answer")
    other.far.close()
    pair.far.send(b"question")
    assert pump.flush() is None
    assert pump.eof
    assert pump.is_done()
    assert not far_end.closed
    assert far_end.read() == b"answer"


def test_other_errors_of_the_far_end_pass() -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "full")

    pump = Pump(Script([b"x"]), Full())
    with pytest.raises(OSError, match="full"):
        pump.flush()


@given(
    strategies.frames,
    strategies.cuts,
    pieces_with_pauses,
    st.lists(st.integers(0, 9), max_size=30),
    st.data(),
)
def test_in_place_and_by_read_all_arrives_in_order_and_where_it_belongs(
    frames: list[tuple[int, bytes]],
    lengths: list[int],
    pauses: list[bool],
    taken: list[int],
    data: st.DataObject,
) -> None:
    frames = [(stream, payload) for stream, payload in frames if stream != 3]
    out, err = Taker(taken), Taker(taken[::-1])
    to, error = Stream(out), Stream(err)
    source = Demuxer(Stream(ReadyWire(paused(wire(frames), lengths, pauses))))
    pump = Pump(source, to, propagate_close=False, error_stream=error)
    buffer = memoryview(bytearray(64))
    while not pump.eof:
        if data.draw(st.booleans()):
            pump.step(buffer)
            continue
        try:
            frame = source.read_frame(20)
        except BlockingIOError:
            continue  # no whole frame yet
        if frame is None:
            pump.end()
        else:
            (error if frame[0] == 2 else to).write(frame[1])
    for sink in (to, error):
        while sink.needs_write():
            sink.do_write()
    assert out.data == b"".join(payload for stream, payload in frames if stream in (0, 1))
    assert err.data == b"".join(payload for stream, payload in frames if stream == 2)


def test_without_an_error_stream_the_order_of_arrival_is_kept() -> None:
    taker = Taker([])
    frames = [(1, b"o1 "), (2, b"e1 "), (2, b"e2 "), (1, b"o2 "), (0, b"in")]
    pump = Pump(Demuxer(Stream(ReadyWire([wire(frames)]))), Stream(taker), propagate_close=False)
    pump.step(memoryview(bytearray(1000)))
    assert taker.data == b"o1 e1 e2 o2 in"


def test_an_error_of_the_engine_comes_after_what_was_before_it() -> None:
    taker = Taker([])
    frames = [(1, b"before"), (3, b"it broke\n"), (1, b"after")]
    pump = Pump(Demuxer(Stream(ReadyWire([wire(frames)]))), Stream(taker))
    with pytest.raises(ProtocolError, match="it broke"):
        pump.step(memoryview(bytearray(1000)))
    assert taker.data == b"before"


def test_what_stands_before_an_impossible_frame_is_delivered_before_the_error() -> None:
    taker = Taker([])
    pump = Pump(Demuxer(Stream(ReadyWire([encode(1, b"good") + b"HTTP/1.1"]))), Stream(taker))
    with pytest.raises(ProtocolError):
        pump.step(memoryview(bytearray(1000)))
    assert taker.data == b"good"


def test_a_loop_can_pump_to_a_sink_with_only_write(pair: Pair) -> None:
    sink = Sink()
    pump = Pump(Stream(pair.near), sink)
    pair.far.send(b"hello")
    pump.serve({pair.near.fileno(): 1}, memoryview(bytearray(100)))
    pair.far.close()
    pump.serve({pair.near.fileno(): 1}, memoryview(bytearray(100)))
    assert sink.written == [b"hello"]
    assert pump.eof


def test_a_demuxer_may_be_the_far_end(pair: Pair, other: Pair) -> None:
    pump = Pump(Stream(pair.near), Demuxer(Stream(other.near)))
    pair.far.send(b"typed")
    pump.serve({pair.near.fileno(): 1}, memoryview(bytearray(100)))
    assert other.far.recv(100) == b"typed"


def test_a_pump_with_a_flush_of_its_own_is_served_by_it(pair: Pair) -> None:
    class Loud(Pump):
        def flush(self, n: int = 4096) -> Any:
            data = self.from_stream.read(n)
            return self.to_stream.write(data.upper())

    sink = Sink()
    pair.far.send(b"hello")
    Loud(Stream(pair.near), sink).serve({pair.near.fileno(): 1}, memoryview(bytearray(100)))
    assert sink.written == [b"HELLO"]


def test_a_source_that_may_wait_is_read_once_a_turn() -> None:
    with Pair() as pair, Pair() as other:
        pair.near.setblocking(True)
        pump = Pump(Stream(pair.near), Stream(other.near))
        pair.far.send(b"all there is")
        pump.serve({pair.near.fileno(): 1}, memoryview(bytearray(100)))
        assert other.far.recv(100) == b"all there is"


def test_a_pump_stops_reading_above_high_water_and_goes_on_below_low_water() -> None:
    class Endless:
        given = 0

        def fileno(self) -> int:
            return 1000

        def recv_into(self, buffer: memoryview) -> int:
            self.given += len(buffer)
            return len(buffer)

    class Stopped(Taker):
        def fileno(self) -> int:
            return 1001

    source, taker = Endless(), Stopped([0] * 100)
    sink = Stream(taker)
    pump = Pump(Stream(source), sink)
    pump.patient = False  # no moment helps
    buffer = memoryview(bytearray(READ_SIZE))
    for _ in range(50):
        pump.serve({1000: 1}, buffer)
    assert HIGH_WATER < sink.backlog() <= HIGH_WATER + READ_SIZE
    assert source.given == sink.backlog()
    assert [fd for fd, _ in pump.interest()] == [1001]
    taker._lengths = [sink.backlog() - LOW_WATER - 1]
    sink.do_write()
    assert not pump.has_room()
    taker._lengths = [1]
    sink.do_write()
    assert pump.has_room()
    assert 1000 in [fd for fd, _ in pump.interest()]


def test_a_fast_source_leaves_the_turn_to_others() -> None:
    class Endless:
        reads = 0

        def fileno(self) -> int:
            return 1000

        def recv_into(self, buffer: memoryview) -> int:
            self.reads += 1
            return len(buffer)

    source = Endless()
    Pump(Stream(source), Stream(Taker([]))).serve({1000: 1}, memoryview(bytearray(READ_SIZE)))
    assert source.reads == READS_PER_TURN


def test_after_a_short_read_poll_is_asked_before_the_next() -> None:
    class Typist:
        reads = 0

        def fileno(self) -> int:
            return 1000

        def recv_into(self, buffer: memoryview) -> int:
            self.reads += 1
            return 1

    source = Typist()
    Pump(Stream(source), Stream(Taker([]))).serve({1000: 1}, memoryview(bytearray(READ_SIZE)))
    assert source.reads == 1


def test_a_broken_stderr_drops_stderr_and_nothing_else() -> None:
    class Broken(Taker):
        def send(self, data: bytes | bytearray | memoryview) -> int:
            raise BrokenPipeError(errno.EPIPE, "broken")

    out = Taker([])
    frames = [(1, b"one "), (2, b"lost"), (1, b"two "), (2, b"lost"), (1, b"three")]
    pieces: list[bytes | None] = [encode(*frame) for frame in frames]
    pump = Pump(
        Demuxer(Stream(ReadyWire(pieces))),
        Stream(out),
        propagate_close=False,
        error_stream=Stream(Broken([])),
    )
    while not pump.eof:
        pump.step(memoryview(bytearray(100)))
    assert out.data == b"one two three"
    assert pump.is_done()


def test_a_text_object_can_be_a_pumps_source() -> None:
    sink = Sink()
    pump = Pump(io.StringIO("käse"), sink)
    pump.flush()
    pump.flush()
    assert sink.written == ["käse"]
    assert pump.is_done()


def test_closing_waits_for_what_a_tls_object_still_holds() -> None:
    class Holding(Taker):
        held = True
        closed = False

        def unsent(self) -> bool:
            return self.held

        def flush(self) -> None:
            self.held = False

        def close(self) -> None:
            self.closed = True

    transport = Holding([])
    stream = Stream(transport)
    stream.write(b"x")
    stream.close()
    assert not transport.closed
    stream.do_write()
    assert transport.closed
