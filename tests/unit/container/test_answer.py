"""What a process says that was asked something, up to its end, to a word or to a time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from dockerpty.container.answer import hear
from dockerpty.engine.transport import SocketTransport
from dockerpty.errors import EngineUnreachable, ProtocolError
from dockerpty.frames import encode


@pytest.fixture
def pair() -> Iterator[tuple[SocketTransport, socket.socket]]:
    ours, theirs = socket.socketpair()
    stream = SocketTransport(ours, "here")
    yield stream, theirs
    stream.close()
    theirs.close()


def never(out: bytes) -> bool:
    return False


def test_all_is_read_up_to_the_end_apart(pair: tuple[SocketTransport, socket.socket]) -> None:
    pair[1].sendall(encode(1, b"one ") + encode(2, b"error") + encode(1, b"two"))
    pair[1].close()
    assert hear(pair[0], never, 10) == (b"one two", b"error")


def test_a_word_is_enough(pair: tuple[SocketTransport, socket.socket]) -> None:
    pair[1].sendall(encode(1, b"all done\n"))
    assert hear(pair[0], lambda out: out.endswith(b"done\n"), 10) == (b"all done\n", b"")


def test_silence_ends_with_the_time(pair: tuple[SocketTransport, socket.socket]) -> None:
    pair[1].sendall(encode(1, b"no more"))
    with pytest.raises(TimeoutError):
        hear(pair[0], never, 0.05)


class Fails:
    def __init__(self, error: OSError) -> None:
        self.error = error

    def fileno(self) -> int:
        return 0

    def recv(self, n: int) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionResetError(104, "it was reset"), "it was reset"),
        (ssl.SSLError(1, "bad record"), "bad record"),
    ],
)
def test_a_connection_that_breaks_is_an_error_of_ours(error: OSError, reason: str) -> None:
    stream: Any = Fails(error)
    with pytest.raises(EngineUnreachable) as caught:
        hear(stream, never, 10)
    assert str(caught.value) == f"cannot hear from the engine: the connection broke: {reason}"


def test_what_is_no_stream_of_an_engine_is_told_as_such() -> None:
    stream: Any = Fails(ProtocolError("understand", "the engine"))
    with pytest.raises(ProtocolError):
        hear(stream, never, 10)
