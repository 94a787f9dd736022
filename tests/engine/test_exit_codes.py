"""The exit codes of the commands that have a session, row by row, beside docker's where they shall be the same."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench
from tests.bed.proxy import Proxy
from tests.bed.terminal import Terminal
from tests.engine.command import DETACH, DPTY, dpty, environment, typed
from tests.engine.command import docker as docker_command
from tests.engine.conftest import Sessions

RUN = ("run", "--rm", "--network", "none")
STAYS = "echo up; exec sleep 60"
SESSIONS = ("exec", "run", "attach", "start")


def name_of(container: Container) -> str:
    return str(container.name)


class Lines:
    """Command lines that all run the same words in a container."""

    def __init__(self, bench: Bench, box: Container) -> None:
        self._bench, self._box = bench, box
        self._names: list[str] = []

    def of(self, command: str, script: str, *flags: str, tty: bool = False, stdin: bool = False) -> list[str]:
        """The line of one of exec, run, attach and start on which `sh -c script` is a session's process."""
        letters = ["-i"] if stdin else []
        if command == "exec":
            return [
                "exec",
                *letters,
                *(["-t"] if tty else []),
                *flags,
                name_of(self._box),
                "sh",
                "-c",
                script,
            ]
        if command == "run":
            self._names.append(self._bench.name())
            given = [*letters, *(["-t"] if tty else []), "--name", self._names[-1], *flags]
            return [*RUN, *given, IMAGE, "sh", "-c", script]
        if command == "start":
            container = self._bench.container(script, tty=tty, stdin_open=stdin)
            return ["start", "-a", *letters, *flags, name_of(container)]
        container = self._bench.container(script, tty=tty, stdin_open=stdin, start=True)
        return ["attach", *flags, name_of(container)]

    def close(self) -> None:
        """Let the bench remove also what `run` has made, if it is still there."""
        for name in self._names:
            with contextlib.suppress(docker.errors.NotFound):  # it is gone
                self._bench.adopt(name)


@pytest.fixture
def lines(bench: Bench, box: Container) -> Iterator[Lines]:
    lines = Lines(bench, box)
    yield lines
    lines.close()


def started(sessions: Sessions, argv: list[str], **options: Any) -> Terminal:
    """A session at a terminal that is up and running."""
    terminal = typed(sessions, *argv, **options)
    terminal.expect("up")
    return terminal


# The process has ended


@pytest.mark.parametrize("command", SESSIONS)
@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$; sleep 1; exit 4", None)],
)
def test_the_code_is_the_processs_as_it_is_dockers(
    command: str, script: str, code: int | None, lines: Lines, bench: Bench, sessions: Sessions
) -> None:
    # It waits for a line, so that an attach is there when it ends.
    script = f"read line; {script}"
    ours = dpty(sessions, *lines.of(command, script, stdin=True), stdin=b"go\n").returncode
    theirs = docker_command(sessions, *lines.of(command, script, stdin=True), stdin=b"go\n").returncode
    # Docker's command waits for the removal, to which Podman answers 0 whatever the code was.
    assert theirs == (0 if command == "run" and bench.is_podman else ours)
    # The first process of a container has no signal that kills it by default.
    assert ours == (code if code is not None else 143 if command == "exec" else 4)


@pytest.mark.parametrize("command", ["run", "attach", "start"])
def test_a_container_that_is_killed_is_128_and_the_number(
    command: str, lines: Lines, bench: Bench, sessions: Sessions
) -> None:
    argv = lines.of(command, "while sleep 0.1; do echo tick; done")
    container = argv[argv.index("--name") + 1] if command == "run" else argv[-1]
    terminal = typed(sessions, *argv)
    terminal.expect("tick")
    bench.client.containers.get(container).kill()
    assert terminal.wait(20) == 137


@pytest.mark.parametrize(
    ("program", "code"), [("no-such-program", 127), ("/no/such/program", 127), ("/tmp", 126)]
)
@pytest.mark.parametrize("command", ["exec", "run", "start", "start -a"])
def test_what_cannot_be_started_is_127_or_126(
    command: str, program: str, code: int, bench: Bench, box: Container, sessions: Sessions
) -> None:
    if command == "exec":
        argv = ["exec", name_of(box), program]
    elif command == "run":
        argv = [*RUN, IMAGE, program]
    else:
        argv = [*command.split(), name_of(bench.container([program]))]
    done = dpty(sessions, *argv)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.count(b"\n") == 1
    # Podman prepares the process when it is attached to; docker's command takes that for a fault of its own.
    if command == "run" and not bench.is_podman:
        assert docker_command(sessions, *argv).returncode == code


# Our own errors


@pytest.mark.parametrize("command", ["exec", "attach", "start", "start -a", "watch", "shell"])
def test_a_container_that_is_missing_is_125(command: str, sessions: Sessions) -> None:
    words = ["true"] if command == "exec" else []
    done = dpty(sessions, *command.split(), "no-such-container", *words)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"dpty: cannot ")
    assert b"no such container" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "command", ["exec", "run", "attach", "start", "watch", "shell", "ps", "cp", "replay", "prune"]
)
def test_a_line_that_makes_no_sense_is_125_as_it_is_dockers(command: str, sessions: Sessions) -> None:
    done = dpty(sessions, command, "--no-such-flag", "web", "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"dpty: cannot use --no-such-flag: ")
    if command in ("exec", "run", "attach", "start", "ps"):
        assert docker_command(sessions, command, "--no-such-flag", "web", "true").returncode == 125


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["exec", "web", "true"], 125),
        (["run", "busybox"], 125),
        (["attach", "web"], 125),
        (["start", "web"], 125),
        (["watch", "web"], 125),
        (["shell", "web"], 125),
        (["ps"], 1),
        (["cp", "web:/etc/passwd", "."], 1),
        (["prune", "--force"], 1),
    ],
)
def test_no_engine_is_125_where_the_code_is_a_processs_and_1_where_it_is_not(
    argv: list[str], code: int, sessions: Sessions
) -> None:
    done = dpty(sessions, "-H", "unix:///no/such/socket", *argv)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.startswith(b"dpty: cannot ")
    if argv[0] == "run":
        assert docker_command(sessions, "-H", "unix:///no/such/socket", *argv).returncode == code


# Ends that are no end of the process


@pytest.mark.parametrize("command", SESSIONS)
def test_who_detaches_gets_0_and_one_line(command: str, lines: Lines, sessions: Sessions) -> None:
    # Attached to, it says something only when something was typed.
    script = "echo up; while read line; do echo up; done"
    terminal = typed(sessions, *lines.of(command, script, tty=True, stdin=True))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("\r")
    terminal.expect("up")
    terminal.send(DETACH)
    assert terminal.wait() == 0
    assert terminal.output.count(b"dpty: detached from ") == 1
    assert terminal.is_as_before()


@pytest.mark.parametrize("command", SESSIONS)
def test_a_session_that_is_lost_is_255_and_one_line(
    command: str, lines: Lines, proxy: Proxy, sessions: Sessions
) -> None:
    script = "echo up; while read line; do echo up; done"
    terminal = typed(sessions, *lines.of(command, script, tty=True, stdin=True))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("\r")
    terminal.expect("up")
    proxy.refuse_connections()
    proxy.drop_connections()
    assert terminal.wait(30) == 255
    assert terminal.output.count(b"dpty: ") == 1
    assert terminal.is_as_before()


@pytest.mark.parametrize("command", SESSIONS)
def test_a_time_limit_is_124(command: str, lines: Lines, sessions: Sessions) -> None:
    done = dpty(sessions, *lines.of(command, "trap 'exit 0' TERM; sleep 60 & wait", "--timeout", "0.5"))
    assert done.returncode == 124
    assert b"it took longer than 0.5 s" in done.stderr


@pytest.mark.parametrize("command", [*SESSIONS, "watch"])
def test_a_reader_that_goes_away_is_a_death_by_sigpipe(
    command: str, lines: Lines, sessions: Sessions
) -> None:
    argv = lines.of(command if command != "watch" else "attach", "while sleep 0.1; do echo tick; done")
    if command == "watch":
        argv[0] = "watch"
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*DPTY, *argv],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.DEVNULL,
        env=environment(sessions),
    )
    os.close(writing)
    try:
        assert os.read(reading, 100).startswith(b"tick")
    finally:
        os.close(reading)
    assert process.wait(30) == -signal.SIGPIPE


def test_watch_that_is_left_with_control_c_is_0(lines: Lines, sessions: Sessions) -> None:
    argv = ["watch", lines.of("attach", "while sleep 0.1; do echo tick; done")[-1]]
    terminal = typed(sessions, *argv)
    terminal.expect("tick")
    terminal.send("\x03")
    assert terminal.wait() == 0
    assert terminal.is_as_before()


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("command", SESSIONS)
def test_a_signal_that_is_not_passed_on_is_what_we_die_of(
    command: str, number: int, lines: Lines, sessions: Sessions
) -> None:
    script = "for i in $(seq 100); do echo tick; sleep 0.1; done"
    terminal = typed(sessions, *lines.of(command, script, "--sig-proxy=false", tty=True, stdin=True))
    terminal.expect("tick")
    terminal.signal(number)
    assert terminal.wait() == -number
    assert terminal.is_as_before()


def test_control_c_that_is_not_the_processs_is_what_we_die_of(lines: Lines, sessions: Sessions) -> None:
    terminal = started(sessions, lines.of("exec", STAYS))
    terminal.send("\x03")
    assert terminal.wait() == -signal.SIGINT


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("command", ["run", "attach", "start"])
def test_a_signal_that_is_passed_on_leaves_the_code_to_the_process(
    command: str, number: int, tty: bool, lines: Lines, sessions: Sessions
) -> None:
    # Docker's attach and start pass none on to a process that has a terminal.
    script = f"trap 'exit 44' {number}; while sleep 0.1; do echo tick; done"
    terminal = typed(sessions, *lines.of(command, script, tty=tty, stdin=tty))
    terminal.expect("tick")
    assert terminal.is_raw() is tty
    terminal.signal(number)
    assert terminal.wait() == 44
    assert terminal.is_as_before()
