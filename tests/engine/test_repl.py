"""Sessions called from Python's own prompt: again and again, and readline goes on as if nothing had been."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, id_of
from tests.bed.waiting import SLACK
from tests.conftest import missing
from tests.engine.command import environment
from tests.engine.conftest import Sessions

PROMPT = ">>> "
# What a session must leave as it was: handlers, the descriptor that wakes Python's loops, the terminal, readline's own.
STATE = """\
def state():
    wakeup = signal.set_wakeup_fd(-1); signal.set_wakeup_fd(wakeup)
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return wakeup, handlers, termios.tcgetattr(0), readline.get_completer(), readline.get_completer_delims()

"""


@pytest.fixture
def python(sessions: Sessions) -> Iterator[Any]:
    """`python -i` at a terminal of 24 rows and 80 columns, with what these tests use imported."""
    if importlib.util.find_spec("readline") is None:
        missing("this Python has no readline")
    env = environment(sessions, TERM="xterm", INPUTRC="/dev/null", PYTHON_BASIC_REPL="1", PYTHONSTARTUP=None)
    child = pexpect.spawn(sys.executable, ["-i", "-q"], env=env, timeout=20 * SLACK, dimensions=(24, 80))
    child.delaybeforesend = None
    child.expect_exact(PROMPT)
    for line in (
        "import dockerpty, readline, signal, termios",
        "from tests.bed.scripts.clients import from_env; client = from_env()",
    ):
        child.sendline(line)
        child.expect_exact(f"\n{PROMPT}")
    for line in STATE.splitlines():
        child.sendline(line)
        child.expect([r"\n\.\.\. ", rf"\n{PROMPT}"])
    child.sendline("before = state()")
    child.expect_exact(f"\n{PROMPT}")
    yield child
    child.close(force=True)


def expect_as_before(python: Any) -> None:
    """Expect the prompt, and that nothing has changed."""
    python.expect_exact(PROMPT)
    python.sendline("'same' if state() == before else (state(), before)")
    python.expect_exact(f"'same'\r\n{PROMPT}")


def test_it_can_be_called_again_and_again_and_readline_is_as_it_was(box: Container, python: Any) -> None:
    words = ["sh", "-c", "echo u''p; read line; echo got $line; exit 5"]
    call = f"dockerpty.exec_command(client, {id_of(box)[:12]!r}, {words!r})"
    for turn in ("first", "second", "third"):
        if turn == "first":
            python.sendline(call)
        else:
            python.send("\x1b[A")  # the line before the last, which asked for the state
            python.send("\x1b[A\r")
        python.expect_exact("\r\nup\r\n")
        python.sendline(turn)
        python.expect_exact(f"got {turn}\r\n5\r\n")
        expect_as_before(python)
    # A line is edited: its beginning is typed last.
    python.send("rint(6 * 7)\x01p\r")
    python.expect_exact("\r\n42\r\n")
    python.expect_exact(PROMPT)
    python.sendline("readline.get_history_item(readline.get_current_history_length() - 1)")
    python.expect_exact("'print(6 * 7)'\r\n")
    python.expect_exact(PROMPT)
    python.sendintr()
    python.expect_exact("KeyboardInterrupt\r\n")
    expect_as_before(python)


def test_a_container_is_started_left_and_joined_again(bench: Bench, python: Any) -> None:
    script = "while read line; do echo got $line; [ $line != end ] || exit 4; done"
    container = bench.container(script, tty=True, stdin_open=True)
    call = f"dockerpty.start(client, {container.name!r}, logs=False)"
    python.sendline(f"print('left:', {call})")
    python.waitnoecho(20 * SLACK)
    python.sendline("one")
    python.expect_exact("got one\r\n")
    python.send("\x10\x11")
    python.expect_exact("left: None\r\n")
    expect_as_before(python)
    python.sendline(call)
    python.expect_exact("\r\n")
    python.waitnoecho(20 * SLACK)
    python.sendline("end")
    python.expect_exact("got end\r\n4\r\n")
    expect_as_before(python)


def test_what_is_typed_and_not_read_is_for_the_prompt(box: Container, python: Any) -> None:
    words = ["sh", "-c", "echo u''p; sleep 1; exit 3"]
    python.sendline(f"dockerpty.exec_command(client, {id_of(box)!r}, {words!r}, interactive=False)")
    python.expect_exact("\r\nup\r\n")
    python.sendline("'typed' + ' ahead'")
    python.expect_exact(f"\r\n3\r\n{PROMPT}")
    python.expect_exact("'typed ahead'\r\n")
    expect_as_before(python)


def test_readline_follows_the_window_in_a_session_and_after_it(box: Container, python: Any) -> None:
    words = ["sh", "-c", "echo u''p; until stty size 2>&- | grep '^24 50'; do sleep 0.02; done"]
    call = f"dockerpty.exec_command(client, {id_of(box)[:12]!r}, {words!r})"
    python.sendline(call)
    python.expect_exact("\r\nup\r\n")
    python.setwinsize(24, 50)
    python.expect_exact("24 50\r\n")
    python.expect_exact(PROMPT)
    for cols in (50, 40):
        if cols != 50:
            python.setwinsize(24, cols)
        # A line that takes two rows: the way to its beginning leads up.
        python.send("'" + "x" * 60 + "'\x01")
        python.expect_exact("\x1b[A")
        python.send("\x0b\r")
        python.expect_exact(PROMPT)
