from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from dockerpty.bridge import Bridge, Options
from dockerpty.io import Pump, Stream
from dockerpty.loop import Loop
from dockerpty.pty import Operation, PseudoTerminal
from dockerpty.pumps import OutputPump
from dockerpty.result import SessionResult


class Asked(Operation):
    def __init__(self) -> None:
        self.asked = 0

    def _silent(self) -> None:
        self.asked += 1


class Moved:
    moved = 0
    stdout_closed = lost = hung_up = False


def bridge(operation: Operation) -> Any:
    return Bridge(operation, Loop(), None, SessionResult(), Options(), print)  # type: ignore[arg-type]


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


@pytest.mark.parametrize("wrong", [{"stdin_eof": "never"}, {"timeout": -1.0}, {"idle_timeout": float("nan")}])
def test_an_option_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)


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
