from __future__ import annotations

import os
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from dockerpty.engine.transport import SocketTransport
from dockerpty.frames import encode
from dockerpty.host_io import DescriptorInput, open_output
from dockerpty.io import Demuxer, Pump, Stream
from dockerpty.keys import Matcher
from dockerpty.loop import Loop
from dockerpty.modes import ModeTracker
from dockerpty.pumps import InputPump, OutputPump
from tests.bed.waiting import wait_for
from tests.unit.test_io import fill

LONG = 60.0


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield the two ends of a pipe; the test may hand either to somebody who closes it."""
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd, "rb"), os.fdopen(write_fd, "wb"):
        yield read_fd, write_fd


class Counting:
    """Can always be served, and counts how often it was."""

    def __init__(self) -> None:
        self.turns = 0

    def interest(self) -> list[tuple[int, int]]:
        return []

    def busy(self) -> bool:
        return True

    def deadline(self) -> float | None:
        return None

    def serve(self, ready: dict[int, int]) -> None:
        self.turns += 1


def turn(loop: Loop, seconds: float = LONG) -> None:
    """Let the loop turn once, and wait for no longer than this."""
    limit: list[float | None] = [time.monotonic() + seconds]
    loop.at(lambda: limit[0], lambda: None)
    loop.turn()
    limit[0] = None


def turns_in(loop: Loop, seconds: float) -> int:
    """Let the loop turn for a while; count its turns."""
    turns = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        turn(loop, end - time.monotonic())
        turns += 1
    return turns


def test_a_turn_ends_at_its_first_deadline() -> None:
    limit = time.monotonic() + 0.02
    turn(Loop(), 0.02)
    assert time.monotonic() >= limit


def test_a_turn_moves_what_is_ready(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    loop = Loop()
    loop.pump(Pump(Stream(near), Stream(write_fd), propagate_close=False))
    far.send(b"hello")
    turn(loop)
    assert os.read(read_fd, 100) == b"hello"


def test_an_action_is_called_once_its_time_has_come_and_not_before() -> None:
    loop, called = Loop(), []
    due: list[float | None] = [None]

    def act() -> None:
        called.append(time.monotonic())
        due[0] = None

    loop.at(lambda: due[0], act)
    turn(loop, 0)
    assert not called
    at = due[0] = time.monotonic() + 0.02
    turn(loop)
    assert len(called) == 1
    assert called[0] >= at


def test_who_is_busy_is_served_at_once() -> None:
    loop, busy = Loop(), Counting()
    loop.watch(busy)
    turn(loop)
    assert busy.turns == 1


def test_what_is_due_does_not_wait_and_what_is_not_waits_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []

    class Poll:
        def poll(self, timeout: float | None) -> list[tuple[int, int]]:
            waits.append(timeout)
            return []

    monkeypatch.setattr(select, "poll", Poll)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    due: list[float | None] = [None]
    loop = Loop()
    loop.at(lambda: due[0], lambda: None)
    for due[0] in (None, 999.0, 1000.0, 1000.5):
        loop.turn()
    loop.watch(Counting())
    loop.turn()
    assert waits[:3] == [None, 0, 0]
    assert waits[3] is not None
    assert 500 < waits[3] <= 501
    assert waits[4] == 0


def test_a_deadline_beyond_what_poll_can_wait_for_is_waited_for_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Loop()
    served = []
    until = time.monotonic() + 1e300
    loop.at(lambda: until, lambda: served.append(1))
    loop._register([])
    waits = []

    class Poll:
        def poll(self, timeout: float | None) -> list[tuple[int, int]]:
            waits.append(timeout)
            select.poll().poll(0 if timeout is None else min(timeout, 0))
            return []

    monkeypatch.setattr(loop, "_poll", Poll())
    loop.turn()
    assert waits == [2**31 - 1]
    assert served == []


def test_all_are_served_in_the_order_they_were_given() -> None:
    order: list[int] = []

    class Named(Counting):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def serve(self, ready: dict[int, int]) -> None:
            order.append(self.number)

    loop = Loop()
    for number in (2, 3, 1):
        loop.watch(Named(number))
    turn(loop, 0)
    assert order == [2, 3, 1]


def test_who_is_served_may_add_somebody() -> None:
    loop, late = Loop(), Counting()

    class Adding(Counting):
        def serve(self, ready: dict[int, int]) -> None:
            if not self.turns:
                loop.watch(late)
            super().serve(ready)

    loop.watch(Adding())
    turn(loop, 0)
    assert late.turns == 0
    turn(loop, 0)
    assert late.turns == 1


def test_calls_are_served_when_their_descriptor_is_ready_or_their_time_has_come(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    near, far = connection

    class Calls:
        served = 0
        until: float | None = None

        def interest(self) -> list[tuple[int, int]]:
            return [(near.fileno(), select.POLLIN)]

        def deadline(self) -> float | None:
            return self.until

        def serve(self) -> None:
            self.served += 1
            self.until = None

    loop, calls = Loop(), Calls()
    loop.calls(calls)
    turn(loop, 0)
    assert calls.served == 0
    calls.until = time.monotonic() + 0.01
    turn(loop)
    assert calls.served == 1
    far.send(b"x")
    turn(loop)
    assert calls.served == 2


def test_half_a_frame_does_not_spin(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    loop = Loop()
    loop.pump(Pump(Demuxer(Stream(near)), Stream(write_fd), propagate_close=False))
    frame = encode(1, b"both halves")
    for part in (frame[:4], frame[4:12]):
        far.send(part)
        assert turns_in(loop, 0.1) < 10
    assert os.read(read_fd, 100) == b"both"
    far.send(frame[12:])
    turn(loop)
    assert os.read(read_fd, 100) == b" halves"


def test_an_output_that_takes_nothing_does_not_spin(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    out = open_output(write_fd, "stdout")
    loop = Loop()
    pump = OutputPump(Stream(near), out)
    loop.pump(pump)
    try:
        for _ in range(20):
            fill(far)
            turn(loop, 0)
        assert turns_in(loop, 0.1) < 10
        assert out.backlog() <= 2 * 65536
        taken = 0
        while out.backlog():
            taken += len(os.read(read_fd, 65536))
            turn(loop)
        assert taken
    finally:
        out.abandon()


def test_an_input_that_is_not_taken_does_not_stop_the_output(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    fill(near)
    remote = Stream(near)
    zero = os.open("/dev/zero", os.O_RDONLY)
    out = open_output(write_fd, "stdout")
    try:
        typed = InputPump(Stream(DescriptorInput(zero, False, asks=True)), remote)
        loop = Loop()
        loop.pump(typed)
        loop.pump(OutputPump(remote, out))
        for _ in range(20):
            turn(loop, 0)
        assert remote.backlog() <= 2 * 65536
        assert turns_in(loop, 0.05) < 10
        far.send(b"still here")
        turn(loop)
        assert os.read(read_fd, 100) == b"still here"
    finally:
        out.abandon()
        os.close(zero)


def test_an_idle_loop_does_not_turn(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, _ = connection
    _, write_fd = pipe
    out = open_output(write_fd, "stdout")
    try:
        loop = Loop()
        loop.pump(OutputPump(Stream(near), out))
        assert turns_in(loop, 0.1) < 10
    finally:
        out.abandon()


class Staying:
    """A loop that lingers in a thread of its own, and says when it came back."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=lambda: loop.turn(linger=True), daemon=True)
        self._thread.start()

    def __enter__(self) -> Staying:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.join(LONG)
        assert not self._thread.is_alive(), "the turn did not end"

    @property
    def stays(self) -> bool:
        self._thread.join(0.05)
        return self._thread.is_alive()


@pytest.fixture
def waker() -> Iterator[tuple[int, Counting]]:
    """Yield a descriptor that ends a turn when it is written to, and who is served then."""
    read_fd, write_fd = os.pipe()

    class Woken(Counting):
        def interest(self) -> list[tuple[int, int]]:
            return [(read_fd, select.POLLIN)]

        def busy(self) -> bool:
            return False

    yield write_fd, Woken()
    os.close(read_fd)
    os.close(write_fd)


def test_a_lingering_turn_lets_bytes_pass_until_somebody_else_is_called(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int], waker: tuple[int, Counting]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    wake_fd, woken = waker
    loop = Loop()
    pump = OutputPump(Stream(near), Stream(write_fd))
    loop.pump(pump)
    loop.watch(woken)
    with Staying(loop) as turn_:
        for word in (b"one", b"two", b"three"):
            far.send(word)
            assert os.read(read_fd, 100) == word
        assert turn_.stays
        os.write(wake_fd, b"!")
    assert woken.turns == 1
    assert pump.moved == len(b"onetwothree")


def test_a_lingering_turn_ends_at_its_deadline_however_much_passes(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    os.set_blocking(read_fd, False)
    loop = Loop()
    loop.pump(OutputPump(Stream(near), Stream(write_fd)))
    limit = time.monotonic() + 0.1
    called: list[float] = []
    due: list[float | None] = [limit]

    def act() -> None:
        called.append(time.monotonic())
        due[0] = None

    loop.at(lambda: due[0], act)
    with Staying(loop) as turn_:
        while turn_.stays:
            far.send(b"k")
            time.sleep(0.001)
            with suppress(BlockingIOError):  # nothing now
                os.read(read_fd, 100)
    assert time.monotonic() >= limit
    # What moved may have moved the deadline: only the next turn, which asks again, calls.
    assert not called
    turn(loop, 0)
    assert len(called) == 1


def test_a_lingering_turn_ends_when_its_pump_has_more_to_do_than_to_read(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    os.set_blocking(read_fd, False)
    out = open_output(write_fd, "stdout")
    loop = Loop()
    loop.pump(OutputPump(Stream(near), out))
    try:
        with Staying(loop) as turn_:
            while turn_.stays:
                with suppress(BlockingIOError):  # it is full
                    far.send(bytes(65536))
        assert out.backlog()
    finally:
        out.abandon()


def test_a_lingering_turn_ends_after_a_moment_so_that_all_are_asked_for_their_deadlines(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    loop = Loop()
    loop.pump(OutputPump(Stream(near), Stream(write_fd)))
    began = time.monotonic()
    with Staying(loop) as turn_:
        assert turn_.stays  # while nothing moves there is no reason to look round
        far.send(b"key")
        assert os.read(read_fd, 100) == b"key"
    assert time.monotonic() - began < LONG


def test_a_lingering_turn_ends_when_a_key_is_withheld(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    near, far = connection
    remote, process = socket.socketpair()
    with remote, process:
        loop = Loop()
        pump = InputPump(Stream(near), Stream(remote), matcher=Matcher(b"\x10\x11"), is_terminal=True)
        loop.pump(pump)
        with Staying(loop):
            far.send(b"a\x10")
        assert process.recv(10) == b"a"
        assert pump.release_at() is not None
        far.send(b"b")
        turn(loop)
        assert process.recv(10) == b"\x10b"
        assert pump.quiet()


def test_a_lingering_turn_does_not_leave_what_no_poll_tells_of(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe

    class Holding:
        """As a TLS object: the first read leaves something behind on our side of the descriptor."""

        held = b""

        def fileno(self) -> int:
            return near.fileno()

        def pending(self) -> int:
            return len(self.held)

        def recv_into(self, buffer: memoryview) -> int:
            data = self.held or near.recv(100)
            buffer[0] = data[0]
            self.held = data[1:]
            return 1

    loop = Loop()
    loop.pump(OutputPump(Stream(Holding()), Stream(write_fd)))
    with Staying(loop):
        far.send(b"ab")
    turn(loop)
    assert os.read(read_fd, 10) == b"ab"


@pytest.mark.parametrize("sizes", [(1, 3), (1, 5000), (4000, 70000)])
def test_the_short_way_loses_and_turns_round_nothing(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int], sizes: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    os.set_blocking(read_fd, False)
    chance = random.Random(sum(sizes))
    out = open_output(write_fd, "stdout")
    loop = Loop()
    pump = OutputPump(Stream(SocketTransport(near.dup(), "engine")), out)
    loop.pump(pump)
    sent, taken = bytearray(), bytearray()
    try:
        for _ in range(300):
            data = chance.randbytes(chance.randint(*sizes))
            with suppress(BlockingIOError):  # no room now
                sent += data[: far.send(data)]
            turn(loop, 0)
            # Often less than came: the pipe is full, half of a piece goes, and the rest has to wait.
            with suppress(BlockingIOError):
                taken += os.read(read_fd, chance.randint(1, sizes[1]))
        while len(taken) < len(sent):
            turn(loop, 0)
            with suppress(BlockingIOError):  # nothing now
                taken += os.read(read_fd, 65536)
        assert taken == sent
        assert pump.moved == len(sent)
    finally:
        out.abandon()
        pump.from_stream.abandon()


def test_the_end_comes_by_the_short_way_too(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe
    out = open_output(write_fd, "stdout")
    loop = Loop()
    pump = OutputPump(Stream(SocketTransport(near.dup(), "engine")), out)
    loop.pump(pump)
    far.send(b"bye")
    turn(loop)
    far.shutdown(socket.SHUT_WR)
    turn(loop)
    assert pump.eof
    assert os.read(read_fd, 10) == b"bye"
    out.abandon()
    pump.from_stream.abandon()


def test_keys_that_may_detach_do_not_go_the_short_way_and_all_others_do(pipe: tuple[int, int]) -> None:
    read_fd, write_fd = pipe
    remote, process = socket.socketpair()
    own = os.dup(read_fd)
    os.set_blocking(own, False)
    with process:
        loop = Loop()
        transport = SocketTransport(remote, "engine")
        pump = InputPump(
            Stream(DescriptorInput(own, True, asks=False)), Stream(transport), matcher=Matcher(b"\x10\x11")
        )
        loop.pump(pump)
        for typed, arrived in ((b"a", b"a"), (b"b\x10", b"b"), (b"c", b"\x10c"), (b"d\x10\x11e", b"d")):
            os.write(write_fd, typed)
            turn(loop)
            assert process.recv(10) == arrived
        assert pump.detached
        pump.from_stream.abandon()
        transport.close()


def test_the_engines_keys_are_found_when_the_first_was_released_before_the_second_came(
    pipe: tuple[int, int],
) -> None:
    read_fd, write_fd = pipe
    remote, process = socket.socketpair()
    own = os.dup(read_fd)
    os.set_blocking(own, False)
    with process:
        loop = Loop()
        transport = SocketTransport(remote, "engine")
        keys = Matcher(b"\x01\x02", engine_keys=b"\x10\x11")
        pump = InputPump(
            Stream(DescriptorInput(own, True, asks=False)), Stream(transport), matcher=keys, detach_timeout=0
        )
        loop.pump(pump)
        loop.at(pump.release_at, pump.release)
        os.write(write_fd, b"\x10")
        turn(loop)
        turn(loop)
        assert process.recv(10) == b"\x10"
        os.write(write_fd, b"\x11z")
        turn(loop)
        assert pump.detached
        pump.from_stream.abandon()
        transport.close()


def test_what_a_short_write_has_sent_is_seen_by_the_mode_tracker(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe

    class Narrow:
        """As a slow terminal: of a write it takes what has room."""

        def fileno(self) -> int:
            return write_fd

        def send(self, data: memoryview) -> int:
            return os.write(write_fd, data[:9])

        def direct_write(self) -> tuple[Callable[[memoryview], int]]:
            return (self.send,)

    modes = ModeTracker()
    loop = Loop()
    pump = OutputPump(Stream(SocketTransport(near.dup(), "engine")), Stream(Narrow()), modes=modes)
    loop.pump(pump)
    far.send(b"\x1b[?1049h" + bytes(100))
    turn(loop)
    assert os.read(read_fd, 8) == b"\x1b[?1049h"
    assert modes.undo() == b"\x1b[?1049l"
    pump.from_stream.abandon()


def test_a_source_that_is_read_in_its_own_way_does_not_go_the_short_way(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int]
) -> None:
    near, far = connection
    read_fd, write_fd = pipe

    class Loud(Stream):
        def read(self, n: int = 4096) -> bytes:
            return super().read(n).upper()

    class Foreign:
        def fileno(self) -> int:
            return near.fileno()

        def read(self, n: int) -> bytes:
            return near.recv(n).title()

    for source, said in ((Loud(near), b"HI"), (Foreign(), b"Hi")):
        loop = Loop()
        loop.pump(Pump(source, Stream(write_fd), propagate_close=False))
        for _ in range(2):
            far.send(b"hi")
            turn(loop)
            assert os.read(read_fd, 10) == said


def test_bytes_are_dated_when_they_moved_and_not_when_somebody_else_was_served(
    connection: tuple[socket.socket, socket.socket], pipe: tuple[int, int], waker: tuple[int, Counting]
) -> None:
    near, far = connection
    _, write_fd = pipe
    wake_fd, woken = waker
    loop = Loop()
    pump = OutputPump(Stream(near), Stream(write_fd))
    loop.pump(pump)
    loop.watch(woken)
    with Staying(loop) as turn_:
        far.send(b"x")
        wait_for(lambda: pump.moved == 1, LONG, "the byte")
        assert turn_.stays
        before = time.monotonic()
        os.write(wake_fd, b"!")
    assert 0 < loop.moved_at < before
