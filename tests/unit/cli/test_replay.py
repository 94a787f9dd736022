"""`dpty replay`, on real terminals: what is shown and when, the keys, and the terminal afterwards."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.cli.replay import Player
from tests.bed.screen import Screen
from tests.bed.terminal import CLOSED, PIPE, ROOT, Terminal
from tests.conftest import missing

DPTY = [sys.executable, "-m", "dockerpty"]
CURSOR_OFF, CURSOR_ON = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def cast(tmp_path: Path) -> Callable[..., str]:
    def write(*events: tuple[float, str], size: tuple[int, int] = (24, 80), end: str = "") -> str:
        path = tmp_path / "a.cast"
        lines: list[Any] = [{"version": 2, "width": size[1], "height": size[0]}]
        lines += [[at, "o", data] for at, data in events]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines) + end)
        return str(path)

    return write


@pytest.fixture
def terminals() -> Iterator[Callable[..., Terminal]]:
    open_ones: list[Terminal] = []

    def start(argv: list[str], **options: Any) -> Terminal:
        open_ones.append(Terminal(argv, **options))
        return open_ones[-1]

    yield start
    for each in open_ones:
        each.close()


@pytest.fixture
def replay(terminals: Callable[..., Terminal]) -> Callable[..., Terminal]:
    return lambda *arguments, **options: terminals([*DPTY, "replay", *arguments], **options)


def piped(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [*DPTY, "replay", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, cwd=ROOT, check=False)


def test_into_a_pipe_it_writes_the_output_and_nothing_else(cast: Callable[..., str]) -> None:
    path = cast((0.0, "one\r\n"), (0.01, CURSOR_OFF + "é"), size=(100, 300))
    done = piped(path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"one\r\n{CURSOR_OFF}é".encode(), b"")


def test_a_dash_is_standard_input(cast: Callable[..., str]) -> None:
    text = Path(cast((0.0, "one"), (3600.0, "two"))).read_bytes()
    assert piped("--to-end", "-", stdin=text).stdout == b"onetwo"
    assert piped("--idle-limit", "0.01", "-", stdin=text).stdout == b"onetwo"
    assert piped("--speed", "1000000", "-", stdin=text).stdout == b"onetwo"


def test_what_is_cut_at_its_end_is_played_up_to_there(cast: Callable[..., str]) -> None:
    done = piped(cast((0.0, "one"), end='[0.1, "o", "tw'))
    assert (done.returncode, done.stdout) == (0, b"one")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("hello\n", "its first line is not that of an asciicast"),
        ('{"version": 2, "width": 80, "height": 24}\nhello\n', "line 2 is no event"),
    ],
)
def test_what_is_no_recording_is_an_error_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    path.write_text(text)
    done = piped(str(path))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"dpty: cannot read the recording {path}: {reason}\n"


def test_a_file_that_is_not_there_and_bad_usage_have_their_codes(tmp_path: Path) -> None:
    done = piped(str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert piped("a", "b").returncode == 125
    assert piped("--speed", "0", "a").returncode == 125


def test_a_reader_that_goes_ends_it_by_sigpipe(cast: Callable[..., str]) -> None:
    path = cast((0.0, "x" * 100_000), (0.1, "x" * 100_000))
    line = f"{' '.join(DPTY)} replay {path} | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=ROOT, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_person_sees_the_screen_that_was_recorded(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    terminal = replay(cast((0.0, "\x1b[2J\x1b[5;10Hhere"), (0.05, "\x1b[6;1Hbelow\r\n")))
    screen = Screen(terminal)
    assert terminal.wait() == 0
    assert screen.lines()[4] == " " * 9 + "here"
    assert screen.lines()[5] == "below"
    assert terminal.is_as_before()


def test_a_terminal_that_is_too_small_is_told(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    terminal = replay(cast((0.0, "x\r\n"), size=(40, 120)))
    terminal.expect("the recording is 120 columns by 40 rows, this terminal 80 by 24: make it larger")
    assert terminal.wait() == 0
    terminal = replay(cast((0.0, "x\r\n")))
    assert terminal.wait() == 0
    assert b"larger" not in terminal.output


def test_a_blank_pauses_and_goes_on_and_q_leaves_with_the_modes_undone(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    terminal = replay(cast((0.0, CURSOR_OFF + "one"), (0.5, "two"), (3600.0, "three")))
    terminal.expect("one")
    terminal.send(" ")
    assert b"two" not in terminal.read_for(1.0)
    terminal.send(" ")
    terminal.expect("two")
    terminal.send("\x1b[A")  # no key of ours
    terminal.send("x")
    assert terminal.process.poll() is None
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.output.decode().endswith(f"{CURSOR_ON}\x1b[m\r\n")
    assert terminal.is_as_before()


def test_it_can_be_left_while_it_pauses(cast: Callable[..., str], replay: Callable[..., Terminal]) -> None:
    terminal = replay(cast((0.0, "one"), (3600.0, "two")))
    terminal.expect("one")
    terminal.send(" ")
    terminal.read_for(0.1)
    terminal.send("q")
    assert terminal.wait() == 0


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("key", signal.SIGINT),
        *(("signal", getattr(signal, f"SIG{name}")) for name in ("TERM", "HUP", "QUIT", "USR1", "ALRM")),
        ("signal", signal.SIGRTMAX),
    ],
)
def test_ctrl_c_and_signals_leave_with_the_modes_undone(
    how: str, number: signal.Signals, cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    terminal = replay(cast((0.0, CURSOR_OFF + "one"), (3600.0, "two")))
    terminal.expect("one")
    if how == "key":
        terminal.send("\x03")
    else:
        terminal.signal(number)
    assert terminal.wait() == -number
    assert CURSOR_ON in terminal.output.decode()
    assert terminal.is_as_before()


def test_a_signal_that_comes_just_before_a_wait_ends_it_all_the_same() -> None:
    player = Player(None)
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    player.start()
    try:
        signal.raise_signal(signal.SIGUSR1)
        began = time.monotonic()
        assert player.pressed(30.0) == b""
        assert time.monotonic() - began < 10
        assert came == [signal.SIGUSR1]
    finally:
        player.stop()
        signal.signal(signal.SIGUSR1, before)
    assert signal.set_wakeup_fd(-1) == -1


def test_a_stopped_replay_gives_the_terminal_back_and_goes_on_where_it_was(
    cast: Callable[..., str], terminals: Callable[..., Terminal]
) -> None:
    program = shutil.which("dash")
    if program is None:
        missing("no dash here: job control is tested under it")
    path = cast((0.0, "one"), (4.0, "two\r\n"), (3600.0, "three"))
    assert program is not None
    shell = terminals([program, "-i"], env={"PS1": "PROMPT> ", "ENV": None})
    shell.expect("PROMPT> ")
    shell.send(f"{' '.join(DPTY)} replay {path}\n")
    shell.expect("one")
    one_at = time.monotonic()
    shell.wait_until(shell.is_raw, 10, "the raw terminal")
    pid = os.tcgetpgrp(shell.master)

    stopped_at = time.monotonic()
    os.kill(pid, signal.SIGTSTP)
    shell.expect("PROMPT> ")
    assert shell.is_as_before()
    assert b"two" not in shell.read_for(5.0)
    stopped_s = time.monotonic() - stopped_at
    shell.send("fg\n")
    shell.wait_until(shell.is_raw, 10, "the raw terminal")
    shell.expect("two")
    assert time.monotonic() - one_at > stopped_s + 2.0  # of the four seconds, most were still to come

    os.kill(pid, signal.SIGSTOP)
    shell.expect("PROMPT> ")
    shell.send("stty sane\n")
    shell.expect("PROMPT> ")
    shell.send("fg\n")
    shell.wait_until(shell.is_raw, 10, "the raw terminal")
    shell.send("q")
    shell.expect("PROMPT> ")
    assert not shell.is_raw()


def test_who_cannot_be_stopped_plays_on_in_a_raw_terminal(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    terminal = replay(cast((0.0, "one"), (1.0, "two"), (3600.0, "three")))
    terminal.expect("one")
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.signal(signal.SIGTSTP)  # nobody would continue the leader of a session
    terminal.expect("two")
    assert terminal.is_raw()
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.is_as_before()


def test_without_keys_ctrl_c_leaves_too(cast: Callable[..., str], replay: Callable[..., Terminal]) -> None:
    terminal = replay(cast((0.0, CURSOR_OFF + "one"), (3600.0, "two")), stdin="null")
    terminal.expect("one")
    terminal.send("\x03")
    assert terminal.wait() == -signal.SIGINT
    assert CURSOR_ON in terminal.output.decode()


def test_answers_of_the_terminal_are_left_to_nobody(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    terminal = replay(cast((0.0, "\x1b[6n"), (0.3, "\x1b[6nend"), (0.6, "\r\n")))
    terminal.expect("end")
    assert terminal.wait() == 0
    assert b"R" not in terminal.output  # echoed by nobody


def test_a_pause_of_centuries_is_one_of_a_thousandth_where_that_is_asked(cast: Callable[..., str]) -> None:
    path = cast((0.0, "one"), (1e11, "two"))
    assert piped("--idle-limit", "0.001", path).stdout == b"onetwo"


@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_a_pause_of_centuries_is_waited_for(
    on_a_terminal: bool, cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    path = cast((0.0, "one"), (1e11, "two"))
    if on_a_terminal:
        terminal = replay(path)
        terminal.expect("one")
        terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
        terminal.send("q")
        assert terminal.wait() == 0
        return
    with subprocess.Popen(
        [*DPTY, "replay", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as playing:
        assert playing.stdout is not None
        assert playing.stderr is not None
        assert playing.stdout.read(3) == b"one"
        with pytest.raises(subprocess.TimeoutExpired):
            playing.wait(0.5)
        playing.terminate()
        assert playing.wait(30) == -signal.SIGTERM
        assert playing.stderr.read() == b""


def test_streams_that_are_closed_are_no_fault(cast: Callable[..., str]) -> None:
    def closed(line: str) -> subprocess.CompletedProcess[bytes]:
        command = ["sh", "-c", line, *DPTY, cast((0.0, "one"))]
        return subprocess.run(command, capture_output=True, timeout=60, cwd=ROOT, check=False)

    done = closed('exec "$0" "$1" "$2" replay - <&-')
    assert (done.returncode, done.stderr) == (
        1,
        b"dpty: cannot read the recording standard input: it is closed\n",
    )
    done = closed('exec "$0" "$1" "$2" replay "$3" >&-')
    assert (done.returncode, done.stderr) == (0, b"")


def test_whoever_ignores_hangups_is_not_ended_by_one(cast: Callable[..., str]) -> None:
    path = cast((0.0, "one"), (1.5, "two"))
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *DPTY, "replay", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as playing:
        assert playing.stdout is not None
        assert playing.stdout.read(3) == b"one"
        playing.send_signal(signal.SIGHUP)
        assert playing.stdout.read() == b"two"
        assert playing.wait(30) == 0


# A recording that comes through a pipe, played to a person


def test_through_a_pipe_it_is_played_as_from_a_file(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    text = Path(cast((0.0, "one\r\n\x1b[6n"), (0.3, "\x1b[6ntwo\r\nend"), (0.6, "\r\n"))).read_bytes()
    terminal = replay("-", stdin=PIPE)
    terminal.feed(text, end=True)
    terminal.expect("end")
    assert terminal.wait() == 0
    assert b"\r\r\n" not in terminal.output  # the recording has its newlines already
    assert b"R" not in terminal.output  # of what the terminal answers nothing is echoed
    assert terminal.is_as_before()


def test_through_a_pipe_keys_come_from_the_terminal(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    text = Path(cast((0.0, CURSOR_OFF + "one"), (0.5, "two"), (3600.0, "three"))).read_bytes()
    terminal = replay("-", stdin=PIPE)
    terminal.feed(text, end=True)
    terminal.expect("one")
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send(" ")
    assert b"two" not in terminal.read_for(1.0)
    terminal.send(" ")
    terminal.expect("two")
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.output.decode().endswith(f"{CURSOR_ON}\x1b[m\r\n")
    assert terminal.is_as_before()


def test_with_stdin_closed_keys_come_from_the_terminal(
    cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    terminal = replay(cast((0.0, "one"), (3600.0, "two")), stdin=CLOSED)
    terminal.expect("one")
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.is_as_before()


def test_on_a_terminal_that_is_nobodys_it_is_played_without_keys(cast: Callable[..., str]) -> None:
    path = cast((0.0, "one\r\n"), (0.1, "two\r\n"))
    master, slave = pty.openpty()
    try:
        # Of another session, which has no terminal of its own: there is nothing to open.
        done = subprocess.run(
            [*DPTY, "replay", path],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        shown = b""
        # What was written comes through a terminal in pieces of any length.
        while shown.count(b"\n") < 2 and select.select([master], [], [], 10)[0]:
            shown += os.read(master, 1000)
        # Nobody made it raw: it has newlines of its own.
        assert shown == b"one\r\r\ntwo\r\r\n"
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("name", "reason"), [("nosuch", "No such file or directory"), (".", "Is a directory")]
)
def test_a_recording_that_cannot_be_read_is_named(name: str, reason: str, tmp_path: Path) -> None:
    done = piped(str(tmp_path / name))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        f"dpty: cannot read the recording {tmp_path / name}: {reason}; name a file that --record has made\n"
    )


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("\x03", -signal.SIGINT)])
def test_a_recording_that_is_still_being_made_can_be_left(
    key: str, code: int, cast: Callable[..., str], replay: Callable[..., Terminal]
) -> None:
    text = Path(cast((0.0, CURSOR_OFF + "one"))).read_bytes()
    terminal = replay("-", stdin=PIPE)
    terminal.feed(text)
    terminal.expect("one")
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("x")  # none of ours
    terminal.feed('[0.1, "o", "two"]\n')
    terminal.expect("two")
    terminal.send(key)
    assert terminal.wait() == code
    assert terminal.output.decode().endswith(f"{CURSOR_ON}\x1b[m\r\n")
    assert terminal.is_as_before()
