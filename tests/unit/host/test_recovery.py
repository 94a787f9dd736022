"""Shells of this machine had back from commands that do not end, with and without a terminal and a helper."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.host.requests import Open, Wait
from dockerpty.host.shell.framing import (
    STDOUT,
    Begin,
    End,
    Event,
    Framing,
    Go,
    Output,
    Probed,
    Ready,
    Spilled,
    driver,
    typed_driver,
)
from dockerpty.host.shell.helper import Helper, foreground, open_helper
from dockerpty.host.shell.recovery import (
    INTERRUPTS,
    LIMIT_S,
    How,
    Recovery,
    bringing_back,
    end_alone,
    having_terminal,
    interrupt,
    recover,
)
from tests.bed.waiting import wait_for
from tests.conftest import missing
from tests.unit.host.channels import CONTAINER, Here, LocalChannel
from tests.unit.host.shells import ALL, HERE, NO_PROFILE, environment
from tests.unit.host.test_helper import argv_of, helper_here, in_session, wait_until_gone

# A script is a program of its own, whatever the shell is.
SH = "/bin/sh"


class Held:
    """A shell and its framing, as far as a recovery has to know it."""

    def __init__(self, name: str, folder: Path, *, tty: bool) -> None:
        self.name = name
        self.tty = tty
        self.framing = Framing(terminal=tty)
        self.output = b""
        self.spilled = b""
        self.events: list[Event] = []
        env = environment(str(folder)) | ({"TERM": "dumb"} if tty else {})
        flags = [*NO_PROFILE.get(name, []), "-i"] if tty else ["-c", driver(self.framing.session), "sh"]
        if name not in HERE:
            missing(f"no {name} on this machine")
        self.local = LocalChannel([*HERE[name], *flags], tty, env, cwd=str(folder))
        self.channel: Any = self.local
        self.pid = 0
        if tty:
            self.channel.write(typed_driver(self.framing.session))
        self.until(lambda: self.pid)

    def take(self) -> list[Event]:
        events: list[Event] = []
        for stream, data in self.channel.read():
            events += self.framing.feed(data, STDOUT if self.tty else stream)
        for event in events:
            if isinstance(event, Ready):
                self.pid = event.pid
            elif isinstance(event, Output):
                self.output += event.data
            elif isinstance(event, Spilled):
                self.spilled += event.data
        self.events += events
        return [event for event in events if not isinstance(event, (Output, Spilled))]

    def until(self, condition: Any) -> None:
        def done() -> Any:
            self.take()
            self.channel.flush()
            return condition()

        wait_for(done, 30, f"what {self.name} says; it has said {(self.output + self.spilled)[-2000:]!r}")

    def start(self, text: str) -> None:
        """Send a command, and wait until it runs."""
        self.output, self.events = b"", []
        request = self.framing.request(text)
        self.channel.write(request.first)
        if request.rest:
            self.until(lambda: any(isinstance(event, Go) for event in self.events))
            self.channel.write(request.rest)
        self.until(lambda: any(isinstance(event, Begin) for event in self.events))

    def run(self, text: str) -> bytes:
        """Run a command to its end, and return its output."""
        self.start(text)
        self.until(lambda: not self.framing.busy)
        return self.output

    def runs(self, command: str) -> None:
        """Wait until a program of a command runs."""
        self.until(lambda: any(command in words for words in self.others()))

    def others(self) -> list[str]:
        return [words for pid, words in in_session(self.pid).items() if pid != self.pid]

    def wait_until_alone(self) -> None:
        """Wait until nothing runs in the session but the shell."""
        wait_for(lambda: not self.others(), 20, "the end of all that ran")

    @property
    def lives(self) -> bool:
        return self.local.process.poll() is None

    def close(self) -> None:
        for pid in in_session(self.local.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended
        self.local.kill()


class Shells:
    """The shells of a test, and who drives plans for them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.here = Here(helper_here(name))
        self.made: list[Held] = []

    def open(self, *, tty: bool) -> Held:
        self.made.append(Held(self.name, self.folder, tty=tty))
        return self.made[-1]

    def helper(self) -> Helper:
        opened = self.here.drive(open_helper(CONTAINER))
        assert opened is not None
        return opened

    def recover(self, shell: Held, helper: Helper | None = None, **more: Any) -> Recovery:
        """Recover, and see that it never means to take longer than it may."""
        self.here.requests.clear()
        began = time.monotonic()
        result = self.here.drive(recover(shell, helper, **more))
        waits = [each.until for each in self.here.requests if isinstance(each, Wait)]
        assert all(until is not None and until < began + LIMIT_S + 0.5 for until in waits)
        return result

    def close(self) -> None:
        for each in self.made:
            each.close()
        self.here.__exit__(None, None, None)


@pytest.fixture(params=list(ALL))
def shells(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shells]:
    argv_of(request.param)
    made = Shells(request.param, tmp_path)
    yield made
    made.close()


SOAK = os.environ.get("DPTY_SOAK") == "1"


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose patience sooner with what does not end, but in a soak: else most of the time is spent on it."""
    if not SOAK:
        for name, seconds in HURRY.items():
            monkeypatch.setattr(f"dockerpty.host.shell.recovery.{name}", seconds)


HURRY = {
    "_PROBE_S": 0.15,
    "_LAST_PROBE_S": 0.2,
    "_INT_S": 0.3,
    "_TERM_S": 0.3,
    "_ALONE_S": 0.1,
    "LIMIT_S": 2.5,
}
STATE = "A=kept; f() { echo f; }; cd /; set -- one"


def state_is_kept(shell: Held) -> None:
    """See that the shell is the one that it was, and that nothing runs beside it."""
    assert shell.run('echo $A $1; f; pwd; echo "it is" ready') == b"kept one\nf\n/\nit is ready\n"
    shell.wait_until_alone()


# With a terminal

ENDLESS = {
    "sleep": "sleep 777",
    "cat": "cat",
    "yes": "yes",
    "a busy loop": "while :; do :; done",
    "a loop over programs": "while :; do sleep .2; done",
    "a pipeline": "sleep 777 | cat",
    "a subshell": "(sleep 777; sleep 777)",
    "an odd text": "sleep 777 # \x03\x04",
}


KEYED = [(text, True) for text in ENDLESS.values()]
KEYED += [(text, False) for name, text in ENDLESS.items() if SOAK or name in ("sleep", "a busy loop", "yes")]


@pytest.mark.parametrize(("text", "helped"), KEYED)
def test_with_a_terminal_a_command_is_interrupted_and_the_shell_is_kept(
    shells: Shells, text: str, helped: bool
) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper() if helped else None
    shell.run(STATE)
    shell.start(f"echo begun; {text}")
    shell.until(lambda: b"begun" in shell.output)
    if "sleep 777" in text:
        # What comes before it runs is not for it, and bash may then leave behind what it was about to run.
        shell.runs("sleep 777")
    result = shells.recover(shell, helper)
    assert (result.how, result.is_back) == (How.INTERRUPTED, True)
    assert 1 <= result.interrupts <= INTERRUPTS
    assert shell.output.startswith(b"begun\n")
    state_is_kept(shell)


@pytest.mark.parametrize("helped", [True, False], ids=["helped", "alone"])
@pytest.mark.usefixtures("hurry")
def test_a_script_that_goes_on_after_an_interrupt_is_interrupted_again(shells: Shells, helped: bool) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper() if helped else None
    shell.run(STATE)
    shell.start(f"{SH} -c 'trap \"echo caught\" INT; sleep 775; sleep 776; sleep 777'")
    shell.runs("sleep 775")
    assert shells.recover(shell, helper) == Recovery(How.INTERRUPTED, 3, _code_of(shell))
    assert shell.output.count(b"caught") == 3
    state_is_kept(shell)


def _code_of(shell: Held) -> int | None:
    return next((event.code for event in shell.events if isinstance(event, End)), None)


RAW = {
    "raw": ("stty raw; cat", "cat"),
    "raw, of a shell": ("stty raw -echo; sleep 777; :", "sleep 777"),
    "ignores": (f"{SH} -c 'trap \"\" INT; sleep 777; :'", "sleep 777"),
    "python": (
        "python3 -c 'import tty, time; tty.setraw(0); print(\"raw\", flush=True); time.sleep(777)'",
        "raw",
    ),
    "another shell": ("dash -i", "# "),
}
"""What is run, and what runs or is said once it takes keys."""


@pytest.mark.parametrize(("text", "sign"), list(RAW.values()), ids=list(RAW))
@pytest.mark.usefixtures("hurry")
def test_a_program_that_takes_the_interrupt_for_a_key_is_killed_and_the_shell_is_kept(
    shells: Shells, text: str, sign: str
) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    shell.run(STATE)
    shell.start(text)
    shell.until(lambda: sign.encode() in shell.output or sign in shell.others())
    wait_for(lambda: _is_away(shells, helper, shell), 20, "the program to have the terminal")
    result = shells.recover(shell, helper)
    assert (result.how, result.interrupts) == (How.KILLED, INTERRUPTS)
    state_is_kept(shell)
    # The terminal is in its usual mode: lines, signals, no echo.
    modes = {word.strip(b";") for word in shell.run("stty -a").split()}
    assert {b"icanon", b"isig", b"icrnl", b"opost", b"-echo", b"-onlcr"} <= modes


def _is_away(shells: Shells, helper: Helper, shell: Held) -> bool:
    found = shells.here.drive(foreground(helper, shell.pid))
    return found is not None and not found.is_the_shell


@pytest.mark.usefixtures("hurry")
def test_a_shell_that_is_busy_in_a_raw_terminal_is_interrupted_by_the_helper(shells: Shells) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    shell.run(STATE)
    shell.start("stty raw; echo round; while :; do :; done")
    shell.until(lambda: b"round" in shell.output)
    assert shells.recover(shell, helper).how is How.KILLED
    state_is_kept(shell)


@pytest.mark.usefixtures("hurry")
def test_a_shell_that_hears_nothing_is_killed(shells: Shells) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    shell.start("sleep 776 & trap '' INT; echo deaf; while :; do :; done")
    shell.until(lambda: b"deaf" in shell.output)
    result = shells.recover(shell, helper)
    assert (result.how, result.is_back) == (How.LOST, False)
    assert shell.channel.ended
    wait_until_gone(shell.pid)


@pytest.mark.usefixtures("hurry")
def test_without_a_helper_a_shell_that_hears_nothing_is_told_so_and_can_be_killed(
    shells: Shells, tmp_path: Path
) -> None:
    shell = shells.open(tty=True)
    shell.start("trap '' INT; echo deaf; while :; do :; done")
    shell.until(lambda: b"deaf" in shell.output)
    assert shells.recover(shell, None) == Recovery(How.LOST, INTERRUPTS, None)
    assert shell.lives
    assert shells.here.drive(end_alone(shell)) is True
    shell.local.process.wait(20)


def test_a_command_that_has_ended_is_not_interrupted(shells: Shells) -> None:
    for tty in (True, False):
        shell = shells.open(tty=tty)
        shell.run("true")
        shell.channel.write = lambda data: pytest.fail(f"{data!r} was sent")
        assert shells.recover(shell, shells.helper()) == Recovery(How.ENDED)


@pytest.mark.parametrize("tty", [True, False], ids=["terminal", "pipes"])
def test_after_a_command_that_ends_at_the_same_moment_the_next_result_is_the_next_commands(
    shells: Shells, tty: bool
) -> None:
    shell = shells.open(tty=tty)
    helper = shells.helper()
    for number in range(20 if SOAK else 5):
        shell.start(f"sleep 0.00{number % 10}; echo x; {SH} -c 'exit 7'")
        result = shells.recover(shell, helper)
        assert result.is_back
        assert result.code in (None, 7, 130)
        assert shell.run(f"echo {number}; (exit {number})") == b"%d\n" % number
        assert _code_of(shell) == number


def test_a_shell_that_ends_meanwhile_is_lost_and_nobody_waits_for_it(shells: Shells) -> None:
    for tty in (True, False):
        shell = shells.open(tty=tty)
        shell.start(f"{SH} -c 'trap \"kill -KILL {shell.pid}\" INT; sleep 777; :'")
        shell.runs("sleep 777")
        assert shells.recover(shell, shells.helper()).how is How.LOST
        assert shell.channel.ended


def test_the_answer_to_a_probe_that_came_too_late_is_nobodys(shells: Shells) -> None:
    shell = shells.open(tty=True)
    shell.start(f"{SH} -c 'trap : INT; read x'")
    # Nobody tells who has the terminal: the line goes to who has it.
    shell.channel.write(shell.framing.probe())
    shell.until(lambda: not shell.framing.busy)
    shell.channel.write(shell.framing.probe())
    assert shell.run("echo next; false") == b"next\n"
    assert not any(isinstance(event, Probed) for event in shell.events)


# A text that is on its way


def test_a_shell_that_asks_for_a_text_that_nobody_sends_is_kept(shells: Shells) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    shell.run(STATE)
    request = shell.framing.request("echo \x03\necho wrong")
    # The line alone: ash is sent its text at once.
    shell.channel.write(request.first.partition(b"\n")[0] + b"\n")
    result = shells.recover(shell, helper)
    assert result.is_back
    assert b"wrong" not in shell.output
    state_is_kept(shell)


def test_half_a_text_is_never_run(shells: Shells, tmp_path: Path) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    request = shell.framing.request(f"\x03; touch {tmp_path}/one\ntouch {tmp_path}/two\nsleep 777")
    text = request.rest or request.first.partition(b"\n")[2]
    shell.channel.write(request.first.partition(b"\n")[0] + b"\n")
    if request.rest:
        shell.until(lambda: any(isinstance(event, Go) for event in shell.events))
        assert shell.framing.reading
    shell.channel.write(text[: len(text) // 2])
    assert (shells.recover(shell, helper).how is How.LOST) == bool(request.rest)
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_arrives_is_waited_for_and_then_interrupted(shells: Shells) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    shell.run(STATE)
    request = shell.framing.request("echo begun # \x03\n" + "#" * 2000 + "\n" * 2000 + "sleep 777")
    shell.channel.write(request.first)
    if request.rest:
        shell.until(lambda: any(isinstance(event, Go) for event in shell.events))
        shell.channel.write(request.rest)
    assert shells.recover(shell, helper).is_back
    state_is_kept(shell)


@pytest.mark.usefixtures("hurry")
def test_what_was_sent_to_a_program_and_not_read_by_it_is_never_run(shells: Shells, tmp_path: Path) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    shell.start("stty raw; sleep 777")
    shell.runs("sleep 777")
    shell.channel.write(f"touch {tmp_path}/wrong\n".encode() * 10_000)
    assert shell.channel.unsent
    assert shells.recover(shell, helper).how is How.LOST
    assert list(tmp_path.iterdir()) == []


# Without a terminal


SIGNALLED = {
    "a program": ("sleep 777; :", How.INTERRUPTED),
    "a pipeline": ("sleep 777 | cat; :", How.INTERRUPTED),
    "a subshell": ("(sleep 777; sleep 777); :", How.INTERRUPTED),
    "much output": ("yes; :", How.INTERRUPTED),
    "a group of its own": ("set -m; sleep 777; set +m", How.INTERRUPTED),
    "ignores interrupts": (f"{SH} -c 'trap \"\" INT; sleep 777; :'; :", How.TERMINATED),
    "ignores all": (f"{SH} -c 'trap \"\" INT TERM; sleep 777; :'; :", How.KILLED),
}


@pytest.mark.parametrize(("text", "how"), list(SIGNALLED.values()), ids=list(SIGNALLED))
@pytest.mark.usefixtures("hurry")
def test_without_a_terminal_what_runs_is_signalled_and_the_shell_is_kept(
    shells: Shells, text: str, how: How
) -> None:
    shell = shells.open(tty=False)
    helper = shells.helper()
    shell.run(STATE)
    shell.start(text)
    if text.startswith("yes"):
        shell.until(lambda: b"y\n" in shell.output)
    else:
        shell.runs("sleep 777")
    result = shells.recover(shell, helper, started=time.monotonic())
    if shells.name == "bash" and text.startswith("set -m"):
        # It does to itself what it sees done to a job of its own in the foreground.
        assert result.how is How.LOST
        return
    assert result.how is how
    assert result.code == _code_of(shell) is not None
    state_is_kept(shell)


def test_without_a_terminal_the_code_is_the_killed_programs(shells: Shells) -> None:
    shell = shells.open(tty=False)
    shell.start("sleep 777")
    shell.runs("sleep 777")
    assert shells.recover(shell, shells.helper()) == Recovery(How.INTERRUPTED, 1, 130)


BUSY = {
    "a loop": "while :; do :; done",
    "a loop over programs": "while :; do sleep .2; done",
    "a builtin": "exec 9<>fifo; read x <&9",
}


@pytest.mark.parametrize("text", list(BUSY.values()), ids=list(BUSY))
@pytest.mark.usefixtures("hurry")
def test_without_a_terminal_a_shell_that_is_busy_itself_is_killed(shells: Shells, text: str) -> None:
    shell = shells.open(tty=False)
    helper = shells.helper()
    # A program before it, which an interrupt could still end, has ended when it says that it begins.
    shell.start(f"mkfifo fifo; echo begun; {text}")
    shell.until(lambda: b"begun" in shell.output)
    assert shells.recover(shell, helper).how is How.LOST
    assert shell.channel.ended
    assert shell.output.startswith(b"begun\n")
    wait_until_gone(shell.pid)


@pytest.mark.usefixtures("hurry")
def test_jobs_of_earlier_commands_are_spared(shells: Shells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockerpty.host.shell.helper._DOUBT_S", 0.0)
    shell = shells.open(tty=False)
    helper = shells.helper()
    shell.run("sleep 776 & job=$!")
    between = time.monotonic()
    wait_for(lambda: time.monotonic() > between + 0.5)
    shell.start(f"{SH} -c 'trap \"\" INT; sleep 777; :'; :")
    shell.runs("sleep 777")
    assert shells.recover(shell, helper, started=between + 0.25).how is How.TERMINATED
    assert shell.run("kill -0 $job && echo lives") == b"lives\n"
    # One that is waited for is the command, whenever it began.
    shell.start("wait $job")
    assert shells.recover(shell, helper, started=time.monotonic()).how is How.KILLED
    assert shell.run("echo back") == b"back\n"


def test_without_terminal_and_helper_there_is_no_way_but_to_kill_the_shell(shells: Shells) -> None:
    shell = shells.open(tty=False)
    shell.start("sleep 777")
    assert shells.recover(shell, None) == Recovery(How.LOST)
    assert shells.here.drive(end_alone(shell)) is True
    shell.local.process.wait(20)
    wait_until_gone(shell.pid)


def test_a_shell_that_cannot_be_killed_alone_is_said_to_be(shells: Shells) -> None:
    from dockerpty.errors import CannotStart

    def refuse(request: Open) -> Any:
        raise CannotStart("start", "sh", "no room for one more")

    shell = shells.open(tty=False)
    assert Here(refuse).drive(end_alone(shell)) is False
    assert shell.lives


# One interrupt


@pytest.mark.parametrize("tty", [True, False], ids=["terminal", "pipes"])
def test_one_interrupt_ends_a_command_or_does_not_and_says_so(shells: Shells, tty: bool) -> None:
    shell = shells.open(tty=tty)
    helper = shells.helper()
    shell.run(STATE)
    assert shells.here.drive(interrupt(shell, helper)) is True
    shell.start("sleep 777; :")
    shell.runs("sleep 777")
    assert shells.here.drive(interrupt(shell, helper)) is True
    state_is_kept(shell)
    shell.start(f"{SH} -c 'trap \"echo caught\" INT; sleep 776; sleep 777; echo never'")
    shell.runs("sleep 776")
    assert shells.here.drive(interrupt(shell, helper)) is False
    shell.until(lambda: b"caught" in shell.output)
    # It goes on, and was told nothing that is not for it.
    assert shell.framing.busy
    assert b"stty" not in shell.output
    assert shells.recover(shell, helper).is_back
    state_is_kept(shell)


@pytest.mark.usefixtures("hurry")
def test_plans_that_know_of_no_helper_are_given_what_uses_the_one_of_the_moment(shells: Shells) -> None:
    shell = shells.open(tty=True)
    helper = shells.helper()
    now: list[Helper | None] = [None]
    bring_back, has_terminal = bringing_back(lambda: now[0]), having_terminal(lambda: now[0])
    shell.start(f"{SH} -c 'trap \"\" INT; sleep 777; :'")
    shell.runs("sleep 777")
    # Nobody can tell, and who asks goes on.
    assert shells.here.drive(has_terminal(shell)) is True
    now[0] = helper
    assert shells.here.drive(has_terminal(shell)) is False
    assert shells.here.drive(bring_back(shell, time.monotonic())) is True
    assert shells.here.drive(has_terminal(shell)) is True
    assert shell.run("echo back") == b"back\n"
