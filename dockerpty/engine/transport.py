"""Bytes to and from an engine: what every kind of connection offers, and the plain socket.

Nothing here blocks but `close`. The rarer kinds are in `tls`, `ssh` and `threaded`, which are loaded when one is
opened; `connection` opens them.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Protocol

    class Stopping(Protocol):
        """What ends calls from another thread."""

        def fileno(self) -> int:
            """Give a descriptor that can be read from once they are to end."""

        def check(self) -> None:
            """Raise what ends them, if they are to end."""

else:
    # What `socket` wraps, without its enums and selectors, which take longer to load than a connection to be made.
    import _socket as socket

# Without it a program that set SIGPIPE back to its default would die when the engine goes away.
_SEND_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)
_AF_UNIX = getattr(socket, "AF_UNIX", None)


class Transport:
    """One two-way connection, never blocking.

    Attributes:
        name: where it leads, for messages.
    """

    __slots__ = ("_ahead", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._ahead = b""

    def fileno(self) -> int:
        """Give the descriptor to poll for reading; look at `pending` first."""
        raise NotImplementedError

    def write_fileno(self) -> int:
        """Give the descriptor to poll for writing."""
        return self.fileno()

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` from its start with what is there and return how many bytes that was, 0 at the end.

        Raises:
            BlockingIOError: nothing is there yet.
            ConnectionError: the connection broke.
        """
        raise NotImplementedError

    def recv(self, n: int) -> bytes:
        """Return at most `n` bytes, b"" at the end; raises as `recv_into`."""
        buffer = bytearray(n)
        return bytes(memoryview(buffer)[: self.recv_into(buffer)])

    def direct_read(self) -> Callable[[memoryview], int] | None:
        """Return the system's own way to do `recv_into`, where that is all there is to it; None where it is not."""
        return None

    def direct_write(self) -> tuple[Any, ...] | None:
        """Return the system's own way to do `send`, and what it takes behind the data; or None."""
        return None

    def end_waits(self) -> bool:
        """Say whether the end is what `recv_into` will find next, and will wait for something else to be sure of it."""
        return False

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of what comes next."""
        self._ahead = data + self._ahead

    def pending(self) -> bool:
        """Say whether there is something to read that poll does not know of."""
        return bool(self._ahead)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send what goes without waiting and return how many bytes were taken.

        Raises:
            BlockingIOError: nothing was taken.
            BrokenPipeError, ConnectionResetError: the far side takes no more; what it sent may still be read.
        """
        raise NotImplementedError

    def unsent(self) -> bool:
        """Say whether something that `send` or `half_close` accepted still waits for room: then `flush`."""
        return False

    def flush(self) -> None:
        """Send what is `unsent`, as far as that goes without waiting; raises as `send`."""

    def can_half_close(self) -> bool:
        """Say whether `half_close` does it; if not, only `close` ends our sending."""
        return True

    def half_close(self) -> None:
        """End our sending; reading goes on.

        Raises:
            OSError: with errno ENOTSUP, where only both directions can be ended.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End both directions and free everything. Idempotent."""
        raise NotImplementedError

    def last_words(self) -> str:
        """Say what is known about why the far side went away; empty if nothing is. May wait half a second."""
        return ""

    def never_arrived(self) -> str:
        """Say what to do, if it is known that nothing that was sent can have arrived; ask after `last_words`."""
        return ""

    def _take_ahead(self, buffer: bytearray | memoryview) -> int:
        """Give what was `unread`, which every `recv_into` does first."""
        taken = min(len(buffer), len(self._ahead))
        buffer[:taken] = self._ahead[:taken]
        self._ahead = self._ahead[taken:]
        return taken


class SocketTransport(Transport):
    """A connected stream socket, which this owns from now on."""

    __slots__ = ("_socket",)

    def __init__(self, sock: socket.socket, name: str) -> None:
        super().__init__(name)
        sock.setblocking(False)
        self._socket = sock

    def fileno(self) -> int:
        """Give the socket's descriptor; -1 once closed."""
        return self._socket.fileno()

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive once."""
        if self._ahead:
            return self._take_ahead(buffer)
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            raise
        except ConnectionError:
            if self._is_local():
                # It closed before it had read all that we sent, as Podman does at the end of a process that leaves
                # input behind. On this machine nothing is lost on the way: all that it wrote has been read.
                return 0
            raise
        except OSError as error:  # the network timed out, or has no route any more: lost like any other
            raise ConnectionResetError(error.errno, error.strerror) from error

    def direct_read(self) -> Callable[[memoryview], int] | None:
        """Give the socket's own, on this machine. Its failures come again by `recv_into`, which explains them."""
        return self._socket.recv_into if self._is_local() and not self._ahead else None

    def direct_write(self) -> tuple[Any, ...] | None:
        """Give the socket's own, on this machine. Elsewhere a failure comes once, and has to be explained."""
        return (self._socket.send, _SEND_FLAGS) if self._is_local() else None

    def _is_local(self) -> bool:
        """Say whether the engine itself is the other end: behind an `ssh`, or a thread, it is not."""
        return type(self) is SocketTransport and self._socket.family == _AF_UNIX

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send once."""
        try:
            return self._socket.send(data, _SEND_FLAGS)
        except (BlockingIOError, ConnectionError):
            raise
        except OSError as error:  # the network timed out, or has no route any more: lost like any other
            raise ConnectionResetError(error.errno, error.strerror) from error

    def half_close(self) -> None:
        """Shut down the sending side."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            # The far side has closed already: there is no direction left to end.
            if error.errno not in (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET):
                raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
