"""A command that was started in a session, as programs have it: on a loop, and where one waits.

The session is its own until `wait` or `close`: who uses it meanwhile waits, or where one waits is told so.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Self

    from dockerpty.host.drivers import LoopDriver, ThreadDriver
    from dockerpty.host.requests import Plan
    from dockerpty.host.results import CommandStatus
    from dockerpty.host.shell.started import Started


class _RunningCommand:
    """What both faces have in common."""

    def __init__(self, started: Started, release: Callable[[], None], tidy: Callable[[], Plan[None]]) -> None:
        self._started = started
        self._release = release
        self._tidy = tidy
        self._over = False

    def _end(self) -> None:
        """Let others use the session again."""
        if not self._over:
            self._over = True
            self._release()


class RunningCommand(_RunningCommand):
    """A command that runs in a session, for programs on an event loop. Made by `HostSession.start`.

    `async for stream, data in command` gives what it writes as it comes, 1 for stdout or 2 for stderr. `async with`
    interrupts it at the end of the block, if it runs still.
    """

    def __init__(
        self,
        started: Started,
        release: Callable[[], None],
        tidy: Callable[[], Plan[None]],
        driver: LoopDriver,
    ) -> None:
        super().__init__(started, release, tidy)
        self._driver = driver

    async def write(self, data: bytes | str) -> None:
        """Give it something to read, and wait until that was sent.

        Raises:
            SessionLostError: it is over.
        """
        await self._driver.drive(self._started.write(data))

    async def close_stdin(self) -> None:
        """End what it reads: with a terminal by Ctrl-D, at the beginning of a line."""
        self._started.close_stdin()

    async def wait(self) -> CommandStatus:
        """Wait for its end, and tell what came of it; all its output is there, also what was read before."""
        status = await self._driver.drive(self._started.wait())
        self._end()
        return status

    async def close(self) -> None:
        """Interrupt it if it runs still, and leave the session to others. Idempotent."""
        if not self._over:
            try:
                await self._driver.drive(self._started.close())
                await self._driver.drive(self._tidy())
            finally:
                self._end()

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while (piece := await self._driver.drive(self._started.more())) is not None:
            yield piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class RunningCommandSync(_RunningCommand):
    """A command that runs in a session, for programs that wait. Made by `start`; see `RunningCommand`."""

    def __init__(
        self,
        started: Started,
        release: Callable[[], None],
        tidy: Callable[[], Plan[None]],
        driver: ThreadDriver,
    ) -> None:
        super().__init__(started, release, tidy)
        self._driver = driver

    def write(self, data: bytes | str) -> None:
        """Give it something to read, and wait until that was sent."""
        self._driver.drive(self._started.write(data))

    def close_stdin(self) -> None:
        """End what it reads."""
        self._started.close_stdin()

    def wait(self) -> CommandStatus:
        """Wait for its end, and tell what came of it."""
        status = self._driver.drive(self._started.wait())
        self._end()
        return status

    def close(self) -> None:
        """Interrupt it if it runs still, and leave the session to others. Idempotent."""
        if not self._over:
            try:
                self._driver.drive(self._started.close())
                self._driver.drive(self._tidy())
            finally:
                self._end()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while (piece := self._driver.drive(self._started.more())) is not None:
            yield piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
