"""Signals that reach us during a session: noted, coalesced, forwarded; and an exec found again to be signalled.

A handler only notes and returns; the wake-up descriptor (`signal.set_wakeup_fd`) makes the session's loop look. In a
thread that is not the main one Python allows no handlers: there a session has none, and polls the window size instead.
"""

from __future__ import annotations

import os
import select
import sys
import time

from dockerpty import log
from dockerpty import plain_signal as signal
from dockerpty.container import ending
from dockerpty.container.answer import hear
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError
from dockerpty.plan import drive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from dockerpty.engine.client import Control, Engine, Reply

_log = log.get(__name__)

#: Never forwarded: they concern this process or its terminal alone, cannot be caught, or tell of a fault in it.
#: (docker does forward SIGWINCH, which Apache httpd takes as "stop".)
_OURS = (
    *("SIGCHLD", "SIGCLD", "SIGPIPE", "SIGURG", "SIGCONT", "SIGSTOP", "SIGKILL", "SIGTSTP", "SIGTTIN"),
    *("SIGTTOU", "SIGWINCH", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS"),
)
_ALL = frozenset(signal.valid_signals()) if hasattr(signal, "valid_signals") else frozenset()
_FORWARDABLE = _ALL - {getattr(signal, name) for name in _OURS if hasattr(signal, name)}


# More than any system's `struct sigaction` takes.
_SIGACTION_SIZE = 1024


def forwardable() -> frozenset[int]:
    """Return the signals that are passed on to a container, or that would end us while the terminal is raw."""
    return _FORWARDABLE


def name_of(number: int) -> str:
    """Return what the engine calls a signal: `TERM`, or the number of one that has no name of its own here."""
    import signal as named  # rarely needed, and dear

    try:
        return named.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def die_by(number: int) -> None:
    """End this process by a signal, so that the parent sees the death that it would have been without us."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def undisturbed(action: Callable[[], None]) -> None:
    """Do something that must be done as a whole: handlers of the caller's, which may raise, come before or after it."""
    if not hasattr(signal, "pthread_sigmask"):
        action()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    finally:
        try:
            action()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kept_from_readline(number: int) -> Callable[[bool], None] | None:
    """Keep the handler that readline may have for a signal, of which Python knows nothing; None where it is not loaded.

    In a REPL it follows the window so. Python takes that for the default, and would put the default back.

    Returns:
        what puts it back, and sends it the signal if that is to be said to have been missed.
    """
    if "readline" not in sys.modules:
        return None
    # The one way to it; `ctypes` is dear, but not to a person who types.
    import ctypes

    try:
        sigaction = ctypes.CDLL(None).sigaction
    except (OSError, AttributeError, TypeError):
        return None
    kept = ctypes.create_string_buffer(_SIGACTION_SIZE)
    sigaction(int(number), None, kept)

    def put_back(missed: bool) -> None:
        sigaction(int(number), kept, None)
        if missed:
            signal.raise_signal(number)

    return put_back


class Signals:
    """Notes signals while it is started. In a thread other than the main one it does nothing, and `works` is False.

    Args:
        action: called from the loop, outside any handler, with the number of each signal noted.
        meanwhile: called in the handler, as long as it is there: no loop looks yet. It may raise.
    """

    def __init__(self, action: Callable[[int], None], meanwhile: Callable[[int], None] | None = None) -> None:
        self.works = False
        self.meanwhile = meanwhile
        self._action = action
        self._noted: list[int] = []
        self._previous: dict[int, Any] = {}
        self._previous_fd = -1
        self._read_fd = self._write_fd = -1

    def start(self) -> None:
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)
        try:
            self._previous_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            os.close(read_fd)
            os.close(write_fd)
            return
        self._read_fd, self._write_fd = read_fd, write_fd
        self.works = True

    def note(self, numbers: Iterable[int], *, only_default: bool = False) -> None:
        """Note these signals from now on.

        Args:
            only_default: leave handlers of the caller's in place. What is ignored is left so in any case.
        """
        if not self.works:
            return
        for number in numbers:
            if number in self._previous:
                continue
            now = signal.getsignal(number)
            if now is signal.SIG_IGN or now is None or (only_default and now is not signal.SIG_DFL):
                continue
            self._previous[number] = now
            signal.signal(number, self._note)

    def notes(self, number: int) -> bool:
        """Say whether a signal is noted."""
        return number in self._previous

    def forget(self, number: int) -> None:
        """Give one signal, if it was noted, its previous handler back."""
        if number in self._previous:
            signal.signal(number, self._previous.pop(number))

    def stop(self) -> None:
        """Put every handler back as it was."""
        if not self.works:
            return
        # A handler of the caller's, back in its place, may raise in between: calling this again does the rest.
        for number in list(self._previous):
            signal.signal(number, self._previous[number])
            del self._previous[number]
        self.works = False
        signal.set_wakeup_fd(self._previous_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def unserved(self) -> list[int]:
        """Return the signals noted that no loop has acted on, and that ask to end."""
        numbers = [number for number in self._noted if number in forwardable()]
        self._noted.clear()
        return numbers

    # Watched by a loop -----------------------------------------------------------------------------------------------

    def interest(self) -> Sequence[tuple[int, int]]:
        return ((self._read_fd, select.POLLIN),) if self.works else ()

    def busy(self) -> bool:
        return bool(self._noted)

    def deadline(self) -> float | None:
        return None

    def serve(self, ready: dict[int, int]) -> None:
        if self.works and ready.get(self._read_fd):
            os.read(self._read_fd, 4096)
        while self._noted:
            self._action(self._noted.pop(0))

    def _note(self, number: int, frame: object) -> None:
        self._noted.append(number)
        if self.meanwhile is not None:
            self.meanwhile(number)


class Coalescer:
    """Lets one action follow a burst of events: once the burst pauses, or has lasted long enough.

    With these times 5,000 changes in three seconds are under 40 actions, and a single change is seen after 20 ms.
    """

    QUIET_S = 0.02
    LIMIT_S = 0.08

    def __init__(self) -> None:
        self._first = self._last = 0.0
        self._waiting = False

    def event(self) -> None:
        self._last = time.monotonic()
        if not self._waiting:
            self._waiting = True
            self._first = self._last

    def due(self) -> float | None:
        """Say when the action is due (monotonic seconds), None if nothing happened."""
        return min(self._last + self.QUIET_S, self._first + self.LIMIT_S) if self._waiting else None

    def take(self) -> bool:
        """Say whether the action is due now; if so it counts as done."""
        due = self.due()
        if due is None or time.monotonic() < due:
            return False
        self._waiting = False
        return True


class Resizer:
    """Sends window sizes from inside a loop: one request in flight, the last size wins and is always sent.

    Args:
        control: where requests go without waiting.
        call: makes the request for `(rows, cols)`.
        timeout: seconds for one request; past it the control connection is closed.
    """

    # An exec or a container needs a moment before it takes its first size; the engine answers with errors until then.
    RETRIES = 10
    RETRY_STEP_S = 0.01
    # Two sizes at once are one to a program that looks late; and Podman's conmon takes the first of them twice.
    APART_S = 0.03

    def __init__(self, control: Control, call: Callable[[int, int], calls.Call], timeout: float) -> None:
        self._control = control
        self._call = call
        self._timeout = timeout
        self._wanted: list[tuple[int, int]] = []
        self._in_flight = False
        self._tries_left = 0
        self._again_at: float | None = None
        self._current: tuple[int, int] | None = None
        self._redrawing = False

    def first(self, rows: int, cols: int) -> None:
        """Send the first size, and try again for a while if it is refused."""
        self._tries_left = self.RETRIES
        self.send(rows, cols)

    def send(self, rows: int, cols: int) -> None:
        self._redrawing = False
        self._wanted.clear()
        self._wanted.append((rows, cols))
        self._next()

    def redraw(self, rows: int, cols: int) -> None:
        """Send another size and then the right one: a program redraws only when the size has changed."""
        self._redrawing = True
        self._wanted.clear()
        self._wanted.extend([(min(rows + 1, 65535), min(cols + 1, 65535)), (rows, cols)])
        self._next()

    def again_at(self) -> float | None:
        return self._again_at

    def again(self) -> None:
        self._again_at = None
        if self._current is not None and not self._wanted:
            self._wanted.append(self._current)
        self._next()

    def _next(self) -> None:
        if self._in_flight or not self._wanted:
            return
        self._current = self._wanted.pop(0)
        rows, cols = self._current
        if not (0 < rows <= 65535 and 0 < cols <= 65535):
            self._next()
            return
        self._in_flight = True
        self._control.submit(self._call(rows, cols), self._answered, self._timeout)

    def _answered(self, answer: Reply | DockerptyError) -> None:
        self._in_flight = False
        if isinstance(answer, DockerptyError):
            _log.debug("resize failed: %s tries_left=%d", answer, self._tries_left)
            if self._tries_left > 0 and not self._wanted:
                self._tries_left -= 1
                self._again_at = time.monotonic() + self.RETRY_STEP_S * (self.RETRIES - self._tries_left)
                return
        else:
            self._tries_left = 0
        if self._redrawing and self._wanted:
            self._again_at = time.monotonic() + self.APART_S
            return
        self._next()


#: An environment variable with a random value marks the processes of an exec: the API has no kill for them.
MARKER = "DPTY_EXEC"
_REAP_LIMIT_S = 2.0
#: An exec runs a moment after its start was answered: some 40 ms on a quiet machine.
STARTS_WITHIN_S = 2.0
_REAP = (
    'for p in /proc/[0-9]*; do if tr "\\0" "\\n" <"$p/environ" 2>/dev/null | grep -qx "$1"; '
    'then for s in $2; do kill -s "$s" "${p#/proc/}" 2>/dev/null; done; fi; done; echo done'
)
# Its word counts, and not its end: of that Engine 20.10 tells nobody while the output of another one is not taken.
_DONE = b"done\n"


def marker() -> str:
    """Return a new `NAME=value` for the environment of an exec."""
    return f"{MARKER}={os.urandom(12).hex()}"


def reap(
    engine: Engine,
    container: str,
    mark: str,
    numbers: Iterable[int],
    *,
    user: str = "",
    patience: float = _REAP_LIMIT_S,
) -> str:
    """Signal the processes of an exec, which are found by their mark, from a second exec beside it.

    Args:
        numbers: signals, each sent to all of them in this order.
        patience: seconds for each of the answers; the second comes on a connection of its own, which ssh takes its time
            to make.

    Returns:
        Why it could not be done, or "" if it was.
    """
    config = {
        "Cmd": ["sh", "-c", _REAP, "sh", mark, " ".join(map(name_of, numbers))],
        "AttachStdout": True,
        "AttachStderr": True,
        "User": user,
        "DetachKeys": "",
    }

    def is_done(out: bytes) -> bool:
        return out.endswith(_DONE)

    def answer(request: calls.Call | float) -> Reply | None:
        if isinstance(request, float):
            time.sleep(request)
            return None
        return engine.send(request, timeout=patience)

    try:
        created = engine.send(
            calls.create_exec(container, config), subject=container, timeout=patience
        ).json()
        start = calls.start_exec(created["Id"], tty=False)
        stream = engine.hijack(start, subject="that looks for it", timeout=patience)
        try:
            out, err = hear(stream, is_done, patience)
        finally:
            stream.close()
        if is_done(out):
            return ""
        end = drive(ending.of_exec(created["Id"], container), answer)
    except DockerptyError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {patience:g} s"
    if end.code == 0:
        return ""
    from dockerpty.unstarted import without_afterword

    how = "with an exit code that nobody knows" if end.code is None else f"with {end.code}"
    said = _on_one_line(without_afterword(out + err))[-400:].lstrip()
    return said or str(end.error or f"the search for it ended {how}")


def end_unseen(engine: Engine, exec_id: str, mark: str, user: str, patience: float = _REAP_LIMIT_S) -> None:
    """Kill an exec that nobody waits for any more, as soon as it runs.

    Args:
        patience: as `reap` takes it.
    """
    until = time.monotonic() + STARTS_WITHIN_S
    try:
        while True:
            info = engine.send(calls.inspect_exec(exec_id)).json()
            if info.get("Pid") or info["ExitCode"] is not None or time.monotonic() >= until:
                break
            time.sleep(0.02)
    except DockerptyError as error:
        _log.debug("not ended: %s", error)
        return
    problem = reap(engine, str(info.get("ContainerID") or ""), mark, [9], user=user, patience=patience)
    _log.debug("ended: %s", problem or "yes")


def _on_one_line(said: bytes) -> str:
    # It goes to a terminal, and what a container's `sh` writes may be anything.
    text = said.decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
