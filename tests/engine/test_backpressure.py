"""Whatever flows and whoever stops reading: memory stays bounded, the processor rests, the other direction lives."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.bed.terminal import PIPE, Terminal
from tests.bed.waiting import wait_for
from tests.engine.conftest import Sessions

MEMORY_MIB = 80
BUSY_SHARE = 0.10
"""Of a core: five times what an idle or blocked session may use."""


def share_of_a_core(terminal: Terminal, seconds: float = 1.0) -> float:
    """What the program uses of one core, once it has come to rest."""
    used = [-1.0, -1.0]

    def at_rest() -> bool:
        used.append(terminal.cpu_seconds())
        return used[-1] - used[-3] < 0.02

    wait_for(at_rest, 20, "the program to come to rest", pause=0.2)
    before = terminal.cpu_seconds()
    terminal.read_for(seconds)
    return (terminal.cpu_seconds() - before) / seconds


def test_an_idle_session_rests(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "echo up; exec cat")
    terminal.expect("up")
    assert share_of_a_core(terminal, 2) < BUSY_SHARE
    assert terminal.peak_mib() < MEMORY_MIB


def test_endless_input_into_a_process_that_does_not_read_stays_small(
    box: Container, sessions: Sessions
) -> None:
    terminal = sessions.exec_command(
        box, "echo up; exec sleep 60", term_stdin=Path("/dev/zero"), term_stdout=PIPE
    )
    terminal.expect_stdout("up")
    assert share_of_a_core(terminal) < BUSY_SHARE
    assert terminal.peak_mib() < MEMORY_MIB


def test_endless_output_into_a_pipe_that_is_not_read_stays_small(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "exec yes", term_stdout=PIPE, tty=False)
    terminal.expect_stdout("y\n")
    terminal.blocked = frozenset({"stdout"})
    assert share_of_a_core(terminal) < BUSY_SHARE
    assert terminal.peak_mib() < MEMORY_MIB


def test_both_directions_blocked_stay_small(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "exec yes", term_stdin=Path("/dev/zero"), term_stdout=PIPE)
    terminal.expect_stdout("y\n")
    terminal.blocked = frozenset({"stdout"})
    assert share_of_a_core(terminal) < BUSY_SHARE
    assert terminal.peak_mib() < MEMORY_MIB


def test_a_remote_that_does_not_read_does_not_stop_the_output(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(
        box,
        "for i in $(seq 30); do echo line $i; usleep 50000; done; sleep 60",
        term_stdin=Path("/dev/zero"),
        term_stdout=PIPE,
    )
    terminal.expect_stdout("line 30\n")


@pytest.mark.parametrize("keys", ["detach", "control-c"])
def test_keys_work_while_the_terminal_takes_no_output(keys: str, box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(
        box, "trap 'exit 6' INT; echo up; while :; do echo yyyyyyyyyyyyyyyyyyyy; done"
    )
    terminal.expect("up")
    terminal.reading = False
    assert share_of_a_core(terminal) < BUSY_SHARE
    terminal.send("\x10\x11" if keys == "detach" else "\x03")
    if keys == "detach":
        assert terminal.report("returned")["value"] is None
        terminal.reading = True
    else:
        # What had been written before the key is shown first.
        terminal.reading = True
        assert terminal.report("returned")["value"] == 6
    assert terminal.wait() == 0
    assert terminal.is_as_before()


def test_a_stopped_terminal_can_be_left_by_a_signal(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "echo up; exec yes")
    terminal.expect("up")
    terminal.reading = False
    assert share_of_a_core(terminal) < BUSY_SHARE
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == -signal.SIGTERM
    assert terminal.is_as_before()


def test_a_closed_stdout_is_noticed_while_nothing_is_written(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "echo up; exec sleep 60", term_stdin=PIPE, term_stdout=PIPE)
    terminal.expect_stdout("up")
    terminal.stop_reading("stdout")
    assert terminal.report("returned")["value"] == 141
