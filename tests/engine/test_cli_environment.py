"""What is around whoever types: variables, here and in the container, the locale; and what -D tells of it all."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench
from tests.bed.terminal import PIPE, TTY, Terminal
from tests.engine.command import dpty, typed
from tests.engine.conftest import Sessions

VERBS = ("exec", "run", "start", "attach", "shell")
ANSWERS = "echo up; while read line; do echo got $line; [ $line != end ] || exit 7; done"


def name_of(container: Container) -> str:
    return str(container.name)


Person = Callable[..., Terminal]


@pytest.fixture
def person(bench: Bench, box: Container, sessions: Sessions) -> Person:
    """Somebody at a terminal, with these variables, who lets a line of sh be run there by one of the commands."""

    def types(verb: str, script: str, **env: str | None) -> Terminal:
        words = ["sh", "-c", script]
        if verb == "run":
            argv = ["run", "-it", "--rm", "--network", "none", IMAGE, *words]
        elif verb in ("start", "attach"):
            # Whoever attaches has missed what came before.
            script = script if verb == "start" else f"read go; {script}"
            made = bench.container(script, tty=True, stdin_open=True, start=verb == "attach")
            argv = ["start", "-ai", name_of(made)] if verb == "start" else ["attach", name_of(made)]
        else:
            argv = [verb, *(["-it"] if verb == "exec" else []), name_of(box), *words]
        return typed(sessions, *argv, env=env)

    return types


@pytest.mark.parametrize("verb", ["exec", "run", "shell"])
def test_a_process_gets_the_kind_of_terminal_and_never_its_size_as_variables(
    verb: str, person: Person
) -> None:
    terminal = person(
        verb, "env; echo end", TERM="screen", COLUMNS="33", LINES="44", COLORTERM="truecolor", MINE="1"
    )
    assert terminal.wait(20) == 0
    assert b"TERM=screen\r\n" in terminal.output
    for name in (b"COLUMNS", b"LINES", b"COLORTERM", b"MINE"):
        assert name not in terminal.output


@pytest.mark.parametrize("verb", VERBS)
def test_with_noraw_the_terminal_is_left_as_it_is(verb: str, person: Person) -> None:
    terminal = person(verb, ANSWERS, NORAW="1")
    if verb == "attach":
        # Typed ahead if need be: what is not read yet waits in the terminal.
        terminal.send("go\n")
    terminal.expect("up")
    for word in ("first", "end"):
        assert terminal.is_as_before()
        # Lines are edited here: what was taken back is not sent.
        terminal.send(f"mistake\x15{word}\n")
        terminal.expect(f"got {word}\r")
    assert terminal.wait() == 7
    assert terminal.is_as_before()
    assert b"got mistake" not in terminal.output


@pytest.mark.parametrize("verb", VERBS)
def test_a_noraw_that_is_empty_is_none(verb: str, person: Person) -> None:
    terminal = person(verb, ANSWERS, NORAW="")
    terminal.wait_until(terminal.is_raw, 20, "the raw terminal")
    if verb == "attach":
        terminal.send("go\r")
    terminal.expect("up")
    terminal.send("end\r")
    assert terminal.wait() == 7
    assert terminal.is_as_before()


# A locale that knows no letters but English ones


@pytest.mark.parametrize(
    "python", [{}, {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}], ids=["usual", "strict"]
)
def test_in_the_locale_c_what_is_typed_and_piped_goes_through_as_it_is(
    python: dict[str, str], bench: Bench, sessions: Sessions
) -> None:
    # Python repairs that locale, unless it is told not to.
    env: dict[str, Any] = {"LC_ALL": "C", **python}
    box = bench.container(start=True, labels={"what": "Größe"})
    name = name_of(box)
    done = dpty(sessions, "exec", "-e", "A=é→", name, "sh", "-c", "printf $A; printf ü", **env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "é→ü".encode(), b"")
    given = b"\xc3\xa9 \xff\n"
    done = dpty(sessions, "exec", "-i", name, "cat", stdin=given, **env)
    assert (done.returncode, done.stdout, done.stderr) == (0, given, b"")
    done = dpty(sessions, "ps", "--filter", "label=what=Größe", "--format", "{{.Names}}", **env)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}\n".encode(), b"")


def test_in_a_locale_without_letters_for_it_a_text_is_shown_all_the_same(
    bench: Bench, sessions: Sessions
) -> None:
    box = bench.container(["sh", "-c", ": ö; sleep 60; : and more"], start=True)
    env: dict[str, Any] = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = dpty(sessions, "ps", "--filter", f"name={box.name}", "--format", "{{.Command}}", **env)
    # Podman lists words as they are.
    listed = b'"sh -c : ?; sleep 60?"\n' if bench.is_podman else b'"sh -c \': ?; sleep 6?"\n'
    assert (done.returncode, done.stdout, done.stderr) == (0, listed, b"")
    for argv, code in ((["exec", "nicht-da-ö", "true"], 125), (["cp", "nicht-da-ö:/x", "."], 1)):
        done = dpty(sessions, *argv, **env)
        assert (done.returncode, done.stdout) == (code, b"")
        assert done.stderr.startswith(b"dpty: cannot ")
        assert done.stderr.count(b"\n") == 1


# What -D tells


@pytest.mark.parametrize("where", ["terminal", "pipe"])
def test_what_debug_tells_of_a_raw_session_waits_until_the_terminal_is_given_back(
    where: str, bench: Bench, sessions: Sessions
) -> None:
    script = "trap 'echo caught' USR1; echo up; until read line; do :; done; echo down; exit 4"
    container = bench.container(script, tty=True, stdin_open=True)
    stderr = PIPE if where == "pipe" else TTY
    terminal = typed(sessions, "-D", "start", "-ai", name_of(container), stderr=stderr)
    terminal.expect("up\r\n")
    assert terminal.is_raw()

    def told() -> bytes:
        return terminal.stderr if where == "pipe" else terminal.output

    terminal.read_for(0.3)  # what was told before may be on its way by a pipe
    before = told()
    assert b"dpty: dockerpty." in before
    # To pass a signal on is a step that is told of.
    terminal.signal(signal.SIGUSR1)
    terminal.expect("caught")
    terminal.read_for(0.5)
    assert terminal.is_raw()
    assert told().removeprefix(before).replace(b"caught\r\n", b"") == b""
    terminal.send("\r")
    assert terminal.wait() == 4
    assert terminal.is_as_before()
    said = terminal.stderr if where == "pipe" else terminal.output.partition(b"down\r\n")[2]
    assert said.count(b"kill answered") == 1
    assert b"caught" not in said
    # Where it stands on the terminal, each line begins at its left edge.
    assert where == "pipe" or said.count(b"\r\n") == said.count(b"\n")
