from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dockerpty import tty
from dockerpty.errors import TerminalError
from dockerpty.io import select
from dockerpty.tty import Terminal, size
from tests.bed.terminal import Terminal as Bed


class Slave:
    """A terminal, with what it says of itself."""

    def __init__(self) -> None:
        self.master, self.fd = pty.openpty()

    def attributes(self) -> list[Any]:
        return termios.tcgetattr(self.fd)

    def is_raw(self) -> bool:
        return not self.attributes()[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def set_winsize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


@pytest.fixture
def slave() -> Iterator[Slave]:
    slave = Slave()
    yield slave
    os.close(slave.fd)
    os.close(slave.master)


@pytest.fixture(autouse=True)
def no_size_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LINES", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)


# size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [(24, 80), (1, 1), (40000, 132), (65535, 65535)])
def test_a_terminal_tells_its_rows_and_columns(slave: Slave, wanted: tuple[int, int]) -> None:
    slave.set_winsize(*wanted)
    assert size(slave.fd) == wanted
    with os.fdopen(os.dup(slave.fd), "rb", buffering=0) as file:
        assert size(file) == wanted


def test_what_the_terminal_says_comes_before_the_environment(
    slave: Slave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("COLUMNS", "100")
    slave.set_winsize(24, 80)
    assert size(slave.fd) == (24, 80)


@pytest.mark.parametrize("unknown", [(0, 0), (0, 80), (24, 0)])
def test_a_size_with_a_zero_is_unknown_and_the_environment_is_asked(
    slave: Slave, monkeypatch: pytest.MonkeyPatch, unknown: tuple[int, int]
) -> None:
    slave.set_winsize(*unknown)
    assert size(slave.fd) is None
    monkeypatch.setenv("LINES", "30")
    assert size(slave.fd) is None
    monkeypatch.setenv("COLUMNS", "100")
    assert size(slave.fd) == (30, 100)
    assert all(type(number) is int for number in size(slave.fd) or ())


@pytest.mark.parametrize(
    ("lines", "columns"), [("30", "wide"), ("", "100"), ("-1", "80"), ("0", "80"), ("30", "0")]
)
def test_an_environment_that_has_no_size_is_not_believed(
    slave: Slave, monkeypatch: pytest.MonkeyPatch, lines: str, columns: str
) -> None:
    slave.set_winsize(0, 0)
    monkeypatch.setenv("LINES", lines)
    monkeypatch.setenv("COLUMNS", columns)
    assert size(slave.fd) is None


@pytest.mark.parametrize("what", [None, -1, 987654, io.BytesIO(), object()])
def test_what_is_no_terminal_has_no_size(what: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("COLUMNS", "100")
    assert size(what) is None
    with open(os.devnull) as null:
        assert size(null) is None


# Terminal ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [None, "text", 3.5, io.BytesIO(), -1, 987654])
def test_anything_can_be_given_and_what_is_no_terminal_is_left_alone(what: Any) -> None:
    terminal = Terminal(what)
    assert terminal.original_attributes is None
    with terminal:
        assert terminal.original_attributes is None


def test_it_says_what_it_is() -> None:
    assert repr(Terminal(0)) == "Terminal(0, raw=True)"
    assert repr(Terminal("fd", raw=False)) == "Terminal(fd, raw=False)"
    assert Terminal(0).israw() is True
    assert Terminal(0, raw=False).israw() is False


def test_construction_has_no_effect(slave: Slave) -> None:
    before = slave.attributes()
    terminal = Terminal(slave.fd)
    assert slave.attributes() == before
    assert terminal.original_attributes is None


def test_raw_is_what_is_promised_and_stop_restores_exactly(slave: Slave) -> None:
    before = slave.attributes()
    terminal = Terminal(slave.fd)
    terminal.start()
    assert terminal.original_attributes == before
    iflag, oflag, cflag, lflag, _, _, cc = slave.attributes()
    assert not lflag & (termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    assert not iflag & (termios.IXON | termios.ICRNL | termios.ISTRIP)
    assert not oflag & termios.OPOST
    assert cflag & termios.CSIZE == termios.CS8
    assert cc[termios.VMIN] in (1, b"\x01")
    assert cc[termios.VTIME] in (0, b"\x00")
    terminal.stop()
    assert slave.attributes() == before
    assert terminal.original_attributes is None


def test_start_and_stop_may_be_called_twice(slave: Slave) -> None:
    before = slave.attributes()
    terminal = Terminal(slave.fd)
    terminal.stop()
    terminal.start()
    terminal.start()
    assert slave.is_raw()
    terminal.stop()
    assert slave.attributes() == before
    terminal.stop()
    assert slave.attributes() == before


def test_it_can_be_used_again(slave: Slave) -> None:
    terminal = Terminal(slave.fd)
    for _ in range(2):
        with terminal:
            assert slave.is_raw()
        assert not slave.is_raw()


def test_not_raw_is_left_alone(slave: Slave) -> None:
    before = slave.attributes()
    with Terminal(slave.fd, raw=False) as terminal:
        assert slave.attributes() == before
        assert terminal.original_attributes is None


def test_an_error_inside_restores_too(slave: Slave) -> None:
    def fail() -> None:
        with Terminal(slave.fd):
            assert slave.is_raw()
            raise RuntimeError("inside")

    before = slave.attributes()
    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert slave.attributes() == before


def test_only_the_outermost_of_nested_uses_restores(slave: Slave) -> None:
    before = slave.attributes()
    copy = os.dup(slave.fd)
    with Terminal(slave.fd) as outer:
        with Terminal(copy) as inner:
            assert inner.original_attributes == outer.original_attributes == before
        assert slave.is_raw()
        os.close(copy)
    assert slave.attributes() == before


def test_the_order_of_nested_stops_does_not_matter(slave: Slave) -> None:
    before = slave.attributes()
    one, two = Terminal(slave.fd), Terminal(slave.fd)
    one.start()
    two.start()
    one.stop()
    assert slave.is_raw()
    two.stop()
    assert slave.attributes() == before


def test_the_callers_descriptor_may_be_closed_before_the_end(slave: Slave) -> None:
    before = slave.attributes()
    fd = os.dup(slave.fd)
    terminal = Terminal(fd)
    terminal.start()
    os.close(fd)
    terminal.stop()
    assert slave.attributes() == before


def test_what_was_typed_before_is_not_thrown_away(slave: Slave) -> None:
    seen = b""
    os.write(slave.master, b"typed ahead\n")
    assert select([slave.fd], [], timeout=10)[0]
    with Terminal(slave.fd):
        os.write(slave.master, b"and while")
        while not seen.endswith(b"while"):
            assert select([slave.fd], [], timeout=10)[0], f"only {seen!r} came"
            seen += os.read(slave.fd, 100)
        os.write(slave.master, b"not read\n")
        assert select([slave.fd], [], timeout=10)[0]
    assert seen == b"typed ahead\nand while"
    assert select([slave.fd], [], timeout=10)[0]
    assert os.read(slave.fd, 100) == b"not read\n"


def test_attributes_are_set_at_once_without_waiting_or_flushing(
    slave: Slave, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = []
    really_set = termios.tcsetattr

    def watch(fd: int, when: int, attributes: list[Any]) -> None:
        ways.append(when)
        really_set(fd, when, attributes)

    monkeypatch.setattr(termios, "tcsetattr", watch)
    with Terminal(slave.fd):
        os.write(slave.fd, b"output that nobody has read: a drain would wait for ever")
    assert ways == [termios.TCSANOW, termios.TCSANOW]


def test_a_terminal_that_has_gone_away_is_no_error_at_the_end(slave: Slave) -> None:
    terminal = Terminal(slave.fd)
    terminal.start()
    os.close(slave.master)
    terminal.stop()
    slave.master = os.open(os.devnull, os.O_RDONLY)


def test_a_second_thread_gets_no_terminal_that_has_a_session(slave: Slave) -> None:
    errors: list[TerminalError] = []

    def second() -> None:
        try:
            Terminal(slave.fd).start()
        except TerminalError as error:
            errors.append(error)

    with Terminal(slave.fd):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert slave.is_raw()
    assert len(errors) == 1
    assert "thread" in str(errors[0])
    assert not slave.is_raw()


def test_two_threads_may_have_two_terminals(slave: Slave) -> None:
    other = Slave()

    def second() -> None:
        with Terminal(other.fd):
            assert other.is_raw()

    with Terminal(slave.fd):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert slave.is_raw()
    assert not other.is_raw()
    os.close(other.fd)
    os.close(other.master)


def test_changes_made_while_stopped_are_kept(slave: Slave) -> None:
    before = slave.attributes()
    with Terminal(slave.fd) as terminal:
        terminal.suspend()
        assert slave.attributes() == before
        changed = slave.attributes()
        changed[6][termios.VINTR] = b"\x07"
        termios.tcsetattr(slave.fd, termios.TCSANOW, changed)
        terminal.suspended()
        assert slave.is_raw()
        assert terminal.original_attributes == changed
    assert slave.attributes() == changed


def test_a_continue_without_a_change_keeps_the_first_state(slave: Slave) -> None:
    before = slave.attributes()
    with Terminal(slave.fd) as terminal:
        terminal.suspended()
        assert slave.is_raw()
    assert slave.attributes() == before


def test_without_termios_only_raw_mode_fails(slave: Slave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tty, "termios", None)
    slave.set_winsize(24, 80)
    assert size(slave.fd) == (24, 80)
    terminal = Terminal(slave.fd)
    with pytest.raises(TerminalError, match="no termios"):
        terminal.start()
    terminal.stop()
    Terminal(slave.fd, raw=False).start()


# In processes of their own -----------------------------------------------------------------------------------------


def test_what_is_still_held_at_exit_is_given_back() -> None:
    source = "from dockerpty.tty import Terminal; t = Terminal(0); t.start(); raise SystemExit(3)"
    with Bed.python(source) as bed:
        assert bed.wait() == 3
        assert bed.is_as_before()


def test_a_forked_child_does_not_restore_what_its_parent_has() -> None:
    source = """
import os, sys, termios
from dockerpty.tty import Terminal
t = Terminal(0)
t.start()
raw = termios.tcgetattr(0)
pid = os.fork()
if pid == 0:
    t.stop()
    sys.exit(0)  # with atexit
os.waitpid(pid, 0)
same = termios.tcgetattr(0) == raw
t.stop()
print("still raw" if same else "given back by the child", flush=True)
"""
    with Bed.python(source) as bed:
        bed.expect("still raw")
        assert bed.wait() == 0
        assert bed.is_as_before()


def test_a_background_process_leaves_the_terminal_alone() -> None:
    source = """
import os, termios, time
from dockerpty.tty import Terminal
before = termios.tcgetattr(0)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    with Terminal(0) as t:
        untouched = termios.tcgetattr(0) == before and t.original_attributes is None
    os._exit(0 if untouched else 1)
_, status = os.waitpid(pid, os.WUNTRACED)
print("stopped" if os.WIFSTOPPED(status) else f"code {os.waitstatus_to_exitcode(status)}", flush=True)
"""
    with Bed.python(source) as bed:
        bed.expect("code 0")
        assert bed.wait() == 0


def test_a_session_moved_to_the_background_gives_nothing_back_there() -> None:
    source = """
import os, signal, termios, time
from dockerpty.tty import Terminal
signal.signal(signal.SIGTTOU, signal.SIG_DFL)
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    t = Terminal(0)
    t.start()
    os.write(ready[1], b"r")
    os.read(go[0], 1)
    os.setpgid(0, 0)
    t.stop()  # would be stopped by SIGTTOU here
    os._exit(0)
os.read(ready[0], 1)
os.write(go[1], b"g")
_, status = os.waitpid(pid, os.WUNTRACED)
print("stopped" if os.WIFSTOPPED(status) else f"code {os.waitstatus_to_exitcode(status)}", flush=True)
"""
    with Bed.python(source) as bed:
        bed.expect("code 0")
        assert bed.wait() == 0
