"""The streams of a process in a container, over its connection to the engine: what a plan reads and writes.

Nothing here waits: who waits, and how, is in `send`. What has to be kept is no more than was written and is not sent
yet; what comes is handed on as it comes.
"""

from __future__ import annotations

import os
import select
import socket
import threading

from dockerpty import keys
from dockerpty.errors import DockerptyError, ProtocolError, SessionLost
from dockerpty.frames import STDOUT, SYSTEM_ERROR, Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.engine.transport import Transport

# Of a terminal in its usual mode, at the beginning of a line.
_NEWLINE = 10
# Buffers that are read in one turn.
_AT_ONCE = 4


class Channel:
    """The streams of one process. One thread reads; another may write meanwhile, to interrupt what it waits for.

    Attributes:
        exec_id: the process's, as the engine calls it.
        tty: it has a terminal, and so one stream of output.
        container: full id of the container that it is in.
        mark: `NAME=value` in its environment, by which it is found again; or "".
        user: whom it runs as; "" for the container's own.
        ended: nothing more comes, and everything that came was read.
        error: why it ended, if it was not its own end.
        refused: the process takes no more input: what was not sent was dropped, and so is what comes.
    """

    def __init__(
        self,
        transport: Transport,
        buffer: memoryview,
        exec_id: str,
        container: str,
        *,
        tty: bool = False,
        mark: str = "",
        user: str = "",
        name: str = "",
    ) -> None:
        """Take over a connection.

        Args:
            buffer: where it reads, which it shares with others: what comes is copied out at once.
            name: what to call the container in messages.
        """
        self.exec_id = exec_id
        self.tty = tty
        self.container = container
        self.mark = mark
        self.user = user
        self.ended = False
        self.error: DockerptyError | None = None
        self.refused = False
        self._transport = transport
        self._buffer = buffer
        self._name = name or container[:12]
        self._frames = None if tty else Decoder()
        self._queue = bytearray()
        # No connection takes two calls at once: TLS has one state for both directions.
        self._turn = threading.RLock()
        self._last = _NEWLINE
        self._ending = self._half_closed = False

    @property
    def unsent(self) -> int:
        """How many bytes were written that the connection has not taken; more than 0 while anything is on its way."""
        return len(self._queue) or int(not self.refused and self._transport.unsent())

    def write(self, data: bytes) -> None:
        """Send what goes at once and keep the rest, however much that is: who writes much looks at `unsent` first.

        Raises:
            RuntimeError: the input was ended before.
        """
        if self._ending:
            raise RuntimeError("the input of this process was ended before")
        if not data or self.refused or self.ended:
            return
        with self._turn:
            self._last = data[-1]
            self._queue += data
            self.flush()

    def end_input(self) -> None:
        """End the input, behind what was written. With a terminal that is Ctrl-D, twice in the middle of a line.

        Raises:
            DockerptyError: this connection can only be closed as a whole.
        """
        if self._ending:
            return
        if self.tty:
            self.write(keys.end_of_input(self._last))
        elif not self._transport.can_half_close():
            raise DockerptyError(
                "end the input of",
                f"the process in {self._name}",
                "this client's connection can only be closed as a whole",
                "pass a docker.DockerClient",
            )
        self._ending = True
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as that goes; who waits for a channel does this first."""
        with self._turn:
            if self.refused or self.ended:
                return
            try:
                self._transport.flush()
                while self._queue:
                    sent = self._transport.send(self._queue)
                    del self._queue[:sent]
                if self._ending and not self._half_closed and not self.tty:
                    self._half_closed = True
                    self._transport.half_close()
            except BlockingIOError:
                pass  # the rest at the next flush
            except OSError:
                # That may be all that is wrong: who closed its stdin still writes. If more is, reading tells.
                self._refuse()

    def read(self) -> list[tuple[int, bytes]]:
        """Return what has come, at most four buffers full of it, as (1 for stdout or 2 for stderr, bytes)."""
        found: list[tuple[int, bytes]] = []
        # A full one has more behind it: to wait for that would cost more than to take it.
        for _ in range(_AT_ONCE):
            if self.ended or self.end_waits():
                break
            with self._turn:
                try:
                    count = self._transport.recv_into(self._buffer)
                except BlockingIOError:
                    break
                except OSError as error:
                    self._break(error)
                    break
                if not count:
                    self._end()
                    break
                data = self._buffer[:count]
                found += (
                    [(STDOUT, bytes(data))] if self._frames is None else self._payloads(self._frames, data)
                )
            if count < len(self._buffer):
                break
        return found

    def end_waits(self) -> bool:
        """Say whether the end has come, and whoever looks at it may wait half a second: then `learn_end`."""
        return not self.ended and self._transport.end_waits()

    def learn_end(self) -> None:
        """Learn which end it is that `end_waits`, also in a thread."""
        try:
            self._transport.recv_into(bytearray(1))
        except OSError as error:
            self._break(error)
        else:
            self._end()

    def pending(self) -> bool:
        """Say whether there is something to read that poll does not know of."""
        return not self.ended and self._transport.pending()

    def interest(self) -> list[tuple[int, int]]:
        """Give the descriptors to poll, with poll's events; none when it has ended."""
        if self.ended:
            return []
        fd, write_fd = self._transport.fileno(), self._transport.write_fileno()
        if not self.unsent:
            return [(fd, select.POLLIN)]
        if fd == write_fd:
            return [(fd, select.POLLIN | select.POLLOUT)]
        return [(fd, select.POLLIN), (write_fd, select.POLLOUT)]

    def cut(self) -> None:
        """End the connection under the hands of whoever waits for it, who sees its end; it is closed by `close` alone.

        From any thread.
        """
        fds = {self._transport.fileno(), self._transport.write_fileno()}
        for fd in fds - {-1}:
            try:
                with socket.socket(fileno=os.dup(fd)) as same:
                    same.shutdown(socket.SHUT_RDWR)
            except OSError:
                # No socket: an ssh, which ends with what it reads.
                continue

    def close(self) -> None:
        """Close the connection, which may take a second where it goes through ssh. The process goes on. Idempotent."""
        if not self.ended:
            self._end(SessionLost("go on with", self._subject(), "its connection was closed here"))
        self._transport.close()

    def _payloads(self, frames: Decoder, data: memoryview) -> list[tuple[int, bytes]]:
        try:
            pieces = frames.feed(data)
        except ProtocolError as error:
            self._end(error)
            return []
        found: list[tuple[int, bytes]] = []
        for stream, piece in pieces:
            if stream == SYSTEM_ERROR:
                text = bytes(piece).decode("utf-8", "replace").strip()
                self._end(ProtocolError("go on with", self._subject(), text))
                return found
            found.append((stream, bytes(piece)))
        if frames.failed is not None:
            self._end(frames.failed)
        return found

    def _break(self, error: OSError) -> None:
        self._end(SessionLost("go on with", self._subject(), error.strerror or str(error)))

    def _end(self, error: DockerptyError | None = None) -> None:
        if error is None and self._frames is not None and self._frames.mid_frame:
            error = SessionLost(
                "go on with", self._subject(), "the connection ended in the middle of a frame"
            )
        self.ended, self.error = True, error
        self._refuse()

    def _refuse(self) -> None:
        self.refused = True
        self._queue.clear()

    def _subject(self) -> str:
        return f"the process in {self._name}"
