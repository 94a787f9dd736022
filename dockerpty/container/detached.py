"""Which containers of `--rm` somebody has detached from: that person's, though the process that made them is gone.

The engine keeps no note that could be changed later, so this is a file of ids in `$XDG_STATE_HOME/dockerpty`.
"""

from __future__ import annotations

import os

from dockerpty import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_log = log.get(__name__)

# Of an id of 64 characters a line; the older half goes when there are more.
_LIMIT = 2000 * 65


def remember(container: str) -> None:
    """Note that somebody has detached from a container, by its full id. Where that cannot be noted, it is not."""
    path = _path(os.environ)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # Appended in one write, for those who read meanwhile.
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(fd, shared=False)
            size = os.fstat(fd).st_size
            if size > _LIMIT:
                kept = os.pread(fd, size, size // 2).partition(b"\n")[2]
                os.ftruncate(fd, 0)
                os.write(fd, kept)
            os.write(fd, container.encode() + b"\n")
        finally:
            os.close(fd)
    except OSError as error:
        _log.debug("not remembered: %s", error)


def remembered() -> frozenset[str]:
    """Return the full ids of the containers that were detached from, those of the past among them."""
    try:
        with open(_path(os.environ), encoding="ascii", errors="replace") as file:
            _lock(file.fileno(), shared=True)
            return frozenset(file.read().split())
    except OSError as error:
        _log.debug("nothing remembered: %s", error)
        return frozenset()


def _lock(fd: int, *, shared: bool) -> None:
    """Wait until nobody is at it: while the older half goes, a note would go with it, and nothing can be read."""
    # Here: not every system has it.
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except OSError as error:
        # Not on every filesystem; a note is worth more than its safety.
        _log.debug("not locked: %s", error)


def _path(here: Mapping[str, str]) -> str:
    home = here.get("DPTY_HOME")
    if not home:
        state = here.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
        home = os.path.join(state, "dockerpty")
    return os.path.join(home, "detached")
