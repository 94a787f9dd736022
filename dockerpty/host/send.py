"""Who answers what plans ask for: one that waits where it is called, and one on an event loop.

A channel costs neither of them a thread: they poll it while its plan waits for it, and only then.
"""

from __future__ import annotations

import asyncio
import inspect
import select
import time

from dockerpty import log
from dockerpty.container.creation import create_exec
from dockerpty.container.spec import exec_config
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError
from dockerpty.host.channel import Channel
from dockerpty.host.requests import Ask, Close, Invoke, Open, Wait
from dockerpty.pool import READ_SIZE, way_to
from dockerpty.signals import Resizer, end_unseen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from dockerpty.engine.interface import Engine
    from dockerpty.host.requests import Request

    InThread: TypeAlias = Callable[[Callable[[], object]], asyncio.Future[Any]]

_log = log.get(__name__)

# For a first size: more each time. Engine 20.10 takes ten seconds to refuse one for an exec that was never there.
_RESIZE_S, _LONGEST_RESIZE_S = 0.25, 10.0
# A signal that comes just before poll does not end it: then its handler is called after this at the latest.
_LONGEST_MS = 1000.0


class Blocking:
    """Answers plans, and waits where it is called: `drive(plan, Blocking(engine).answer)`. For one thread at a time.

    A Ctrl-C is raised in the plan, where it asked for what it was waiting for.
    """

    def __init__(self, engine: Engine) -> None:
        """Use an engine, which stays the caller's to close."""
        self._engine = engine

    def answer(self, request: Request) -> Any:
        """Do what a plan asks for; raises as `requests` says."""
        if isinstance(request, Wait):
            return wait(request)
        if isinstance(request, Ask):
            return self._engine.send(request.call, subject=request.subject)
        if isinstance(request, Open):
            # Its own: each channel may be read in another thread.
            return start(self._engine, request, memoryview(bytearray(READ_SIZE)))
        if isinstance(request, Invoke):
            return request.function()
        # Turns and the background are the matter of `drivers`.
        assert isinstance(request, Close)
        request.channel.close()
        return None


class OnLoop:
    """Answers plans on the running event loop: `await drive_on_loop(plan, OnLoop(client).answer)`.

    Calls to the engine are made in the few threads that all of the loop share. Whatever was begun for a plan that is
    cancelled meanwhile is taken back.
    """

    def __init__(self, client: Any) -> None:
        """Use the engine that a client leads to, until `release`."""
        self._way = way_to(client)
        self._released = False

    def release(self) -> None:
        """Use it no more; channels that are open stay so. Waits for nothing, from any thread. Idempotent."""
        if not self._released:
            self._released = True
            self._way.release()

    async def answer(self, request: Request) -> Any:
        """Do what a plan asks for; raises as `requests` says, and `CancelledError`."""
        way = self._way
        if isinstance(request, (Wait, Close)):
            return await without_engine(request, way.soon)
        if isinstance(request, Ask):
            return await way.send(request.call, subject=request.subject)
        if isinstance(request, Open):
            return await way.run(lambda engine: start(engine, request, way.buffer), _take_back)
        assert isinstance(request, Invoke)
        given = request.function()
        return await given if inspect.isawaitable(given) else given


async def without_engine(request: Wait | Close, in_thread: InThread) -> Any:
    """Do on a loop what needs no engine.

    Args:
        in_thread: does what may wait.
    """
    if isinstance(request, Wait):
        return await _wait_on_loop(request, in_thread)
    # Also if nobody waits for it: an ssh is seen out.
    await asyncio.shield(in_thread(request.channel.close))
    return None


async def _wait_on_loop(request: Wait, in_thread: InThread) -> bool:
    channels, until = request.channels, request.until
    if _has_something(channels):
        # Others on this loop have their turn, whoever has much to read.
        await asyncio.sleep(0)
        return True
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bool] = loop.create_future()
    reading: list[int] = []
    writing: list[int] = []
    timer: asyncio.TimerHandle | None = None
    try:
        for channel in channels:
            for fd, events in channel.interest():
                if events & select.POLLIN:
                    loop.add_reader(fd, _tell, ready, True)
                    reading.append(fd)
                if events & select.POLLOUT:
                    loop.add_writer(fd, _tell, ready, True)
                    writing.append(fd)
        if until is not None:
            timer = loop.call_later(max(0.0, until - time.monotonic()), _tell, ready, False)
        found = await ready
    finally:
        for fd in reading:
            loop.remove_reader(fd)
        for fd in writing:
            loop.remove_writer(fd)
        if timer is not None:
            timer.cancel()
    if found:
        for channel in channels:
            if channel.end_waits():
                await asyncio.shield(in_thread(channel.learn_end))
    return found


def start(engine: Engine, request: Open, buffer: memoryview) -> Channel:
    """Start a process in a container, and wait until the engine has done so.

    Raises:
        NotFound: there is no such container.
        APIError: it does not run, or is paused; `StartRefused`: the process cannot be started in it.
        EngineUnreachable: the engine did not answer.
    """
    name = request.container[:12]
    environment = [*request.environment, *([request.mark] if request.mark else [])]
    config = exec_config(
        list(request.command),
        request.tty,
        request.stdin,
        environment,
        request.user,
        request.workdir,
        request.privileged,
    )
    if request.size is not None and request.tty:
        # From API 1.42 on; older engines pass over it.
        config["ConsoleSize"] = list(request.size)
    exec_id = str(create_exec(engine, request.container, config, name).json()["Id"])
    call = calls.start_exec(exec_id, tty=request.tty, size=request.size)
    try:
        transport = engine.hijack(call, subject=f"in {name}")
    except DockerptyError:
        raise
    except BaseException:
        # A Ctrl-C. It may have been started, and nobody will have a hold of it.
        _end(engine, exec_id, request.mark, request.user)
        raise
    channel = Channel(
        transport,
        buffer,
        exec_id,
        request.container,
        tty=request.tty,
        mark=request.mark,
        user=request.user,
        name=name,
    )
    try:
        if request.size is not None and request.tty:
            _first_size(engine, exec_id, *request.size)
    except BaseException:
        _take_back(engine, channel)
        raise
    return channel


def _first_size(engine: Engine, exec_id: str, rows: int, cols: int) -> None:
    for attempt in range(Resizer.RETRIES + 1):
        try:
            limit = min(_RESIZE_S * 2**attempt, _LONGEST_RESIZE_S)
            engine.send(calls.resize_exec(exec_id, rows, cols), timeout=limit)
            return
        except DockerptyError as error:
            _log.debug("resize failed: %s", error)
        try:
            if engine.send(calls.inspect_exec(exec_id)).json()["ExitCode"] is not None:
                return
        except DockerptyError as error:
            # It went with its container, or with the engine: its stream tells.
            _log.debug("not seen to run: %s", error)
            return
        time.sleep(Resizer.RETRY_STEP_S * (attempt + 1))


def _take_back(engine: Engine, channel: Channel) -> None:
    channel.close()
    _end(engine, channel.exec_id, channel.mark, channel.user)


def _end(engine: Engine, exec_id: str, mark: str, user: str) -> None:
    if mark:
        end_unseen(engine, exec_id, mark, user)


def wait(request: Wait) -> bool:
    """Wait where it is called."""
    channels, until = request.channels, request.until
    if _has_something(channels):
        return True
    poll = select.poll()
    for channel in channels:
        for fd, events in channel.interest():
            poll.register(fd, events)
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        # Rounded up: what returns a moment too early would turn for nothing.
        if poll.poll(_LONGEST_MS if left is None else min(left * 1000 + 0.999, _LONGEST_MS)):
            break
        if until is not None and time.monotonic() >= until:
            return False
    for channel in channels:
        if channel.end_waits():
            channel.learn_end()
    return True


def _has_something(channels: tuple[Channel, ...]) -> bool:
    """Send what goes; say whether something went, or is there that no poll tells of."""
    found = False
    for channel in channels:
        waited = channel.unsent
        channel.flush()
        found = found or channel.unsent < waited or channel.ended or channel.pending()
    return found


def _tell(ready: asyncio.Future[bool], found: bool) -> None:
    if not ready.done():
        ready.set_result(found)
