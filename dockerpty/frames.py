"""The multiplexed stream of a container without a terminal: bytes in, (stream, payload) pieces out.

A frame is a header of 8 bytes (stream id, three zeros, length of the payload as a big-endian uint32), then
the payload (Engine API, "Attach to a container", stream format). Pure: what reads the bytes is in `io.py`.
"""

from __future__ import annotations

from struct import Struct

from dockerpty.errors import ProtocolError

STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)
HEADER_SIZE = 8
# Engines send at most 32 KiB in a frame; what claims more than this is no frame: the stream is out of step.
MAX_FRAME = 16 * 1024 * 1024

_HEADER = Struct(">BxxxL")


class Decoder:
    """Find the payloads in a multiplexed stream that arrives in any pieces.

    Attributes:
        stream: id of the current frame, or of the last one.
        remain: payload bytes of the current frame that are still to come.
        failed: set when an impossible header came behind good pieces: deliver what `feed` returned, then
            raise this. The next `feed` raises it too.
    """

    __slots__ = ("_head", "failed", "remain", "stream")

    def __init__(self) -> None:
        self._head = b""
        self.stream = STDIN
        self.remain = 0
        self.failed: ProtocolError | None = None

    @property
    def in_payload(self) -> bool:
        """Whether the next byte belongs to a payload."""
        return self.remain > 0

    @property
    def mid_frame(self) -> bool:
        """Whether a header is cut, a payload unfinished or the stream broken: to end here is a loss."""
        return self.remain > 0 or self._head != b"" or self.failed is not None

    def wanted(self) -> int:
        """Count the bytes up to the next boundary: the rest of the payload, or of the header. Never 0."""
        return self.remain or HEADER_SIZE - len(self._head)

    def feed(self, data: bytes | memoryview) -> list[tuple[int, memoryview]]:
        """Split what has arrived into (stream id, payload) pieces, in order.

        A frame that arrives in parts gives several, an empty one gives none. Nothing is copied: the pieces
        are views of `data`, valid until the caller fills that buffer again.

        Raises:
            ProtocolError: an id above 3, or a length above MAX_FRAME, with no good piece before it in `data`.
        """
        if self.failed is not None:
            raise self.failed
        view = memoryview(data)
        size = len(view)
        pieces: list[tuple[int, memoryview]] = []
        position = 0
        if self.remain:
            position = self.remain
            if size < position:
                if size:
                    self.remain -= size
                    pieces.append((self.stream, view))
                return pieces
            pieces.append((self.stream, view[:position]))
            self.remain = 0
        elif self._head:
            missing = HEADER_SIZE - len(self._head)
            self._head += view[:missing].tobytes()
            if size < missing:
                return pieces
            stream, length = _HEADER.unpack(self._head)
            if stream > SYSTEM_ERROR or length > MAX_FRAME:
                raise self._fail(stream, length)
            self._head = b""
            self.stream = stream
            position = missing + length
            if position > size:
                self.remain = position - size
                position = size
            if position > missing:
                pieces.append((stream, view[missing:position]))

        # Every frame of a busy stream passes here: locals only, and no call but the two that make the piece.
        append, unpack = pieces.append, _HEADER.unpack_from
        highest, longest, last = SYSTEM_ERROR, MAX_FRAME, size - HEADER_SIZE
        while position <= last:
            stream, length = unpack(view, position)
            if stream > highest or length > longest:
                error = self._fail(stream, length)
                if pieces:
                    return pieces
                raise error
            position += HEADER_SIZE
            end = position + length
            if end > size:
                self.stream = stream
                self.remain = end - size
                if position < size:
                    append((stream, view[position:]))
                return pieces
            if length:
                append((stream, view[position:end]))
            position = end
        if position < size:
            self._head = view[position:].tobytes()
        if pieces:
            self.stream = pieces[-1][0]
        return pieces

    def _fail(self, stream: int, length: int) -> ProtocolError:
        """Give up for good: where the next frame starts is not known any more."""
        self._head = b""
        reason = f"a frame says stream {stream} and {length} bytes"
        hint = "what answers is not a Docker engine, or the container has a terminal after all"
        self.failed = ProtocolError("understand", "the engine's stream", reason, hint)
        return self.failed


def encode(stream: int, payload: bytes) -> bytes:
    """Make the frame that an engine would send for `payload`."""
    return _HEADER.pack(stream, len(payload)) + payload
