"""Operations that others have written for the library of 2014: four methods and three attributes."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import socket
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dockerpty import log
from dockerpty.frames import encode
from dockerpty.io import Demuxer, Pump, Stream, select
from dockerpty.pty import Operation, PseudoTerminal
from tests.bed.terminal import Terminal as Bed
from tests.bed.waiting import wait_for


class Echo(Operation):
    """Another program's operation: its far side is a socket pair, whose other end the test holds."""

    def __init__(self, stdin: Any = None, stdout: Any = None, stderr: Any = None, raw: bool = False) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.raw = raw
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.sizes: list[tuple[int, int]] = []
        self.given: list[Any] = []
        self.begun = threading.Event()

    def israw(self, **kwargs: Any) -> bool:
        return self.raw

    def sockets(self) -> Any:
        return Stream(self.near)

    def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
        self.given.append(sockets)
        stream = sockets or self.sockets()
        pumps = [Pump(stream, Stream(self.stdout), propagate_close=False)]
        if self.stdin is not None:
            pumps.append(Pump(Stream(self.stdin), stream, wait_for_output=False, propagate_close=False))
        self.begun.set()
        return pumps

    def resize(self, height: int, width: int, **kwargs: Any) -> None:
        self.sizes.append((height, width))

    def close(self) -> None:
        self.near.close()
        self.far.close()


class Ends:
    """Pipes for stdin and stdout, and a terminal."""

    def __init__(self) -> None:
        self.stdin, self.typing = os.pipe()
        self.output, self.stdout = os.pipe()
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def close(self) -> None:
        for fd in (self.stdin, self.typing, self.output, self.stdout, self.master, self.slave):
            os.close(fd)


class Sized(Echo):
    """What it calls `size` is its own business."""

    def size(self) -> int:
        return 4096

    def is_tty(self) -> bool:
        return True


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


WATCHED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGWINCH,
    signal.SIGTSTP,
    signal.SIGCONT,
)


@pytest.fixture(autouse=True)
def all_as_before() -> Iterator[None]:
    """Whatever a session does: handlers, the wake-up descriptor and the log are as they were."""
    before = {number: signal.getsignal(number) for number in WATCHED}
    yield
    after = {number: signal.getsignal(number) for number in WATCHED}
    wakeup = signal.set_wakeup_fd(-1)
    assert after == before
    assert wakeup == -1
    assert not log._raw_terminals


def read_exactly(fd: int, n: int) -> bytes:
    """Read what a terminal gives in its own time."""
    data = b""
    while len(data) < n:
        assert select([fd], [], timeout=10)[0], f"only {data!r} came"
        data += os.read(fd, n - len(data))
    return data


def far_side(operation: Echo, action: Callable[[socket.socket], None]) -> threading.Thread:
    """Play the remote program, from the moment when the session has begun."""

    def play() -> None:
        operation.begun.wait(10)
        action(operation.far)

    thread = threading.Thread(target=play)
    thread.start()
    return thread


def test_four_methods_and_three_attributes_are_enough(ends: Ends) -> None:
    operation = Echo(ends.stdin, ends.stdout)
    os.write(ends.typing, b"typed")

    def remote(far: socket.socket) -> None:
        assert far.recv(100) == b"typed"
        far.send(b"answer")
        far.shutdown(socket.SHUT_WR)

    thread = far_side(operation, remote)
    pseudo_terminal = PseudoTerminal(None, operation)
    assert pseudo_terminal.start() is None
    thread.join()
    assert os.read(ends.output, 100) == b"answer"
    assert pseudo_terminal.result is not None
    assert pseudo_terminal.result.reason == "exited"
    assert pseudo_terminal.result.exit_code is None
    assert operation.given == [None]
    operation.close()


def test_a_class_without_the_four_methods_says_so() -> None:
    operation = Operation()
    for call in (operation.israw, operation.start, operation.sockets, lambda: operation.resize(1, 1)):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(NotImplementedError):
        PseudoTerminal(None, operation).start()


def test_the_other_hooks_have_defaults() -> None:
    operation = Echo(raw=True)
    assert operation.is_tty() is True
    assert operation.is_running() is True
    assert operation.exit_code() is None
    assert not operation.send_signal(signal.SIGTERM)
    assert operation.describe() == "Echo"
    assert repr(PseudoTerminal(None, operation)) == "PseudoTerminal(Echo)"
    operation.close()


def test_sockets_are_the_operations_and_are_handed_back_to_it(ends: Ends) -> None:
    operation = Echo(None, ends.stdout)
    client = object()
    pseudo_terminal = PseudoTerminal(client, operation)
    assert (pseudo_terminal.client, pseudo_terminal.operation) == (client, operation)
    sockets = pseudo_terminal.sockets()
    assert isinstance(sockets, Stream)
    operation.far.send(b"early")
    operation.far.shutdown(socket.SHUT_WR)
    assert pseudo_terminal.start(sockets) is None
    assert operation.given == [sockets]
    assert os.read(ends.output, 100) == b"early"
    operation.close()


def test_an_exit_code_that_the_operation_knows_is_returned(ends: Ends) -> None:
    class Knows(Echo):
        def exit_code(self) -> int | None:
            return 7

    operation = Knows(None, ends.stdout)
    operation.far.close()
    assert PseudoTerminal(None, operation).start() == 7
    operation.close()


def test_pumps_on_objects_that_only_read_and_write_are_served(ends: Ends) -> None:
    class Objects(Echo):
        def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
            self.source = self.near.makefile("rb", buffering=0)
            return [Pump(self.source, self.stdout)]

    class OnlyWrites:
        written = b""

        def write(self, data: bytes) -> int:
            self.written += data
            return len(data)

    target = OnlyWrites()
    operation = Objects(None, target)
    operation.near.setblocking(True)
    operation.far.send(b"over")
    operation.far.close()
    assert PseudoTerminal(None, operation).start() is None
    assert target.written == b"over"
    operation.source.close()
    operation.close()


def test_a_blocking_socket_of_theirs_does_not_keep_the_session_from_ending(ends: Ends) -> None:
    class Framed(Echo):
        def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
            return [Pump(Demuxer(Stream(self.near)), Stream(self.stdout), propagate_close=False)]

    operation = Framed(None, ends.stdout)
    operation.near.setblocking(True)
    operation.begun.set()
    operation.far.send(encode(1, b"whole ") + encode(1, b"in parts")[:10])

    def remote(far: socket.socket) -> None:
        wait_for(lambda: os.read(ends.output, 100) == b"whole in")
        far.send(encode(1, b"in parts")[10:])
        far.shutdown(socket.SHUT_WR)

    thread = far_side(operation, remote)
    assert PseudoTerminal(None, operation).start() is None
    thread.join()
    assert os.read(ends.output, 100) == b" parts"
    operation.close()


def test_the_terminal_is_raw_in_between_and_as_before_afterwards(ends: Ends) -> None:
    before = termios.tcgetattr(ends.slave), fcntl.fcntl(ends.slave, fcntl.F_GETFL)
    operation = Echo(ends.slave, ends.slave, ends.slave, raw=True)
    seen: list[Any] = []

    def remote(far: socket.socket) -> None:
        wait_for(lambda: not termios.tcgetattr(ends.slave)[3] & termios.ICANON)
        os.write(ends.master, b"\x03")
        seen.append(far.recv(100))
        seen.append(fcntl.fcntl(ends.slave, fcntl.F_GETFL))
        far.shutdown(socket.SHUT_WR)

    thread = far_side(operation, remote)
    pseudo_terminal = PseudoTerminal(None, operation)
    assert pseudo_terminal.start() is None
    thread.join()
    assert seen == [b"\x03", before[1]]
    assert (termios.tcgetattr(ends.slave), fcntl.fcntl(ends.slave, fcntl.F_GETFL)) == before
    assert pseudo_terminal.result is not None
    assert pseudo_terminal.result.size == (24, 80)
    operation.close()


def test_the_first_size_and_every_new_one_are_sent(ends: Ends) -> None:
    operation = Echo(None, ends.slave, raw=True)

    def remote(far: socket.socket) -> None:
        wait_for(lambda: operation.sizes)
        fcntl.ioctl(ends.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
        wait_for(lambda: (30, 100) in operation.sizes)
        far.shutdown(socket.SHUT_WR)

    thread = far_side(operation, remote)
    PseudoTerminal(None, operation).start()
    thread.join()
    assert operation.sizes == [(24, 80), (30, 100)]
    operation.close()


def test_resize_takes_the_terminals_size_or_the_one_given(ends: Ends) -> None:
    operation = Echo(ends.stdin, ends.slave, raw=True)
    pseudo_terminal = PseudoTerminal(None, operation)
    pseudo_terminal.resize()
    pseudo_terminal.resize((10, 20))
    pseudo_terminal.resize(size=(11, 21))
    assert operation.sizes == [(24, 80), (10, 20), (11, 21)]
    operation.stdout, operation.stderr = ends.stdout, ends.slave
    pseudo_terminal.resize()
    operation.stderr = None
    pseudo_terminal.resize()
    assert operation.sizes[3:] == [(24, 80)]
    operation.raw = False
    pseudo_terminal.resize((1, 1))
    assert len(operation.sizes) == 4
    operation.close()


def test_a_resize_that_comes_too_late_is_no_error(ends: Ends) -> None:
    class Ended(Echo):
        def resize(self, height: int, width: int, **kwargs: Any) -> None:
            raise ConnectionResetError("it has just ended")

    operation = Ended(None, ends.slave, raw=True)
    PseudoTerminal(None, operation).resize()
    operation.close()


class Interrupted(Exception):
    """What a caller's handler raises, as docker-compose's."""


def interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)


@pytest.mark.parametrize(
    ("number", "handler", "error"),
    [
        (signal.SIGINT, signal.default_int_handler, KeyboardInterrupt),
        (signal.SIGINT, interrupt, Interrupted),
        (signal.SIGTERM, interrupt, Interrupted),
        (signal.SIGALRM, interrupt, Interrupted),
    ],
)
@pytest.mark.parametrize("raw", [True, False])
def test_what_the_callers_handler_raises_passes_with_all_as_before(
    ends: Ends, number: int, handler: Any, error: type[BaseException], raw: bool
) -> None:
    previous = signal.signal(number, handler)
    before = termios.tcgetattr(ends.slave), fcntl.fcntl(ends.slave, fcntl.F_GETFL)
    operation = Echo(ends.slave, ends.slave, ends.slave, raw=raw)

    def remote(far: socket.socket) -> None:
        if raw:
            wait_for(lambda: not termios.tcgetattr(ends.slave)[3] & termios.ICANON)
        os.kill(os.getpid(), number)

    thread = far_side(operation, remote)
    pseudo_terminal = PseudoTerminal(None, operation)
    with pytest.raises(error):
        pseudo_terminal.start()
    thread.join()
    assert signal.signal(number, previous) is handler
    assert (termios.tcgetattr(ends.slave), fcntl.fcntl(ends.slave, fcntl.F_GETFL)) == before
    assert pseudo_terminal.result is not None
    assert pseudo_terminal.result.ended is not None
    operation.close()


def test_a_callers_handler_that_returns_lets_the_session_go_on(ends: Ends) -> None:
    handled = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda number, frame: handled.set())
    operation = Echo(ends.slave, ends.slave, raw=True)

    def remote(far: socket.socket) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert handled.wait(10)
        far.send(b"still here")
        far.shutdown(socket.SHUT_WR)

    thread = far_side(operation, remote)
    assert PseudoTerminal(None, operation).start() is None
    thread.join()
    signal.signal(signal.SIGTERM, previous)
    assert read_exactly(ends.master, 10) == b"still here"
    operation.close()


class Fault(Exception):
    """Something in the caller's own code."""


@pytest.mark.parametrize("where", ["israw", "start", "write", "resize"])
def test_what_their_own_code_raises_passes_with_all_as_before(ends: Ends, where: str) -> None:
    class Faulty(Echo):
        def israw(self, **kwargs: Any) -> bool:
            if where == "israw":
                raise Fault(where)
            return super().israw()

        def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
            if where == "start":
                raise Fault(where)
            if where == "write":
                return [Pump(Stream(self.near), Refuses())]
            return super().start(sockets)

        def resize(self, height: int, width: int, **kwargs: Any) -> None:
            raise Fault(where)

    class Refuses:
        def write(self, data: bytes) -> int:
            raise Fault(where)

    before = termios.tcgetattr(ends.slave)
    operation = Faulty(ends.slave, ends.slave, raw=True)
    operation.far.send(b"something to write")
    with pytest.raises(Fault, match=where):
        PseudoTerminal(None, operation).start()
    assert termios.tcgetattr(ends.slave) == before
    operation.close()


def test_it_can_be_done_again_and_in_another_thread(ends: Ends) -> None:
    answers: list[Any] = []

    def once() -> None:
        operation = Echo(ends.slave, ends.slave, raw=True)
        operation.far.send(b"x")
        operation.far.shutdown(socket.SHUT_WR)
        answers.append(PseudoTerminal(None, operation).start())
        operation.close()

    before = termios.tcgetattr(ends.slave)
    once()
    once()
    thread = threading.Thread(target=once)
    thread.start()
    thread.join(10)
    assert answers == [None] * 3
    assert termios.tcgetattr(ends.slave) == before
    assert read_exactly(ends.master, 3) == b"xxx"


def test_text_streams_are_no_terminal_and_no_error(ends: Ends) -> None:
    class Text(Echo):
        def start(self, sockets: Any = None, **kwargs: Any) -> list[Pump]:
            return []

    operation = Text(io.StringIO("in"), io.StringIO(), io.StringIO(), raw=True)
    assert PseudoTerminal(None, operation).start() is None
    operation.close()


SESSION = """
import socket
from dockerpty.io import Pump, Stream
from dockerpty.pty import Operation, PseudoTerminal

class Idle(Operation):
    stdin, stdout, stderr = 0, 1, 2
    def israw(self, **kwargs): return True
    def sockets(self): return None
    def resize(self, height, width, **kwargs): pass
    def start(self, sockets=None, **kwargs):
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.send(b"ready")
        return [Pump(Stream(near), Stream(1), propagate_close=False)]

PseudoTerminal(None, Idle()).start()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_that_would_end_the_program_ends_it_with_the_terminal_as_before(
    number: signal.Signals,
) -> None:
    with Bed.python(SESSION) as bed:
        bed.expect("ready")
        assert bed.is_raw()
        bed.signal(number)
        assert bed.wait() == -number
        assert bed.is_as_before()


def test_ctrl_c_from_outside_is_a_keyboard_interrupt_with_the_terminal_as_before() -> None:
    with Bed.python(SESSION) as bed:
        bed.expect("ready")
        bed.signal(signal.SIGINT)
        bed.expect("KeyboardInterrupt")
        assert bed.wait() == -signal.SIGINT
        assert bed.is_as_before()


def test_an_operation_may_have_another_size_than_that_of_a_window(ends: Ends) -> None:
    operation = Sized(stdout=ends.slave)
    PseudoTerminal(None, operation).resize()
    assert operation.sizes == [(24, 80)]
    operation.close()
