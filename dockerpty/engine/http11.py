"""HTTP/1.1 as an engine speaks it: a request as bytes, an answer from bytes. Pure.

Only what a client of a container engine needs: no pipelining, no compression, no redirects. What follows an answer on
the wire is never lost: after an upgrade it is the first data of the stream. Connections are in `connection`.
"""

from __future__ import annotations

from dockerpty.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HEAD_LIMIT = 64 * 1024
"""Bytes of status line and headers, or of one line between chunks. Servers have less as their own limit."""
BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of one body. The largest that we ask for is a list of containers: some KiB for each."""

WANTS_TLS = "use TLS: DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or --tlsverify"
"""What to do about an engine that does."""

_BODILESS = (101, 204, 304)
_BEGINS = b"HTTP/"


def request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    body: bytes | None = None,
    *,
    chunked: bool = False,
) -> bytes:
    """Give a request's bytes.

    Args:
        method: in capitals.
        target: path and query, quoted.
        headers: name and value of each; `Content-Length` is added here.
        body: `None` for no body at all.
        chunked: a body of unknown length follows, in chunks (RFC 9112, 7.1).

    Raises:
        ValueError: a line break, or a character that is not Latin-1, in the target or a header.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    lines.extend(f"{name}: {value}" for name, value in headers)
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif body is not None or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body or b'')}")
    if any("\r" in line or "\n" in line for line in lines) or " " in target:
        raise ValueError("a line break or a space where a request cannot have one")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


class Answer:
    """An answer, fed as its bytes come.

    Attributes:
        status, reason, headers: known once `head_done`; names in lower case, repeated headers joined by a comma.
        head_done: the head has been read; interim answers (100, 103) are passed over.
        complete: nothing more belongs to this answer; later bytes go to `rest`.
        started: at least one byte has come.
    """

    __slots__ = (
        "_body",
        "_hijack",
        "_in",
        "_left",
        "_method",
        "_read",
        "_take",
        "complete",
        "head_done",
        "headers",
        "reason",
        "reusable",
        "started",
        "status",
    )

    def __init__(
        self, method: str = "GET", *, hijack: bool = False, take: Callable[[bytes], None] | None = None
    ) -> None:
        """Expect the answer to `method`.

        Args:
            hijack: a 101 or 200 ends at its head, and a raw stream follows.
            take: gets the body of a success in pieces as it comes, however long it is; `body` stays empty.
        """
        self._method = method
        self._hijack = hijack
        self._take = take
        self._in = bytearray()
        self._body = bytearray()
        self._left = 0
        self._read = self._read_head
        self.status = 0
        self.reason = ""
        self.headers: dict[str, str] = {}
        self.head_done = False
        self.complete = False
        self.started = False
        self.reusable = False
        """The connection may carry another request, once this is complete and nothing is left over."""

    @property
    def body(self) -> bytes:
        """What of the body has come so far."""
        return bytes(self._body)

    @property
    def rest(self) -> bytes:
        """What came after the end of this answer; empty before that."""
        return bytes(self._in) if self.complete else b""

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the connection.

        Raises:
            ProtocolError: they are no HTTP/1.1 answer, or it is larger than we take.
        """
        if len(data):
            self.started = True
        self._in += data
        if not self.head_done and not self._in.startswith(_BEGINS[: len(self._in)]):
            # The alert of a TLS server (RFC 8446, 5.1): type 21, version 3.
            tls = self._in.startswith(b"\x15\x03")
            if tls:
                raise _wrong("it speaks TLS, and we do not", WANTS_TLS)
            raise _wrong("this is no HTTP server")
        while not self.complete and self._read():
            pass

    def eof(self) -> None:
        """Say that the connection ended: right for a body that ends so, or for a complete answer.

        Raises:
            ProtocolError: the answer is cut short.
        """
        if self.head_done and self._read == self._read_until_close:
            self.complete = True
        if not self.complete:
            raise _wrong("the connection ended in the middle of it")

    # Each reader takes from `_in` what it can and says whether another turn may bring more.

    def _read_head(self) -> bool:
        head = self._take_until(b"\r\n\r\n")
        if head is None:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = first.partition(" ")
        code, _, self.reason = status.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (
            len(code) == 3 and code.isascii() and code.isdigit()
        ):
            raise _wrong("this is no HTTP/1.1 server")
        self.status = int(code)
        self.headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name[0] in " \t":
                raise _wrong("it has a malformed header")
            name, value = name.strip().lower(), value.strip(" \t")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        if self.status // 100 == 1 and self.status != 101:
            return True
        self.head_done = True
        self.reusable = version == "HTTP/1.1" and "close" not in self.headers.get("connection", "").lower()
        self._choose_body()
        return True

    def _choose_body(self) -> None:
        # In the order of RFC 9112, 6.3.
        if self._method == "HEAD" or self.status in _BODILESS or (self._hijack and self.status == 200):
            self.complete = True
        elif "chunked" in self.headers.get("transfer-encoding", "").lower():
            self._read = self._read_chunk_size
        elif "content-length" in self.headers:
            lengths = {length.strip() for length in self.headers["content-length"].split(",")}
            length = lengths.pop()
            if lengths or not (length.isascii() and length.isdigit()):
                raise _wrong("its length is not a number")
            self._expect(int(length[:20]))
            self._read = self._read_length
        else:
            self.reusable = False
            self._read = self._read_until_close

    def _read_length(self) -> bool:
        self._take_body()
        self.complete = not self._left
        return False

    def _read_until_close(self) -> bool:
        self._expect(len(self._in))
        self._take_body()
        return False

    def _read_chunk_size(self) -> bool:
        line = self._take_until(b"\r\n")
        if line is None:
            return False
        size = line.partition(b";")[0].strip()
        # int() alone would also take "+5", "0x5" and "5_0".
        if not size or size.strip(b"0123456789abcdefABCDEF"):
            raise _wrong("the length of a chunk is not a number")
        self._expect(int(size, 16))
        self._read = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._take_body()
        if self._left or len(self._in) < 2:
            return False
        if not self._in.startswith(b"\r\n"):
            raise _wrong("a chunk is longer than it said")
        del self._in[:2]
        self._read = self._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        line = self._take_until(b"\r\n")
        if line is None:
            return False
        self.complete = not line
        return True

    def _take_until(self, end: bytes) -> bytes | None:
        at = self._in.find(end)
        if at > HEAD_LIMIT or (at < 0 and len(self._in) > HEAD_LIMIT):
            raise _wrong(f"its head is longer than {HEAD_LIMIT} bytes")
        if at < 0:
            return None
        taken = bytes(self._in[:at])
        del self._in[: at + len(end)]
        return taken

    def _expect(self, length: int) -> None:
        if (self._take is None or self.status >= 300) and len(self._body) + length > BODY_LIMIT:
            raise _wrong(f"its body is longer than {BODY_LIMIT} bytes")
        self._left = length

    def _take_body(self) -> None:
        taken = min(len(self._in), self._left)
        if self._take is not None and self.status < 300:
            self._take(bytes(self._in[:taken]))
        else:
            self._body += self._in[:taken]
        del self._in[:taken]
        self._left -= taken


def _wrong(reason: str, hint: str = "is there a container engine at that address?") -> ProtocolError:
    return ProtocolError("read", "the engine's answer", reason, hint)
