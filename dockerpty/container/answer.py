"""What a process without a terminal says that was asked something: read while somebody waits."""

from __future__ import annotations

import select
import time

from dockerpty.errors import DockerptyError, EngineUnreachable
from dockerpty.frames import STDOUT, Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerpty.engine.transport import Transport

_LIMIT = 64 * 1024


def hear(stream: Transport, is_enough: Callable[[bytes], bool], seconds: float) -> tuple[bytes, bytes]:
    """Read what comes on stdout and on stderr, until its stdout is enough or the stream ends; of much the last 64 KiB.

    Raises:
        TimeoutError: it took longer. What never ends to come is no answer, either.
        EngineUnreachable: the connection broke.
        ProtocolError: what came is no stream of an engine's.
    """
    until = time.monotonic() + seconds
    decoder, out, err = Decoder(), b"", b""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            data = stream.recv(_LIMIT)
        except BlockingIOError:
            poll.poll(left * 1000)
            continue
        except OSError as error:
            if isinstance(error, DockerptyError):
                raise
            reason = error.strerror or str(error)
            raise EngineUnreachable("hear from", "the engine", f"the connection broke: {reason}") from error
        if not data:
            return out, err
        for kind, piece in decoder.feed(data):
            if kind == STDOUT:
                out = b"".join((out, piece))[-_LIMIT:]
            else:
                err = b"".join((err, piece))[-_LIMIT:]
        if is_enough(out):
            return out, err
