"""A command that is read from and written to while it runs."""

from __future__ import annotations

from typing import Any

import pytest

from dockerpty.host.errors import SessionLostError
from dockerpty.host.results import Status
from dockerpty.host.shell.started import Started, start
from tests.unit.host.bench import IDS, KINDS, Bench, benches
from tests.unit.host.channels import DEADLINE_S

bench = benches(KINDS, IDS)


def started(bench: Bench, command: Any, **more: Any) -> Started:
    return bench.drive(start(bench.shell, command, **more))


def rest(bench: Bench, running: Started) -> bytes:
    found = b""
    while (piece := bench.drive(running.more())) is not None:
        found += piece[1]
    return found


def until(bench: Bench, running: Started, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found:
        piece = bench.drive(running.more())
        assert piece is not None, found
        found += piece[1]
    return found


def test_output_comes_while_the_command_runs_and_answers_go_to_it(bench: Bench) -> None:
    running = started(
        bench, "echo ready; read a; echo got $a; read b; echo and $b; exit_code() { return 4; }; exit_code"
    )
    assert until(bench, running, b"ready\n") == b"ready\n"
    bench.drive(running.write("one\n"))
    assert until(bench, running, b"one\n") == b"got one\n"
    bench.drive(running.write(b"two\n"))
    assert rest(bench, running) == b"and two\n"
    done = bench.drive(running.wait())
    assert (done.output, done.status, done.retcode) == ("ready\ngot one\nand two", Status.Failed, 4)
    assert bench.drive(running.wait()) is done
    assert bench.run("echo alive").output == "alive"


def test_what_it_reads_ends_when_that_is_said(bench: Bench) -> None:
    running = started(bench, "cat; echo end")
    bench.drive(running.write("line\n"))
    assert until(bench, running, b"line\n") == b"line\n"
    running.close_stdin()
    assert bench.drive(running.wait()).output == "line\nend"


def test_who_only_waits_gets_all_of_it(bench: Bench) -> None:
    done = bench.drive(started(bench, "echo a; exit 3").wait())
    assert done.output.startswith("a")
    assert (done.retcode, done.shell_exited) == (3, True)


def test_its_shell_is_its_own_until_it_is_over(bench: Bench) -> None:
    running = started(bench, "read a; echo $a")
    with pytest.raises(RuntimeError, match="a command runs"):
        bench.drive(start(bench._shell, "true"))  # type: ignore[arg-type]  # its shell, whatever it is
    bench.drive(running.write("mine\n"))
    assert bench.drive(running.wait()).output == "mine"
    with pytest.raises(SessionLostError, match="it is over"):
        bench.drive(running.write("late\n"))


def test_its_time_may_be_limited(bench: Bench) -> None:
    if not bench.tty:
        return
    running = started(bench, "echo a; sleep 777", timeout=0.3)
    # What a shell says to an interrupt comes before anybody knows that it is back.
    assert rest(bench, running).startswith(b"a\n")
    done = bench.drive(running.wait())
    assert (done.timed_out, done.output) == (True, "a")
    assert bench.run("echo alive", timeout=DEADLINE_S).output == "alive"
