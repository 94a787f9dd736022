"""Blocking two-way channels of bytes, plain and TLS, that a reading and a writing thread may use at once.

Python's `ssl.SSLSocket` is neither safe for two threads nor able to end one direction; here TLS runs over
memory BIOs under a lock, and the end of one direction is a close_notify while the other goes on.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from typing import Protocol

CHUNK = 1 << 16


class Channel(Protocol):
    """One end of a connection."""

    def recv(self) -> bytes:
        """Wait for some bytes; b'' at the end. A reset is raised as the system gives it."""

    def send(self, data: bytes) -> None:
        """Write all of it; waits while the other side is slow."""

    def half_close(self) -> None:
        """End the direction from us, go on reading."""

    def reset(self) -> None:
        """Drop the connection at once: RST on tcp."""

    def wake(self) -> None:
        """Make whoever waits in `recv` or `send` come back."""

    def close(self) -> None:
        """Give the descriptor back; nobody may use the channel any more."""


class Plain:
    """A socket as it is."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self) -> bytes:
        """Wait for some bytes; b'' at the end."""
        return self.sock.recv(CHUNK)

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.sock.sendall(data)

    def half_close(self) -> None:
        """Shut the writing side down."""
        _shut(self.sock, socket.SHUT_WR)

    def reset(self) -> None:
        """Close with nothing lingering; on a unix socket the peer sees a plain end."""
        if self.sock.family != socket.AF_UNIX:
            if self.sock.fileno() >= 0:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The reading side only: a FIN must not go out before the reset.
            _shut(self.sock, socket.SHUT_RD)
        else:
            _shut(self.sock, socket.SHUT_RDWR)

    def wake(self) -> None:
        """Shut both sides down: a blocked call in another thread returns."""
        _shut(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


class Tls:
    """The server's side of TLS over a socket."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.plain = Plain(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._state = threading.Lock()
        self._order = threading.Lock()
        self._shaken = False

    def handshake(self) -> None:
        """Agree on keys; before anything else."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._more()
            else:
                self._flush()
                return

    def recv(self) -> bytes:
        """Wait for some bytes; b'' at the end of the peer's direction, with or without its close_notify."""
        if not self._shaken:
            self.handshake()
            self._shaken = True
        while True:
            with self._state:
                try:
                    return self._object.read(CHUNK)
                except ssl.SSLWantReadError:
                    pass  # more is on its way
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
            self._more()

    def _more(self) -> None:
        data = self.plain.recv()
        with self._state:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def send(self, data: bytes) -> None:
        """Write all of it, in records of at most 16 KiB."""
        view = memoryview(data)
        while view:
            with self._state:
                written = self._object.write(view[: 1 << 14])
            view = view[written:]
            self._flush()

    def half_close(self) -> None:
        """Send close_notify, go on reading; the TCP connection stays whole."""
        with self._state:
            try:
                self._object.unwrap()
            except (ssl.SSLWantReadError, ssl.SSLError):
                pass  # the peer's close_notify is not there yet; ours is in the outgoing BIO
        self._flush()

    def _flush(self) -> None:
        with self._order:
            with self._state:
                data = self._outgoing.read()
            if data:
                self.plain.send(data)

    def reset(self) -> None:
        """Drop the connection without close_notify."""
        self.plain.reset()

    def wake(self) -> None:
        """Make whoever waits come back."""
        self.plain.wake()

    def close(self) -> None:
        """Close the socket; close_notify only if `half_close` sent it."""
        self.plain.close()


def _shut(sock: socket.socket, how: int) -> None:
    try:
        sock.shutdown(how)
    except OSError:
        pass  # not connected any more: what was wanted
