"""What a terminal shows of what is typed, taken out of what comes from it: for images that have no stty."""

from __future__ import annotations

import re

_SHOWN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# The end of file, which is never shown, and what stops and goes on.
_UNSEEN = re.compile(rb"[\x04\x11\x13]")


class Echo:
    """By position: what was typed is what comes next. A program that shows nothing itself may lose the like of it."""

    def __init__(self) -> None:
        self._due = b""

    def typed(self, data: bytes) -> None:
        """Wait for what is shown of this."""
        self._due += _SHOWN.sub(_as_shown, _UNSEEN.sub(b"", data))

    def forget(self) -> None:
        """Wait for nothing any more."""
        self._due = b""

    def without(self, data: bytes) -> bytes:
        """Take out what is waited for; a read may end in the middle of it."""
        if not self._due:
            return data
        before, found, after = data.partition(self._due)
        if found:
            self._due = b""
            return before + after
        for length in range(min(len(data), len(self._due)), 0, -1):
            if data.endswith(self._due[:length]):
                self._due = self._due[length:]
                return data[:-length]
        return data


def _as_shown(found: re.Match[bytes]) -> bytes:
    key = found[0][0]
    return b"\r\n" if key in b"\r\n" else bytes((ord("^"), key ^ 0x40))
