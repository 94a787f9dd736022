"""`dpty replay`: play a recording."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import signal
import sys
import time

from dockerpty.cli.endings import Endings
from dockerpty.cli.outcome import say
from dockerpty.errors import DockerptyError
from dockerpty.modes import ModeTracker
from dockerpty.recording import Cast, schedule
from dockerpty.signals import undisturbed
from dockerpty.tty import Terminal, is_terminal, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.cli.grammar import Line

_PAUSE, _QUIT, _INTERRUPT = b" ", b"q", b"\x03"
#: The terminal's answer to a question in the recording, or an arrow (ECMA-48, 5.4 and 5.6; SS3).
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[P\]_^][^\x07\x1b]*(?:\x07|\x1b\\))")
#: A longer pause is waited for in pieces: poll takes none of 25 days.
_LONGEST_S = 1e6


def command(line: Line) -> int:
    """Run the command line, and return its exit code; below zero for a death by that signal."""
    (name,) = line.words
    values = line.values
    if name == "-":
        if sys.stdin is None:
            raise DockerptyError("read the recording", "standard input", "it is closed")
        return _play(
            sys.stdin.fileno(), "standard input", values["speed"], values["idle_limit"], values["to_end"]
        )
    try:
        file = open(name, "rb", buffering=0)  # noqa: SIM115  # what is read from it later has words of its own
    except OSError as error:
        hint = "name a file that --record has made"
        raise DockerptyError("read the recording", name, os.strerror(error.errno or 0), hint) from error
    with file:
        return _play(file.fileno(), name, values["speed"], values["idle_limit"], values["to_end"])


def _play(fd: int, name: str, speed: float, idle_limit: float | None, to_end: bool) -> int:
    source = _Source(fd)
    cast = Cast(io.BufferedReader(source), name)
    shows = is_terminal(sys.stdout)
    if shows:
        _hint(cast.size, size(sys.stdout))
    keyboard = _keyboard() if shows else None
    screen = _Screen(shows)
    terminal = Terminal(keyboard)
    player = Player(keyboard)
    if not is_terminal(fd):
        source.player = player
    endings = Endings()
    stops = _Stops(terminal, player)
    left, code = True, 0

    def enter() -> None:
        player.start()
        terminal.start()
        stops.start()

    def leave() -> None:
        try:
            screen.clear_up(left)
            if keyboard is not None:
                _forget_answers(keyboard)
        finally:
            terminal.stop()
            stops.forget()
            endings.forget()
            player.stop()

    try:
        undisturbed(enter)
        for at, text in schedule(cast, speed, idle_limit):
            if not player.wait_until(0.0 if to_end else at):
                break
            screen.show(text)
        else:
            left = player.left
    except KeyboardInterrupt:
        code = -endings.number
    finally:
        try:
            undisturbed(leave)
        finally:
            if keyboard is not None:
                os.close(keyboard)
    return code


def _keyboard() -> int | None:
    """Open the terminal that is typed at, though the recording may come where that usually is; `None` for none.

    Raw, it also leaves the newlines alone, which a recording has as a terminal wants them.
    """
    if is_terminal(sys.stdin):
        return os.dup(sys.stdin.fileno())
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None  # we have none of our own


class _Source(io.RawIOBase):
    """A recording that somebody may be making at this moment: until more of it comes, the user's keys count.

    Attributes:
        player: whose keys; none until the terminal is raw.
    """

    def __init__(self, fd: int) -> None:
        self.player: Player | None = None
        self._fd = fd

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.player is not None and not self.player.wait_for(self._fd):
            return 0
        return os.readv(self._fd, [buffer])


class _Screen:
    """The terminal that is played on, or a file."""

    def __init__(self, is_terminal: bool) -> None:
        self._modes = ModeTracker() if is_terminal else None

    def show(self, text: str) -> None:
        if sys.stdout is None:
            return  # it is closed: lost like any other output
        data = text.encode("utf-8", "replace")
        if self._modes is not None:
            self._modes.feed(data)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def clear_up(self, left: bool) -> None:
        """Undo what the recording switched on; what comes next in the middle of a line begins one of its own."""
        if self._modes is not None:
            undo = self._modes.undo() + (b"\x1b[m\r\n" if left else b"")
            try:
                sys.stdout.buffer.write(undo)
                sys.stdout.buffer.flush()
            except OSError as error:
                if error.errno != errno.EIO:  # the terminal is gone, and with it what was switched on
                    raise


class _Stops:
    """Job control: while we are stopped the terminal is as it was, and the replay stands still."""

    def __init__(self, terminal: Terminal, player: Player) -> None:
        self._terminal = terminal
        self._player = player
        self._listens = False

    def start(self) -> None:
        """Listen, unless somebody does already."""
        if signal.getsignal(signal.SIGTSTP) is signal.getsignal(signal.SIGCONT) is signal.SIG_DFL:
            self._listens = True
            signal.signal(signal.SIGTSTP, self._stop)
            signal.signal(signal.SIGCONT, self._go_on)

    def forget(self) -> None:
        """Let both do again what they did before."""
        if self._listens:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)

    def _stop(self, number: int, frame: object) -> None:
        began = time.monotonic()
        undisturbed(self._step_back)  # at its end we are stopped
        self._player.stood_still(time.monotonic() - began)
        # An orphan is not stopped at all, and hears of no SIGCONT.
        self._go_on(number, frame)

    def _step_back(self) -> None:
        self._terminal.suspend()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)

    def _go_on(self, number: int, frame: object) -> None:
        undisturbed(self._step_forward)

    def _step_forward(self) -> None:
        signal.signal(signal.SIGTSTP, self._stop)
        self._terminal.start()  # of a replay that came up in the background
        self._terminal.suspended()


class Player:
    """Waits as the recording does, and for the user's keys: blank pauses and goes on, q and Ctrl-C leave.

    Attributes:
        left: by q.
    """

    def __init__(self, keyboard: int | None) -> None:
        self.left = False
        self._keyboard = keyboard
        # A signal that comes just before a wait would not end it: so its number can be waited for, too.
        self._signalled = self._signal = self._woken_before = -1
        self._stood_still_s = 0.0
        self._began = self._now()

    def start(self) -> None:
        """Have signals end waits."""
        self._signalled, self._signal = os.pipe()
        os.set_blocking(self._signalled, False)
        os.set_blocking(self._signal, False)
        self._woken_before = signal.set_wakeup_fd(self._signal, warn_on_full_buffer=False)

    def stop(self) -> None:
        """Leave signals as they were."""
        if self._signal >= 0:
            signal.set_wakeup_fd(self._woken_before)
            os.close(self._signal)
            os.close(self._signalled)
            self._signal = -1

    def _now(self) -> float:
        return time.monotonic() - self._stood_still_s

    def stood_still(self, seconds: float) -> None:
        """Leave out of the replay's time what passed while we were stopped."""
        self._stood_still_s += seconds

    def wait_until(self, at: float) -> bool:
        """Wait until so many seconds of the replay have passed, pauses not counted; False to leave.

        Raises:
            KeyboardInterrupt: at Ctrl-C.
        """
        while True:
            left = self._began + at - self._now()
            key = self.pressed(min(max(0.0, left), _LONGEST_S))
            if key == _PAUSE:
                paused = self._now()
                while (key := self.pressed(None)) not in (_PAUSE, _QUIT):
                    pass
                self._began += self._now() - paused
            if key == _QUIT:
                return False
            if not key and left <= 0:
                return True

    def wait_for(self, fd: int) -> bool:
        """Wait until there is something to read, or its end; False to leave. Raises as `wait_until`."""
        if self._keyboard is None:
            return True  # whoever reads it waits
        while not self.left:
            ready = self._ready(None, fd)
            if self._keyboard in ready:
                self.left = self.pressed(0.0) == _QUIT
            elif fd in ready:
                return True
        return False

    def _ready(self, seconds: float | None, *fds: int) -> set[int]:
        """Wait for keys, for more, and for signals, whose handlers are called by then."""
        poll = select.poll()
        for fd in (self._signalled, -1 if self._keyboard is None else self._keyboard, *fds):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000 + 0.999)}
        if self._signalled in ready:
            os.read(self._signalled, 1024)
        return ready

    def pressed(self, seconds: float | None) -> bytes:
        """Return a key of ours, or nothing after these seconds or at any other key."""
        ready = self._ready(seconds)
        if self._keyboard is None or self._keyboard not in ready:
            return b""
        keys = os.read(self._keyboard, 1024)
        if not keys:
            return _QUIT  # the terminal is gone
        keys = _SEQUENCE.sub(b"", keys)
        if _INTERRUPT in keys:
            raise KeyboardInterrupt
        return next((key for key in (_QUIT, _PAUSE) if key in keys), b"")


def _hint(recorded: tuple[int, int], here: tuple[int, int] | None) -> None:
    if here is not None and (here[0] < recorded[0] or here[1] < recorded[1]):
        say(
            f"the recording is {recorded[1]} columns by {recorded[0]} rows, this terminal {here[1]} by {here[0]}:"
            " make it larger, or lines break where they should not"
        )


def _forget_answers(keyboard: int) -> None:
    """Drop what the terminal has answered to questions in the recording: a shell would take it for typed."""
    import termios

    try:
        termios.tcflush(keyboard, termios.TCIFLUSH)
    except termios.error:
        return  # the terminal is gone
