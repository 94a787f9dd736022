from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dockerpty.loop import Loop
from dockerpty.pty import WINCHHandler
from dockerpty.signals import Coalescer, Signals
from tests.bed.waiting import SLACK, wait_for
from tests.unit.test_loop import turn


class Pty:
    """What a WINCHHandler calls: notes where, when and with what."""

    def __init__(self, operation: Any = None) -> None:
        self.operation = operation
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.times: list[float] = []
        self.in_handler: list[bool] = []

    def resize(self, *arguments: Any, **keywords: Any) -> None:
        self.calls.append((arguments, keywords))
        self.times.append(time.monotonic())
        frame: Any = sys._getframe()
        names = []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        self.in_handler.append("_changed" in names)


@pytest.fixture(autouse=True)
def handler_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGWINCH)
    yield
    after = signal.signal(signal.SIGWINCH, before)
    assert after == before


def change() -> None:
    os.kill(os.getpid(), signal.SIGWINCH)


def test_construction_has_no_effect() -> None:
    before = signal.getsignal(signal.SIGWINCH)
    threads = threading.active_count()
    pseudo_terminal = Pty()
    handler = WINCHHandler(pseudo_terminal)
    assert handler.pty is pseudo_terminal
    assert handler.original_handler is None
    assert signal.getsignal(signal.SIGWINCH) is before
    assert threading.active_count() == threads
    change()
    assert pseudo_terminal.calls == []


def test_a_change_calls_resize_without_arguments_soon_and_outside_the_handler() -> None:
    pseudo_terminal = Pty()
    with WINCHHandler(pseudo_terminal):
        changed = time.monotonic()
        change()
        wait_for(lambda: pseudo_terminal.calls, pause=0.001)
    assert pseudo_terminal.calls == [((), {})]
    assert pseudo_terminal.in_handler == [False]
    # 100 ms is promised; five times that is the margin of a busy machine.
    assert pseudo_terminal.times[0] - changed < 0.5 * SLACK


def test_without_a_change_nothing_is_called() -> None:
    pseudo_terminal = Pty()
    with WINCHHandler(pseudo_terminal):
        pass
    assert pseudo_terminal.calls == []


def test_a_burst_is_one_call_after_its_last_change() -> None:
    pseudo_terminal = Pty()
    with WINCHHandler(pseudo_terminal):
        first = time.monotonic()
        for _ in range(10):
            change()
        last = time.monotonic()
        wait_for(lambda: pseudo_terminal.calls, pause=0.001)
        if last - first < 0.015:
            assert len(pseudo_terminal.calls) == 1
        assert pseudo_terminal.times[-1] >= last


def test_every_burst_is_followed_by_a_call() -> None:
    pseudo_terminal = Pty()
    with WINCHHandler(pseudo_terminal):
        for number in range(1, 4):
            change()
            wait_for(lambda number=number: len(pseudo_terminal.calls) == number, pause=0.001)  # type: ignore[misc]  # mypy cannot infer a lambda with defaults


def test_a_storm_from_another_process_is_survived_and_ends_with_a_call() -> None:
    source = "import os, signal, sys\nfor _ in range(3000): os.kill(int(sys.argv[1]), signal.SIGWINCH)"
    pseudo_terminal = Pty()
    began = time.monotonic()
    with WINCHHandler(pseudo_terminal) as handler:
        storm = subprocess.Popen([sys.executable, "-c", source, str(os.getpid())])
        while storm.poll() is None:
            sum(range(100))
        wait_for(lambda: pseudo_terminal.times and handler._burst.due() is None, pause=0.001)
        last_change = handler._burst._last
        wait_for(lambda: pseudo_terminal.times[-1] >= last_change, pause=0.001)
        took = time.monotonic() - began
    assert len(pseudo_terminal.calls) <= took / Coalescer.QUIET_S + 1


def test_a_change_in_the_middle_of_our_own_handler_does_not_wait_for_itself() -> None:
    """Send the second signal from within every line of the first one's handler, as a storm may."""
    pseudo_terminal = Pty()
    handler = WINCHHandler(pseudo_terminal)

    def on_line(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code.co_name in ("_changed", "event", "_wake_up", "set", "release") and event == "line":
            sys.settrace(None)
            change()
            sys.settrace(on_line)
        return on_line

    with handler:
        sys.settrace(on_line)
        try:
            change()
        finally:
            sys.settrace(None)
        wait_for(lambda: pseudo_terminal.calls, pause=0.001)


@pytest.mark.parametrize("previous", [signal.SIG_DFL, signal.SIG_IGN, lambda number, frame: None])
def test_stop_restores_the_previous_handler(previous: Any) -> None:
    before = signal.signal(signal.SIGWINCH, previous)
    handler = WINCHHandler(Pty())
    handler.start()
    assert signal.getsignal(signal.SIGWINCH) is not previous
    assert handler.original_handler == previous
    handler.stop()
    assert signal.getsignal(signal.SIGWINCH) is previous
    assert handler.original_handler is None
    signal.signal(signal.SIGWINCH, before)


def test_a_handler_that_was_not_pythons_is_replaced_by_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    really_set = signal.signal

    def as_if_from_c(number: int, handler: Any) -> Any:
        really_set(number, handler)
        return None

    handler = WINCHHandler(Pty())
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", as_if_from_c)
        handler.start()
    assert signal.getsignal(signal.SIGWINCH) is not signal.SIG_DFL
    handler.stop()
    assert signal.getsignal(signal.SIGWINCH) is signal.SIG_DFL


def test_start_and_stop_may_be_called_twice_and_again() -> None:
    before = signal.getsignal(signal.SIGWINCH)
    pseudo_terminal = Pty()
    handler = WINCHHandler(pseudo_terminal)
    handler.stop()
    for number in (1, 2):
        handler.start()
        handler.start()
        change()
        wait_for(lambda number=number: len(pseudo_terminal.calls) == number, pause=0.001)  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        handler.stop()
        handler.stop()
        assert signal.getsignal(signal.SIGWINCH) is before


def test_after_the_stop_nothing_is_called() -> None:
    pseudo_terminal = Pty()
    handler = WINCHHandler(pseudo_terminal)
    with handler:
        change()
        wait_for(lambda: pseudo_terminal.calls, pause=0.001)
    change()
    assert len(pseudo_terminal.calls) == 1


def test_an_error_inside_puts_the_handler_back() -> None:
    before = signal.getsignal(signal.SIGWINCH)
    with pytest.raises(LookupError), WINCHHandler(Pty()):
        raise LookupError
    assert signal.getsignal(signal.SIGWINCH) is before


def test_in_a_sessions_loop_the_call_comes_from_the_loop_and_from_no_thread() -> None:
    pseudo_terminal, loop, signals = Pty(), Loop(), Signals(lambda number: None)
    loop.watch(signals)
    signals.start()
    threads = threading.active_count()
    with WINCHHandler(pseudo_terminal, loop=loop):
        assert threading.active_count() == threads
        change()
        change()
        assert pseudo_terminal.calls == []
        deadline = time.monotonic() + 10
        while not pseudo_terminal.calls and time.monotonic() < deadline:
            turn(loop)
    signals.stop()
    assert pseudo_terminal.calls == [((), {})]
    assert pseudo_terminal.in_handler == [False]
    change()
    turn(loop, 0)
    assert len(pseudo_terminal.calls) == 1


def test_in_another_thread_the_size_is_looked_at_instead() -> None:
    class Operation:
        stdin = None

    master, slave = pty.openpty()
    operation: Any = Operation()
    operation.stdout = slave
    pseudo_terminal = Pty(operation)
    before = signal.getsignal(signal.SIGWINCH)
    started, may_end = threading.Event(), threading.Event()

    def work() -> None:
        with WINCHHandler(pseudo_terminal) as handler:
            assert handler.original_handler is None
            started.set()
            may_end.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    assert signal.getsignal(signal.SIGWINCH) is before
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    wait_for(lambda: pseudo_terminal.calls)
    may_end.set()
    thread.join()
    assert pseudo_terminal.calls == [((), {})]
    os.close(master)
    os.close(slave)
