"""A command on an SSH host itself: started, fed, heard, and ended over there when its time is over.

It works on a process that somebody else started, and knows of it no more than its streams, and how to signal it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from dockerpty.host.results import CommandStatus
from dockerpty.host.ssh.far_side import AfterMark, marked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    OnOutput = Callable[[int, bytes], None]

#: Bytes of each stream that are kept.
OUTPUT_LIMIT = 16 * 1024 * 1024

_PIECE = 64 * 1024
#: For a killed process to be gone; and for sshd to have done it, which as root it does not.
_DEATH_S, _SIGNAL_S = 2.0, 0.3


class Command:
    """A command, to be run once.

    Args:
        cmd: a text for `sh -c`, or a program and what it is given.
        timeout: seconds from its start.
        stdin: text, bytes, a path or a binary file; None is an end of file at once.
        merge: stderr goes where stdout goes.
        workdir, environment: of the process.
        on_output: is called with the stream and all its bytes.
        host: its name.

    Raises:
        ValueError: there is a NUL in it, or no time for it.
    """

    def __init__(
        self,
        cmd: str | Sequence[str],
        timeout: float | None,
        stdin: Any,
        merge: bool,
        workdir: str | None,
        environment: Mapping[str, str] | None,
        on_output: OnOutput | None,
        host: str,
    ) -> None:
        if timeout is not None and timeout <= 0:
            raise ValueError(f"a command takes some time, and not {timeout} seconds")
        argv = ["sh", "-c", cmd] if isinstance(cmd, str) else list(cmd)
        if not argv:
            raise ValueError("there is no command")
        if any("\0" in word for word in argv):
            raise ValueError("a command has no NUL in it")
        self.text = cmd if isinstance(cmd, str) else shlex.join(argv)
        nonce = secrets.token_hex(8)
        #: What the login shell over there is told.
        self.line = marked(nonce, argv, workdir=workdir, environment=environment, merge=merge)
        self._timeout = timeout
        self._stdin = stdin
        self._host = host
        self._out = _Output(1, nonce, on_output)
        self._err = _Output(2, nonce, on_output)
        self._started = datetime.now(UTC)
        self._began = time.monotonic()

    @property
    def unheard(self) -> str | None:
        """What the far side said in place of running it; None if it did run."""
        if self._out.after.begun:
            return None
        return (self._err.after.noise or self._out.after.noise).decode("utf-8", "replace")

    async def run(
        self,
        process: Any,
        lost: type[Exception],
        kill: Callable[[int], Coroutine[Any, Any, None]],
        in_background: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> CommandStatus:
        """Run it to its end.

        Args:
            process: as asyncssh has one, just started, with bytes.
            lost: what its streams raise when the connection is lost.
            kill: kills the group of a process by another session.
            in_background: has something done though this was cancelled.
        """
        work = asyncio.ensure_future(self._converse(process, lost))
        try:
            await asyncio.wait([work], timeout=self._timeout)
            timed_out = not work.done()
            if timed_out:
                await self._end(process, work, kill)
        except asyncio.CancelledError:
            # At once: the loop may be about to end, and nothing more be done on it.
            with suppress(OSError):
                process.kill()
            in_background(self._end(process, work, kill))
            raise
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error
        code = process.returncode
        if code is not None and code < 0:
            code = 128 - code
        more: dict[str, Any] = {}
        if timed_out:
            more |= {"timed_out": True, "error": f"it did not end within {self._timeout:g} s"}
        elif code is None:
            more |= {"session_lost": True, "error": f"the connection to {self._host} was lost"}
        return CommandStatus.of(
            self.text,
            code,
            bytes(self._out.kept),
            bytes(self._err.kept),
            dropped_bytes=self._out.dropped + self._err.dropped,
            duration=time.monotonic() - self._began,
            started=self._started,
            host=self._host,
            **more,
        )

    async def _converse(self, process: Any, lost: type[Exception]) -> None:
        feeding = asyncio.ensure_future(_feed(process.stdin, self._stdin, lost))
        reading = [
            asyncio.ensure_future(self._out.take(process.stdout, lost)),
            asyncio.ensure_future(self._err.take(process.stderr, lost)),
        ]
        try:
            await asyncio.gather(*reading)
            await process.wait_closed()
            if feeding.done():
                await feeding
        finally:
            # What is left to be told, nobody wants to know any more.
            for task in (feeding, *reading):
                task.cancel()
            await asyncio.gather(feeding, *reading, return_exceptions=True)

    async def _end(
        self, process: Any, work: asyncio.Future[None], kill: Callable[[int], Coroutine[Any, Any, None]]
    ) -> None:
        """Kill it over there: sshd signals the group of processes that it leads; some servers do not."""
        with suppress(OSError):  # it has ended, or the connection has
            process.kill()
        until = time.monotonic() + _SIGNAL_S
        # Not by what is read of it: a loop that ends has cancelled the reading.
        while process.returncode is None and time.monotonic() < until:
            await asyncio.sleep(_SIGNAL_S / 10)
        if process.returncode is None and self._out.after.pid is not None:
            await kill(self._out.after.pid)
        await asyncio.wait([work], timeout=_DEATH_S)
        process.close()
        if not work.done():
            work.cancel()
            await asyncio.wait([work])


class _Output:
    """One of its streams.

    Attributes:
        after: what tells its beginning.
        kept: the head of it.
        dropped: how many bytes were not kept.
    """

    def __init__(self, stream: int, nonce: str, on_output: OnOutput | None) -> None:
        self.after = AfterMark(nonce)
        self.kept = bytearray()
        self.dropped = 0
        self._stream = stream
        self._on_output = on_output

    async def take(self, reader: Any, lost: type[Exception]) -> None:
        with suppress(lost, OSError):  # how it ended is told by who waits for it
            while data := await reader.read(_PIECE):
                data = self.after.feed(data)
                room = OUTPUT_LIMIT - len(self.kept)
                self.kept += data[:room]
                self.dropped += max(0, len(data) - room)
                if data and self._on_output is not None:
                    self._on_output(self._stream, data)


async def _feed(writer: Any, stdin: Any, lost: type[Exception]) -> None:
    try:
        async for piece in _pieces(stdin):
            try:
                writer.write(piece)
                await writer.drain()
            except (OSError, lost):
                return  # it has read what it wanted
    finally:
        # Also where a file cannot be read: the command would wait for the rest for ever.
        with suppress(OSError, lost):
            writer.write_eof()


async def _pieces(stdin: Any) -> Any:
    """Give in pieces what a command reads; files are read in a thread."""
    if stdin is None:
        return
    if isinstance(stdin, str):
        stdin = stdin.encode()
    if isinstance(stdin, (bytes, bytearray, memoryview)):
        view = memoryview(stdin).cast("B")
        for start in range(0, len(view), _PIECE):
            yield bytes(view[start : start + _PIECE])
        return
    opened = await asyncio.to_thread(open, stdin, "rb") if isinstance(stdin, os.PathLike) else stdin
    try:
        while piece := await asyncio.to_thread(opened.read, _PIECE):
            yield piece.encode() if isinstance(piece, str) else piece
    finally:
        if opened is not stdin:
            opened.close()
