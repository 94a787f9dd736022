"""The streams of a process over a connection: frames cut anywhere, what is sent, and how it can end."""

from __future__ import annotations

import errno
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.engine.transport import SocketTransport
from dockerpty.errors import DockerptyError, ProtocolError, SessionLost
from dockerpty.frames import STDERR, STDOUT, SYSTEM_ERROR, encode
from dockerpty.host.channel import Channel
from tests.unit.host.channels import LocalChannel, Scripted

CONTAINER = "0123456789ab" + 52 * "c"
BUFFER = memoryview(bytearray(64 * 1024))


class Ends:
    """A channel and the engine's end of its connection."""

    def __init__(self, *, tty: bool = False, kind: type[SocketTransport] = SocketTransport) -> None:
        ours, self.far = socket.socketpair()
        self.far.settimeout(20)
        self.transport = kind(ours, "there")
        self.channel = Channel(self.transport, BUFFER, "e" * 64, CONTAINER, tty=tty, mark="DPTY_EXEC=1")

    def close(self) -> None:
        self.channel.close()
        self.far.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


@pytest.fixture
def terminal() -> Iterator[Ends]:
    made = Ends(tty=True)
    yield made
    made.close()


def fill(channel: Channel) -> int:
    """Write until the connection takes no more, and return how much that was."""
    count = 0
    while not channel.unsent:
        channel.write(bytes(65536))
        count += 65536
    return count


def test_what_is_not_there_yet_is_nothing_and_no_end(ends: Ends) -> None:
    assert ends.channel.read() == []
    assert not ends.channel.ended


def test_the_two_streams_come_apart_and_the_end_behind_them(ends: Ends) -> None:
    ends.far.sendall(encode(STDOUT, b"out") + encode(STDERR, b"err") + encode(STDOUT, b""))
    ends.far.close()
    assert ends.channel.read() == [(STDOUT, b"out"), (STDERR, b"err")]
    assert not ends.channel.ended
    assert ends.channel.read() == []
    assert (ends.channel.ended, ends.channel.error, ends.channel.interest()) == (True, None, [])


@given(
    st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=40)), max_size=8),
    st.data(),
)
def test_frames_may_be_cut_anywhere(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    wire = b"".join(encode(stream, payload) for stream, payload in frames)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=6).map(sorted))
    ends = Ends()
    try:
        found = {STDOUT: b"", STDERR: b""}
        for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
            ends.far.sendall(wire[start:end])
            for stream, piece in ends.channel.read():
                found[stream] += piece
        for wanted in found:
            assert found[wanted] == b"".join(payload for stream, payload in frames if stream == wanted)
        ends.far.close()
        assert ends.channel.read() == []
        assert (ends.channel.ended, ends.channel.error) == (True, None)
    finally:
        ends.close()


def test_a_terminals_bytes_are_no_frames(terminal: Ends) -> None:
    terminal.far.sendall(encode(STDERR, b"as it is"))
    assert terminal.channel.read() == [(STDOUT, encode(STDERR, b"as it is"))]


def test_what_was_read_is_not_changed_by_the_next_read(ends: Ends) -> None:
    ends.far.sendall(encode(STDOUT, b"first"))
    first = ends.channel.read()
    ends.far.sendall(encode(STDOUT, b"after"))
    assert ends.channel.read() == [(STDOUT, b"after")]
    assert first == [(STDOUT, b"first")]


def test_an_end_in_the_middle_of_a_frame_is_a_loss(ends: Ends) -> None:
    ends.far.sendall(encode(STDOUT, b"half of it")[:12])
    ends.far.close()
    assert ends.channel.read() == [(STDOUT, b"half")]
    assert ends.channel.read() == []
    assert ends.channel.ended
    assert isinstance(ends.channel.error, SessionLost)
    assert "0123456789ab: the connection ended in the middle of a frame" in str(ends.channel.error)


class Reset(SocketTransport):
    """One that somebody on the way resets, with what it has to say."""

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        raise ConnectionResetError(errno.ECONNRESET, "reset by peer")


def test_a_reset_is_a_loss_and_no_exception() -> None:
    ends = Ends(kind=Reset)
    try:
        assert ends.channel.read() == []
        assert ends.channel.ended
        assert isinstance(ends.channel.error, SessionLost)
        assert "reset by peer" in str(ends.channel.error)
    finally:
        ends.close()


@pytest.mark.parametrize("good", [b"", encode(STDOUT, b"good")])
def test_what_is_no_frame_ends_it_behind_what_was_good(good: bytes, ends: Ends) -> None:
    ends.far.sendall(good + b"HTTP/1.1 400 Bad Request")
    assert ends.channel.read() == ([(STDOUT, b"good")] if good else [])
    assert ends.channel.ended
    assert isinstance(ends.channel.error, ProtocolError)


def test_an_error_of_the_engines_own_is_in_its_words(ends: Ends) -> None:
    ends.far.sendall(encode(STDOUT, b"good") + encode(SYSTEM_ERROR, b"out of disk\n"))
    assert ends.channel.read() == [(STDOUT, b"good")]
    assert str(ends.channel.error).endswith("out of disk")


# What is sent ---------------------------------------------------------------------------------------------------------


def test_what_is_written_goes_at_once(ends: Ends) -> None:
    ends.channel.write(b"typed")
    assert ends.channel.unsent == 0
    assert ends.far.recv(100) == b"typed"
    fd = ends.transport.fileno()
    assert ends.channel.interest() == [(fd, select.POLLIN)]


def test_what_the_connection_does_not_take_waits_and_room_is_waited_for(ends: Ends) -> None:
    written = fill(ends.channel)
    ends.channel.end_input()
    fd = ends.transport.fileno()
    assert 0 < ends.channel.unsent < written
    assert ends.channel.interest() == [(fd, select.POLLIN | select.POLLOUT)]
    came = 0
    while data := ends.far.recv(1 << 20):
        came += len(data)
        ends.channel.flush()
    # Its end came behind all of it.
    assert (came, ends.channel.unsent) == (written, 0)


def test_the_output_goes_on_after_the_input_has_ended(ends: Ends) -> None:
    ends.channel.write(b"all")
    ends.channel.end_input()
    ends.channel.end_input()
    assert ends.far.recv(100) == b"all"
    assert ends.far.recv(100) == b""
    ends.far.sendall(encode(STDOUT, b"late"))
    assert ends.channel.read() == [(STDOUT, b"late")]
    with pytest.raises(RuntimeError, match="ended before"):
        ends.channel.write(b"more")


@pytest.mark.parametrize(("typed", "end"), [(b"", b"\x04"), (b"line\n", b"\x04"), (b"half", b"\x04\x04")])
def test_a_terminals_input_is_ended_by_typing(typed: bytes, end: bytes, terminal: Ends) -> None:
    terminal.channel.write(typed)
    terminal.channel.end_input()
    assert terminal.far.recv(100) == typed + end


def test_a_process_that_takes_no_more_can_still_be_read(ends: Ends) -> None:
    ends.far.sendall(encode(STDOUT, b"last"))
    ends.far.shutdown(socket.SHUT_RD)
    ends.channel.write(b"for nobody")
    assert (ends.channel.refused, ends.channel.unsent, ends.channel.ended) == (True, 0, False)
    ends.channel.write(b"nor this")
    ends.channel.end_input()
    assert ends.channel.read() == [(STDOUT, b"last")]
    ends.far.shutdown(socket.SHUT_WR)
    assert ends.channel.read() == []
    assert (ends.channel.ended, ends.channel.error) == (True, None)


class OneWay(SocketTransport):
    """One that can only be closed as a whole."""

    def can_half_close(self) -> bool:
        return False


def test_an_input_that_cannot_be_ended_is_said_to_be_so() -> None:
    ends = Ends(kind=OneWay)
    try:
        with pytest.raises(DockerptyError, match="can only be closed as a whole"):
            ends.channel.end_input()
    finally:
        ends.close()


# Other connections ----------------------------------------------------------------------------------------------------


def test_bytes_that_no_poll_sees_are_pending(ends: Ends) -> None:
    ends.transport.unread(encode(STDOUT, b"ahead"))
    assert ends.channel.pending()
    assert ends.channel.read() == [(STDOUT, b"ahead")]
    assert not ends.channel.pending()


class Slow(SocketTransport):
    """One that keeps what it has taken until it is flushed, as with TLS."""

    __slots__ = ("held",)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        self.held = bytes(data)
        return len(data)

    def unsent(self) -> bool:
        return bool(getattr(self, "held", b""))

    def flush(self) -> None:
        if self.unsent():
            super().send(self.held)
            self.held = b""


def test_what_a_connection_holds_is_waited_for_as_well() -> None:
    ends = Ends(kind=Slow)
    try:
        ends.channel.write(b"held")
        assert ends.channel.unsent == 1
        assert ends.channel.interest()[0][1] & select.POLLOUT
        ends.channel.flush()
        assert ends.channel.unsent == 0
        assert ends.far.recv(100) == b"held"
    finally:
        ends.close()


class Ssh(SocketTransport):
    """One whose end waits for a program to end."""

    def end_waits(self) -> bool:
        return True

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        raise ConnectionResetError(errno.ECONNRESET, "ssh ended with 255")


def test_an_end_that_waits_is_learned_by_whoever_may_wait() -> None:
    ends = Ends(kind=Ssh)
    try:
        assert ends.channel.read() == []
        assert not ends.channel.ended
        assert ends.channel.end_waits()
        ends.channel.learn_end()
        assert not ends.channel.end_waits()
        assert "ssh ended with 255" in str(ends.channel.error)
    finally:
        ends.close()


def test_one_that_was_closed_here_has_ended_and_takes_nothing(ends: Ends) -> None:
    fill(ends.channel)
    ends.channel.close()
    ends.channel.close()
    assert (ends.channel.ended, ends.channel.unsent, ends.channel.read()) == (True, 0, [])
    ends.channel.write(b"for nobody")
    assert "closed here" in str(ends.channel.error)


def test_one_that_is_cut_from_another_thread_ends_for_whoever_waits_for_it(terminal: Ends) -> None:
    poll = select.poll()
    for fd, events in terminal.channel.interest():
        poll.register(fd, events)
    thread = threading.Thread(target=terminal.channel.cut)
    thread.start()
    assert poll.poll(20_000)
    thread.join()
    assert terminal.channel.read() == []
    assert terminal.channel.ended
    assert terminal.far.recv(1) == b""
    terminal.channel.close()
    terminal.channel.cut()


def test_the_stand_ins_of_the_tests_have_all_its_names(ends: Ends) -> None:
    process = LocalChannel(["true"])
    try:
        for other in (process, Scripted([])):
            assert {each for each in dir(ends.channel) if not each.startswith("_")} <= {*dir(other)}
    finally:
        process.kill()


class SlowToSend(SocketTransport):
    """A connection that is in the middle of sending until it is let go."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        super().__init__(sock, name)
        self.sending, self.go = threading.Event(), threading.Event()

    def send(self, data: bytes | bytearray | memoryview) -> int:
        with memoryview(data) as held:
            self.sending.set()
            assert self.go.wait(20)
            return super().send(held)


def test_another_thread_may_write_while_one_is_sending() -> None:
    made = Ends(kind=SlowToSend)
    transport = made.transport
    assert isinstance(transport, SlowToSend)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(made.channel.write, b"ab")
        assert transport.sending.wait(20)
        second = threads.submit(made.channel.write, b"c")
        # Refused, it would be so at once.
        with pytest.raises(TimeoutError):
            second.result(0.05)
        transport.go.set()
        first.result(20)
        second.result(20)
    assert made.far.recv(3, socket.MSG_WAITALL) == b"abc"
    made.close()
