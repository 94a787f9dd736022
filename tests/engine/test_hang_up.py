"""The terminal goes, as when its window is closed: the process is told once, and we die by SIGHUP.

A shell may stand between a terminal and us. The kernel sends SIGHUP to the session's leader: then we see that the
terminal is gone before we are told, if ever. Both are tried.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.terminal import PIPE, Terminal
from tests.engine.command import DETACH, DPTY, typed
from tests.engine.conftest import Sessions

#: Each SIGHUP that comes is a letter in a file. It says "up" again to whoever attaches and types.
COUNTS = "trap 'printf h >>/tmp/heard' HUP; while echo up; do sleep 0.1; done"
#: A leader that gets the signal itself, keeps it from its child, and leaves the child's exit code in a file.
LEADER = ("sh", "-c", 'trap : HUP; "$@"; echo $? >"$0"')

KINDS = ["run -it", "start -ai", "attach", "run", "start -a"]


def line_of(kind: str, bench: Bench, name: str) -> list[str]:
    """A command line that has a container of that name count."""
    verb, *flags = kind.split()
    if verb == "run":
        return ["run", *flags, "--network", "none", "--name", name, IMAGE, "sh", "-c", COUNTS]
    tty = kind != "start -a"
    bench.container(COUNTS, name=name, tty=tty, stdin_open=tty, start=verb == "attach")
    return [verb, *flags, name]


def heard(bench: Bench, container: Container) -> bytes:
    """What has come until now."""
    return bench.run_inside(container, "cat /tmp/heard 2>&-")[1]


def expect_told_once(bench: Bench, container: Container) -> None:
    """Expect a container that goes on, and has heard of one hang-up."""
    assert bench.is_running(container)
    bench.wait_for(lambda: heard(bench, container), 5, "the signal")
    # A second one would have been sent before we went.
    assert heard(bench, container) == b"h"


def count_of(leader: Terminal, path: Path) -> int:
    """The exit code that the leader has left."""
    leader.wait_until(lambda: path.exists() and path.read_bytes().endswith(b"\n"), 10, "the end of the child")
    return int(path.read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_dies_by_the_signal_and_the_container_is_told(
    kind: str, bench: Bench, sessions: Sessions
) -> None:
    name = bench.name()
    terminal = typed(sessions, *line_of(kind, bench, name))
    terminal.expect("up")
    container = bench.adopt(name)
    terminal.hang_up()
    assert terminal.wait() == -signal.SIGHUP
    expect_told_once(bench, container)


@pytest.mark.parametrize("proxied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_it_does_so_too_where_the_signal_goes_to_a_shell_alone(
    kind: str, proxied: bool, bench: Bench, sessions: Sessions, tmp_path: Path
) -> None:
    name = bench.name()
    verb, *others = line_of(kind, bench, name)
    argv = [verb, *([] if proxied else ["--sig-proxy=false"]), *others]
    path = tmp_path / "code"
    leader = sessions.add(
        Terminal([*LEADER[:3], str(path), *DPTY, *argv], env={**sessions.env, "DOCKER_CONFIG": None})
    )
    leader.expect("up")
    container = bench.adopt(name)
    leader.hang_up()
    assert count_of(leader, path) == 128 + signal.SIGHUP
    if proxied:
        expect_told_once(bench, container)
    else:
        assert heard(bench, container) == b""


def test_who_ignores_the_signal_is_not_killed_by_it(bench: Bench, sessions: Sessions, tmp_path: Path) -> None:
    name, path = bench.name(), tmp_path / "code"
    argv = [
        "sh",
        "-c",
        'trap "" HUP; "$@"; echo $? >"$0"',
        str(path),
        *DPTY,
        *line_of("run -it", bench, name),
    ]
    leader = sessions.add(Terminal(argv, env={**sessions.env, "DOCKER_CONFIG": None}))
    leader.expect("up")
    container = bench.adopt(name)
    leader.hang_up()
    assert count_of(leader, path) == 255
    assert heard(bench, container) == b""


@pytest.mark.parametrize("kind", KINDS)
def test_the_signal_alone_is_passed_on_and_we_stay(kind: str, bench: Bench, sessions: Sessions) -> None:
    name = bench.name()
    terminal = typed(sessions, *line_of(kind, bench, name))
    terminal.expect("up")
    container = bench.adopt(name)
    for times in (1, 2):
        terminal.signal(signal.SIGHUP)
        terminal.wait_until(lambda times=times: heard(bench, container) == b"h" * times, what="the signal")  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
    terminal.drain()
    terminal.expect("up")
    assert terminal.process.poll() is None
    if terminal.is_raw():
        terminal.send(DETACH)
        assert terminal.wait() == 0
        assert terminal.is_as_before()


def test_without_a_terminal_of_ours_there_is_nothing_to_lose(bench: Bench, sessions: Sessions) -> None:
    name = bench.name()
    terminal = typed(sessions, *line_of("run", bench, name), stdin=PIPE, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    container = bench.adopt(name)
    terminal.hang_up()
    bench.wait_for(lambda: heard(bench, container) == b"h", what="the signal")
    seen = len(terminal.stdout)
    terminal.wait_until(lambda: len(terminal.stdout) > seen, what="more of it")


def test_a_program_that_passes_signals_on_dies_by_it_too(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(COUNTS, tty=True, stdin_open=True)
    terminal = sessions.start(container, sig_proxy=True)
    terminal.expect("up")
    terminal.hang_up()
    assert terminal.wait() == -signal.SIGHUP
    expect_told_once(bench, container)


@pytest.mark.parametrize("why", ["another terminal", "a handler of its own"])
def test_a_program_that_is_not_to_die_by_it_gets_an_error(why: str, bench: Bench, sessions: Sessions) -> None:
    container = bench.container(COUNTS, tty=True, stdin_open=True)
    source = f"""
import dockerpty, os, signal, sys
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
{"" if why == "another terminal" else "signal.signal(signal.SIGHUP, lambda number, frame: None)"}
try:
    dockerpty.start(from_env(), sys.argv[1], sig_proxy=True)
except dockerpty.SessionLost as error:
    report("lost", text=str(error), reason=error.result.reason)
    os._exit(46)
"""
    argv = [sys.executable, "-c", source, id_of(container)]
    if why == "another terminal":
        argv = ["sh", "-c", 'trap : HUP; "$@"; exit $?', "sh", *argv]
    terminal = sessions.add(Terminal(argv, env=sessions.env))
    terminal.expect("up")
    terminal.hang_up()
    lost = terminal.report("lost")
    assert lost["text"] == f"cannot go on with {container.name}: the terminal is gone"
    assert lost["reason"] == "lost"
    assert terminal.wait() == 46
    expect_told_once(bench, container)


def test_a_process_of_an_exec_is_told_as_well(bench: Bench, sessions: Sessions, tmp_path: Path) -> None:
    container = bench.container(start=True)
    for number, leads in enumerate((True, False)):
        path = tmp_path / f"code{number}"
        argv = [*DPTY, "exec", "-it", str(container.name), "sh", "-c", COUNTS]
        if leads:
            terminal = sessions.add(Terminal(argv, env={**sessions.env, "DOCKER_CONFIG": None}))
        else:
            terminal = sessions.add(
                Terminal([*LEADER, str(path), *argv], env={**sessions.env, "DOCKER_CONFIG": None})
            )
        terminal.expect("up")
        terminal.hang_up()
        code = terminal.wait() if leads else count_of(terminal, path)
        assert code == (-signal.SIGHUP if leads else 128 + signal.SIGHUP)
        bench.wait_for(lambda: heard(bench, container), 5, "the signal")
        bench.run_inside(container, "pkill -9 -f heard; rm /tmp/heard")
