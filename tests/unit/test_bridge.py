from __future__ import annotations

import errno
import io
import os
import signal
import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from dockerpty import bridge as bridge_module
from dockerpty.bridge import INSISTENCE_S, Bridge, Options
from dockerpty.errors import SessionLost
from dockerpty.io import Pump, Stream
from dockerpty.loop import Loop
from dockerpty.pty import Operation, PseudoTerminal
from dockerpty.pumps import InputPump, OutputPump
from dockerpty.result import SessionResult


class Asked(Operation):
    def __init__(self) -> None:
        self.asked = 0

    def _silent(self) -> None:
        self.asked += 1


class Moved:
    moved = 0
    failure = None
    eof = stdout_closed = lost = hung_up = False

    def has_room(self) -> bool:
        return True


class Deaf(Operation):
    """Of a process that ignores what it is sent."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send_signal(self, sig: int) -> bool:
        self.sent.append(sig)
        return True

    def _ignores_signals(self) -> bool:
        return True


def bridge(operation: Operation, notice: Any = print, **chosen: Any) -> Any:
    options = Options(sig_proxy=True, **chosen)
    return Bridge(operation, Loop(), None, SessionResult(), options, notice)  # type: ignore[arg-type]  # a loop that is played


def test_bytes_of_the_very_turn_in_which_the_clock_ran_out_are_no_silence() -> None:
    # As after a stop of our own: the first turn reads, and finds that its time has passed.
    operation, output = Asked(), Moved()
    session = bridge(operation)
    session._outputs = [output]
    output.moved = 1000
    session._silent()
    assert operation.asked == 0
    session._silent()
    assert operation.asked == 1


def test_bytes_of_the_very_turn_in_which_the_idle_limit_ran_out_put_it_off() -> None:
    output = Moved()
    session = bridge(Asked(), idle_timeout=25.0)
    session._outputs = [output]
    output.moved = 1000
    session._idle()
    assert session._timed_out == ""
    session._idle()
    assert session._timed_out == "nothing moved for 25 s"


def test_to_ask_why_all_is_silent_puts_the_idle_limit_off_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(bridge_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    operation, output = Asked(), Moved()
    session = bridge(operation, idle_timeout=25.0)
    session._outputs, session._active = [output], now[0]
    while now[0] < 1025.0:
        now[0] = min(session._idle_until(), session._silent_until())
        if now[0] == session._silent_until():
            session._silent()
    assert operation.asked == 2
    assert session._idle_until() == 1025.0
    # What moves counts from when it moved, also where it is seen only as silence is looked into.
    output.moved = 1
    session._silent()
    assert session._idle_until() == 1050.0


@pytest.mark.parametrize(
    ("pauses", "passed_on", "lines"),
    [
        ((1.0, 1.0), 2, 1),
        ((2.4, 2.4), 2, 1),
        # Whoever comes back later asks anew, and is told of it anew.
        ((2.6, 2.6), 3, 2),
        ((INSISTENCE_S, INSISTENCE_S, INSISTENCE_S), 4, 0),
        ((1.0, INSISTENCE_S, 1.0), 4, 2),
        ((1.0, INSISTENCE_S, 1.0, 1.0), 4, 2),
    ],
)
def test_the_third_signal_within_five_seconds_is_ours_and_others_are_passed_on(
    pauses: tuple[float, ...], passed_on: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    monkeypatch.setattr(bridge_module, "time", clock)
    operation, told = Deaf(), list[str]()
    session = bridge(operation, told.append)
    session._signalled(signal.SIGINT)
    for pause in pauses:
        now[0] += pause
        session._signalled(signal.SIGTERM)
    assert len(operation.sent) == passed_on
    assert len(told) == lines
    assert session._die_by == (signal.SIGTERM if passed_on <= len(pauses) else None)


def test_signals_that_do_not_ask_to_end_are_passed_on_however_many_they_are() -> None:
    operation = Deaf()
    session = bridge(operation)
    for _ in range(10):
        session._signalled(signal.SIGUSR1)
        session._signalled(signal.SIGHUP)
    assert operation.sent == [signal.SIGUSR1, signal.SIGHUP] * 10
    assert session._die_by is None


class Gone(Moved):
    hung_up = True


@pytest.mark.parametrize(
    ("story", "sent"),
    [
        # The signal, and then the terminal is seen to be gone: that is one hang-up.
        (["signal", "gone"], 1),
        # A shell passes the signal on after the kernel has taken the terminal.
        (["gone", "signal"], 1),
        (["gone"], 1),
        # Somebody's signal of a while ago was about something else.
        (["signal", "later", "gone"], 2),
        (["signal", "signal"], 2),
    ],
)
def test_a_hang_up_is_passed_on_once_whichever_way_it_is_heard_of(
    story: list[str], sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    monkeypatch.setattr(bridge_module, "time", clock)
    operation = Deaf()
    session = bridge(operation)
    session._signals = SimpleNamespace(notes=lambda number: True)
    for event in story:
        if event == "signal":
            session._signalled(signal.SIGHUP)
        elif event == "gone":
            session._inputs = [Gone()]
            session._pass_on_hang_up()
        else:
            now[0] += 60.0
    assert operation.sent == [signal.SIGHUP] * sent
    assert session._die_by is None


class Watchful(Operation):
    """Notes whether signals could come in between."""

    def __init__(self) -> None:
        self.disturbed: list[bool] = []

    def note(self) -> None:
        self.disturbed.append(signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    def _last_will(self) -> None:
        self.note()


def test_the_guardian_is_appointed_as_a_whole_also_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_module, "may_need_thread", lambda place, mode: False)
    monkeypatch.setattr(bridge_module, "_GUARDED_AFTER_S", 0.0)
    operation = Watchful()
    monkeypatch.setattr(operation, "israw", lambda: False)
    session = bridge(operation)
    session._enter_terminal()
    session._loop.turn()
    assert operation.disturbed == [False]


def test_the_terminal_is_given_and_taken_around_a_stop_as_a_whole() -> None:
    operation = Watchful()
    session = bridge(operation)
    session._terminal = SimpleNamespace(
        start=operation.note, suspended=operation.note, suspend=operation.note
    )
    previous = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        session._suspend()
    finally:
        signal.signal(signal.SIGTSTP, previous)
    assert operation.disturbed == [False] * 4


def test_the_window_is_watched_before_its_size_is_read() -> None:
    order: list[str] = []

    class Sized(Operation):
        def start(self, **kwargs: Any) -> list[Pump]:
            order.append("size")
            return []

    session = bridge(Sized())
    session._window = SimpleNamespace(start=lambda: order.append("window"))
    session._begin(None)
    assert order == ["window", "size"]


@pytest.mark.parametrize("wrong", [{"stdin_eof": "never"}, {"timeout": -1.0}, {"idle_timeout": float("nan")}])
def test_an_option_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)


def test_a_connection_that_breaks_as_it_is_written_to_is_a_lost_session() -> None:
    near, far = socket.socketpair()
    readable, writable = os.pipe()

    class NoWay:
        def send(self, data: memoryview) -> int:
            raise ConnectionResetError(errno.EHOSTUNREACH, "No route to host")

        def fileno(self) -> int:
            return near.fileno()

    class Typed(Operation):
        def israw(self, **kwargs: Any) -> bool:
            return False

        def start(self, **kwargs: Any) -> list[Pump]:
            return [
                InputPump(Stream(readable), Stream(NoWay())),
                OutputPump(Stream(near), Stream(io.BytesIO())),
            ]

    terminal = PseudoTerminal(None, Typed())
    os.write(writable, b"x")
    near.setblocking(False)
    with near, far, pytest.raises(SessionLost, match="No route to host"):
        terminal.start()
    os.close(readable)
    os.close(writable)
    assert terminal.result is not None
    assert terminal.result.reason == "lost"


def test_a_session_that_is_lost_before_its_process_is_known_to_run_is_lost_in_its_result() -> None:
    class Unknown(Operation):
        reasons: tuple[Any, ...] = ()

        def israw(self, **kwargs: Any) -> bool:
            return False

        def start(self, **kwargs: Any) -> list[Pump]:
            self._failure = SessionLost("learn whether it started:", "web", "the engine did not answer")
            return []

        def _identify(self, result: SessionResult) -> None:
            self.reasons += (result.reason,)

    operation = Unknown()
    terminal = PseudoTerminal(None, operation)
    with pytest.raises(SessionLost) as caught:
        terminal.start()
    assert caught.value.result is terminal.result
    assert terminal.result is not None
    assert terminal.result.reason == "lost"
    assert terminal.result.ended is not None
    assert operation.reasons == ("lost",)


def test_what_moved_is_counted_also_when_something_of_the_callers_raises() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)

    class Interrupted(Operation):
        def israw(self, **kwargs: Any) -> bool:
            return False

        def start(self, **kwargs: Any) -> list[Pump]:
            pump = OutputPump(Stream(near), Stream(nowhere.fileno()))
            pump.observer = self.interrupt
            return [pump]

        def interrupt(self, piece: memoryview) -> None:
            raise KeyError("a handler of the caller's")

    terminal = PseudoTerminal(None, Interrupted())
    with near, far, open(os.devnull, "wb") as nowhere:
        far.send(bytes(1000))
        with pytest.raises(KeyError):
            terminal.start()
    assert terminal.result is not None
    assert terminal.result.bytes_out == 1000
