from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dockerpty.engine.calls import Call, Reply, resize_container
from dockerpty.engine.interface import TIMEOUT, Engine
from dockerpty.errors import DockerptyError
from dockerpty.loop import Loop
from dockerpty.signals import Coalescer, Resizer, Signals, forwardable, marker, name_of, reap, undisturbed
from tests.unit.test_loop import turn
from tests.unit.test_unstarted import AFTERWORD

USED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    """Whatever a test does, and forgets to undo, the next one finds the handlers of this process."""
    before = {number: signal.getsignal(number) for number in USED}
    yield
    after = {number: signal.getsignal(number) for number in USED}
    for number, handler in before.items():
        signal.signal(number, handler)
    wakeup = signal.set_wakeup_fd(-1)
    assert after == before
    assert wakeup == -1


class Noted:
    """Signals with a loop of their own."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.signals = Signals(self.numbers.append)
        self.loop = Loop()
        self.loop.watch(self.signals)

    def turn(self) -> None:
        turn(self.loop)

    def __enter__(self) -> Noted:
        self.signals.start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self.signals.stop()


def test_nothing_is_noted_before_the_start() -> None:
    signals = Signals(lambda number: None)
    assert not signals.works
    signals.note({signal.SIGUSR1})
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    signals.stop()


def test_a_noted_signal_wakes_the_loop_and_is_acted_on_outside_its_handler() -> None:
    with Noted() as noted:
        assert noted.signals.works
        noted.signals.note({signal.SIGUSR1, signal.SIGUSR2})
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert noted.numbers == []
        assert noted.signals.busy()
        noted.turn()
        assert noted.numbers == [signal.SIGUSR1, signal.SIGUSR2]
        assert not noted.signals.busy()


def test_as_long_as_no_loop_looks_somebody_can_hear_of_a_signal_in_its_handler() -> None:
    heard: list[int] = []
    signals = Signals(heard.append, lambda number: heard.append(-number))
    signals.start()
    try:
        signals.note({signal.SIGUSR1})
        signal.raise_signal(signal.SIGUSR1)
        assert heard == [-signal.SIGUSR1]
        signals.meanwhile = None
        signal.raise_signal(signal.SIGUSR1)
        assert heard == [-signal.SIGUSR1]
        signals.serve({})
        assert heard == [-signal.SIGUSR1, signal.SIGUSR1, signal.SIGUSR1]
    finally:
        signals.stop()


def test_a_signal_ends_a_wait_that_has_begun() -> None:
    with Noted() as noted:
        noted.signals.note({signal.SIGALRM})
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        noted.turn()
        assert noted.numbers == [signal.SIGALRM]


def test_handlers_and_the_wake_up_descriptor_are_as_before_afterwards() -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)

    def mine(number: int, frame: object) -> None:
        """Stay what it is."""

    signal.signal(signal.SIGUSR1, mine)
    signal.set_wakeup_fd(write_fd)
    with Noted() as noted:
        noted.signals.note({signal.SIGUSR1, signal.SIGUSR2})
        assert signal.getsignal(signal.SIGUSR1) is not mine
    assert signal.getsignal(signal.SIGUSR1) is mine
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
    noted.signals.stop()
    assert signal.set_wakeup_fd(-1) == write_fd
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    os.close(read_fd)
    os.close(write_fd)


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with Noted() as noted:
        noted.signals.note({signal.SIGUSR1})
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_handlers_of_the_caller_can_be_left_in_place() -> None:
    handled = []
    signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
    with Noted() as noted:
        noted.signals.note({signal.SIGUSR1, signal.SIGUSR2}, only_default=True)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        noted.turn()
        assert noted.numbers == [signal.SIGUSR2]
        assert handled == [signal.SIGUSR1]
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_ctrl_c_stays_a_keyboard_interrupt_where_only_defaults_are_noted() -> None:
    def interrupt() -> None:
        with Noted() as noted:
            noted.signals.note(forwardable(), only_default=True)
            os.kill(os.getpid(), signal.SIGINT)
            noted.turn()

    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_noting_twice_keeps_the_first_handler() -> None:
    with Noted() as noted:
        noted.signals.note({signal.SIGUSR1})
        noted.signals.note({signal.SIGUSR1})
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_one_signal_can_be_forgotten() -> None:
    with Noted() as noted:
        noted.signals.note({signal.SIGUSR1, signal.SIGUSR2})
        for number in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM):
            noted.signals.forget(number)
            assert signal.getsignal(number) is signal.SIG_DFL
        assert noted.signals.notes(signal.SIGUSR2)


def test_what_no_loop_has_acted_on_can_be_asked_for() -> None:
    with Noted() as noted:
        noted.signals.note({signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
    assert noted.signals.unserved() == [signal.SIGUSR1]
    assert noted.signals.unserved() == []


def test_a_handler_that_raises_while_all_is_put_back_leaves_the_rest_to_the_next_call() -> None:
    def raising(number: int, frame: object) -> None:
        raise LookupError("the caller's own")

    signal.signal(signal.SIGUSR1, raising)
    noted = Noted()
    noted.signals.start()
    noted.signals.note({signal.SIGUSR1})
    noted.signals.note({signal.SIGUSR2, signal.SIGTERM})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    os.kill(os.getpid(), signal.SIGUSR1)
    really_set = signal.signal

    def unblock_after(number: int, handler: Any) -> Any:
        previous = really_set(number, handler)
        if number == signal.SIGUSR1:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        return previous

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dockerpty.plain_signal.signal", unblock_after)
        with pytest.raises(LookupError):
            noted.signals.stop()
    noted.signals.stop()
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR1) is raising
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def test_a_flood_of_signals_neither_blocks_nor_grows_the_wake_up_pipe() -> None:
    with Noted() as noted:
        noted.signals.note({signal.SIGUSR1})
        for _ in range(70_000):
            signal.raise_signal(signal.SIGUSR1)
        while noted.signals.busy():
            noted.turn()
        assert len(noted.numbers) == 70_000


def test_in_another_thread_there_are_no_handlers_and_no_error() -> None:
    worked = []

    def use() -> None:
        with Noted() as noted:
            noted.signals.note({signal.SIGUSR1})
            worked.append((noted.signals.works, noted.signals.interest(), noted.signals.busy()))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert worked == [(False, (), False)]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_what_concerns_this_process_alone_is_never_forwarded() -> None:
    forwarded = forwardable()
    ours = [
        "CHLD",
        "PIPE",
        "URG",
        "CONT",
        "STOP",
        "KILL",
        "TSTP",
        "TTIN",
        "TTOU",
        "WINCH",
        "SEGV",
        "BUS",
        "FPE",
        "ILL",
        "ABRT",
    ]
    assert not forwarded & {int(getattr(signal, f"SIG{name}")) for name in ours}
    assert forwarded >= {
        int(getattr(signal, f"SIG{name}")) for name in ["INT", "TERM", "QUIT", "HUP", "USR1", "USR2", "ALRM"]
    }


def test_signals_are_named_as_the_engine_names_them() -> None:
    assert name_of(signal.SIGTERM) == "TERM"
    assert name_of(signal.SIGUSR1) == "USR1"
    assert name_of(40) == "40"


@pytest.mark.parametrize("blocked", [False, True])
def test_dying_by_a_signal_is_what_the_parent_sees(blocked: bool) -> None:
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM});" if blocked else ""
    source = f"import signal; from dockerpty.signals import die_by; {block} die_by(signal.SIGTERM)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == -signal.SIGTERM


def test_every_mark_of_an_exec_is_another_one() -> None:
    assert marker().startswith("DPTY_EXEC=")
    assert marker() != marker()


# Coalescing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_without_an_event_nothing_is_due(clock: list[float]) -> None:
    burst = Coalescer()
    assert burst.due() is None
    assert not burst.take()


def test_a_single_event_is_due_soon_and_once(clock: list[float]) -> None:
    burst = Coalescer()
    burst.event()
    due = burst.due()
    assert due is not None
    assert 1000 < due <= 1000.1
    assert not burst.take()
    clock[0] = due
    assert burst.take()
    assert not burst.take()
    assert burst.due() is None


def test_a_burst_without_a_pause_is_acted_on_within_100_ms_and_seldom(clock: list[float]) -> None:
    burst, taken = Coalescer(), []
    for step in range(5000):
        clock[0] = 1000 + step * 0.0006
        burst.event()
        if burst.take():
            taken.append(clock[0])
    assert taken[0] <= 1000.1
    assert 20 < len(taken) < 100
    clock[0] += 0.1
    assert burst.take()


# Resizing ----------------------------------------------------------------------------------------------------------


class Control:
    """Takes one call at a time; the test answers it."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self._done: Callable[[Any], None] | None = None

    def submit(self, call: Call, done: Callable[[Any], None], timeout: float) -> None:
        assert self._done is None, "two are in flight"
        assert timeout == 2.0
        self.sent.append((int(dict(call.query)["h"]), int(dict(call.query)["w"])))
        self._done = done

    def answer(self, reply: Any = "ok") -> None:
        done, self._done = self._done, None
        assert done is not None
        done(reply)

    def refuse(self) -> None:
        self.answer(DockerptyError("resize", "it", "not yet"))


def resizer() -> tuple[Resizer, Control]:
    control = Control()

    def call(rows: int, cols: int) -> Call:
        return resize_container("id", rows, cols)

    return Resizer(control, call, 2.0), control  # type: ignore[arg-type]  # a connection that is played


def test_one_request_is_in_flight_and_the_last_size_is_always_sent() -> None:
    sizes, control = resizer()
    for rows in range(1, 11):
        sizes.send(rows, 80)
    assert control.sent == [(1, 80)]
    control.answer()
    assert control.sent == [(1, 80), (10, 80)]
    control.answer()
    assert len(control.sent) == 2


def test_a_refused_size_does_not_keep_the_next_from_being_sent() -> None:
    sizes, control = resizer()
    sizes.send(1, 80)
    sizes.send(2, 80)
    control.refuse()
    assert control.sent[-1] == (2, 80)
    control.refuse()
    assert sizes.again_at() is None


@pytest.mark.parametrize("size", [(0, 80), (24, 0), (-1, 80), (70000, 80), (24, 65536)])
def test_what_the_engine_would_take_for_a_size_and_is_none_is_not_sent(size: tuple[int, int]) -> None:
    sizes, control = resizer()
    sizes.send(*size)
    assert control.sent == []
    sizes.send(24, 80)
    assert control.sent == [(24, 80)]


def test_the_first_size_is_tried_again_ten_times_after_growing_pauses(clock: list[float]) -> None:
    sizes, control = resizer()
    sizes.first(24, 80)
    pauses = []
    while True:
        control.refuse()
        at = sizes.again_at()
        if at is None:
            break
        pauses.append(round((at - clock[0]) * 1000))
        clock[0] = at
        sizes.again()
    assert pauses == list(range(10, 101, 10))
    assert control.sent == [(24, 80)] * 11


def test_a_size_that_was_taken_is_not_sent_again(clock: list[float]) -> None:
    sizes, control = resizer()
    sizes.first(24, 80)
    control.refuse()
    sizes.again()
    control.answer()
    assert sizes.again_at() is None
    sizes.send(25, 80)
    control.refuse()
    assert sizes.again_at() is None


def test_a_new_size_takes_the_place_of_a_first_one_that_was_refused(clock: list[float]) -> None:
    sizes, control = resizer()
    sizes.first(24, 80)
    sizes.send(30, 90)
    control.refuse()
    assert control.sent == [(24, 80), (30, 90)]


def test_a_new_size_during_a_pause_is_the_one_tried_again(clock: list[float]) -> None:
    sizes, control = resizer()
    sizes.first(24, 80)
    control.refuse()
    sizes.send(30, 90)
    control.answer()
    sizes.again()
    while control._done is not None:
        control.answer()
    assert control.sent[-1] == (30, 90)


def test_a_redraw_sends_another_size_and_a_moment_later_the_right_one(clock: list[float]) -> None:
    sizes, control = resizer()
    sizes.redraw(24, 80)
    control.answer()
    assert control.sent == [(25, 81)]
    assert sizes.again_at() == clock[0] + sizes.APART_S
    sizes.again()
    assert control.sent == [(25, 81), (24, 80)]
    control.answer()
    assert sizes.again_at() is None
    sizes.redraw(65535, 80)
    control.refuse()
    sizes.again()
    control.answer()
    assert control.sent[2:] == [(65535, 81), (65535, 80)]
    assert sizes.again_at() is None


def test_a_new_size_in_the_middle_of_a_redraw_is_the_last() -> None:
    sizes, control = resizer()
    sizes.redraw(24, 80)
    sizes.send(30, 90)
    control.answer()
    assert control.sent == [(25, 81), (30, 90)]
    control.answer()
    sizes.redraw(24, 80)
    control.answer()
    sizes.send(31, 91)
    assert control.sent[2:] == [(25, 81), (31, 91)]
    sizes.again()
    control.answer()
    assert control.sent[-1] == (31, 91)


def test_what_a_handler_raises_comes_after_what_must_be_done_as_a_whole() -> None:
    class Raised(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Raised

    done = []

    def action() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        done.append("all of it")

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Raised):
            undisturbed(action)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert done == ["all of it"]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


class Searched(Engine):
    """An engine on which the search for the processes of an exec says something, and ends with a code."""

    def __init__(self, said: bytes, code: int | None, late: int = 0) -> None:
        self._said, self._code, self._late = said, code, late
        self.timeouts: list[float] = []

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        self.timeouts.append(timeout)
        body: dict[str, object] = {"Running": False, "ExitCode": self._code}
        if call.name == "exec_create":
            body = {"Id": "4ad"}
        elif self._late:
            self._late -= 1
            body = {"Running": True, "ExitCode": None}
        return Reply(200, {}, json.dumps(body).encode())

    def hijack(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Any:
        self.timeouts.append(timeout)
        near, far = socket.socketpair()
        near.setblocking(False)
        with far:
            far.sendall(self._said)
        return near


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    ("said", "code", "problem"),
    [
        (b"", 0, ""),
        (frame(2, b"sh: a complaint\n"), 0, ""),
        (frame(1, b"OCI runtime exec failed: no sh\r\n"), 126, "OCI runtime exec failed: no sh"),
        (frame(2, b"Error: no sh\r\n") + frame(2, AFTERWORD), 126, "Error: no sh"),
        (frame(1, b"one\n") + frame(2, b"\x1b]0;two\x07\xff\n"), 1, "one ]0;two \ufffd"),
        (frame(2, b"x" * 500), 1, "x" * 400),
        (frame(2, b"x" * 500 + b" " + b"y" * 399), 1, "y" * 399),
        (b"", 1, "the search for it ended with 1"),
        (frame(9, b"?"), 1, "cannot understand the "),
    ],
)
def test_what_kept_processes_from_being_found_is_told_in_words_that_do_nothing_to_a_terminal(
    said: bytes, code: int, problem: str
) -> None:
    engine = Searched(said, code)
    told = reap(engine, "web", marker(), [signal.SIGTERM], patience=1.5)
    assert told == problem or (problem.endswith(" ") and told.startswith(problem))
    assert bool(told) is bool(problem)
    assert told.isprintable()
    assert set(engine.timeouts) == {1.5}


def test_the_end_of_the_search_may_be_known_a_moment_after_its_stream() -> None:
    engine = Searched(frame(2, b"sh: a complaint\n"), 0, late=2)
    assert reap(engine, "web", marker(), [signal.SIGTERM]) == ""


def test_a_search_without_a_code_is_told() -> None:
    engine = Searched(b"", None)
    assert reap(engine, "web", marker(), [signal.SIGTERM]) == (
        "the search for it ended with an exit code that nobody knows"
    )


def test_a_connection_that_breaks_during_the_search_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def fileno(self) -> int:
            return 0

        def recv(self, n: int) -> bytes:
            raise ConnectionResetError(104, "it was reset")

        def close(self) -> None:
            pass

    engine = Searched(b"", 0)
    monkeypatch.setattr(engine, "hijack", lambda call, **options: Broken())
    told = reap(engine, "web", marker(), [signal.SIGTERM])
    assert told == "cannot hear from the engine: the connection broke: it was reset"
