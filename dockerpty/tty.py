"""The host's terminal: its size, made raw and given back.

Who makes it raw and when is decided in `bridge`. A terminal is one device however many descriptors and objects there
are for it, so what is held is kept per device: only the outermost of nested uses restores, and what a process still
holds when it exits is given back by `atexit` (never by a forked child).
"""

from __future__ import annotations

import _thread
import os

from dockerpty.errors import TerminalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

try:
    import termios
except ImportError:  # importing the package must work where there are no terminals of this kind
    termios = None  # type: ignore[assignment]  # asked for before each use


def size(fd: Any) -> tuple[int, int] | None:
    """Return the window size of a terminal as `(rows, cols)`, or None.

    Args:
        fd: a descriptor's number, or an object with `fileno()`.

    Returns:
        What the terminal says (`TIOCGWINSZ`, unsigned 16 bit); where it says zero, the numbers in `LINES` and
        `COLUMNS`; None if they are not numbers either, or if `fd` is not a terminal.
    """
    number = descriptor(fd)
    if number is None or not os.isatty(number):
        return None
    try:
        cols, rows = os.get_terminal_size(number)
    except OSError:
        rows = cols = 0
    if not (rows and cols):
        lines, columns = os.environ.get("LINES", ""), os.environ.get("COLUMNS", "")
        if not (lines.isdecimal() and columns.isdecimal()):
            return None
        rows, cols = int(lines), int(columns)
    return (rows, cols) if rows and cols else None


def first_size(*places: Any) -> tuple[int, int] | None:
    """Return the size of the first of these that has one: stdout, stdin, stderr are asked in this order."""
    for place in places:
        found = size(place)
        if found is not None:
            return found
    return None


def descriptor(fd: Any) -> int | None:
    """Return the number of an open descriptor, or None for an object that has none (or a closed one)."""
    if fd is None:
        return None
    if not isinstance(fd, int):
        try:
            fd = fd.fileno()
        except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both of the last two
            return None
        if not isinstance(fd, int):
            return None
    try:
        os.fstat(fd)
    except (OSError, OverflowError):
        return None
    return fd


def is_terminal(fd: Any) -> bool:
    """Say whether `fd` (a number or an object) is a terminal."""
    number = descriptor(fd)
    return number is not None and os.isatty(number)


def in_background(fd: int) -> bool:
    """Say whether another process group has the terminal: setting its attributes would stop us with SIGTTOU."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not our controlling terminal: nobody's job control applies
        return False


class _Held:
    """A terminal device that is raw because of us."""

    __slots__ = ("count", "fd", "original", "pid", "raw", "thread")

    def __init__(self, fd: int, original: list[Any]) -> None:
        self.fd = os.dup(fd)  # the caller may close its own before we give the terminal back
        self.original = original
        self.raw: list[Any] = original
        self.count = 0
        self.pid = os.getpid()
        self.thread = _thread.get_ident()


_held: dict[int, _Held] = {}
_at_exit = False


class Terminal:
    """The terminal behind `fd`, raw from `start` to `stop`. Both may be called twice; also a context manager.

    Args:
        fd: any object; construction has no effect, and what is not a terminal is left alone.
        raw: False makes `start` and `stop` do nothing.

    Attributes:
        original_attributes: what `stop` restores (termios attributes), None while nothing is held.
    """

    def __init__(self, fd: Any, raw: bool = True) -> None:
        self.fd = fd
        self.raw = raw
        self.original_attributes: list[Any] | None = None
        self._device: int | None = None

    def israw(self) -> bool:
        """Say whether this terminal is to be raw."""
        return self.raw

    def start(self) -> None:
        """Make the terminal raw: no echo, no line editing, no signals from keys, no translation, eight bits.

        Nothing typed before is lost (no flush). In the background nothing happens: the shell owns the terminal.

        Raises:
            TerminalError: this system has no termios, or a session of another thread has this terminal.
        """
        if not self.raw or self._device is not None or not is_terminal(self.fd):
            return
        if termios is None:
            raise TerminalError("make raw", "the terminal", "this system has no termios", "run without a TTY")
        number = descriptor(self.fd)
        if number is None or in_background(number):
            return
        device = os.fstat(number).st_rdev
        held = _held.get(device)
        if held is None or held.pid != os.getpid():
            held = _held[device] = _Held(number, termios.tcgetattr(number))
            _restore_at_exit()
        elif held.thread != _thread.get_ident():
            raise TerminalError(
                "make raw",
                "the terminal",
                "another thread of this program has a session on it",
                "give each session a terminal of its own",
            )
        held.count += 1
        self._device = device
        self.original_attributes = held.original
        _make_raw(held)

    def stop(self) -> None:
        """Give the terminal back as it was. Does not wait for output: a terminal stopped with Ctrl-S would hang."""
        if self._device is None:
            return
        held = _held.get(self._device)
        if held is not None and held.pid == os.getpid():
            if held.count == 1:
                # First given back, then forgotten: whatever interrupts this, somebody can still do it.
                _give_back(held)
                del _held[self._device]
                os.close(held.fd)
            else:
                held.count -= 1
        self._device = self.original_attributes = None

    def suspended(self) -> None:
        """After a stop and SIGCONT: take what the terminal is now for its original state, and make it raw again.

        A shell that stopped us has put its own attributes back, and the user may have changed them since.
        """
        held = _held.get(self._device) if self._device is not None else None
        if held is None or in_background(held.fd):
            return
        try:
            now = termios.tcgetattr(held.fd)
        except termios.error:
            return  # a hang-up also brings SIGCONT: the terminal is gone, which reading it will tell
        if now == held.raw:
            return
        held.original = self.original_attributes = now
        _make_raw(held)

    def suspend(self) -> None:
        """Before a stop: the terminal as it was, for whoever gets it. `suspended` takes it again."""
        held = _held.get(self._device) if self._device is not None else None
        if held is not None and not in_background(held.fd):
            _set(held.fd, held.original)

    def __enter__(self) -> Terminal:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fd}, raw={self.raw})"


def _raw(attributes: list[Any]) -> list[Any]:
    """Return raw attributes (POSIX termios, 11.1.7 with MIN 1 and TIME 0) made from given ones."""
    t = termios
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = attributes
    iflag &= ~(t.BRKINT | t.ICRNL | t.IGNBRK | t.IGNCR | t.INLCR | t.INPCK | t.ISTRIP | t.IXON | t.PARMRK)
    oflag &= ~t.OPOST
    cflag = (cflag & ~(t.CSIZE | t.PARENB)) | t.CS8
    lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.IEXTEN | t.ISIG)
    cc = list(cc)
    cc[t.VMIN], cc[t.VTIME] = b"\x01", b"\x00"
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, cc]


def _make_raw(held: _Held) -> None:
    _set(held.fd, _raw(held.original))
    held.raw = termios.tcgetattr(held.fd)  # as the system gives it back: VMIN and VTIME are numbers then


def _set(fd: int, attributes: list[Any]) -> None:
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _give_back(held: _Held) -> None:
    try:
        if not in_background(held.fd):
            _set(held.fd, held.original)
    except termios.error:  # the terminal is gone: there is nothing to give back
        return


def held_descriptors() -> list[int]:
    """Return the descriptors of the terminals that are raw because of us."""
    return [held.fd for held in _held.values()]


def give_back_for_parent() -> None:
    """In a forked child whose parent was killed: give back what the parent left raw, unless somebody has done it."""
    for held in _held.values():
        try:
            if termios.tcgetattr(held.fd) == held.raw:
                _set(held.fd, held.original)
        except termios.error:  # the terminal is gone too
            continue


def _restore_at_exit() -> None:
    global _at_exit
    if not _at_exit:
        import atexit

        atexit.register(_restore_all)
        _at_exit = True


def _restore_all() -> None:
    while _held:
        _, held = _held.popitem()
        if held.pid == os.getpid():
            _give_back(held)
