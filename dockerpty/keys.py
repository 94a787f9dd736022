"""Detach keys: spelled as Docker spells them, found in what is typed however the reads split it. And Ctrl-D.

Pure: who waits for the time limit of a withheld key is in `pumps`.
"""

from __future__ import annotations

from dockerpty.errors import DetachKeysError

DEFAULT = "ctrl-p,ctrl-q"
# Sent to the engine as its own detach keys, so that it never acts on what is typed: it has no time limit,
# and it kills the process of an exec whose keys it sees. Rare as a whole, and in its first key: the engine
# withholds that one.
NEUTRAL = ",".join(["ctrl-^,ctrl-]"] * 4)

_EOT = b"\x04"
_NEWLINE = 0x0A

# Position is value: ctrl-@ is 0, ctrl-_ is 31 (moby/term, ascii.go).
_CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
_CODES = {f"ctrl-{key}": code for code, key in enumerate(_CONTROLS)} | {"DEL": 127}
_HINT = r"write keys with commas between them: one ASCII character, ctrl- and one of a-z @ [ \ ] ^ _, or DEL"


def parse(spec: str | None) -> bytes:
    r"""Turn detach keys as Docker spells them into the bytes that a terminal sends for them.

    Args:
        spec: tokens with commas between them: one ASCII character, `ctrl-` and one of a-z @ [ \ ] ^ _, or
            `DEL`; case counts, as it does for docker. None is Docker's default, `""` and `"none"` switch
            detaching off.

    Returns:
        The keys, one byte each; empty when detaching is off.

    Raises:
        DetachKeysError: a token is none of these.
    """
    if spec is None:
        spec = DEFAULT
    if spec in ("", "none"):
        return b""
    keys = bytearray()
    for token in spec.split(","):
        if len(token) == 1 and token.isascii():
            keys.append(ord(token))
        elif token in _CODES:
            keys.append(_CODES[token])
        else:
            raise DetachKeysError("use", f"the detach keys {spec!r}", f"{token!r} is not a key", _HINT)
    return bytes(keys)


def end_of_input(last: int) -> bytes:
    """Return what ends the input of a terminal, typed after the byte `last`; nothing typed yet is a new line."""
    # In the middle of a line the first one only ends the line (POSIX termios, 11.1.9, EOF).
    return _EOT if last == _NEWLINE else _EOT + _EOT


class Matcher:
    """Pass on what is typed, until the detach keys are among it.

    Bytes that may be the start of the keys are withheld, and passed on in order as soon as they cannot be,
    or when the caller has waited long enough and calls `release`.

    Args:
        keys: the user's; after a `release` they start afresh. Empty: never.
        engine_keys: those that the engine itself watches for. It has no time limit, so they count also across
            released bytes: it never sees them whole. Empty: none.

    Attributes:
        detached: the keys were found; nothing is passed on from then on.
        held: the bytes withheld now.
        starts: the bytes with which the keys begin.
    """

    __slots__ = ("_engine_keys", "_keys", "_sent", "detached", "held", "starts")

    def __init__(self, keys: bytes, engine_keys: bytes = b"") -> None:
        self._keys = keys
        self._engine_keys = engine_keys
        self.starts = frozenset(sequence[0] for sequence in (keys, engine_keys) if sequence)
        # What the engine has got already, as far as its keys may start in it.
        self._sent = b""
        self.detached = False
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what to send on: not the detach keys, nor what follows them."""
        if self.detached:
            return b""
        if self.idle and self.starts.isdisjoint(data):
            return data
        typed = self.held + data
        seen = self._sent + typed
        already = len(self._sent)
        found = []
        for keys, start in ((self._keys, already), (self._engine_keys, 0)):
            at = seen.find(keys, start) if keys else -1
            if at >= 0:
                found.append((at + len(keys), -at))
        if found:
            # The keys that are complete first; of two that end together the shorter ones, which drop less.
            _, minus_at = min(found)
            self.detached = True
            self.held = self._sent = b""
            return seen[already : max(already, -minus_at)]

        engine_part = _started(self._engine_keys, seen)
        hold = max(_started(self._keys, typed), min(engine_part, len(typed)))
        passed = len(typed) - hold
        self.held = typed[passed:]
        # That part of the engine's keys which has left; what is held is looked at again with the next bytes.
        self._sent = seen[len(seen) - engine_part : len(seen) - hold] if engine_part > hold else b""
        return typed[:passed]

    @property
    def idle(self) -> bool:
        """Say whether no key has begun: then what holds none of `starts` is passed on as it is, and changes nothing."""
        return not (self.held or self._sent or self.detached)

    def release(self) -> bytes:
        """Return the withheld bytes to send on: the next key did not come in time."""
        released, seen = self.held, self._sent + self.held
        self._sent = seen[len(seen) - _started(self._engine_keys, seen) :]
        self.held = b""
        return released


def _started(keys: bytes, data: bytes) -> int:
    """Count the bytes at the end of `data` that are the start of `keys`, but not all of them."""
    for length in range(min(len(keys) - 1, len(data)), 0, -1):
        if data.endswith(keys[:length]):
            return length
    return 0
