"""What a program switched on in the user's terminal, and how to switch it off when the session ends in the middle.

Pure: bytes in, bytes out. A detached `vi` leaves the alternate screen, a hidden cursor and mouse reports behind; the
program cannot clean up, so whoever takes the terminal away does. The sequences are xterm's (ctlseqs, DECSET).
"""

from __future__ import annotations

_ESCAPE = b"\x1b"
_PRIVATE = b"\x1b[?"
_KEYPAD_ON, _KEYPAD_OFF = b"\x1b=", b"\x1b>"
#: A sequence cut by the end of a read is carried over; one that has all modes below at once is not longer.
_CARRY = 64

#: mode -> what undoes it. The cursor (25) is the one mode that is normally on.
_UNDO = {
    b"1049": b"\x1b[?1049l",
    b"1047": b"\x1b[?1047l",
    b"47": b"\x1b[?47l",
    b"25": b"\x1b[?25h",
    b"1": b"\x1b[?1l",
    b"9": b"\x1b[?9l",
    b"1000": b"\x1b[?1000l",
    b"1002": b"\x1b[?1002l",
    b"1003": b"\x1b[?1003l",
    b"1004": b"\x1b[?1004l",
    b"1005": b"\x1b[?1005l",
    b"1006": b"\x1b[?1006l",
    b"1015": b"\x1b[?1015l",
    b"2004": b"\x1b[?2004l",
}
_NORMALLY_ON = b"25"
_PARAMETERS = b"0123456789;"


class ModeTracker:
    """Follows the modes that output switches on, with one search for each of two marks per chunk."""

    __slots__ = ("_carry", "_changed", "_keypad")

    def __init__(self) -> None:
        self._changed: dict[bytes, None] = {}
        self._keypad = False
        self._carry = b""

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        data = self._carry + bytes(chunk)
        if _ESCAPE not in data:
            self._carry = b""
            return
        at = data.find(_PRIVATE)
        while at >= 0:
            self._private(data, at)
            at = data.find(_PRIVATE, at + 1)
        on, off = data.rfind(_KEYPAD_ON), data.rfind(_KEYPAD_OFF)
        if on != off:
            self._keypad = on > off
        last = data.rfind(_ESCAPE, max(0, len(data) - _CARRY))
        self._carry = data[last:] if last >= 0 and _is_cut(data[last:]) else b""

    def undo(self) -> bytes:
        """Return what puts the terminal back; nothing where nothing was switched. A second call returns nothing."""
        out = b"".join(_UNDO[mode] for mode in reversed(self._changed))
        if self._keypad:
            out += _KEYPAD_OFF
        self._changed.clear()
        self._keypad = False
        return out

    def _private(self, data: bytes, at: int) -> None:
        end = at + len(_PRIVATE)
        while data[end : end + 1] and data[end] in _PARAMETERS:
            end += 1
        final = data[end : end + 1]
        if final not in (b"h", b"l"):
            return
        for mode in data[at + len(_PRIVATE) : end].split(b";"):
            if mode not in _UNDO:
                continue
            if (final == b"h") == (mode == _NORMALLY_ON):
                self._changed.pop(mode, None)
            else:
                self._changed[mode] = None


def _is_cut(tail: bytes) -> bool:
    """Say whether the rest of a mode sequence may follow in the next read."""
    if len(tail) < len(_PRIVATE):
        return _PRIVATE.startswith(tail)
    return tail.startswith(_PRIVATE) and not tail[len(_PRIVATE) :].strip(_PARAMETERS)
