"""A shell that keeps its state, in both colours, on a real engine: what containers add to the shells of a machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docker.models.containers import Container

from dockerpty.errors import NotFound
from dockerpty.host.aio import container as container_of
from dockerpty.host.errors import ShellNotFoundError
from dockerpty.host.requests import Close
from dockerpty.host.results import CommandStatus, RunResult, Status
from dockerpty.host.shell.opening import open_shell
from dockerpty.host.shell.sequence import live, run_many
from dockerpty.host.shell.shell import Shell
from dockerpty.host.shell.waiting import expect, send
from dockerpty.host.sync import container_sync
from tests.bed.engine import Bench, id_of
from tests.bed.transports import Transport
from tests.bed.waiting import SLACK, wait_for
from tests.engine.host.conftest import Colour, commands, wait_until_runs

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

SOAK = os.environ.get("DPTY_SOAK") == "1"
LIMIT_S = 60 * SLACK


class Session:
    """A session with a container.

    Attributes:
        shells: those that it has had.
    """

    def __init__(self, colour: Colour, container: Container, tty: bool) -> None:
        self.colour = colour
        self.container = container
        self.tty = tty
        self.shells: list[Shell] = []

    def reopen(self, **more: Any) -> Plan[Shell]:
        opened = yield from open_shell(id_of(self.container), tty=self.tty, host="box", **more)
        self.shells.append(opened)
        return opened

    def give(self) -> Plan[Shell]:
        return (yield from live(self.shells[-1] if self.shells else None, self.reopen))

    def many(self, commands: Any, **more: Any) -> RunResult:
        return self.colour.drive(run_many(commands, self.give, **more))

    def run(self, command: Any, **more: Any) -> CommandStatus:
        return self.many(command, timeout=LIMIT_S, **more).only

    def close(self) -> None:
        for shell in self.shells:
            self.colour.drive(_close(shell))


def _close(shell: Shell) -> Plan[None]:
    yield Close(shell.channel)


Make = Callable[..., Session]


@pytest.fixture(params=[True, False], ids=["terminal", "pipes"])
def make(request: pytest.FixtureRequest, colour: Colour) -> Iterator[Make]:
    """Makes sessions with containers."""
    made: list[Session] = []

    def make(container: Container) -> Session:
        made.append(Session(colour, container, request.param))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def session(make: Make, box: Container) -> Session:
    """A session with the common container."""
    return make(box)


def test_the_state_of_a_shell_stays_from_one_command_to_the_next(session: Session) -> None:
    done = session.many(["cd /tmp; A=1", "echo $A; pwd", "f() { return 7; }", "f"])
    assert [each.retcode for each in done] == [0, 0, 0, 7]
    assert done[1].output == "1\n/tmp"
    assert session.run("echo o; echo e >&2").stderr == (b"" if session.tty else b"e\n")
    assert len(session.shells) == 1


def test_an_open_shell_is_the_process_that_it_says(session: Session) -> None:
    assert session.run("echo $$").output == str(session.shells[0].pid)
    assert session.shells[0].dialect == "ash"
    size = session.run("stty size" if session.tty else "echo none").output
    assert size == ("24 200" if session.tty else "none")


def test_what_a_command_reads_arrives_exactly(session: Session) -> None:
    data = os.urandom(2_000_000)
    assert session.run("cat >/tmp/got", stdin=data).ok
    done = session.run("cat /tmp/got; rm /tmp/got", output_limit=4_000_000)
    assert done.stdout == data
    assert session.run("ls -A /dev/shm /tmp | grep dpty").output == ""


def test_much_output_is_kept_to_its_limit(session: Session) -> None:
    done = session.run("head -c 20000000 /dev/zero", output_limit=1000)
    assert (len(done.stdout), done.dropped_bytes, done.status) == (1000, 20_000_000 - 1000, Status.Success)


def test_questions_are_answered(session: Session) -> None:
    done = session.run("printf 'name? '; read x; echo hello $x", expects=(r"name\? $", "you\n"))
    assert done.output == "name? hello you"


def test_an_exit_has_its_code_and_the_next_shell_says_that_it_is_another(session: Session) -> None:
    done = session.many(["A=1", "echo bye; exit 3", "echo ${A-gone}"])
    assert (done[1].status, done[1].retcode, done[1].shell_exited) == (Status.Error, 3, True)
    assert done[1].error == "the shell ended with 3"
    assert (done[2].output, done[2].session_lost) == ("gone", True)
    assert session.run("exec sh -c 'exit 5'").retcode == 5
    assert session.run("kill -9 $$").retcode == 137


def test_host_f14_a_restart_is_told_with_the_first_command_after_it(make: Make, bench: Bench) -> None:
    container = bench.container(["sleep", "3600"], start=True)
    session = make(container)
    assert session.run("A=1").ok
    container.restart(timeout=0)
    done = session.many(["echo ${A-gone}", "true"])
    assert [each.session_lost for each in done] == [True, False]
    assert (done[0].output, done[0].ok) == ("gone", True)


@pytest.mark.parametrize("how", ["stopped", "removed"])
def test_a_container_that_goes_under_a_command_is_the_reason(make: Make, bench: Bench, how: str) -> None:
    container = bench.container(["sleep", "3600"], start=True)
    session = make(container)
    session.run("true")

    def end() -> None:
        wait_until_runs(container, "sleep 777")
        if how == "stopped":
            container.stop(timeout=0)
        else:
            container.remove(force=True)

    other = threading.Thread(target=end)
    other.start()
    done = session.run("echo some; sleep 777")
    other.join()
    assert done.status is Status.Error
    # Podman stops what it is to remove, and shows it as stopped for a while.
    told = ["stopped"] if how == "stopped" else ["was removed", *(["stopped"] if bench.is_podman else [])]
    assert done.error in [f"the container {each}" for each in told]
    assert done.output.startswith("some")
    assert done.shell_exited


def test_an_image_without_a_shell_is_told_so(make: Make, bare: Callable[..., Container]) -> None:
    session = make(bare())
    with pytest.raises(ShellNotFoundError, match="oneshot"):
        session.run("true")


def test_a_container_that_is_not_there_is_told_as_it_is(colour: Colour) -> None:
    with pytest.raises(NotFound):
        colour.drive(open_shell("0" * 64))


def test_keys_are_sent_and_answers_waited_for(session: Session) -> None:
    if not session.tty:
        return
    drive = session.colour.drive
    session.run("PATH=$PATH")
    shell = session.shells[0]
    for number in range(3):
        drive(send(shell, f"echo {number}\n"))
        assert drive(expect(shell, r"\$ $", LIMIT_S)).text == f"{number}\n$ "
    drive(send(shell, "cat\n"))
    drive(send(shell, "typed\n"))
    assert drive(expect(shell, "typed\n", LIMIT_S)).before == ""
    drive(send(shell, b"\x04"))
    drive(expect(shell, r"\$ $", LIMIT_S))


def test_a_command_whose_time_is_over_is_interrupted_and_the_state_kept(session: Session) -> None:
    if not session.tty:
        return
    session.run("A=kept; cd /tmp")
    done = session.many("sleep 777", timeout=0.5).only
    assert (done.timed_out, done.retcode) == (True, -1)
    done = session.run("echo $A; pwd")
    assert (done.output, done.session_lost) == ("kept\n/tmp", False)


def test_a_job_that_ends_at_the_prompt_does_not_end_the_shell(session: Session) -> None:
    if not session.tty:
        return
    session.run("(while ! [ -e /tmp/now ]; do sleep 0.01; done) & echo $! >/tmp/pid")
    session.container.exec_run(["touch", "/tmp/now"])
    alive = ["sh", "-c", "kill -0 $(cat /tmp/pid)"]
    wait_for(lambda: session.container.exec_run(alive).exit_code != 0, 20, "the job to end")
    done = session.run("wait; rm /tmp/now /tmp/pid; echo alive")
    assert (done.output.splitlines()[-1], done.session_lost, len(session.shells)) == ("alive", False, 1)


# Many -----------------------------------------------------------------------------------------------------------------


def _kilobytes() -> int:
    """How much memory this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.timeout(1200)
def test_a_session_of_many_commands_grows_neither_in_memory_nor_in_descriptors_nor_in_time(
    session: Session,
) -> None:
    rounds = []
    # Without a terminal an answer has a process of its own.
    answers = ("never", "x") if session.tty else None
    for _ in range(10):
        began = time.monotonic()
        for number in range(1000 if SOAK else 50):
            done = session.run(f"echo {number}; echo bad >&2; (exit {number % 3})", expects=answers)
            assert done.retcode == number % 3
            assert done.output.splitlines()[0] == str(number)
        rounds.append((time.monotonic() - began, _kilobytes(), len(os.listdir("/dev/fd"))))
    seconds, memory, descriptors = zip(*rounds, strict=True)
    assert len(session.shells) == 1
    assert descriptors[-1] == descriptors[0]
    assert memory[-1] < memory[1] + 2000
    # The fastest of each half: others use this machine as well.
    assert min(seconds[5:]) < 2 * min(seconds[:5])


def test_many_sessions_at_once_are_many_shells_and_none_is_left(bench: Bench, transport: Transport) -> None:
    container = bench.container(start=True)
    count = 50 if SOAK else 15

    async def many() -> list[str]:
        async with container_of(id_of(container)) as host:
            sessions = [await host.open_session(f"s{number}", tty=number % 2 == 0) for number in range(count)]
            await asyncio.gather(*(each.run(f"A={number}") for number, each in enumerate(sessions)))
            done = await asyncio.gather(
                *(each.run("sleep 0.1; echo $A", timeout=LIMIT_S) for each in sessions)
            )
            return [each.only.output for each in done]

    for _ in range(2):
        before = len(os.listdir("/dev/fd"))
        assert asyncio.run(many(), debug=True) == [str(number) for number in range(count)]
    # What the first one found is kept: the engine's connections. A connection is closed behind who lets it go.
    wait_for(lambda: len(os.listdir("/dev/fd")) <= before, 20, "the end of all connections")
    wait_for(lambda: len(commands(container)) == 1, 20, "the end of all shells")


@pytest.mark.timeout(1800)
def test_many_sessions_after_one_another_leave_nothing(bench: Bench, transport: Transport) -> None:
    container = bench.container(start=True)
    with container_sync(id_of(container)) as host:
        host.run("true")
        # Its own process, the default session's shell, and their helper, which nobody has waited for.
        running = 3
        wait_for(lambda: len(commands(container)) == running, 20, "the helper")
        for number in range(1000 if SOAK else 15):
            if number == 2:
                # By now there is a connection for each purpose.
                before = len(os.listdir("/dev/fd"))
            with host.open_session(f"s{number}", tty=number % 2 == 0) as session:
                assert session.run(f"echo {number}").only.output == str(number)
        assert len(os.listdir("/dev/fd")) == before
        wait_for(lambda: len(commands(container)) == running, 20, "the end of the shells")


CLIENT = """
import asyncio, sys
from dockerpty.host import container

async def main():
    host = container(sys.argv[1])
    piped = await host.open_session("piped", tty=False)
    await host.run("A=1")
    await asyncio.gather(host.run("sleep 881"), piped.run("sleep 882", timeout=None))

asyncio.run(main())
"""


def test_host_f16_a_program_that_is_killed_leaves_no_shell(bench: Bench, transport: Transport) -> None:
    container = bench.container(start=True)
    alone = commands(container)
    with subprocess.Popen([sys.executable, "-c", CLIENT, id_of(container)]) as client:
        for words in ("sleep 881", "sleep 882", "hang_up"):
            wait_until_runs(container, words)
        client.kill()
        wait_for(lambda: commands(container) == alone, 2 * SLACK, "the end of the shells, and of the helper")
