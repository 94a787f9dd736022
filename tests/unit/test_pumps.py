from __future__ import annotations

import errno
import os
import re
import select
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.errors import DockerptyError, ProtocolError
from dockerpty.frames import encode
from dockerpty.io import HIGH_WATER, Demuxer, Stream
from dockerpty.keys import Matcher
from dockerpty.loop import Loop
from dockerpty.modes import ModeTracker
from dockerpty.pumps import InputPump, OutputPump, WatchPump
from tests.unit import strategies
from tests.unit.test_io import ReadyWire, Taker

KEYS = b"\x10\x11"


class Refusing(Taker):
    """A process that has closed its stdin, or a reader that is gone."""

    code = errno.EPIPE

    def send(self, data: bytes | bytearray | memoryview) -> int:
        raise OSError(self.code, "gone")


class Host(Taker):
    """What host_io gives for an output that is its own description of a pipe."""

    read_size = 32768
    tells_its_end = True
    is_terminal = False
    number = 1001
    closes = 0

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        self.closes += 1


class Remote(Taker):
    """A connection that can be half-closed."""

    ends = 0
    closes = 0

    def fileno(self) -> int:
        return 1002

    def half_close(self) -> None:
        self.ends += 1

    def close(self) -> None:
        self.closes += 1


def typing(*pieces: bytes | None, remote: Any = None, **options: Any) -> tuple[InputPump, Any]:
    remote = Remote([]) if remote is None else remote
    return InputPump(Stream(ReadyWire(list(pieces))), Stream(remote), **options), remote


def run(pump: Any, steps: int = 100) -> None:
    buffer = memoryview(bytearray(1000))
    for _ in range(steps):
        if pump.eof:
            return
        pump.step(buffer)


# Input -------------------------------------------------------------------------------------------------------------


def test_what_is_typed_arrives_and_is_counted() -> None:
    pump, remote = typing(b"hello ", None, b"world")
    run(pump)
    assert remote.data == b"hello world"
    assert pump.moved == 11
    assert pump.is_done()


def test_nobody_waits_for_input_to_end() -> None:
    pump, _ = typing(b"x")
    assert pump.is_done()


@pytest.mark.parametrize(
    "cut", [[b"ab\x10\x11cd"], [b"ab\x10", b"\x11cd"], [b"a", b"b", b"\x10", b"\x11", b"cd"]]
)
def test_detach_keys_are_found_and_neither_they_nor_the_rest_are_sent(cut: list[bytes]) -> None:
    pump, remote = typing(*cut, matcher=Matcher(KEYS))
    run(pump, len(cut))
    assert pump.detached
    assert remote.data == b"ab"


def test_piped_input_is_never_searched() -> None:
    pump, remote = typing(b"ab\x10\x11cd")
    run(pump)
    assert not pump.detached
    assert remote.data == b"ab\x10\x11cd"


def test_a_first_detach_key_is_withheld_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pump, remote = typing(b"a\x10", None, b"b", matcher=Matcher(KEYS), detach_timeout=0.5)
    assert pump.release_at() is None
    run(pump, 1)
    assert remote.data == b"a"
    assert pump.release_at() == 100.5
    now[0] = 100.5
    pump.release()
    assert remote.data == b"a\x10"
    assert pump.release_at() is None
    assert pump.moved == 2
    run(pump, 2)
    assert remote.data == b"a\x10b"


def test_the_time_counts_from_the_last_key(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pump, remote = typing(b"\x10", b"\x10", matcher=Matcher(KEYS), detach_timeout=0.5)
    run(pump, 1)
    now[0] = 100.4
    run(pump, 1)
    assert remote.data == b"\x10"
    assert pump.release_at() == pytest.approx(100.9)


def test_a_released_key_does_not_detach_with_the_next() -> None:
    pump, remote = typing(b"\x10", b"\x11", matcher=Matcher(KEYS))
    run(pump, 1)
    pump.release()
    run(pump, 1)
    assert not pump.detached
    assert remote.data == KEYS


def test_what_is_withheld_at_the_end_of_input_is_sent() -> None:
    pump, remote = typing(b"a\x10", matcher=Matcher(KEYS), at_end="keep")
    run(pump)
    assert remote.data == b"a\x10"


def test_a_release_with_nothing_withheld_sends_nothing() -> None:
    pump, remote = typing(matcher=Matcher(KEYS))
    pump.release()
    piped, _ = typing()
    piped.release()
    assert remote.data == b""
    assert piped.release_at() is None


@given(strategies.typed, strategies.keys, strategies.cuts)
def test_without_detach_keys_in_it_all_that_is_typed_arrives(
    typed: bytes, keys: bytes, lengths: list[int]
) -> None:
    pump, remote = typing(*strategies.cut(typed, lengths), matcher=Matcher(keys), at_end="keep")
    run(pump)
    if keys and keys in typed:
        assert pump.detached
        assert remote.data == typed[: typed.index(keys)]
    else:
        assert remote.data == typed


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ([], b"\x04"),
        ([b"line\n"], b"line\n\x04"),
        ([b"no newline"], b"no newline\x04\x04"),
        ([b"a\n", b"b"], b"a\nb\x04\x04"),
    ],
)
def test_at_a_terminal_the_end_of_input_is_ctrl_d(typed: list[bytes], sent: bytes) -> None:
    pump, remote = typing(*typed, at_end="eot")
    run(pump)
    assert remote.data == sent
    assert remote.ends == remote.closes == 0


def test_a_half_close_waits_until_all_was_sent() -> None:
    pump, remote = typing(b"0123456789", remote=Remote([4, 0, 0, 3]))
    run(pump)
    assert pump.eof
    buffer = memoryview(bytearray(10))
    for _ in range(3):
        assert not pump.busy()
        assert pump.interest() == [(1002, select.POLLOUT)]
        assert remote.ends == 0
        pump.serve({1002: select.POLLOUT}, buffer)
    pump.serve({1002: select.POLLOUT}, buffer)
    assert (remote.data, remote.ends, remote.closes) == (b"0123456789", 1, 0)
    assert not pump.busy()
    pump.serve({}, buffer)
    assert remote.ends == 1


def test_a_half_close_with_nothing_to_send_needs_no_poll() -> None:
    pump, remote = typing(b"")
    run(pump)
    assert pump.busy()
    pump.serve({}, memoryview(bytearray(10)))
    assert remote.ends == 1
    assert not pump.busy()


def test_a_connection_of_its_own_is_closed_at_the_end_of_input() -> None:
    pump, remote = typing(b"0123456789", remote=Remote([4]), at_end="close")
    run(pump)
    assert remote.closes == 0
    pump.to_stream.do_write()
    assert (remote.data, remote.closes) == (b"0123456789", 1)


def test_a_kept_connection_is_left_alone_at_the_end_of_input() -> None:
    pump, remote = typing(b"all", at_end="keep")
    run(pump)
    assert (remote.data, remote.ends, remote.closes) == (b"all", 0, 0)


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ECONNRESET])
@pytest.mark.parametrize("at_end", ["half-close", "eot", "close", "keep"])
def test_a_process_that_closed_its_stdin_drops_input_and_keeps_the_connection(code: int, at_end: str) -> None:
    class Gone(Refusing, Remote):
        pass

    remote = Gone([])
    remote.code = code
    pump, _ = typing(b"x", b"y", remote=remote, at_end=at_end)
    run(pump)
    assert pump.eof
    assert pump.is_done()
    assert pump.interest() == []
    assert not pump.busy()
    assert remote.closes == 0
    assert not pump.hung_up


def test_the_terminal_that_is_gone_is_a_hang_up() -> None:
    class Gone:
        def recv_into(self, buffer: memoryview) -> int:
            raise OSError(errno.EIO, "gone")

    pump = InputPump(Stream(Gone()), Stream(Remote([])), is_terminal=True)
    run(pump)
    assert pump.hung_up
    assert pump.eof
    piped = InputPump(Stream(Gone()), Stream(Remote([])))
    with pytest.raises(OSError, match="gone"):
        run(piped)


def test_a_terminal_that_hangs_up_sends_no_end_of_input() -> None:
    class Gone(ReadyWire):
        def fileno(self) -> int:
            return 1003

    remote = Remote([])
    pump = InputPump(Stream(Gone([b""])), Stream(remote), is_terminal=True, at_end="eot")
    pump.serve({1003: select.POLLIN | select.POLLHUP}, memoryview(bytearray(10)))
    assert (pump.hung_up, pump.eof) == (True, True)
    assert (remote.data, remote.ends) == (b"", 0)


def test_the_end_of_a_pipe_comes_with_a_hang_up_and_is_the_end_of_input() -> None:
    class Ended(ReadyWire):
        def fileno(self) -> int:
            return 1003

    remote = Remote([])
    pump = InputPump(Stream(Ended([b"last", b""])), Stream(remote))
    for _ in range(2):
        pump.serve({1003: select.POLLIN | select.POLLHUP}, memoryview(bytearray(10)))
    assert not pump.hung_up
    assert (remote.data, remote.ends) == (b"last", 1)


def test_a_connection_that_cannot_be_half_closed_is_an_error_that_says_so() -> None:
    class Whole(Remote):
        def half_close(self) -> None:
            raise OSError(errno.ENOTSUP, "not supported")

    pump, _ = typing(b"", remote=Whole([]))
    run(pump)
    with pytest.raises(DockerptyError, match="cannot end the input of the process"):
        pump.serve({}, memoryview(bytearray(10)))


@pytest.mark.parametrize(
    "error",
    [
        # As the transports give them: the network timed out, has no route any more, or TLS failed.
        ConnectionResetError(errno.ETIMEDOUT, "timed out"),
        ConnectionResetError(errno.EHOSTUNREACH, "no route"),
        BrokenPipeError(1, "TLS failed: BAD_LENGTH"),
    ],
)
def test_input_that_the_connection_loses_is_a_loss_and_not_the_end_of_a_stdin(error: ConnectionError) -> None:
    class Lost(Remote):
        def send(self, data: bytes | bytearray | memoryview) -> int:
            raise error

    pump, _ = typing(b"x", remote=Lost([]))
    run(pump)
    assert (pump.lost, pump.failure, pump.eof) == (True, error, True)


def test_a_process_that_has_closed_its_stdin_is_no_loss() -> None:
    class Gone(Refusing, Remote):
        pass

    pump, _ = typing(b"x", remote=Gone([]))
    run(pump)
    assert (pump.lost, pump.failure, pump.eof) == (False, None, True)


def test_input_waits_while_the_process_takes_none() -> None:
    pump, _ = typing(*[b"x" * 1000] * 500, remote=Remote([0] * 1000))
    buffer = memoryview(bytearray(1000))
    while pump.has_room():
        pump.step(buffer)
    assert pump.to_stream.backlog() <= 65536 + 1000
    assert pump.interest() == [(1002, select.POLLOUT)]


# Output ------------------------------------------------------------------------------------------------------------


def framed(*frames: tuple[int, bytes], tail: bytes = b"") -> Demuxer:
    pieces: list[bytes | None] = [encode(*frame) for frame in frames]
    return Demuxer(Stream(ReadyWire([*pieces, tail] if tail else pieces)))


def test_what_the_container_writes_arrives_where_it_belongs_and_is_counted() -> None:
    out, err = Host([]), Host([])
    pump = OutputPump(framed((1, b"out"), (2, b"err"), (0, b"echo")), Stream(out), Stream(err))
    run(pump)
    assert (out.data, err.data, pump.moved) == (b"outecho", b"err", 10)
    assert pump.is_done()
    assert (pump.lost, pump.stdout_closed, pump.hung_up) == (False, False, False)


def test_the_end_of_output_closes_nothing_of_the_callers() -> None:
    out = Host([])
    run(OutputPump(Stream(ReadyWire([b"x"])), Stream(out)))
    assert out.closes == 0


@pytest.mark.parametrize("cut", [3, 8, 10])
def test_a_stream_that_ends_in_a_frame_is_lost(cut: int) -> None:
    pump = OutputPump(framed((1, b"all"), tail=encode(1, b"cut off")[:cut]), Stream(Host([])))
    run(pump)
    assert pump.lost


def test_a_reset_connection_is_lost_and_says_why() -> None:
    class Reset:
        def recv_into(self, buffer: memoryview) -> int:
            raise ConnectionResetError(errno.ECONNRESET, "reset by peer")

    pump = OutputPump(Stream(Reset()), Stream(Host([])))
    run(pump)
    assert pump.lost
    assert pump.eof
    assert isinstance(pump.failure, ConnectionResetError)


@pytest.mark.parametrize("bad", [encode(3, b"daemon broke"), b"\x09\0\0\0\0\0\0\1x", b"\x01\0\0\0\x80\0\0\0"])
def test_what_cannot_be_is_lost_after_what_was_good(bad: bytes) -> None:
    out = Host([])
    pump = OutputPump(framed((1, b"good"), tail=bad), Stream(out))
    run(pump)
    assert out.data == b"good"
    assert pump.lost
    assert isinstance(pump.failure, ProtocolError)


def test_a_reader_that_went_away_ends_the_session() -> None:
    class Gone(Refusing, Host):
        pass

    out = Gone([])
    pump = OutputPump(framed((1, b"x")), Stream(out))
    run(pump)
    assert pump.stdout_closed
    assert pump.eof
    assert out.closes == 1
    assert pump.interest() == []


def test_a_reader_that_went_away_is_noticed_while_all_is_idle() -> None:
    read_fd, write_fd = os.pipe()
    out = Host([])
    out.number = write_fd
    pump = OutputPump(Stream(ReadyWire([None])), Stream(out))
    pump._inner.fd.fileno = lambda: read_fd
    assert (write_fd, 0) in pump.interest()
    os.close(read_fd)
    poll = select.poll()
    poll.register(write_fd, 0)
    ready = dict(poll.poll(1000))
    pump.serve(ready, memoryview(bytearray(10)))
    assert pump.stdout_closed
    os.close(write_fd)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_that_went_away_while_all_is_idle_is_a_hang_up(is_terminal: bool) -> None:
    class Quiet(ReadyWire):
        def fileno(self) -> int:
            return 1003

    out = Host([])
    out.is_terminal = is_terminal
    pump = OutputPump(Stream(Quiet([None])), Stream(out))
    pump.serve({out.number: select.POLLHUP}, memoryview(bytearray(10)))
    assert pump.hung_up is is_terminal
    assert out.closes == 1


def test_a_stderr_that_went_away_is_dropped_and_the_rest_goes_on() -> None:
    class Gone(Refusing, Host):
        pass

    out, err = Host([]), Gone([])
    pump = OutputPump(framed((1, b"one "), (2, b"lost"), (2, b"lost"), (1, b"two")), Stream(out), Stream(err))
    run(pump)
    assert out.data == b"one two"
    assert err.closes == 1
    assert not pump.stdout_closed


def test_a_terminal_that_is_gone_is_a_hang_up() -> None:
    class Gone(Refusing, Host):
        code = errno.EIO
        is_terminal = True

    pump = OutputPump(framed((1, b"x")), Stream(Gone([])))
    run(pump)
    assert pump.hung_up


def test_what_fails_and_is_no_terminal_is_no_hang_up() -> None:
    class Failing(Refusing, Host):
        code = errno.EIO

    pump = OutputPump(framed((1, b"x")), Stream(Failing([])))
    with pytest.raises(OSError, match="gone"):
        run(pump)
    assert not pump.hung_up


def test_it_reads_no_more_at_once_than_the_sink_takes_well() -> None:
    readable, writable = os.pipe()
    os.write(writable, b"ready")

    class Wire(ReadyWire):
        sizes: tuple[int, ...] = ()

        def fileno(self) -> int:
            return readable

        def recv_into(self, buffer: memoryview) -> int:
            self.sizes += (len(buffer),)
            return super().recv_into(buffer)

    class Sink(Host):
        number = writable

    source = Wire([b"x", None])
    loop = Loop()
    loop.pump(OutputPump(Stream(source), Stream(Sink([]))))
    loop.turn()
    os.close(readable)
    os.close(writable)
    assert set(source.sizes) == {32768}


class Chunks(ReadyWire):
    """A connection that poll can be asked about."""

    def fileno(self) -> int:
        return 1003


class Clock:
    """A clock that a test moves, and that a sleep moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.rested = 0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        assert seconds <= 0.0002
        self.now += seconds
        self.rested += 1


def gathered(clock: Clock, steps: list[tuple[float, int]], *, typed: InputPump | None = None) -> int:
    """Pass on so many bytes after so many seconds each, and count how often they are left to gather."""
    script: list[bytes | None] = []
    for _, size in steps:
        script += [bytes(size), None]
    pump = OutputPump(Stream(Chunks(script)), Stream(Host([])))
    buffer = memoryview(bytearray(2**22))
    for seconds, _ in steps:
        clock.now += seconds
        if typed is not None:
            pump.questions = [typed]
            typed.moved += 10
        assert pump.step(buffer)
        pump.read_on(buffer)
    return clock.rested


@pytest.mark.parametrize(
    ("per_ms", "rests"),
    [(32, False), (200, True), (900, False)],
    ids=["slower than a stream", "as an engine sends", "faster than a socket can hold"],
)
def test_a_stream_as_fast_as_an_engines_is_left_to_gather_when_it_has_run_dry(
    per_ms: int, rests: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bool(gathered(Clock(monkeypatch), [(0.0005, per_ms * 500)] * 60)) is rests


def test_who_asks_over_stdin_does_not_wait_for_the_answer_to_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = InputPump(Stream(Chunks([])), Stream(Remote([])))
    answers = [(0.001, 131072)] * 60
    assert gathered(Clock(monkeypatch), answers, typed=typed) == 0
    assert gathered(Clock(monkeypatch), answers) > 0


def test_a_burst_is_not_left_to_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gathered(Clock(monkeypatch), [(1.0, 5000), (0.005, 1_000_000), (1.0, 5000), (1.0, 5000)]) == 0


def full_pipe() -> tuple[int, int, int]:
    """Make a pipe that takes nothing: its ends, and how much is in it."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    held = 0
    while True:
        try:
            held += os.write(writable, bytes(4096))
        except BlockingIOError:
            return readable, writable, held


class Patience:
    """A poll that is asked for room: notes for how long, and what happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
        self.waits: list[float] = []
        self._meanwhile = meanwhile
        monkeypatch.setattr("dockerpty.io._select.poll", lambda: self)

    def register(self, fd: int, events: int) -> None:
        assert events == select.POLLOUT

    def poll(self, milliseconds: float) -> object:
        self.waits.append(milliseconds)
        return self._meanwhile()


def test_a_full_sink_that_has_room_in_a_moment_is_waited_for_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readable, writable, held = full_pipe()
    patience = Patience(monkeypatch, lambda: os.read(readable, held))
    pump = OutputPump(Stream(Chunks([b"x" * 8192])), Stream(writable))
    pump.serve({1003: select.POLLIN}, memoryview(bytearray(65536)))
    assert not pump.to_stream.needs_write()
    assert os.read(readable, 65536) == b"x" * 8192
    assert patience.waits == [1]
    pump.to_stream.close()
    os.close(readable)


def test_a_stopped_sink_is_waited_for_once_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [full_pipe(), full_pipe()]
    patience = Patience(monkeypatch, list)
    frames = b"".join(encode(1 + n % 2, bytes(5000)) for n in range(10))
    pump = OutputPump(Demuxer(Stream(Chunks([frames]))), Stream(ends[0][1]), Stream(ends[1][1]))
    pump.serve({1003: select.POLLIN}, memoryview(bytearray(65536)))
    assert patience.waits == [1]
    for readable, writable, _ in ends:
        os.close(readable)
        os.close(writable)


def test_who_only_looks_on_waits_for_no_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    readable, writable, _ = full_pipe()
    patience = Patience(monkeypatch, list)
    pump = WatchPump(Stream(Chunks([bytes(8192)])), Stream(writable), redraw=lambda: None)
    pump.serve({1003: select.POLLIN}, memoryview(bytearray(65536)))
    assert patience.waits == []
    os.close(readable)
    os.close(writable)


def test_the_modes_that_output_switches_on_are_followed() -> None:
    modes = ModeTracker()
    pump = OutputPump(Stream(ReadyWire([b"\x1b[?10", b"49h"])), Stream(Host([])), modes=modes)
    run(pump)
    assert modes.undo() == b"\x1b[?1049l"


def test_the_text_of_a_failed_start_is_withheld_for_the_one_who_asks() -> None:
    out = Host([])
    text = b"OCI runtime exec failed: nosuch: executable file not found\r\n"
    pump = OutputPump(framed((1, text)), Stream(out), may_fail_to_start=True)
    run(pump)
    assert (out.data, pump.moved) == (b"", 0)
    assert pump.take_withheld() == text
    assert pump.take_withheld() == b""


def test_what_only_looked_like_it_is_output_when_more_comes() -> None:
    out = Host([])
    pump = OutputPump(framed((1, b"windows line\r\n"), (2, b"more")), Stream(out), may_fail_to_start=True)
    run(pump)
    assert out.data == b"windows line\r\nmore"
    assert pump.take_withheld() == b""


def test_what_only_looked_like_it_is_output_when_its_time_is_over() -> None:
    out, err = Host([]), Host([])
    pump = OutputPump(framed((2, b"exec failed")), Stream(out), Stream(err), may_fail_to_start=True)
    assert pump.release_at() is None
    run(pump, 1)
    until = pump.release_at()
    assert until is not None
    assert time.monotonic() < until <= time.monotonic() + 1
    pump.release()
    assert (out.data, err.data, pump.moved) == (b"", b"exec failed", 11)
    assert pump.release_at() is None


@given(strategies.frames, strategies.cuts, st.lists(st.integers(0, 9), max_size=20))
def test_output_equals_input_per_stream_and_in_order(
    frames: list[tuple[int, bytes]], lengths: list[int], taken: list[int]
) -> None:
    frames = [(stream, payload) for stream, payload in frames if stream != 3]
    wire = b"".join(encode(*frame) for frame in frames)
    out, err = Host(list(taken)), Host(list(taken))
    source = Demuxer(Stream(ReadyWire(list(strategies.cut(wire, lengths)))))
    pump = OutputPump(source, Stream(out), Stream(err), may_fail_to_start=bool(taken))
    run(pump, 10_000)
    pump.release()
    for sink in pump.sinks():
        while sink.needs_write():
            sink.do_write()
    assert out.data == b"".join(payload for stream, payload in frames if stream != 2)
    assert err.data == b"".join(payload for stream, payload in frames if stream == 2)
    assert pump.moved == sum(len(payload) for _, payload in frames)
    assert pump.is_done()


# Looking on ----------------------------------------------------------------------------------------------------------


class Screen(Host):
    is_terminal = True


class Unread(Refusing, Host):
    """A pipe whose reader has gone."""


class Connection(ReadyWire):
    def fileno(self) -> int:
        return 1003


def watching(
    *pieces: bytes | None, sink: Any = None, framed: bool = False, **sinks: Any
) -> tuple[WatchPump, list[str]]:
    asked: list[str] = []
    source: Any = Stream(Connection(list(pieces)))
    pump = WatchPump(
        Demuxer(source) if framed else source,
        Stream(sink or Screen([])),
        redraw=lambda: asked.append("redraw"),
        **sinks,
    )
    return pump, asked


def test_who_looks_on_reads_always_and_keeps_little() -> None:
    sink = Screen([0] * 100_000)
    pump, _ = watching(*[b"x" * 1000] * 1000, sink=sink)
    for _ in range(1000):
        assert pump.has_room()
        pump.step(memoryview(bytearray(1000)))
    assert pump.to_stream.backlog() <= HIGH_WATER + 1000
    assert not pump.is_done()


def test_what_was_skipped_is_counted_and_the_screen_drawn_anew_when_the_terminal_takes_more() -> None:
    sink = Screen([0] * 66)
    pump, asked = watching(*[b"x" * 1000] * 70, b"after", sink=sink)
    run(pump, 70)
    shown = pump.to_stream.backlog()
    skipped = 70_000 - shown
    assert skipped > 0
    assert asked == []
    pump.serve({sink.fileno(): select.POLLOUT}, memoryview(bytearray(1000)))
    assert sink.data == b"x" * shown + b"\x18\r\n[%d bytes skipped]\r\n" % skipped
    assert asked == ["redraw"]
    run(pump, 1)
    assert sink.data.endswith(b"skipped]\r\nafter")


def test_what_is_skipped_has_come_all_the_same() -> None:
    # Whoever asks whether anything moved, as an idle limit does, is not told that all is silent.
    pump, _ = watching(*[b"x" * 1000] * 70, sink=Screen([0] * 66))
    run(pump, 70)
    assert pump.to_stream.backlog() < 70_000
    assert pump.moved == 70_000


def test_what_is_skipped_goes_on_being_skipped_until_all_that_was_kept_is_shown() -> None:
    # Half a screen here, half a screen there would be worse than a gap.
    sink = Screen([0] * 66 + [10_000, 0])
    pump, asked = watching(*[b"x" * 1000] * 70, b"late", sink=sink)
    run(pump, 70)
    pump.serve({sink.fileno(): select.POLLOUT}, memoryview(bytearray(1000)))
    run(pump, 1)
    assert b"late" not in pump.to_stream.buffer
    assert asked == []


def test_the_mark_comes_also_where_the_container_ends_in_the_gap() -> None:
    sink = Screen([0] * 66)
    pump, asked = watching(*[b"x" * 1000] * 70, b"", sink=sink)
    run(pump, 71)
    assert pump.eof
    assert not pump.is_done()
    pump.serve({sink.fileno(): select.POLLOUT}, memoryview(bytearray(1000)))
    assert sink.data.endswith(b"bytes skipped]\r\n")
    assert pump.is_done()
    assert asked == []  # nobody is left to draw


def test_a_pipe_gets_a_mark_without_a_terminals_signs() -> None:
    sink = Host([0] * 66)
    pump, _ = watching(*[b"x" * 1000] * 70, sink=sink)
    run(pump, 70)
    pump.serve({sink.fileno(): select.POLLOUT}, memoryview(bytearray(1000)))
    assert re.search(rb"x\n\[\d+ bytes skipped\]\n$", sink.data)


def test_a_stopped_stderr_takes_nothing_from_stdout() -> None:
    out, err = Host([]), Host([0] * 100_000)
    frames = [encode(2, b"e" * 900)] * 80 + [encode(1, b"out")]
    pump, _ = watching(*frames, sink=out, framed=True, error_stream=Stream(err))
    run(pump, 81)
    assert out.data == b"out"
    assert pump.error_stream.backlog() <= HIGH_WATER + 900


def test_a_reader_that_is_gone_ends_the_watch() -> None:
    pump, _ = watching(b"x", sink=Unread([]))
    run(pump, 1)
    assert pump.stdout_closed
    assert pump.eof
    assert pump.is_done()
