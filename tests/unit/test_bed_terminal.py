"""The bed's terminal, against small programs: what it says of them must be true before it judges ours."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
from pathlib import Path

import pytest

from tests.bed.terminal import CLOSED, NULL, PIPE, Expected, Terminal
from tests.bed.waiting import wait_for

RAW = """
import os, sys, termios, time
from tests.bed.scripts.report import report
old = termios.tcgetattr(0)
new = termios.tcgetattr(0)
new[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
termios.tcsetattr(0, termios.TCSANOW, new)
report("raw")
os.read(0, 1)
"""


def test_what_the_program_writes_is_seen_and_its_exit_code_is_returned() -> None:
    with Terminal(["sh", "-c", "echo hello; exit 7"]) as terminal:
        terminal.expect("hello\r\n")
        assert terminal.wait() == 7


def test_typed_lines_are_echoed_by_the_terminal_and_reach_the_program() -> None:
    with Terminal(["cat"]) as terminal:
        terminal.send("one\n")
        terminal.expect("one\r\none\r\n")
        terminal.send("\x04")
        assert terminal.wait() == 0


def test_the_terminal_is_the_controlling_one_so_that_control_c_is_a_signal() -> None:
    with Terminal(["sh", "-c", "echo up; exec sleep 60"]) as terminal:
        terminal.expect("up")
        terminal.send("\x03")
        assert terminal.wait() == -signal.SIGINT


def test_a_new_window_size_is_told_to_the_program() -> None:
    source = """
import signal, os
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
print('up', flush=True)
signal.sigwait({signal.SIGWINCH})
print(os.get_terminal_size(0))
"""
    with Terminal.python(source, rows=5, cols=60) as terminal:
        terminal.expect("up")
        assert terminal.winsize == (5, 60)
        terminal.set_winsize(31, 101)
        terminal.expect("columns=101, lines=31")
        terminal.wait()


def test_raw_mode_left_behind_by_a_program_is_seen_during_and_after_it() -> None:
    with Terminal.python(RAW) as terminal:
        assert terminal.is_as_before()
        terminal.report("raw")
        assert terminal.is_raw()
        terminal.send("x")
        assert terminal.wait() == 0
        assert terminal.is_raw()
        assert not terminal.is_as_before()


def test_a_non_blocking_flag_left_behind_is_seen() -> None:
    with Terminal.python("import os; os.set_blocking(0, False)") as terminal:
        assert terminal.wait() == 0
        assert terminal.flags() & os.O_NONBLOCK
        assert terminal.attributes() == terminal.attributes_before
        assert not terminal.is_as_before()


def test_pipes_carry_bytes_as_they_are_and_apart_from_the_terminal() -> None:
    with Terminal(["sh", "-c", "cat; echo err >&2"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as terminal:
        data = bytes(range(256)) * 4000
        terminal.feed(data, end=True)
        assert terminal.wait() == 0
        assert terminal.stdout == data
        assert terminal.stderr == b"err\n"
        assert terminal.output == b""


def test_a_descriptor_can_be_closed_or_nowhere() -> None:
    source = """
import os
for n in (0, 1, 2):
    try:
        print(n, os.readlink(f'/proc/self/fd/{n}'))
    except OSError:
        print(n, 'closed')
"""
    with Terminal(["python3", "-c", source], stdin=CLOSED, stdout=PIPE, stderr=NULL) as terminal:
        terminal.wait()
        zero, one, two = terminal.stdout.decode().splitlines()
        assert one.startswith("1 pipe:")
        assert two == "2 /dev/null"
        assert "pts" not in zero


def test_a_file_can_be_stdin_and_stdout(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"data")
    (tmp_path / "out").touch()
    with Terminal(["cat"], stdin=tmp_path / "in", stdout=tmp_path / "out") as terminal:
        assert terminal.wait() == 0
    assert (tmp_path / "out").read_bytes() == b"data"


def test_the_cursor_query_is_answered_also_when_it_comes_in_pieces() -> None:
    source = """
import os, termios
new = termios.tcgetattr(0); new[3] &= ~(termios.ICANON | termios.ECHO); termios.tcsetattr(0, termios.TCSANOW, new)
os.write(1, b'x\\x1b['); os.write(1, b'6ny')
print(ascii(os.read(0, 99)))
"""
    with Terminal.python(source) as terminal:
        terminal.expect(r"'\x1b[1;1R'")
        assert terminal.wait() == 0


def test_a_query_from_the_corner_is_answered_with_the_size() -> None:
    source = """
import os, termios
new = termios.tcgetattr(0); new[3] &= ~(termios.ICANON | termios.ECHO); termios.tcsetattr(0, termios.TCSANOW, new)
os.write(1, b'\\x1b[999;999H\\x1b[6n')
print(ascii(os.read(0, 99)))
"""
    with Terminal.python(source, rows=33, cols=99) as terminal:
        terminal.expect(r"'\x1b[33;99R'")
        assert terminal.wait() == 0


def test_a_terminal_that_is_not_read_blocks_its_program() -> None:
    with Terminal(["sh", "-c", "yes; echo never"], reading=False) as terminal:
        wait_for(lambda: terminal.state == "S", what="the writer to be blocked")
        assert terminal.cpu_seconds() < 1
        terminal.reading = True
        terminal.expect("y\r\n" * 1000)


def test_what_is_missing_is_reported_with_what_was_seen_instead() -> None:
    with Terminal(["echo", "something else"]) as terminal, pytest.raises(Expected, match="something else"):
        terminal.expect(re.compile(rb"what was \w+"), timeout=0.3)


def test_draining_leaves_nothing_behind_and_nothing_of_itself() -> None:
    with Terminal(["sh", "-c", "seq 20000; echo END"], reading=True) as terminal:
        assert terminal.wait() == 0
        assert terminal.output.endswith(b"20000\r\nEND\r\n")
        assert b"\x1b" not in terminal.output
        assert terminal.drain() == terminal.output


def test_reports_come_beside_the_streams() -> None:
    source = "from tests.bed.scripts.report import report; report('result', code=3)"
    with Terminal.python(source, stdout=CLOSED, stderr=CLOSED) as terminal:
        assert terminal.report("result") == {"event": "result", "code": 3}


def test_a_hang_up_reaches_the_program() -> None:
    with Terminal(["sleep", "60"]) as terminal:
        wait_for(lambda: os.readlink(f"/proc/{terminal.pid}/exe").endswith("sleep"))
        terminal.hang_up()
        assert terminal.wait() == -signal.SIGHUP


def test_processor_and_memory_are_measured() -> None:
    with Terminal.python("data = b'x' * (100 << 20)\nwhile True: pass") as terminal:
        terminal.wait_until(
            lambda: terminal.cpu_seconds() > 0.1 and terminal.rss_mib() > 100, what="some work"
        )
        assert terminal.rss_mib() <= terminal.peak_mib() < 200


def test_closing_leaves_no_process_and_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    with Terminal(
        [sys.executable, "-c", "import os, time; os.fork(); time.sleep(60)"], stdin=PIPE
    ) as terminal:
        pid = terminal.pid
        wait_for(
            lambda: len([p for p in os.listdir("/proc") if p.isdigit() and _session_of(int(p)) == pid]) == 2
        )
    wait_for(lambda: not [p for p in os.listdir("/proc") if p.isdigit() and _session_of(int(p)) == pid])
    assert os.listdir("/proc/self/fd") == before


def test_a_runner_that_ignores_signals_does_not_hand_that_on() -> None:
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Terminal(["sh", "-c", "kill -HUP $$; echo ignored"]) as terminal:
            assert terminal.wait() == -signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, old)


def test_attributes_compare_equal_only_when_all_of_them_are() -> None:
    with Terminal(["sleep", "60"]) as terminal:
        changed = termios.tcgetattr(terminal.slave)
        changed[6][termios.VINTR] = b"\x18"
        termios.tcsetattr(terminal.slave, termios.TCSANOW, changed)
        assert not terminal.is_as_before()


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1
