"""The helper under the shells of this machine, with processes of this machine in its care."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from dockerpty import plan
from dockerpty.errors import CannotStart
from dockerpty.host.requests import Close, Open, Wait
from dockerpty.host.shell import helper as helpers
from dockerpty.host.shell.helper import (
    DRIVER,
    Foreground,
    Helper,
    Mount,
    close_helper,
    end_shell,
    foreground,
    forget_shell,
    kill_foreground,
    open_helper,
    ping,
    read_mounts,
    register_shell,
    retire,
    signal_group,
    terminal_is_free,
)
from tests.bed.waiting import wait_for
from tests.conftest import missing
from tests.unit.host.channels import CONTAINER, SILENCE, Heard, Here, LocalChannel, Scripted
from tests.unit.host.shells import ALL, HERE, environment

if TYPE_CHECKING:
    from dockerpty.host.requests import Request

GONE_S = 2.0
"""How soon a shell has to be gone after its client. The bed's slack is for slower machines."""


def argv_of(name: str) -> list[str]:
    if name not in HERE:
        missing(f"no {name} on this machine")
    program = shutil.which(HERE[name][0])
    assert program is not None
    return [program, *HERE[name][1:]]


def helper_here(name: str, **replaced: str) -> Any:
    """Start what is asked for with one shell, and without any program that it could call."""

    def start(request: Open) -> LocalChannel:
        assert request.command[0] == "sh"
        words = [*argv_of(name), *request.command[1:]]
        for old, new in replaced.items():
            words = [word.replace(old, new) for word in words]
        env = dict(each.split("=", 1) for each in request.environment)
        return LocalChannel(words, env={"PATH": "/nonexistent", **env})

    return start


@pytest.fixture(params=list(ALL))
def here(request: pytest.FixtureRequest) -> Iterator[Here]:
    with Here(helper_here(request.param)) as driver:
        yield driver


@pytest.fixture
def helper(here: Here) -> Helper:
    opened = here.drive(open_helper(CONTAINER))
    assert opened is not None
    return opened


class Cared:
    """A process in a session of its own, and those that it has started."""

    def __init__(self, script: str, *, tty: bool = False, argv: tuple[str, ...] = ("dash",)) -> None:
        words = [*argv, "-i"] if tty else [*argv, "-c", script]
        env = environment("/") | {"TERM": "dumb", "PS1": "$ "}
        self.channel = LocalChannel(words, tty, env)
        self.pid = self.channel.process.pid
        self.said = b""
        if tty:
            self.tell("stty -echo; echo 'rea''dy'")
            self.wait_to_hear(b"ready\r\n$ ")
            self.tell(script)

    def tell(self, line: str) -> None:
        self.channel.write(line.encode() + b"\n")

    def wait_to_hear(self, text: bytes) -> None:
        def heard() -> bool:
            self.said += b"".join(data for _, data in self.channel.read())
            return text in self.said

        wait_for(heard, 20, repr(text))

    def others(self) -> dict[int, str]:
        """What runs in its session beside it, by pid."""
        return {pid: command for pid, command in in_session(self.pid).items() if pid != self.pid}

    def wait_for(self, command: str) -> int:
        """Wait until something runs in its session, and return its pid."""

        def found() -> int:
            return next((pid for pid, words in self.others().items() if command in words), 0)

        return wait_for(found, 20, f"{command} in the session")

    @property
    def lives(self) -> bool:
        return self.channel.process.poll() is None

    def close(self) -> None:
        left = in_session(self.pid)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended
        self.channel.kill()
        wait_until_gone(self.pid)


def in_session(sid: int) -> dict[int, str]:
    """Command lines of what runs in a session, by pid."""
    found = {}
    for each in Path("/proc").iterdir():
        if not each.name.isdecimal():
            continue
        try:
            fields = (each / "stat").read_bytes().rpartition(b")")[2].split()
            command = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if int(fields[3]) == sid and fields[0] != b"Z":
            found[int(each.name)] = command.strip()
    return found


def wait_until_gone(sid: int, timeout: float = 20.0) -> None:
    """Wait until nothing runs in a session."""
    wait_for(lambda: not in_session(sid), timeout, f"the end of {in_session(sid)}")


@pytest.fixture
def cared() -> Iterator[Any]:
    made: list[Cared] = []

    def make(script: str, **options: Any) -> Cared:
        made.append(Cared(script, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


# What is asked of it


def test_it_answers_and_calls_no_program_for_it(here: Here, helper: Helper) -> None:
    assert here.drive(ping(helper))
    assert helper.pid == here.opened[0].process.pid
    assert helper.alive


def test_it_tells_who_has_a_shells_terminal(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("", tty=True)
    assert here.drive(terminal_is_free(helper, shell.pid)) is True
    assert here.drive(foreground(helper, shell.pid)) == Foreground(shell.pid, shell.pid)
    shell.tell("cat")
    cat = shell.wait_for("cat")
    wait_for(lambda: here.drive(foreground(helper, shell.pid)) == Foreground(shell.pid, cat), 20)
    assert here.drive(terminal_is_free(helper, shell.pid, 0.05)) is False
    shell.channel.write(b"\x04")
    assert here.drive(terminal_is_free(helper, shell.pid, 20)) is True


def test_without_a_terminal_nobody_has_it(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("sleep 777")
    assert here.drive(foreground(helper, shell.pid)) == Foreground(shell.pid, -1)


def test_of_what_is_not_there_it_says_so(here: Here, helper: Helper, cared: Any) -> None:
    pid = _gone()
    assert here.drive(register_shell(helper, pid)) is False
    assert here.drive(foreground(helper, pid)) is None
    assert here.drive(terminal_is_free(helper, pid)) is None
    assert here.drive(signal_group(helper, pid, "TERM")) is None
    assert here.drive(kill_foreground(helper, pid)) is None
    assert here.drive(end_shell(helper, pid)) is False
    assert helper.alive
    assert helper.registered == set()


def _gone() -> int:
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def test_a_signal_goes_to_all_of_the_shells_but_the_shell(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("sleep 777 & sleep 778 | sleep 779; echo over; read x")
    other = cared("sleep 780; :")
    for command in ("sleep 777", "sleep 778", "sleep 779"):
        shell.wait_for(command)
    other.wait_for("sleep 780")
    assert here.drive(signal_group(helper, shell.pid, "TERM")) == 3
    shell.wait_to_hear(b"over\n")
    wait_for(lambda: not shell.others(), 20, "the end of the three")
    assert shell.lives
    assert other.others()


def test_what_is_older_than_the_command_is_spared(
    here: Here, helper: Helper, cared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helpers, "_DOUBT_S", 0.0)
    shell = cared("sleep 777 & read x; sleep 778; echo over; read x")
    older = shell.wait_for("sleep 777")
    between = time.monotonic()
    # Ages are told in hundredths of a second.
    wait_for(lambda: time.monotonic() > between + 0.5)
    shell.tell("")
    shell.wait_for("sleep 778")
    age = time.monotonic() - between - 0.25
    assert here.drive(signal_group(helper, shell.pid, "TERM", younger_s=age)) == 1
    shell.wait_to_hear(b"over\n")
    assert list(shell.others()) == [older]
    # That is no more than a doubt away from the command's start.
    monkeypatch.setattr(helpers, "_DOUBT_S", 3600.0)
    assert here.drive(signal_group(helper, shell.pid, "TERM", younger_s=age)) == 1


@pytest.mark.parametrize("name", ["a) R 1 1 1 1 (", "two words", "a\nb) S 2", ")", "\udcff)"])
def test_a_programs_name_may_be_anything(
    here: Here, helper: Helper, cared: Any, tmp_path: Path, name: str
) -> None:
    program = tmp_path / name
    program.symlink_to(shutil.which("sleep") or "sleep")
    shell = cared(f"'{program}' 777; echo over; read x", argv=("dash",))
    shell.wait_for(" 777")
    assert here.drive(foreground(helper, next(iter(shell.others())))) == Foreground(shell.pid, -1)
    assert here.drive(signal_group(helper, shell.pid, "TERM")) == 1
    shell.wait_to_hear(b"over\n")


def test_it_kills_what_has_the_terminal_and_nothing_else(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("sleep 776 & sleep 777 | sleep 778", tty=True)
    shell.wait_for("sleep 777")
    shell.wait_for("sleep 778")
    wait_for(lambda: here.drive(foreground(helper, shell.pid)) != Foreground(shell.pid, shell.pid), 20)
    assert here.drive(kill_foreground(helper, shell.pid)) == 1
    assert here.drive(terminal_is_free(helper, shell.pid, 20)) is True
    assert list(shell.others().values()) == ["sleep 776"]


def test_a_shell_that_has_the_terminal_itself_is_interrupted_and_lives(
    here: Here, helper: Helper, cared: Any
) -> None:
    shell = cared("stty raw; echo 'rou''nd'; while :; do :; done", tty=True)
    shell.wait_to_hear(b"round")
    assert here.drive(kill_foreground(helper, shell.pid)) == 1
    shell.tell("echo 'ali''ve'")
    shell.wait_to_hear(b"alive")


def test_a_shell_is_ended_with_what_runs_in_it(here: Here, helper: Helper, cared: Any) -> None:
    shells = [cared("sleep 775 & sleep 777", tty=True), cared("sleep 777; :")]
    for shell in shells:
        shell.wait_for("sleep 777")
        here.drive(register_shell(helper, shell.pid))
        assert here.drive(end_shell(helper, shell.pid)) is True
        wait_until_gone(shell.pid)
    assert helper.registered == set()


def test_it_reads_what_is_mounted(here: Here, helper: Helper) -> None:
    def both() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        found = here.drive(read_mounts(helper)) or ()
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return (
            [(each.source, each.kind) for each in found],
            [(words[0], words[2]) for words in map(str.split, lines)],
        )

    # Others on this machine mount and unmount.
    wait_for(lambda: (pair := both())[0] == pair[1], 20, "what the kernel tells")
    found = here.drive(read_mounts(helper)) or ()
    assert any(each.target == "/proc" and each.kind == "proc" for each in found)


def test_names_of_mounts_are_what_they_were_before_the_kernel_escaped_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda count: "key")
    said = rb"key - /dev/a /with\040blank\134and\011more ext4 rw,noatime 0 0" + b"\nkey = 1\n"
    # Those of others, and pieces, are met as well.
    steps: list[Any] = [
        b"key ready 1\n",
        Heard(b"key key mounts\n"),
        b"other = 0\n" + said[:20],
        said[20:30],
        said[30:],
    ]
    here = Here(lambda request: Scripted(steps))
    helper = here.drive(open_helper(CONTAINER))
    assert here.drive(read_mounts(helper)) == (
        Mount("/dev/a", "/with blank\\and\tmore", "ext4", ("rw", "noatime")),
    )


def test_a_helper_that_is_given_up_while_it_starts_leaves_no_connection_at_any_moment(here: Here) -> None:
    def until(moment: int) -> Callable[[Request], Any]:
        asked = iter(range(moment))

        def answer(request: Request) -> Any:
            if not isinstance(request, Close) and next(asked, None) is None:
                raise KeyboardInterrupt
            return here.answer(request)

        return answer

    # Of its own, for it ends with its helper.
    shell = subprocess.Popen(["sleep", "777"], start_new_session=True)
    try:
        for moment in range(100):
            try:
                helper = plan.drive(open_helper(CONTAINER, register=[shell.pid]), until(moment))
            except KeyboardInterrupt:
                assert here.closed == here.opened
            else:
                here.drive(close_helper(helper))
                break
    finally:
        shell.kill()
        shell.wait()
    # To be started, and what has to be waited for then.
    assert moment


def test_who_is_let_go_of_under_the_hands_of_who_asks_is_closed_by_that(here: Here) -> None:
    channel = Scripted([Heard(b"key ready"), SILENCE])
    helper = Helper(cast("Any", channel), "session")
    asking = register_shell(helper, 1)
    next(asking)
    helper.let_go()
    assert not channel.closed
    with pytest.raises(KeyboardInterrupt):
        asking.throw(KeyboardInterrupt())
    assert channel.closed


# The dead man's switch


def test_at_its_end_all_that_is_registered_is_hung_up(here: Here, helper: Helper, cared: Any) -> None:
    shells = [
        cared("sleep 777", tty=True),
        cared("sleep 777; :"),
        # Whom it does not impress is killed.
        cared("trap '' HUP TERM INT; sh -c 'sleep 777; :'", tty=True),
        cared("trap '' HUP TERM INT; sleep 777; :"),
    ]
    spared = [cared("sleep 777", tty=True), cared("sleep 777", tty=True)]
    for shell in (*shells, *spared):
        shell.wait_for("sleep 777")
        assert here.drive(register_shell(helper, shell.pid)) is True
    assert here.drive(forget_shell(helper, spared[0].pid)) is True
    assert here.drive(forget_shell(helper, spared[1].pid)) is True
    here.drive(register_shell(helper, shells[0].pid))
    assert helper.registered == {shell.pid for shell in shells}
    here.drive(close_helper(helper))
    for shell in shells:
        wait_until_gone(shell.pid, GONE_S)
    assert all(shell.lives and shell.others() for shell in spared)


def test_a_job_behind_that_ignores_the_end_of_its_terminal_goes_on(
    here: Here, helper: Helper, cared: Any
) -> None:
    shell = cared("(trap '' HUP; sleep 776; :) & sleep 775 & sleep 777", tty=True)
    for command in ("sleep 775", "sleep 776", "sleep 777"):
        shell.wait_for(command)
    here.drive(register_shell(helper, shell.pid))
    here.drive(close_helper(helper))
    wait_for(lambda: not shell.lives, GONE_S)
    wait_for(lambda: len(in_session(shell.pid)) == 2, GONE_S, "the end of the others")
    assert "sleep 776" in in_session(shell.pid).values()


def test_a_job_that_is_stopped_is_hung_up_too(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("sleep 777", tty=True)
    os.kill(shell.wait_for("sleep 777"), signal.SIGSTOP)
    here.drive(register_shell(helper, shell.pid))
    here.drive(close_helper(helper))
    wait_until_gone(shell.pid, GONE_S)


@pytest.mark.parametrize("name", list(ALL))
def test_who_has_the_pid_of_one_that_was_registered_and_ended_is_left_alone(name: str, cared: Any) -> None:
    shell = cared("sleep 777; :")
    shell.wait_for("sleep 777")
    start = helper_here(name, **{"me=$1 shells=": f"me=$1 shells='{shell.pid}:1'"})
    with Here(start) as here:
        helper = here.drive(open_helper(CONTAINER))
        here.drive(close_helper(helper))
        here.opened[0].process.wait(20)
    assert shell.lives
    assert shell.others()


def test_what_a_shell_left_that_has_ended_is_hung_up(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("sleep 777; :")
    shell.wait_for("sleep 777")
    here.drive(register_shell(helper, shell.pid))
    os.kill(shell.pid, signal.SIGKILL)
    shell.channel.process.wait(20)
    here.drive(close_helper(helper))
    wait_until_gone(shell.pid, GONE_S)


# A client of its own: it registers a shell that somebody else has opened, and says so.
CLIENT = """
import sys, time
from dockerpty.host.shell.helper import open_helper
from tests.unit.host.channels import Here, LocalChannel
words = sys.argv[2:]
here = Here(lambda request: LocalChannel([*words, *request.command[1:]]))
helper = here.drive(open_helper("c", register=[int(sys.argv[1])]))
print(helper.registered, flush=True)
time.sleep(777)
"""


@pytest.mark.parametrize("name", list(ALL))
def test_a_client_that_is_killed_leaves_no_shell(name: str, cared: Any) -> None:
    shell = cared("sleep 777", tty=True)
    shell.wait_for("sleep 777")
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(shell.pid), *argv_of(name)], stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"{%d}\n" % shell.pid
        client.kill()
        wait_until_gone(shell.pid, GONE_S)


def test_one_that_is_retired_leaves_all_alone(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("sleep 777", tty=True)
    shell.wait_for("sleep 777")
    here.drive(register_shell(helper, shell.pid))
    here.drive(retire(helper))
    here.opened[0].process.wait(20)
    assert shell.lives
    assert shell.others()
    assert not helper.alive


def test_a_new_one_takes_over_what_the_last_one_had(here: Here, helper: Helper, cared: Any) -> None:
    shell = cared("sleep 777", tty=True)
    here.drive(register_shell(helper, shell.pid))
    here.drive(retire(helper))
    second = here.drive(open_helper(CONTAINER, register=helper.registered | {shell.pid, _gone()}))
    assert second is not None
    assert second.registered == {shell.pid}
    here.drive(close_helper(second))
    wait_until_gone(shell.pid, GONE_S)


# What it survives, and what goes on without it


def test_signals_to_groups_of_processes_do_not_end_it(here: Here, helper: Helper) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        os.killpg(helper.pid, number)
    assert here.drive(ping(helper))


def test_one_that_was_killed_answers_nothing_and_nobody_waits_for_it(here: Here, helper: Helper) -> None:
    os.kill(helper.pid, signal.SIGKILL)
    here.opened[0].process.wait(20)
    assert _all_of(here, helper) == [None] * 7 + [False]
    assert not helper.alive
    assert here.closed == here.opened


def test_without_one_all_goes_on() -> None:
    here = Here()
    assert _all_of(here, None) == [None] * 7 + [False]
    here.drive(close_helper(None))
    here.drive(retire(None))
    assert here.requests == []


def _all_of(here: Here, helper: Helper | None) -> list[Any]:
    return [
        here.drive(register_shell(helper, 1)),
        here.drive(forget_shell(helper, 1)),
        here.drive(signal_group(helper, 1, "INT")),
        here.drive(foreground(helper, 1)),
        here.drive(kill_foreground(helper, 1)),
        here.drive(end_shell(helper, 1)),
        here.drive(read_mounts(helper)),
        here.drive(ping(helper)),
    ]


def test_one_that_is_too_slow_is_given_up_and_hangs_up_nobody_later(
    here: Here, helper: Helper, cared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = cared("sleep 777", tty=True)
    shell.wait_for("sleep 777")
    here.drive(register_shell(helper, shell.pid))
    os.kill(helper.pid, signal.SIGSTOP)
    # Who is in a hurry does not give it up.
    assert here.drive(foreground(helper, shell.pid, until=time.monotonic() + 0.05)) is None
    assert here.closed == []
    monkeypatch.setattr(helpers, "ANSWER_S", 0.1)
    assert here.drive(foreground(helper, shell.pid)) is None
    assert not helper.alive
    assert here.closed == here.opened
    os.kill(helper.pid, signal.SIGCONT)
    here.opened[0].process.wait(20)
    assert shell.lives
    assert shell.others()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(here: Here, helper: Helper) -> None:
    asked = read_mounts(helper)
    os.kill(helper.pid, signal.SIGSTOP)
    assert isinstance(next(asked), Wait)
    asked.close()
    os.kill(helper.pid, signal.SIGCONT)
    assert here.drive(ping(helper))
    assert here.drive(foreground(helper, helper.pid)) == Foreground(helper.pid, -1)


def test_two_that_ask_at_once_get_their_own_answers(here: Here, helper: Helper) -> None:
    first, second = foreground(helper, helper.pid), ping(helper)
    # It cannot have answered before it is waited for.
    os.kill(helper.pid, signal.SIGSTOP)
    asked = next(first)
    assert isinstance(asked, Wait)
    assert asked.channels
    # It looks again a moment later: nothing here is waited for.
    pause = next(second)
    assert isinstance(pause, Wait)
    assert pause.channels == ()
    os.kill(helper.pid, signal.SIGCONT)

    def finish(plan: Any, request: Any) -> Any:
        while True:
            try:
                request = plan.send(here.answer(request))
            except StopIteration as end:
                return end.value

    assert finish(first, asked) == Foreground(helper.pid, -1)
    assert finish(second, pause) is True


@pytest.mark.parametrize("name", list(ALL))
def test_a_container_without_proc_has_none(name: str) -> None:
    with Here(helper_here(name, **{"/proc": "/nonexistent"})) as here:
        assert here.drive(open_helper(CONTAINER)) is None
        assert here.closed == here.opened


def test_where_none_can_be_started_there_is_none() -> None:
    def refuse(request: Open) -> Any:
        raise CannotStart("start", "sh", "no such file")

    assert Here(refuse).drive(open_helper(CONTAINER)) is None
    said = Scripted([b'exec failed: "sh": not found\r\n'])
    here = Here(lambda request: said)
    assert here.drive(open_helper(CONTAINER)) is None
    assert isinstance(here.requests[-1], Close)


def test_it_is_started_as_the_user_whose_shells_it_cares_for() -> None:
    here = Here(lambda request: Scripted([]))
    here.drive(open_helper(CONTAINER, shell="/bin/dash", user="app", mark="A=b"))
    opened = here.requests[0]
    assert isinstance(opened, Open)
    assert opened.command[:3] == ("/bin/dash", "-c", DRIVER)
    assert (opened.container, opened.user, opened.mark, opened.tty) == (CONTAINER, "app", "A=b", False)
