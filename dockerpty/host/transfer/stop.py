"""How a transfer is ended from another thread, and what it tells of itself on its way."""

from __future__ import annotations

import os
import threading
import time

from dockerpty.host.errors import TransferError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TypeAlias

    Progress: TypeAlias = Callable[[int, int | None, str], None]

#: Seconds between two reports of progress.
BETWEEN_S = 0.1


class Stop:
    """Ends one operation, by closing the connection that it waits on; from any thread, at any time, also before it.

    Whoever makes one closes it, after the operation.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()

    def stop(self) -> None:
        """End it. Idempotent; once it is closed, nothing happens."""
        with self._lock:
            if not self.stopped and self._wake_write >= 0:
                os.write(self._wake_write, b"!")
            self.stopped = True

    def fileno(self) -> int:
        """Give a descriptor that can be read from once this was stopped."""
        return self._wake_read

    def check(self) -> None:
        """Raise TransferError if it was stopped."""
        if self.stopped:
            raise TransferError("go on with", "the transfer", "it was stopped")

    def close(self) -> None:
        """Free the descriptors. Idempotent."""
        with self._lock:
            if self._wake_write >= 0:
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_read = self._wake_write = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Meter:
    """Counts what is moved, and reports it ten times a second at most.

    Args:
        report: called with the bytes that are done, the bytes of all as far as they are known, and the path in work.
        clock: of `time.monotonic`.

    Attributes:
        done, total: bytes.
    """

    def __init__(self, report: Progress | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.done = 0
        self.total: int | None = None
        self._report = report
        self._clock = clock
        self._next = clock() + BETWEEN_S
        self._path = ""

    def expect(self, count: int) -> None:
        """Say that so many bytes more are to come."""
        self.total = (self.total or 0) + count

    def moved(self, count: int, path: str) -> None:
        """Count, and report once in a while."""
        self.done += count
        self._path = path
        if self._report is not None and self._clock() >= self._next:
            self._tell()

    def end(self) -> None:
        """Report the last time, if anything was moved."""
        if self._report is not None and self._path:
            self._tell()

    def _tell(self) -> None:
        assert self._report is not None
        self._next = self._clock() + BETWEEN_S
        self._report(self.done, self.total, self._path)
