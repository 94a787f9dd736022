"""What is typed into a container that is paused waits, and the user is told why."""

from __future__ import annotations

import time

import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.terminal import PIPE, Terminal
from tests.engine.command import DETACH, typed
from tests.engine.conftest import Sessions

GOT = "stty -echo 2>&-; while read line; do echo got $line; done"
KINDS = ["exec -i", "run -i", "start -ai", "attach"]


def begun(
    kind: str, bench: Bench, sessions: Sessions, *flags: str, tty: bool = False, command: str = GOT
) -> tuple[Container, Terminal]:
    """A session in which lines are answered, and its container."""
    verb, *letters = kind.split()
    name = bench.name()
    given = [verb, *letters, *flags, *(["-t"] if tty and verb in ("exec", "run") else [])]
    if verb == "run":
        argv = [*given, "--network", "none", "--name", name, IMAGE, "sh", "-c", command]
    elif verb == "exec":
        bench.container(name=name, start=True)
        argv = [*given, name, "sh", "-c", command]
    else:
        bench.container(command, name=name, tty=tty, stdin_open=True, start=verb == "attach")
        argv = [*given, name]
    streams = {} if tty else {"stdout": PIPE, "stderr": PIPE}
    terminal = typed(sessions, *argv, **streams)
    if tty:
        terminal.wait_until(terminal.is_raw, what="raw mode")
    if command == GOT:
        terminal.send("first\r")
        terminal.expect("got first") if tty else terminal.expect_stdout("got first\n")
    return bench.adopt(name), terminal


def hint(container: Container) -> bytes:
    return b"dpty: %s is paused: what you type waits until it is unpaused\n" % str(container.name).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_after_two_seconds_without_an_answer_there_is_a_line_that_says_so(
    kind: str, bench: Bench, sessions: Sessions
) -> None:
    container, terminal = begun(kind, bench, sessions)
    container.pause()
    began = time.monotonic()
    terminal.send("second\n")
    terminal.expect_stderr("\n")
    assert time.monotonic() - began > 1.8
    terminal.read_for(2.5)
    assert terminal.stderr == hint(container)
    container.unpause()
    terminal.expect_stdout("got first\ngot second\n")
    terminal.send("\x04")
    assert terminal.wait() == 0
    assert terminal.stderr == hint(container)


@pytest.mark.parametrize("kind", ["exec -i", "attach"])
def test_with_quiet_nothing_is_said(kind: str, bench: Bench, sessions: Sessions) -> None:
    container, terminal = begun(kind, bench, sessions, "--quiet")
    container.pause()
    terminal.send("second\n")
    terminal.read_for(3)
    container.unpause()
    terminal.expect_stdout("got second\n")
    assert terminal.stderr == b""


@pytest.mark.parametrize("kind", ["exec -i", "attach"])
def test_in_a_raw_terminal_nothing_is_said_neither_then_nor_later(
    kind: str, bench: Bench, sessions: Sessions
) -> None:
    container, terminal = begun(kind, bench, sessions, tty=True)
    container.pause()
    terminal.send("second\r")
    terminal.read_for(3)
    container.unpause()
    terminal.expect("got second")
    terminal.send(DETACH)
    assert terminal.wait() == 0
    assert b"paused" not in terminal.output


@pytest.mark.parametrize("kind", ["exec -i", "attach"])
def test_who_does_not_answer_and_is_not_paused_is_left_in_peace(
    kind: str, bench: Bench, sessions: Sessions
) -> None:
    _, terminal = begun(kind, bench, sessions, command="exec sleep 1000")
    terminal.read_for(1)
    terminal.send("a line\n")
    terminal.read_for(3)
    assert terminal.stderr == b""


@pytest.mark.parametrize("kind", ["exec -i", "attach"])
def test_it_is_our_container_that_counts_and_not_the_one_that_has_its_name_by_now(
    kind: str, bench: Bench, sessions: Sessions
) -> None:
    container, terminal = begun(kind, bench, sessions)
    name = str(container.name)
    container.rename(f"{name}-renamed")
    other = bench.container(name=name, start=True)
    container.pause()
    terminal.send("second\n")
    terminal.expect_stderr(hint(other))
    container.unpause()
    terminal.expect_stdout("got second\n")
    other.pause()
    terminal.send("third\n")
    terminal.expect_stdout("got third\n")
    terminal.read_for(2.5)
    assert terminal.stderr == hint(other)
    other.unpause()


def test_of_an_exec_that_was_made_elsewhere_it_is_said_too(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    created = bench.api.exec_create(id_of(container), ["sh", "-c", GOT], stdin=True)
    source = """
import dockerpty, logging, sys
from tests.bed.scripts.clients import from_env
logging.basicConfig(format="%(name)s: %(message)s")
dockerpty.start_exec(from_env(), sys.argv[1])
"""
    terminal = sessions.python(source, created["Id"], stdout=PIPE, stderr=PIPE)
    terminal.send("first\n")
    terminal.expect_stdout("got first\n")
    container.pause()
    terminal.send("second\n")
    terminal.expect_stderr(
        f"the exec {created['Id'][:12]} is paused: what you type waits until it is unpaused\n"
    )
    container.unpause()
    terminal.expect_stdout("got second\n")
