"""What is said of a shell that has ended: its own end, its container's, or the connection's."""

from __future__ import annotations

from typing import Any

import pytest

from dockerpty.engine.calls import Call, Reply, inspect_container
from dockerpty.errors import EngineUnreachable, NotFound, SessionLost
from dockerpty.host.requests import Close
from dockerpty.host.results import Status
from dockerpty.host.shell import departure
from dockerpty.host.shell.framing import Framing
from dockerpty.host.shell.running import run_one
from dockerpty.host.shell.shell import Shell
from tests.unit.host.bench import Bench, benches
from tests.unit.host.channels import CONTAINER, SILENCE, Here, Scripted, reply

bench = benches([("dash", False)], ["dash-pipes"])


def container(**state: Any) -> Reply:
    return reply({"Id": CONTAINER, "Config": {}, "State": {"Running": True, "OOMKilled": False} | state})


def answered(bench: Bench, answer: Any) -> None:
    """Have the container inspected as a test says."""
    inspect = bench.here.inspect

    def asks(call: Call) -> Reply:
        if call != inspect_container(CONTAINER):
            return inspect(call)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Reply)
        return answer

    bench.here.asks = asks


def test_a_shell_that_was_killed_for_want_of_memory_is_told_so(bench: Bench) -> None:
    answered(bench, container(OOMKilled=True))
    done = bench.run("echo a; kill -9 $$")
    assert (done.output, done.status, done.retcode) == ("a", Status.Error, 137)
    assert done.error == "the shell was killed (137): out of memory?"


def test_a_container_that_stopped_is_the_reason(bench: Bench) -> None:
    answered(bench, container(Running=False, Status="exited"))
    done = bench.run("exit 137")
    assert (done.error, done.retcode, done.shell_exited) == ("the container stopped", 137, True)


def test_a_goodbye_in_a_container_that_stopped_is_no_success(bench: Bench) -> None:
    answered(bench, container(Running=False, Status="exited"))
    done = bench.run("exit 0")
    assert (done.status, done.retcode) == (Status.Error, 0)


def test_a_container_that_was_removed_is_the_reason(bench: Bench) -> None:
    answered(bench, NotFound("inspect", "web", "no such container"))
    done = bench.run("echo a; exit 9")
    assert (done.error, done.retcode, done.output) == ("the container was removed", 9, "a")


def test_an_engine_that_does_not_answer_takes_nothing_of_what_is_known(bench: Bench) -> None:
    answered(bench, EngineUnreachable("inspect", "web", "connection refused"))
    done = bench.run("echo a; exit 9")
    assert (done.retcode, done.output, done.status) == (9, "a", Status.Error)
    assert "connection refused" in done.error


def ready(*steps: Any) -> tuple[Here, Shell, Scripted]:
    """A shell that is ready, and then says what a test wrote down."""
    framing = Framing(terminal=False)
    greeting = f"\x1e{framing.session}:ready:7:dash\x1e".encode()
    channel = Scripted([(1, greeting), (2, greeting), *steps])
    shell = Shell(channel, framing, "sh", host="here")  # type: ignore[arg-type]  # a channel that is played
    while not shell.is_ready:
        shell.take()
    return Here(), shell, channel


def test_a_connection_that_breaks_is_told_and_the_session_lost() -> None:
    here, shell, channel = ready(SessionLost("go on with", "web", "connection reset"))
    done = here.drive(run_one(shell, "sleep 9"))
    assert (done.status, done.retcode, done.session_lost, done.shell_exited) == (
        Status.Error,
        -1,
        True,
        False,
    )
    assert "connection reset" in done.error
    assert shell.over
    assert channel.closed


def test_a_shell_that_has_ended_though_its_stream_has_not_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(departure, "_SILENCE_S", 0.05)
    here, shell, channel = ready(SILENCE)
    asked = []

    def asks(call: Call) -> Reply:
        if call == inspect_container(CONTAINER):
            return container()
        asked.append(call)
        # It runs when it is first looked at.
        return reply({"Running": len(asked) < 2, "ExitCode": None if len(asked) < 2 else 5, "Pid": 7})

    here.asks = asks
    done = here.drive(run_one(shell, "sleep 9"))
    assert (done.retcode, done.shell_exited, done.error) == (5, True, "the shell ended with 5")
    assert len(asked) == 3
    assert Close(channel) in here.requests  # type: ignore[arg-type]  # a channel that is played
