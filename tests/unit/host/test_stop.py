"""A transfer that is ended from another thread, and what it says of itself."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from dockerpty.engine import calls
from dockerpty.engine.client import from_environment
from dockerpty.host.errors import TransferError
from dockerpty.host.transfer.stop import Meter, Stop
from tests.unit.loopback import ScriptedEngine


def readable(stop: Stop) -> bool:
    return bool(select.select([stop.fileno()], [], [], 0)[0])


def test_it_can_be_read_from_once_it_was_stopped() -> None:
    with Stop() as stop:
        assert not readable(stop)
        stop.check()
        stop.stop()
        stop.stop()
        assert readable(stop)
        with pytest.raises(TransferError, match="it was stopped"):
            stop.check()


def test_nothing_stays_open_and_a_late_stop_does_no_harm() -> None:
    before = os.listdir("/proc/self/fd")
    stop = Stop()
    stop.close()
    stop.close()
    stop.stop()
    assert stop.stopped
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("kind", ["send", "stream", "upload"])
def test_a_call_that_waits_for_the_engine_ends_and_its_connection_with_it(kind: str, tmp_path: Path) -> None:
    gone = threading.Event()
    waiting = threading.Event()

    def silent(sock: socket.socket) -> None:
        waiting.set()
        while sock.recv(65536):
            pass
        gone.set()

    server = ScriptedEngine(str(tmp_path / "s"), silent)
    engine = from_environment(server.url)
    with Stop() as stop:
        engine.stop = stop

        def end() -> None:
            waiting.wait(10)
            stop.stop()

        thread = threading.Thread(target=end)
        thread.start()
        began = time.monotonic()
        work = {
            "send": lambda: engine.send(calls.stat_archive("web", "/x")),
            "stream": lambda: engine.stream(calls.get_archive("web", "/x"), lambda _: None),
            "upload": lambda: engine.upload(calls.put_archive("web", "/x"), iter([b"some"])),
        }
        with pytest.raises(TransferError, match="it was stopped"):
            work[kind]()
        assert time.monotonic() - began < 10
        thread.join()
    assert gone.wait(10)
    engine.close()
    server.close()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_progress_comes_ten_times_a_second_at_most_and_once_at_the_end() -> None:
    clock, told = Clock(), list[tuple[int, int | None, str]]()
    meter = Meter(lambda *each: told.append(each), clock=clock)
    meter.expect(700)
    meter.expect(300)
    for _ in range(1000):
        clock.now += 0.001
        meter.moved(1, "a")
    meter.end()
    assert 9 <= len(told) <= 11
    assert told[-1] == (1000, 1000, "a")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_nobody_who_looks_on_is_needed() -> None:
    meter = Meter(None)
    meter.moved(1, "a")
    meter.end()
    assert meter.done == 1


def test_where_nothing_moves_nothing_is_told() -> None:
    Meter(lambda *_: pytest.fail("told")).end()
