"""Both faces of a host behind one: each call waits, whichever colour does the work."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from dockerpty.host.aio import DockerContainerHost
from dockerpty.host.running_command import RunningCommand, RunningCommandSync
from dockerpty.host.session import HostSession, HostSessionSync
from dockerpty.host.sync import DockerContainerHostSync
from tests.bed.waiting import SLACK

LIMIT_S = 60.0
COMMANDS = (RunningCommand, RunningCommandSync)


class Proxy:
    """An object of either colour, whose coroutines are run to their end."""

    def __init__(self, face: Face, target: Any) -> None:
        self.__dict__["face"] = face
        self.__dict__["target"] = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        if not inspect.ismethod(value):
            return value

        def call(*args: Any, **options: Any) -> Any:
            return self.face.call(value, *args, **options)

        return call

    def next_piece(self) -> bytes:
        """Give the next output of a running command."""
        if self.face.waits:
            return bytes(next(iter(self.target))[1])
        return bytes(self.face.finish(anext(aiter(self.target)))[1])

    def iterated(self, name: str, *args: Any) -> list[Any]:
        """Call what gives an iterator, and take all of it."""
        if self.face.waits:
            return list(getattr(self.target, name)(*args))

        async def work() -> list[Any]:
            return [each async for each in getattr(self.target, name)(*args)]

        return list(self.face.finish(work()))

    def first_of(self, name: str, *args: Any) -> Any:
        """Call what gives an iterator, take the first, and leave it."""
        if self.face.waits:
            pieces = getattr(self.target, name)(*args)
            first = next(pieces)
            pieces.close()
            return first

        async def work() -> Any:
            pieces = getattr(self.target, name)(*args)
            first = await anext(pieces)
            await pieces.aclose()
            return first

        return self.face.finish(work())

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.target, name, value)

    def __enter__(self) -> Proxy:
        enter = getattr(self.target, "__aenter__", None) or self.target.__enter__
        self.face.finish(enter())
        return self

    def __exit__(self, *_: object) -> None:
        leave = getattr(self.target, "__aexit__", None) or self.target.__exit__
        self.face.finish(leave(None, None, None))


class Face:
    """One of the two colours, with the loop that it needs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.runner = asyncio.Runner(debug=True) if name == "on a loop" else None
        self.made: list[Proxy] = []

    @property
    def waits(self) -> bool:
        """Whether it is the one without a loop."""
        return self.runner is None

    def host(self, *args: Any, **options: Any) -> Proxy:
        """Make a host; it is closed after the test."""
        kind: Any = DockerContainerHostSync if self.waits else DockerContainerHost
        host = Proxy(self, kind(*args, **options))
        self.made.append(host)
        return host

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        """Call something, on the loop if there is one, and wait for what comes of it."""
        if self.runner is None:
            return self.finish(function(*args, **options))

        async def work() -> Any:
            result = function(*args, **options)
            return await result if inspect.isawaitable(result) else result

        return self.finish(work())

    def finish(self, result: Any) -> Any:
        """Wait for what a call gave, if that can be awaited."""
        if inspect.isawaitable(result):
            assert self.runner is not None
            result = self.runner.run(asyncio.wait_for(result, LIMIT_S * SLACK))
        if isinstance(
            result, (HostSession, HostSessionSync, DockerContainerHost, DockerContainerHostSync, *COMMANDS)
        ):
            return Proxy(self, result)
        return result

    def new_loop(self) -> None:
        """End the loop, and begin another one."""
        if self.runner is not None:
            self.runner.close()
            self.runner = asyncio.Runner(debug=True)

    def close(self) -> None:
        """Close every host, and the loop."""
        for host in self.made:
            host.close()
        if self.runner is not None:
            self.runner.close()
