"""A program under test with a terminal of its own.

The program runs in a child process whose controlling terminal is a fresh PTY. The test holds the master,
and keeps the slave open as well: the slave's attributes and its file status flags, before, during and after,
are the evidence that a program left a terminal as it found it. They stay readable after its death.
Input and output are moved only while a method of `Terminal` waits: a test that does not call any is a
terminal that does not take output.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from tests.bed.waiting import SLACK

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent / "scripts"

TTY = "tty"
PIPE = "pipe"
NULL = "null"
CLOSED = "closed"

CURSOR_QUERY = b"\x1b[6n"
CURSOR_ANSWER = b"\x1b[1;1R"
TO_THE_CORNER = b"\x1b[999;999H"
"""Before a query it asks for the size of the window, as busybox vi does where the size is unknown."""

CHUNK = 1 << 16

# Left out of the child's environment: they override a client's own CA, its engine, or its locale.
_DROPPED = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "LINES",
    "COLUMNS",
    "NORAW",
)
_RESTORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)


class Attributes(NamedTuple):
    """What `tcgetattr` says of a terminal, comparable with `==`."""

    iflag: int
    oflag: int
    cflag: int
    lflag: int
    ispeed: int
    ospeed: int
    cc: tuple[bytes | int, ...]


class Expected(AssertionError):
    """What was expected did not come; the message shows what came instead."""


class _Outlet:
    """A pipe from the program: what came through it, and whether its far end is closed."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.data = bytearray()
        self.ended = False


class Terminal:
    """A program in a child process, under a PTY that is its controlling terminal.

    Args:
        argv: the program and its arguments.
        stdin, stdout, stderr: `TTY` (the slave), `PIPE`, `NULL`, `CLOSED`, a path to open, or a descriptor.
        env: added to the environment; a value of None takes a name out.
        rows, cols: size of the terminal from the start; 0 and 0 is a terminal of unknown size.
        answer_cursor: answer the cursor query, which busybox ash sends at every prompt, as a terminal does.
        reading: whether waiting also takes output from the terminal; may be changed at any time.
        pass_fds: further descriptors that the program inherits.
    """

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        stdin: str | int | Path = TTY,
        stdout: str | int | Path = TTY,
        stderr: str | int | Path = TTY,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        rows: int = 24,
        cols: int = 80,
        answer_cursor: bool = True,
        reading: bool = True,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.argv = [os.fspath(word) for word in argv]
        self.reading = reading
        self.answer_cursor = answer_cursor
        self.transcript = bytearray()
        self.reports: list[dict[str, Any]] = []
        self._seen = 0
        self._queried = 0
        self._to_master = bytearray()
        self._to_stdin = bytearray()
        self._end_stdin = False
        self._stdin = -1
        self._outlets: dict[str, _Outlet] = {}
        self._report_tail = b""

        _let_signals_through()
        self.master, self.slave = pty.openpty()
        self.name = os.ttyname(self.slave)
        os.set_blocking(self.master, False)
        self.set_winsize(rows, cols)
        self._report, report = os.pipe()
        os.set_blocking(self._report, False)

        ours: list[int] = [report]
        redirections = ""
        handed: dict[str, int] = {}
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        for number, (which, wanted) in enumerate(streams.items()):
            if wanted == CLOSED:
                redirections += f" {number}>&-"
                handed[which] = self.slave
            elif wanted == TTY:
                handed[which] = self.slave
            elif isinstance(wanted, int):
                handed[which] = wanted
            elif wanted == PIPE:
                reading_end, writing_end = os.pipe()
                handed[which] = reading_end if number == 0 else writing_end
                ours.append(handed[which])
                if number == 0:
                    self._stdin = writing_end
                    os.set_blocking(writing_end, False)
                else:
                    self._outlets[which] = _Outlet(reading_end)
                    os.set_blocking(reading_end, False)
            else:
                path = os.devnull if wanted == NULL else wanted
                handed[which] = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
                ours.append(handed[which])

        # A session leader without a terminal gets the first one it opens: the shell opens the slave, and
        # becomes the program, so that its pid, its death and its parent are the program's own.
        launcher = f': <"$0"; exec "$@"{redirections}'
        self.attributes_before = self.attributes()
        self.flags_before = self.flags()
        try:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", launcher, self.name, *self.argv],
                stdin=handed["stdin"],
                stdout=handed["stdout"],
                stderr=handed["stderr"],
                env=_environment({**(env or {}), "BED_REPORT": str(report)}),
                cwd=cwd,
                start_new_session=True,
                pass_fds=(report, *pass_fds),
            )
        except BaseException:
            self._close_descriptors()
            raise
        finally:
            for fd in ours:
                os.close(fd)
        self.pid = self.process.pid

    @classmethod
    def python(cls, source: str, *arguments: str, **options: Any) -> Terminal:
        """Run a piece of Python, which can import dockerpty and `tests`."""
        return cls([sys.executable, "-c", source, *arguments], **options)

    @classmethod
    def script(cls, name: str, *arguments: str, **options: Any) -> Terminal:
        """Run a program of `tests/bed/scripts`."""
        return cls([sys.executable, str(SCRIPTS / name), *arguments], **options)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill what is left of the program and its session, and close all descriptors. Idempotent."""
        if self.master < 0:
            return
        if self.process.poll() is None:
            self.process.kill()
        for pid in _session(self.pid):
            _kill(pid, signal.SIGKILL)
        self.process.wait(10)
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        for fd in (
            self.master,
            self.slave,
            self._report,
            self._stdin,
            *(o.fd for o in self._outlets.values()),
        ):
            if fd >= 0:
                os.close(fd)
        self.master = self.slave = self._report = self._stdin = -1
        for outlet in self._outlets.values():
            outlet.fd = -1

    # What the person at the terminal does.

    def send(self, data: bytes | str) -> None:
        """Type `data`: queued, and written as far as the terminal takes it; the rest goes while waiting."""
        self._to_master += _bytes(data)
        self._move(0)

    def feed(self, data: bytes | str, end: bool = False) -> None:
        """Write to the pipe that is the program's stdin; with `end`, close it after that."""
        self._to_stdin += _bytes(data)
        self._end_stdin = self._end_stdin or end
        self._move(0)

    def set_winsize(self, rows: int, cols: int) -> None:
        """Change the window; the kernel sends SIGWINCH to the foreground process group."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def hang_up(self) -> None:
        """Close the terminal, as an emulator that is closed or a connection that breaks does."""
        os.close(self.slave)
        self.slave = os.open(os.devnull, os.O_RDONLY)
        os.close(self.master)
        self.master = os.open(os.devnull, os.O_RDONLY)
        self.reading = False

    def stop_reading(self, which: str) -> None:
        """Close our end of the pipe that is the program's stdout or stderr, as `head -1` does."""
        outlet = self._outlets[which]
        os.close(outlet.fd)
        outlet.fd, outlet.ended = -1, True

    def signal(self, number: int) -> None:
        """Send a signal to the program alone."""
        os.kill(self.pid, number)

    # What can be seen of it.

    @property
    def winsize(self) -> tuple[int, int]:
        """Rows and columns of the terminal."""
        packed = fcntl.ioctl(self.slave, termios.TIOCGWINSZ, b"\0" * 8)
        rows, cols, _, _ = struct.unpack("HHHH", packed)
        return rows, cols

    def attributes(self) -> Attributes:
        """What `tcgetattr` says of the slave now."""
        iflag, oflag, cflag, lflag, ispeed, ospeed, cc = termios.tcgetattr(self.slave)
        return Attributes(iflag, oflag, cflag, lflag, ispeed, ospeed, tuple(cc))

    def flags(self) -> int:
        """File status flags of the slave's description, which the program's stdin shares."""
        return fcntl.fcntl(self.slave, fcntl.F_GETFL)

    def is_raw(self) -> bool:
        """Whether neither lines are edited nor keys echoed, nor made into signals."""
        return not self.attributes().lflag & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_before(self) -> bool:
        """Whether attributes and flags are what they were before the program ran."""
        return self.attributes() == self.attributes_before and self.flags() == self.flags_before

    @property
    def stdout(self) -> bytes:
        """What came through the pipe that is stdout."""
        return bytes(self._outlets["stdout"].data)

    @property
    def stderr(self) -> bytes:
        """What came through the pipe that is stderr."""
        return bytes(self._outlets["stderr"].data)

    @property
    def output(self) -> bytes:
        """Everything the terminal showed so far."""
        return bytes(self.transcript)

    @property
    def state(self) -> str:
        """One letter of the process's state: R, S, D, T (stopped), Z; '' when it is gone."""
        fields = self._stat()
        return fields[0] if fields else ""

    def cpu_seconds(self) -> float:
        """Seconds of processor that the program has used, threads included, children not."""
        fields = self._stat()
        assert fields, "the program is gone"
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Memory of the program that is resident now, in MiB."""
        return self._memory("VmRSS")

    def peak_mib(self) -> float:
        """The most memory of the program that was ever resident, in MiB."""
        return self._memory("VmHWM")

    def flags_of(self, fd: int) -> int:
        """File status flags of one of the program's own descriptors."""
        found = re.search(r"^flags:\s+(\d+)", Path(f"/proc/{self.pid}/fdinfo/{fd}").read_text(), re.M)
        assert found
        return int(found[1], 8)

    def open_files(self) -> int:
        """How many descriptors the program has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _memory(self, row: str) -> float:
        found = re.search(rf"^{row}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.M)
        assert found, f"no {row}: the program is gone"
        return int(found[1]) / 1024

    def _stat(self) -> list[str]:
        try:
            line = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return line.rpartition(")")[2].split()

    # Waiting.

    def expect(self, wanted: bytes | str | re.Pattern[bytes], timeout: float = 10.0) -> re.Match[bytes]:
        """Wait until the terminal shows `wanted` after what was matched last, and return the match.

        Args:
            wanted: bytes or text to find as they are, or a compiled pattern.
            timeout: seconds until `Expected`, which carries the transcript.
        """
        pattern = _pattern(wanted)
        found = self._until(
            lambda: _find(self.transcript, pattern, self._seen), timeout, repr(pattern.pattern)
        )
        assert found
        self._seen = found.end
        return found.match

    def expect_stdout(
        self, wanted: bytes | str | re.Pattern[bytes], timeout: float = 10.0
    ) -> re.Match[bytes]:
        """The same for the pipe that is stdout, searched from its beginning each time."""
        return self._expect_on("stdout", _pattern(wanted), timeout)

    def expect_stderr(
        self, wanted: bytes | str | re.Pattern[bytes], timeout: float = 10.0
    ) -> re.Match[bytes]:
        """The same for the pipe that is stderr."""
        return self._expect_on("stderr", _pattern(wanted), timeout)

    def _expect_on(self, which: str, pattern: re.Pattern[bytes], timeout: float) -> re.Match[bytes]:
        data = self._outlets[which].data
        found = self._until(lambda: _find(data, pattern, 0), timeout, f"{pattern.pattern!r} on {which}")
        assert found
        return found.match

    def wait_until_guarded(self) -> None:
        """Wait until the program has forked the one who acts when it is killed: a moment after its session began."""
        mine = Path(f"/proc/{self.pid}/cmdline").read_bytes()

        def has_guardian() -> bool:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            return any(Path(f"/proc/{pid}/cmdline").read_bytes() == mine for pid in children)

        self.wait_until(has_guardian, what="the guardian")

    def wait_until(self, condition: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
        """Call `condition` until its answer is true, and take output meanwhile."""
        return self._until(condition, timeout, what or repr(condition))

    def read_for(self, seconds: float) -> bytes:
        """Take output for a while, and return what came: for rates, and for what must not come."""
        start = len(self.transcript)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._move(left)
        return bytes(self.transcript[start:])

    def drain(self) -> bytes:
        """Take everything that the program has written to the terminal until now; return the transcript.

        A mark of our own is written to the slave: what was written before it has come when it has.
        """
        mark = b"\x1b_%d\x1b\\" % time.monotonic_ns()
        left = bytearray(mark)
        start = len(self.transcript)

        def written() -> bool:
            del left[: _write(fd, left)]
            return not left

        fd = os.open(self.name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            self._until(written, 10, "room for a mark in the terminal")
            self._until(
                lambda: self.transcript.find(mark, start) >= 0, 10, "the mark written to the terminal"
            )
        finally:
            os.close(fd)
        where = self.transcript.find(mark, start)
        del self.transcript[where : where + len(mark)]
        return bytes(self.transcript)

    def wait(self, timeout: float = 10.0) -> int:
        """Wait for the program to end, and take all its output: its exit code, or minus the signal's number."""
        self._until(lambda: self.process.poll() is not None, timeout, "the end of the program")
        for which, outlet in self._outlets.items():
            self._until(lambda outlet=outlet: outlet.ended, timeout, f"the end of {which}")  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        self._until(self._read_reports, 0.2, "")
        if self.reading:
            self.drain()
        return int(self.process.returncode)

    def report(self, event: str, timeout: float = 10.0) -> dict[str, Any]:
        """Wait for the program under test to report `event`, and return what it said with it."""

        def said() -> dict[str, Any] | None:
            return next((report for report in self.reports if report.get("event") == event), None)

        return self._until(said, timeout, f"the report {event!r}") or {}

    def _until(self, condition: Callable[[], T], timeout: float, what: str) -> T:
        deadline = time.monotonic() + timeout * SLACK
        while True:
            answer = condition()
            if answer:
                return answer
            if time.monotonic() > deadline:
                if not what:
                    return answer
                raise Expected(self._story(f"waited {timeout * SLACK:g} s in vain for {what}"))
            self._move(0.01)

    def _story(self, headline: str) -> str:
        code = self.process.poll()
        alive = f"alive, state {self.state}" if code is None else f"ended with {code}"
        pipes = "".join(f"\n{which}: {bytes(o.data[-800:])!r}" for which, o in self._outlets.items())
        return (
            f"{headline}\nprogram: {self.argv} ({alive})\nreports: {self.reports}"
            f"\nterminal ({len(self.transcript)} bytes, {self._seen} matched):"
            f" {bytes(self.transcript[-800:])!r}{pipes}"
        )

    # Moving bytes.

    def _move(self, timeout: float) -> None:
        """Move what can be moved now, waiting at most `timeout` seconds for the first of it."""
        poll = select.poll()
        if self.reading or self._to_master:
            poll.register(
                self.master,
                (select.POLLIN if self.reading else 0) | (select.POLLOUT if self._to_master else 0),
            )
        if not self._report_ended:
            poll.register(self._report, select.POLLIN)
        if self._stdin >= 0 and (self._to_stdin or self._end_stdin):
            poll.register(self._stdin, select.POLLOUT)
        for outlet in self._outlets.values():
            if not outlet.ended and self._reads(outlet):
                poll.register(outlet.fd, select.POLLIN)
        ready = dict(poll.poll(max(0, int(timeout * 1000))))
        if ready.get(self.master, 0) & select.POLLOUT:
            del self._to_master[: _write(self.master, self._to_master)]
        if ready.get(self.master, 0) & select.POLLIN:
            self._take()
        if self._report in ready:
            self._read_reports()
        if self._stdin in ready:
            self._give()
        for outlet in self._outlets.values():
            if outlet.fd in ready:
                data = _read(outlet.fd)
                if data == b"":
                    outlet.ended = True
                outlet.data += data or b""

    _report_ended = False
    blocked: frozenset[str] = frozenset()
    """Names of pipes ('stdout', 'stderr') from which nothing is taken."""

    def _reads(self, outlet: _Outlet) -> bool:
        return not any(self._outlets.get(name) is outlet for name in self.blocked)

    def _take(self) -> None:
        self.transcript += _read(self.master) or b""
        if self.answer_cursor:
            while (at := self.transcript.find(CURSOR_QUERY, self._queried)) >= 0:
                self._queried = at + len(CURSOR_QUERY)
                corner = self.transcript.endswith(TO_THE_CORNER, 0, at)
                self._to_master += b"\x1b[%d;%dR" % self.winsize if corner else CURSOR_ANSWER

    def _give(self) -> None:
        try:
            if self._to_stdin:
                del self._to_stdin[: _write(self._stdin, self._to_stdin)]
        except BrokenPipeError:
            self._to_stdin.clear()
            self._end_stdin = True
        if self._end_stdin and not self._to_stdin:
            os.close(self._stdin)
            self._stdin = -1

    def _read_reports(self) -> bool:
        while not self._report_ended:
            data = _read(self._report)
            if data is None:
                break
            if data == b"":
                self._report_ended = True
            *lines, self._report_tail = (self._report_tail + data).split(b"\n")
            self.reports += [json.loads(line) for line in lines]
        return self._report_ended


class _Found(NamedTuple):
    match: re.Match[bytes]
    end: int


def _find(data: bytearray, pattern: re.Pattern[bytes], start: int) -> _Found | None:
    """Search, and give a match on a copy: one on the data itself would forbid them to grow."""
    found = pattern.search(data, start)
    if found is None:
        return None
    begin, end = found.span()
    found = pattern.match(bytes(data[begin:])) or pattern.search(bytes(data), start)
    assert found
    return _Found(found, end)


def _pattern(wanted: bytes | str | re.Pattern[bytes]) -> re.Pattern[bytes]:
    return wanted if isinstance(wanted, re.Pattern) else re.compile(re.escape(_bytes(wanted)))


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _read(fd: int) -> bytes | None:
    """What is there; b'' at the end, None if nothing is."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
    except OSError:  # EIO: the other side of a terminal is gone
        return b""


def _write(fd: int, data: bytes | bytearray) -> int:
    try:
        return os.write(fd, memoryview(data)[:CHUNK])
    except BlockingIOError:
        return 0


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The environment of a program under test: as a person's, with the project on the path."""
    env = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    path = [str(ROOT), env.get("PYTHONPATH", "")]
    env |= {"TERM": "xterm", "LC_ALL": "C.UTF-8", "PYTHONPATH": os.pathsep.join(filter(None, path))}
    env.pop("PYTHONUNBUFFERED", None)
    for name, value in changes.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def _let_signals_through() -> None:
    """Undo an inherited SIG_IGN (nohup, a background job): a program would inherit it from us."""
    for number in _RESTORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _session(leader: int) -> list[int]:
    """All processes whose session is the program's, but for the program."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != leader:
            try:
                if os.getsid(int(entry)) == leader:
                    found.append(int(entry))
            except ProcessLookupError:
                continue  # it has ended
    return found


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has ended
