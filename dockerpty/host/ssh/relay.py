"""Bytes between a client of a private socket and a channel of an SSH connection; when one is slow, the other waits.

The channel is asyncssh's, of which this uses the methods that every asyncio transport has, and no name.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from dockerpty.host.ssh.far_side import AfterMark

    class Serve(Protocol):
        """Who serves clients."""

        def joined(self, client: Near) -> None: ...
        def left(self, client: Near) -> None: ...
        async def far_of(self, client: Near) -> Far | None: ...


#: Of what a program says on its standard error.
_WORDS = 300
#: What shows that an engine is there, and how much of something else is read in the search for its answer.
PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
PONG = b"HTTP/1."
_NO_PONG = 64 * 1024


class Near(asyncio.Protocol):
    """A client's connection to the private socket. Reading and writing stop when the other side is slow."""

    transport: asyncio.Transport

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._far: Far | None = None
        # What it said before there was a channel.
        self._early = b""
        self._ended_early = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._serve.joined(self)

    async def open_far(self) -> None:
        """Open the channel that its bytes go to, and begin."""
        try:
            self._far = await self._serve.far_of(self)
        finally:
            if self._far is None:
                self.transport.close()
        if self._far is not None:
            if self.transport.is_closing():
                self._far.close()
            else:
                self._far.write(self._early)
                if self._ended_early:
                    self._far.write_eof()
                self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._far is not None:
            self._far.write(data)
        else:
            # Here, not where it is made: Python 3.11.2 forgets a pause from before its first look.
            self._early += data
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        if self._far is not None:
            self._far.write_eof()
        else:
            self._ended_early = True
        return True  # what comes back is still wanted

    def pause_writing(self) -> None:
        if self._far is not None:
            self._far.pause()

    def resume_writing(self) -> None:
        if self._far is not None:
            self._far.resume()

    def connection_lost(self, error: Exception | None) -> None:
        self._serve.left(self)
        if self._far is not None:
            self._far.close()

    def close(self) -> None:
        """Close both ends."""
        self.transport.abort()


class Far:
    """The far end of a client's connection: a channel to the socket, or the streams of a command.

    asyncssh calls it as it calls its own sessions.

    Attributes:
        said: the beginning of what a command said on its standard error.
    """

    def __init__(self, sink: Any, after: AfterMark | None) -> None:
        self.said = b""
        self._sink = sink
        self._after = after
        self._channel: Any = None
        self._directions = 2
        # While the client takes nothing; and what came meanwhile.
        self._paused = self._emptying = False
        self._kept: deque[bytes] = deque()

    # What it is asked for.

    def write(self, data: bytes) -> None:
        """Send; what the far side no longer takes is dropped."""
        with suppress(OSError):  # its end is told by the reading
            self._channel.write(data)

    def write_eof(self) -> None:
        """Send no more."""
        with suppress(OSError):  # its end is told by the reading
            self._channel.write_eof()
        self._one_ended()

    def pause(self) -> None:
        """Take nothing for a while."""
        self._paused = True
        self._pass_on_the_pause()

    def resume(self) -> None:
        """Take again.

        All that asyncssh has kept is taken at once, and kept here: with the first piece that it delivers it tells the
        far side to send on (2.24, `_deliver_data`), and where the rest stays there, that grows without limit.
        """
        self._paused = False
        while self._kept and not self._paused:
            self._sink.write(self._kept.popleft())
        if not self._paused:
            self._emptying = True
            self._channel.resume_reading()
            self._emptying = False
            self._pass_on_the_pause()

    def _pass_on_the_pause(self) -> None:
        if self._paused and not self._emptying:
            self._channel.pause_reading()

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    # What it is told.

    def connection_made(self, channel: Any) -> None:
        self._channel = channel

    def session_started(self) -> None:
        pass

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        if datatype is not None:
            self.said = (self.said + data)[:_WORDS]
            return
        if self._after is not None:
            data = self._after.feed(data)
        if self._paused:
            self._kept.append(data)
        elif data and not self._sink.is_closing():
            self._sink.write(data)

    def _let_go(self) -> None:
        """Hand on what is kept: nothing more comes."""
        while self._kept and not self._sink.is_closing():
            self._sink.write(self._kept.popleft())

    def eof_received(self) -> bool:
        self._let_go()
        if not self._sink.is_closing():
            with suppress(OSError):  # nobody listens there any more
                self._sink.write_eof()
        self._one_ended()
        return True

    def _one_ended(self) -> None:
        # A channel of asyncssh's would close by itself, a socket stays open.
        self._directions -= 1
        if not self._directions:
            self._channel.close()

    def exit_status_received(self, status: int) -> None:
        pass

    def exit_signal_received(self, signal: str, core_dumped: bool, message: str, language: str) -> None:
        pass

    def pause_writing(self) -> None:
        self._sink.pause_reading()

    def resume_writing(self) -> None:
        self._sink.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._let_go()
        self._sink.close()


class Answer:
    """In the place of a client, for the trial.

    Attributes:
        heard: what came.
        settled: set when it is known whether that is an engine's answer.
    """

    def __init__(self) -> None:
        self.heard = b""
        self.settled = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.heard += data
        if PONG in self.heard or len(self.heard) > _NO_PONG:
            self.settled.set()

    def write_eof(self) -> None:
        self.settled.set()

    close = write_eof

    def is_closing(self) -> bool:
        return self.settled.is_set()

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading
