"""The caller's terminal is as it was, whichever way a session is left (raw mode and its restore)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import termios
import threading

import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.terminal import SCRIPTS, Terminal
from tests.bed.waiting import wait_for
from tests.conftest import missing
from tests.engine.conftest import Sessions

DEADLY = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT", "SIGUSR1"]


def session_of(
    verb: str, command: str, bench: Bench, box: Container, sessions: Sessions, **options: object
) -> Terminal:
    """A session with a terminal at both ends, by way of either function."""
    if verb == "start":
        return sessions.start(bench.container(command, tty=True, stdin_open=True), **options)
    return sessions.exec_command(box, command, **options)


@pytest.mark.parametrize("verb", ["start", "exec_command"])
@pytest.mark.parametrize("name", DEADLY)
def test_a_signal_in_raw_mode_restores_and_is_what_we_die_of(
    name: str, verb: str, bench: Bench, box: Container, sessions: Sessions
) -> None:
    terminal = session_of(verb, "echo up; exec cat", bench, box, sessions)
    terminal.expect("up")
    assert terminal.is_raw()
    terminal.signal(getattr(signal, name))
    assert terminal.wait() == -getattr(signal, name)
    assert terminal.is_as_before()


@pytest.mark.parametrize("verb", ["start", "exec_command"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_before_raw_mode_finds_the_terminal_untouched(
    name: str, verb: str, bench: Bench, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/attach|/exec/.*/start", hold_answer=threading.Event())
    terminal = session_of(verb, "exec cat", bench, box, sessions)
    proxy.wait_for_request("POST", "/attach|/exec/.*/start")
    assert terminal.is_as_before()
    terminal.signal(getattr(signal, name))
    assert terminal.wait() == -getattr(signal, name)
    assert terminal.is_as_before()


@pytest.mark.parametrize("name", DEADLY)
def test_a_signal_while_the_last_output_waits_for_a_stopped_terminal_restores(
    name: str, bench: Bench, box: Container, sessions: Sessions
) -> None:
    terminal = sessions.exec_command(box, "echo up; exec seq 15000")
    terminal.expect("up")
    terminal.reading = False
    wait_for(lambda: "seq 15000" not in bench.processes(box), what="the end of the process")
    assert terminal.is_raw()
    terminal.signal(getattr(signal, name))
    terminal.wait_until(terminal.is_as_before, what="the terminal as before")
    # Python's own words on a KeyboardInterrupt go to the same terminal.
    terminal.reading = True
    assert terminal.wait() == -getattr(signal, name)
    assert terminal.is_as_before()


@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_a_normal_end_and_a_code_restore(verb: str, bench: Bench, box: Container, sessions: Sessions) -> None:
    terminal = session_of(verb, "echo up; read line; exit 9", bench, box, sessions)
    terminal.expect("up")
    terminal.wait_until(terminal.is_raw, what="raw mode")
    terminal.send("\r")
    assert terminal.report("returned")["value"] == 9
    assert terminal.wait() == 0
    assert terminal.is_as_before()


def test_a_killed_session_gives_the_terminal_back_too(box: Container, sessions: Sessions) -> None:
    # By the system's ssh: beside the thread that paramiko runs, no child is forked that could act after us.
    terminal = sessions.exec_command(box, "echo up; exec cat", sig_proxy=True, term_env={"BED_CLIENT": "ssh"})
    terminal.expect("up")
    assert terminal.is_raw()
    terminal.wait_until_guarded()
    terminal.signal(signal.SIGKILL)
    terminal.wait_until(terminal.is_as_before, what="the terminal as before")


def test_what_a_handler_of_the_callers_raises_passes_through_and_restores(
    box: Container, sessions: Sessions
) -> None:
    terminal = sessions.exec_command(box, "echo up; exec cat", script_raising=["SIGTERM"])
    terminal.expect("up")
    terminal.signal(signal.SIGTERM)
    assert terminal.report("raised")["kind"][0] == "Interrupted"
    assert terminal.wait() == 1
    assert terminal.is_as_before()


def test_a_handler_of_the_callers_that_returns_lets_the_session_go_on(
    box: Container, sessions: Sessions
) -> None:
    terminal = sessions.exec_command(
        box, "echo up; read line; echo got-$line", script_python_handlers=["SIGTERM"]
    )
    terminal.expect("up")
    terminal.signal(signal.SIGTERM)
    assert terminal.report("handled")["number"] == signal.SIGTERM
    assert terminal.is_raw()
    terminal.send("it\r")
    terminal.expect("got-it")
    assert terminal.wait() == 0
    assert terminal.is_as_before()


def test_what_is_ignored_stays_ignored(box: Container, sessions: Sessions) -> None:
    source = """
import dockerpty, os, signal, sys
from tests.bed.scripts.clients import from_env
signal.signal(signal.SIGHUP, signal.SIG_IGN)
code = dockerpty.exec_command(from_env(), sys.argv[1], ["sh", "-c", "echo up; read line; exit 4"])
print("code", code, signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
"""
    terminal = sessions.python(source, id_of(box))
    terminal.expect("up")
    terminal.signal(signal.SIGHUP)
    terminal.send("\r")
    terminal.expect("code 4 True")


def test_an_output_object_that_raises_restores(box: Container, sessions: Sessions) -> None:
    source = """
import dockerpty, sys
from tests.bed.scripts.clients import from_env
class Full:
    def write(self, data):
        raise OSError(28, "no space for it")
command = ["sh", "-c", "sleep 0.3; echo up; cat"]
try:
    dockerpty.exec_command(from_env(), sys.argv[1], command, stdout=Full(), tty=True)
except Exception as error:
    print("raised", error)
"""
    terminal = sessions.python(source, id_of(box))
    terminal.wait_until(terminal.is_raw, what="raw mode")
    terminal.expect("no space for it")
    assert terminal.wait() == 0
    assert terminal.is_as_before()


@pytest.mark.parametrize(("what", "fails"), [("/exec$", "create"), ("/exec/.*/start", "start")])
def test_a_request_that_fails_finds_the_terminal_untouched(
    what: str, fails: str, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", what, answer=(500, b'{"message":"out of cheese"}'))
    terminal = sessions.exec_command(box, "exec cat")
    raised = terminal.report("raised")
    assert "APIError" in raised["kind"]
    assert "DockerptyError" in raised["kind"]
    assert "out of cheese" in raised["text"]
    terminal.wait()
    assert terminal.is_as_before()


def test_a_hang_up_of_the_terminal_ends_the_session(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("echo up; exec cat", tty=True, stdin_open=True)
    terminal = sessions.start(container)
    terminal.expect("up")
    terminal.hang_up()
    assert terminal.wait() == -signal.SIGHUP
    assert bench.is_running(container)


def test_a_terminal_that_is_gone_is_no_end_of_input(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("echo up; cat; echo ended", tty=True, stdin_open=True)
    source = """
import dockerpty, os, signal, sys
from tests.bed.scripts.clients import from_env
signal.signal(signal.SIGHUP, signal.SIG_IGN)
try:
    dockerpty.start(from_env(), sys.argv[1])
except dockerpty.SessionLost:
    os._exit(46)
"""
    terminal = sessions.python(source, id_of(container))
    terminal.expect("up")
    terminal.hang_up()
    # The signal that would have told it is ignored, and stays so: it is seen by reading, and the session is lost.
    assert terminal.wait() == 46
    assert b"ended" not in container.logs()


def test_modes_that_the_remote_switched_on_are_switched_off(box: Container, sessions: Sessions) -> None:
    on = r"printf '\033[?1049h\033[?25l\033[?1000h\033[?2004h\033='; echo up; exec cat"
    terminal = sessions.exec_command(box, on)
    terminal.expect("up")
    terminal.signal(signal.SIGTERM)
    terminal.wait()
    after = terminal.output.partition(b"up")[2]
    for off in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?2004l", b"\x1b>"):
        assert off in after


class Shell:
    """A shell with job control at a terminal, which does not itself change the terminal's attributes."""

    def __init__(self, sessions: Sessions) -> None:
        program = shutil.which("dash")
        if program is None:
            missing("no dash here: job control is tested under it")
        assert program is not None
        environment = {**sessions.env, "PS1": "PROMPT> ", "ENV": None}
        self.terminal = sessions.add(Terminal([program, "-i"], env=environment))
        self.terminal.expect("PROMPT> ")

    def type(self, line: str) -> None:
        """Type a line."""
        self.terminal.send(line + "\n")


def command_line(box: Container, command: str) -> str:
    options = json.dumps({"args": [box.id, ["sh", "-c", command]], "kwargs": {}})
    return f"{sys.executable} {SCRIPTS}/session.py exec_command '{options}'"


def test_a_stopped_session_gives_the_terminal_back_and_takes_it_again(
    box: Container, sessions: Sessions
) -> None:
    shell = Shell(sessions)
    terminal = shell.terminal
    shell.type(command_line(box, "echo u''p; while read line; do stty size; done"))
    pid = terminal.report("calling")["pid"]
    terminal.expect("\r\nup\r\n")
    assert terminal.is_raw()

    os.kill(pid, signal.SIGTSTP)
    terminal.expect("PROMPT> ")
    assert terminal.is_as_before()
    shell.type("stty intr ^X")
    terminal.expect("PROMPT> ")
    assert terminal.attributes().cc[termios.VINTR] == b"\x18"
    terminal.set_winsize(31, 97)

    shell.type("fg")
    terminal.wait_until(terminal.is_raw, what="raw mode")

    def has_the_new_size() -> bool:
        terminal.send("\r")
        return b"31 97" in terminal.read_for(0.1)

    terminal.wait_until(has_the_new_size, what="the new size at the far side")
    terminal.send("\x04")
    terminal.expect("PROMPT> ")
    assert not terminal.is_raw()
    assert terminal.attributes().cc[termios.VINTR] == b"\x18"
    assert terminal.flags() == terminal.flags_before


def test_a_session_in_the_background_leaves_the_terminal_until_it_is_brought_forward(
    box: Container, sessions: Sessions
) -> None:
    shell = Shell(sessions)
    terminal = shell.terminal
    shell.type(command_line(box, "read line; echo got-$line") + " &")
    terminal.report("calling")
    terminal.read_for(1.0)
    assert terminal.is_as_before()
    shell.type("fg")
    terminal.wait_until(terminal.is_raw, what="raw mode")
    terminal.send("it\r")
    terminal.expect("got-it")
    terminal.expect("PROMPT> ")
    assert terminal.is_as_before()
