"""What is left to do when this process is killed without a word: the terminal is given back, an exec is ended.

SIGKILL cannot be caught, so a forked child waits for the end of a pipe that only we hold. It is idle until
then, shares our memory pages, and has neither our terminal (its own session) nor our descriptors. Where the
program runs other threads no child is forked: a fork then is not safe.
"""

from __future__ import annotations

import os
import sys

from dockerpty import log
from dockerpty import plain_signal as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_log = log.get(__name__)
_FAREWELL = b"."


class Guardian:
    """Runs `last_will` in a child process if this process ends before `dismiss`.

    Args:
        last_will: what is to be done; it has only the descriptors of `keep`.
    """

    def __init__(self, last_will: Callable[[], None], keep: Iterable[int] = ()) -> None:
        self._pid = 0
        self._fd = -1
        if not _alone():
            _log.debug("no guardian: the program runs threads")
            return
        try:
            read_fd, self._fd = os.pipe()
        except OSError as error:
            # Too few descriptors for one more: the session goes on, as it does without a process more.
            _log.debug("no guardian: %s", error)
            return
        try:
            self._pid = os.fork()
        except OSError as error:
            os.close(read_fd)
            os.close(self._fd)
            _log.debug("no guardian: %s", error)
            return
        if self._pid == 0:
            _watch(read_fd, last_will, {read_fd, *keep})
        os.close(read_fd)

    def dismiss(self) -> None:
        """All is well: let the child go, and wait until it has gone."""
        if not self._pid:
            return
        pid, self._pid = self._pid, 0
        try:
            os.write(self._fd, _FAREWELL)
        except BrokenPipeError:
            _log.debug("the guardian was killed")
        os.close(self._fd)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:  # SIGCHLD is ignored: the system has waited for it
            pass


def _alone() -> bool:
    threading = sys.modules.get("threading")
    return hasattr(os, "fork") and (threading is None or threading.active_count() == 1)


def _watch(fd: int, last_will: Callable[[], None], keep: set[int]) -> None:
    """The child's life. It leaves by `os._exit`: nothing of the parent's may be flushed or cleaned up twice."""
    code = 1
    try:
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        _close_all_but(keep)
        if not os.read(fd, 1):
            last_will()
        code = 0
    finally:
        os._exit(code)


def _close_all_but(keep: set[int]) -> None:
    # Ours would keep the engine's streams and the caller's pipes open behind a parent that has died.
    low = 0
    for number in sorted(keep):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX") if not os.path.isdir("/proc/self/fd") else _highest() + 1)


def _highest() -> int:
    return max((int(name) for name in os.listdir("/proc/self/fd")), default=2)
