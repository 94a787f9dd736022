"""What a command reads, from whatever was given for it: bytes, a text, a path or a file object, in pieces."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.host.channel import Channel

    #: `read` is that of a file object, whose bytes or text it gives.
    Given = bytes | bytearray | memoryview | str | os.PathLike[str] | Any

#: Bytes that are read at once, and so what is held of it: the next is read when the last was sent.
PIECE = 64 * 1024


class Stdin:
    """What a command reads, to be given to it in pieces.

    Args:
        given: a `str` is the text itself; the path of a file is a `Path`. A file object, of bytes or of text, is read
            from where it stands and stays open. It is read while others wait: it should not be one that waits itself.
        encoding: of text; surrogates are the bytes that they stand for.

    Raises:
        TypeError: it is none of these.
        OSError: the file cannot be opened.
    """

    def __init__(self, given: Given, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._file: Any = None
        self._ours = self._ended = False
        self._view = memoryview(b"")
        if isinstance(given, str):
            self._view = memoryview(self._bytes(given))
        elif isinstance(given, (bytes, bytearray, memoryview)):
            self._view = memoryview(given).cast("B")
        elif isinstance(given, os.PathLike):
            self._file = open(given, "rb", buffering=0)  # noqa: SIM115  # closed by `close`
            self._ours = True
        elif hasattr(given, "read"):
            self._file = given
        else:
            raise TypeError(
                f"a {type(given).__name__} cannot be read: give bytes, a str, a Path or a file object"
            )

    def read(self) -> bytes:
        """Return the next piece, b"" at the end.

        Raises:
            ValueError: it is a file object that does not wait and has nothing.
        """
        if self._file is None:
            piece, self._view = bytes(self._view[:PIECE]), self._view[PIECE:]
            return piece
        data = self._file.read(PIECE)
        if data is None:
            raise ValueError("there is nothing in the file object that is to be read: give one that blocks")
        return self._bytes(data) if isinstance(data, str) else bytes(data)

    def feed(self, channel: Channel) -> bool:
        """Write the next piece if the last was sent, and at the end end the input.

        Returns:
            whether to come back though nothing happens: more would go at once.
        """
        if self._ended or channel.unsent:
            return False
        piece = b"" if channel.refused else self.read()
        if piece:
            channel.write(piece)
            return not channel.unsent
        self._ended = True
        if not channel.refused:
            channel.end_input()
        return False

    def close(self) -> None:
        """Close the file that was opened here. Idempotent."""
        if self._ours:
            self._file.close()

    def _bytes(self, text: str) -> bytes:
        return text.encode(self._encoding, "surrogateescape")
