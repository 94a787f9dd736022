"""Connections that cannot be polled: two threads move their bytes to and from a socket that can.

For a channel of paramiko, a named pipe of docker-py on Windows, or any object with blocking `recv` and `send`.
"""

from __future__ import annotations

import errno
import socket
import sys
import threading

from dockerpty.engine.transport import SocketTransport
from dockerpty.errors import EngineUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK = 32 * 1024
# A far side that takes no more is left with what it has after this.
_PATIENCE_S = 0.2
# Closing the channel ends both threads at once; one that an unknown object holds for longer is left to its fate.
_JOIN_S = 5.0


class ThreadTransport(SocketTransport):
    """Any two-way object with blocking `recv(n)`, `send(data)` and `close()`, which this owns from now on.

    What is on its way in either direction is bounded by the buffers of a socket pair and one chunk.
    """

    __slots__ = ("_channel", "_failure", "_inner", "_threads")

    def __init__(self, channel: Any, name: str) -> None:
        outer, inner = socket.socketpair()
        super().__init__(outer, name)
        self._channel = channel
        self._inner = inner
        self._failure: OSError | None = None
        self._threads = [
            threading.Thread(target=target, name=f"dockerpty-{target.__name__.strip('_')}", daemon=True)
            for target in (self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive once."""
        count = super().recv_into(buffer)
        if not count and len(buffer) and self._failure is not None:
            raise self._failure
        return count

    def can_half_close(self) -> bool:
        """Say whether the object has a way to do that."""
        return _ending_of(self._channel) is not None

    def half_close(self) -> None:
        """End our sending, where the object has a way to do that."""
        if not self.can_half_close():
            raise OSError(errno.ENOTSUP, "this kind of connection can only be closed in both directions")
        super().half_close()

    def close(self) -> None:
        """Close everything and see the threads out."""
        if self.fileno() < 0:
            return
        # First, so that what follows is no failure to the reading thread.
        super().close()
        # What was taken is on its way still, in the hands of the writing thread.
        self._threads[1].join(_PATIENCE_S)
        self._inner.shutdown(socket.SHUT_RDWR)
        if hasattr(self._channel, "shutdown"):
            # Closing a socket does not wake the thread that waits in it.
            try:
                self._channel.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the far side has ended it already
        self._channel.close()
        for thread in self._threads:
            thread.join(_JOIN_S)
        self._inner.close()

    def _read(self) -> None:
        try:
            while data := self._channel.recv(_CHUNK):
                self._inner.sendall(data)
        except (OSError, EOFError) as error:
            self._failure = ConnectionResetError(errno.ECONNRESET, str(error) or type(error).__name__)
        _shut(self._inner)

    def _write(self) -> None:
        try:
            while data := self._inner.recv(_CHUNK):
                view = memoryview(data)
                while view:
                    view = view[self._channel.send(bytes(view)) :]
            end = _ending_of(self._channel)
            if end is not None:
                end()
        except (OSError, EOFError):
            # The far side takes no more: so says the socket to whoever sends. What it sent can still be read.
            try:
                self._inner.shutdown(socket.SHUT_RD)
            except OSError:
                pass  # we have closed it already


def open_channel(client: Any, name: str, timeout: float) -> ThreadTransport:
    """Open one more channel on a paramiko `SSHClient`, which stays its owner's, to the engine on the far side.

    Raises:
        EngineUnreachable: the client is not connected, or its server refuses.
    """
    failures: list[type[Exception]] = [OSError, EOFError]
    if "paramiko" in sys.modules:
        failures.append(sys.modules["paramiko"].SSHException)
    subject = f"the engine at {name}"
    transport = client.get_transport()
    if transport is None or not transport.is_active():
        raise EngineUnreachable("reach", subject, "the ssh client is not connected", "connect it first")
    try:
        channel = transport.open_session(timeout=timeout)
    except tuple(failures) as error:
        raise EngineUnreachable("reach", subject, f"ssh gave no channel: {error}") from error
    try:
        channel.settimeout(timeout)
        channel.exec_command("docker system dial-stdio")
        channel.settimeout(None)
    except tuple(failures) as error:
        channel.close()
        raise EngineUnreachable("reach", subject, f"ssh did not start the far side: {error}") from error
    return ParamikoTransport(channel, name)


class ParamikoTransport(ThreadTransport):
    """A channel of paramiko, with what the far side says on its standard error."""

    __slots__ = ()

    def last_words(self) -> str:
        """Give what the command on the far side said."""
        if not self._channel.recv_stderr_ready():
            return ""
        text = self._channel.recv_stderr(4096).decode("utf-8", "replace")
        return f"the far side says: {' '.join(text.split())[-400:]}"


def _ending_of(channel: Any) -> Any:
    """Find what ends one direction of `channel`, or `None`."""
    if hasattr(channel, "shutdown_write"):
        return channel.shutdown_write
    # docker-py's named pipe has a `shutdown` as well, which closes both directions, and no `fileno`.
    if hasattr(channel, "shutdown") and hasattr(channel, "fileno"):
        return lambda: channel.shutdown(socket.SHUT_WR)
    return None


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other end has gone: it needs no telling
