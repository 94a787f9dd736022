"""The streams of a process, over socket pairs: every cutting of the wire, full readers, a far side that is slow."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given

from dockerpty.engine.transport import SocketTransport
from dockerpty.errors import DockerptyError, ProtocolError, SessionLost
from dockerpty.frames import encode
from dockerpty.streams import HIGH_WATER, Output, Writer
from dockerpty.unstarted import StartError
from tests.unit import strategies

START_ERROR = b'OCI runtime exec failed: exec: "nosuch": executable file not found in $PATH: unknown\r\n'


def run(main: Awaitable[Any]) -> Any:
    """Run a test's coroutine; one that hangs is an error."""

    async def limited() -> Any:
        return await asyncio.wait_for(main, 30)

    return asyncio.run(limited())


class Wire:
    """The output of a process at one end, what an engine sends at the other."""

    def __init__(self, transport: type[SocketTransport] = SocketTransport, **options: Any) -> None:
        near, self.far = socket.socketpair()
        self.transport = transport(near, "here")
        self.endings: list[DockerptyError | None] = []
        self.ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.output = Output(
            self.transport,
            "web",
            memoryview(bytearray(65536)),
            **{"tty": False, "limit": 65536, **options},
            ended=self._end,
            in_thread=lambda work: loop.run_in_executor(None, work),
        )
        self.out, self.err = self.output.out, self.output.err

    def _end(self, error: DockerptyError | None) -> None:
        self.endings.append(error)
        self.output.finish(error)
        self.ended.set()

    def close(self) -> None:
        self.output.stop()
        self.transport.close()
        self.far.close()


@contextmanager
def wire(**options: Any) -> Iterator[Wire]:
    """Give both ends; they are closed at the end."""
    made = Wire(**options)
    made.output.start()
    try:
        yield made
    finally:
        made.close()


async def turns(count: int = 3) -> None:
    """Let the loop see what is there."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


# What comes ----------------------------------------------------------------------------------------------------------


@given(strategies.frames, strategies.cuts)
def test_however_the_wire_is_cut_each_stream_gets_what_was_sent_on_it(
    frames: list[tuple[int, bytes]], lengths: list[int]
) -> None:
    frames = [frame for frame in frames if frame[0] != 3]

    async def main() -> None:
        with wire() as made:
            for piece in strategies.cut(b"".join(encode(*frame) for frame in frames), lengths):
                made.far.sendall(piece)
                await turns(2)
            made.far.close()
            assert made.err is not None
            out, err = await made.out.read(), await made.err.read()
            assert out == b"".join(payload for stream, payload in frames if stream != 2)
            assert err == b"".join(payload for stream, payload in frames if stream == 2)
            assert made.endings == [None]

    run(main())


@given(strategies.typed, strategies.cuts)
def test_a_terminals_stream_has_no_frames_however_it_is_cut(data: bytes, lengths: list[int]) -> None:
    async def main() -> None:
        with wire(tty=True) as made:
            for piece in strategies.cut(data, lengths):
                made.far.sendall(piece)
                await turns(2)
            made.far.close()
            assert (made.err, await made.out.read()) == (None, data)

    run(main())


def test_what_came_with_the_head_of_the_answer_is_the_first_that_is_read() -> None:
    async def main() -> None:
        made = Wire()
        made.transport.unread(encode(1, b"first"))
        made.output.start()
        assert await made.out.readexactly(5) == b"first"
        made.close()

    run(main())


def test_what_no_poll_tells_of_is_read_to_its_end_and_no_faster_than_there_is_room() -> None:
    data, most, wires = os.urandom(50_000), [0], list[Wire]()

    class Plain(SocketTransport):
        """Gives the loop as much as it asks for, at once and again and again."""

        def recv_into(self, buffer: bytearray | memoryview) -> int:
            count = super().recv_into(buffer)
            most.append(len(wires[0].out._buffer) + count)
            return count

    async def main() -> None:
        made = Wire(Plain, tty=True, limit=1000)
        wires.append(made)
        made.transport.unread(data)
        made.far.sendall(b"!")
        made.output.start()
        got = b""
        while len(got) < len(data) + 1:
            got += await made.out.read(700)
        assert got == data + b"!"
        assert max(most) <= 1000
        made.close()

    run(main())


def test_lines_are_read_as_of_any_stream() -> None:
    async def main() -> None:
        with wire() as made:
            made.far.sendall(encode(1, b"one\ntw") + encode(1, b"o\nlast"))
            made.far.close()
            assert [line async for line in made.out] == [b"one\n", b"two\n", b"last"]
            assert made.out.at_eof()

    run(main())


@pytest.mark.parametrize("limit", [1, 7, 1000, 200_000])
def test_no_more_is_taken_than_fits_and_nothing_is_lost(limit: int) -> None:
    data = os.urandom(150_000 if limit > 7 else 700)

    async def main() -> None:
        with wire(tty=True, limit=limit) as made:
            made.far.setblocking(False)
            loop, sent = asyncio.get_running_loop(), asyncio.Event()

            async def send() -> None:
                await loop.sock_sendall(made.far, data)
                made.far.close()
                sent.set()

            sending = asyncio.ensure_future(send())
            got = b""
            while len(got) < len(data):
                await turns()
                assert len(made.out._buffer) <= limit
                got += await made.out.read(1 + limit // 3)
            await sending
            assert got == data
            assert await made.out.read() == b""

    run(main())


def test_a_full_reader_leaves_the_rest_in_the_socket() -> None:
    async def main() -> None:
        with wire(tty=True, limit=1000) as made:
            made.far.sendall(bytes(3000))
            await until(lambda: not made.output.reads)
            await turns(10)
            assert len(made.out._buffer) == 1000
            reads = [made.output.reads]
            for taken in (400, 200):
                await made.out.read(taken)
                reads.append(made.output.reads)
            # A little room is not worth a read.
            assert reads == [False, False, True]
            assert len(await made.out.readexactly(2400)) == 2400

    run(main())


def test_a_full_stdout_stops_stderr_too_until_it_is_read() -> None:
    async def main() -> None:
        with wire(limit=1000) as made:
            assert made.err is not None
            made.far.sendall(encode(1, bytes(1000)) + encode(2, b"wrong\n"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(made.err.readline(), 0.05)
            await made.out.read(1000)
            assert await made.err.readline() == b"wrong\n"

    run(main())


def test_who_asks_for_more_than_the_limit_gets_it() -> None:
    data = os.urandom(500_000)

    async def main() -> None:
        with wire(tty=True, limit=1000) as made:
            made.far.setblocking(False)
            sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(made.far, data))
            assert await made.out.readexactly(len(data) - 10) == data[:-10]
            assert await made.out.readexactly(10) == data[-10:]
            await sending

    run(main())


def test_who_gives_up_waiting_for_more_than_the_limit_leaves_a_full_reader() -> None:
    async def main() -> None:
        with wire(tty=True, limit=1000) as made:
            made.far.sendall(bytes(1500))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(made.out.readexactly(5000), 0.05)
            made.far.sendall(bytes(3500))
            await turns(10)
            assert len(made.out._buffer) == 1500
            assert made.endings == []
            assert len(await made.out.readexactly(5000)) == 5000

    run(main())


def test_a_line_that_is_longer_than_the_limit_is_an_error_as_of_any_stream() -> None:
    async def main() -> None:
        with wire(tty=True, limit=1000) as made:
            made.far.sendall(b"x" * 5000 + b"\n")
            with pytest.raises(asyncio.LimitOverrunError):
                await made.out.readuntil(b"\n")
            with pytest.raises(ValueError, match="exceed"):
                await made.out.readline()

    run(main())


# How it ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [3, 8, 10])
def test_an_end_in_the_middle_of_a_frame_is_a_loss_behind_what_has_come(cut: int) -> None:
    async def main() -> None:
        with wire() as made:
            made.far.sendall(encode(1, b"whole") + encode(2, b"half")[:cut])
            made.far.close()
            await made.ended.wait()
            assert isinstance(made.endings[0], SessionLost)
            assert await made.out.read(100) == b"whole"
            with pytest.raises(SessionLost, match="in the middle of a frame"):
                await made.out.read(100)
            with pytest.raises(SessionLost):
                await made.out.readline()
            assert not made.out.at_eof()

    run(main())


def test_who_waits_is_told_of_a_loss() -> None:
    async def main() -> None:
        with wire() as made:
            reading = asyncio.ensure_future(made.out.read(1))
            await turns()
            made.far.sendall(b"\x01\0")
            made.far.close()
            with pytest.raises(SessionLost):
                await reading

    run(main())


def test_a_broken_connection_is_a_loss_and_says_why() -> None:
    class Broken(SocketTransport):
        def recv_into(self, buffer: bytearray | memoryview) -> int:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    async def main() -> None:
        with wire(transport=Broken) as made:
            made.far.sendall(b"x")
            await made.ended.wait()
            assert str(made.endings[0]) == "cannot go on with web: Connection reset by peer"

    run(main())


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (encode(3, b"it went wrong\n"), "it went wrong"),
        (b"\x09\0\0\0\0\0\0\x01x", "a frame says stream 9"),
        (b"\x01\0\0\0\xff\0\0\0", "a frame says stream 1 and 4278190080 bytes"),
    ],
)
def test_what_no_engine_sends_ends_the_stream_behind_what_was_good(sent: bytes, words: str) -> None:
    async def main() -> None:
        with wire() as made:
            made.far.sendall(encode(1, b"good") + sent)
            await made.ended.wait()
            assert isinstance(made.endings[0], ProtocolError)
            assert await made.out.read(100) == b"good"
            with pytest.raises(ProtocolError, match=words):
                await made.out.read(100)
            await turns()
            assert len(made.endings) == 1

    run(main())


def test_an_end_that_waits_is_learned_in_a_thread() -> None:
    in_threads = []

    class Slow(SocketTransport):
        def end_waits(self) -> bool:
            try:
                return not self._socket.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return False

        def recv_into(self, buffer: bytearray | memoryview) -> int:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                in_threads.append(True)
                raise ConnectionResetError(errno.ECONNRESET, "ssh ended with 255") from None
            return super().recv_into(buffer)

    async def main() -> None:
        with wire(transport=Slow) as made:
            made.far.sendall(encode(1, b"all"))
            assert await made.out.readexactly(3) == b"all"
            made.far.close()
            await made.ended.wait()
            assert str(made.endings[0]) == "cannot go on with web: ssh ended with 255"
        assert in_threads == [True]

    run(main())


# What may be why nothing was started ---------------------------------------------------------------------------------


def test_the_text_of_a_failed_start_is_kept_back_and_goes_to_stderr() -> None:
    async def main() -> None:
        with wire(gate=StartError(framed=True)) as made:
            made.far.sendall(encode(1, START_ERROR))
            await until(made.output.holds)
            assert made.output.never_started() == START_ERROR
            made.output.finish()
            assert made.err is not None
            assert (await made.out.read(), await made.err.read()) == (b"", START_ERROR.rstrip() + b"\n")

    run(main())


def test_with_a_terminal_it_goes_to_the_one_stream_there_is() -> None:
    async def main() -> None:
        with wire(tty=True, gate=StartError(framed=False)) as made:
            made.far.sendall(START_ERROR)
            await until(made.output.holds)
            made.output.never_started()
            made.output.finish()
            assert await made.out.read() == START_ERROR.rstrip() + b"\n"

    run(main())


def test_what_only_looks_like_it_is_output_when_more_comes_or_a_moment_has_passed() -> None:
    async def main() -> None:
        with wire(gate=StartError(framed=True)) as made:
            made.far.sendall(encode(2, b"one\r\n"))
            assert made.err is not None
            assert await made.err.readline() == b"one\r\n"
        with wire(gate=StartError(framed=True)) as made:
            made.far.sendall(encode(2, b"one\r\n"))
            await until(made.output.holds)
            made.far.sendall(encode(1, b"two\r\n"))
            assert await made.out.readline() == b"two\r\n"
            assert made.err is not None
            assert await made.err.read(100) == b"one\r\n"
            assert not made.output.holds()

    run(main())


def test_what_is_kept_back_is_output_if_the_stream_breaks() -> None:
    async def main() -> None:
        with wire(gate=StartError(framed=True)) as made:
            made.far.sendall(encode(1, b"one\r\n") + b"\x01")
            made.far.close()
            await made.ended.wait()
            assert await made.out.read(100) == b"one\r\n"
            with pytest.raises(SessionLost):
                await made.out.read(100)

    run(main())


# What is written -----------------------------------------------------------------------------------------------------


@contextmanager
def writer(
    at_end: Any = "half-close", transport: type[SocketTransport] = SocketTransport
) -> Iterator[tuple[Writer, socket.socket, list[str]]]:
    """Give a process's stdin, the engine's end of it, and a list of what was closed."""
    near, far = socket.socketpair()
    far.setblocking(False)
    closed: list[str] = []
    connection = transport(near, "here")
    made = Writer(connection, at_end, asyncio.get_running_loop(), lambda: closed.append("closed"))
    try:
        yield made, far, closed
    finally:
        made.lose()
        connection.close()
        far.close()


async def all_of(far: socket.socket, count: int | None = None) -> bytes:
    """Read so many bytes, or up to the end."""
    loop, got = asyncio.get_running_loop(), b""
    while count is None or len(got) < count:
        data = await loop.sock_recv(far, 65536)
        if not data:
            break
        got += data
    return got


def test_what_the_process_does_not_take_yet_is_kept_and_drain_waits_for_it() -> None:
    data = os.urandom(5_000_000)

    async def main() -> None:
        with writer() as (stdin, far, _):
            for start in range(0, len(data), 100_000):
                stdin.write(data[start : start + 100_000])
            draining = asyncio.ensure_future(stdin.drain())
            await turns(20)
            assert not draining.done()
            got = await all_of(far, len(data) - HIGH_WATER)
            await draining
            stdin.write_eof()
            assert got + await all_of(far) == data

    run(main())


def test_writing_and_draining_keeps_little() -> None:
    data = os.urandom(65536)

    async def main() -> None:
        with writer() as (stdin, far, _):
            taking = asyncio.ensure_future(all_of(far))
            for _ in range(50):
                stdin.write(data)
                await stdin.drain()
                assert len(stdin._buffer) <= HIGH_WATER
            stdin.close()
            await stdin.wait_closed()
            assert await taking == data * 50

    run(main())


def test_the_end_of_input_comes_behind_what_was_written_and_reading_goes_on() -> None:
    async def main() -> None:
        with writer() as (stdin, far, _):
            stdin.writelines([b"one ", bytearray(b"two"), memoryview(b" three")])
            assert stdin.can_write_eof()
            assert not stdin.is_closing()
            stdin.write_eof()
            stdin.write_eof()
            assert stdin.is_closing()
            await stdin.wait_closed()
            assert await all_of(far) == b"one two three"
            far.sendall(b"late")
            assert stdin._transport.recv(10) == b"late"
            with pytest.raises(RuntimeError, match="cannot write after"):
                stdin.write(b"more")

    run(main())


def test_the_end_waits_for_a_process_that_is_slow() -> None:
    async def main() -> None:
        with writer() as (stdin, far, _):
            stdin.write(bytes(3_000_000))
            stdin.write_eof()
            closing = asyncio.ensure_future(stdin.wait_closed())
            await turns(10)
            assert not closing.done()
            assert len(await all_of(far)) == 3_000_000
            await closing

    run(main())


@pytest.mark.parametrize(
    ("written", "sent"),
    [(b"", b"\x04"), (b"line\n", b"line\n\x04"), (b"half a line", b"half a line\x04\x04")],
)
def test_with_a_terminal_the_end_is_typed(written: bytes, sent: bytes) -> None:
    async def main() -> None:
        with writer("eot") as (stdin, far, _):
            stdin.write(written)
            stdin.write_eof()
            assert await all_of(far, len(sent)) == sent
            with pytest.raises(BlockingIOError):
                far.recv(1)

    run(main())


def test_an_end_that_does_not_reach_the_process_sends_nothing() -> None:
    async def main() -> None:
        with writer("keep") as (stdin, far, closed):
            stdin.write(b"x")
            stdin.write_eof()
            await stdin.wait_closed()
            assert (await all_of(far, 1), closed) == (b"x", [])
            with pytest.raises(BlockingIOError):
                far.recv(1)

    run(main())


def test_an_end_by_closing_closes_once_everything_is_sent() -> None:
    async def main() -> None:
        with writer("close") as (stdin, far, closed):
            stdin.write(bytes(3_000_000))
            stdin.write_eof()
            await turns()
            assert closed == []
            await all_of(far, 3_000_000)
            await stdin.wait_closed()
            assert closed == ["closed"]

    run(main())


class Whole(SocketTransport):
    """A connection that can only be closed in both directions."""

    def can_half_close(self) -> bool:
        return False


def test_where_the_end_cannot_be_told_it_is_refused_and_writing_goes_on() -> None:
    async def main() -> None:
        with writer(transport=Whole) as (stdin, far, _):
            assert not stdin.can_write_eof()
            for end in (stdin.write_eof, stdin.close):
                with pytest.raises(DockerptyError, match="can only be closed as a whole"):
                    end()
            stdin.write(b"x")
            assert await all_of(far, 1) == b"x"

    run(main())


def test_a_process_that_takes_no_more_is_a_broken_pipe_to_who_drains_and_to_nobody_else() -> None:
    async def main() -> None:
        with writer() as (stdin, far, _):
            stdin.write(bytes(3_000_000))
            draining, closing = (
                asyncio.ensure_future(stdin.drain()),
                asyncio.ensure_future(stdin.wait_closed()),
            )
            await turns()
            far.close()
            with pytest.raises(BrokenPipeError):
                await draining
            await closing
            stdin.write(b"dropped")
            stdin.write_eof()
            assert stdin.is_closing()
            with pytest.raises(BrokenPipeError):
                await stdin.drain()

    run(main())


def test_who_gives_up_draining_leaves_the_rest_to_go() -> None:
    async def main() -> None:
        with writer() as (stdin, far, _):
            stdin.write(bytes(3_000_000))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stdin.drain(), 0.01)
            stdin.write_eof()
            assert len(await all_of(far)) == 3_000_000

    run(main())


class Sealed(SocketTransport):
    """A connection that keeps what it has accepted, as TLS does with a record that did not fit."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        super().__init__(sock, name)
        self.kept = b""
        self.stuck = True

    def send(self, data: bytes | bytearray | memoryview) -> int:
        if self.kept:
            self.flush()
        self.kept = bytes(data)
        return len(data)

    def unsent(self) -> bool:
        return bool(self.kept)

    def flush(self) -> None:
        if self.stuck:
            raise BlockingIOError
        self.kept = self.kept[super().send(self.kept) :]

    def half_close(self) -> None:
        self.kept += b"<end>"


def test_what_the_connection_itself_keeps_is_flushed_and_its_own_end_as_well() -> None:
    async def main() -> None:
        with writer(transport=Sealed) as (stdin, far, _):
            connection = stdin._transport
            assert isinstance(connection, Sealed)
            stdin.write(b"one")
            stdin.write(b"two")
            stdin.write_eof()
            closing = asyncio.ensure_future(stdin.wait_closed())
            await turns(5)
            assert not closing.done()
            connection.stuck = False
            await closing
            assert await all_of(far, 11) == b"onetwo<end>"

    run(main())
