"""What the processes of one event loop share: four threads, one buffer, and the kept connections to each engine.

Calls to an engine block. They are made in threads, with an engine for each call that is under way, so that no two
threads use one at once. All of it goes when nobody uses it any more: no thread and no connection is left over.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

from dockerpty.engine.client import engine_of
from dockerpty.engine.interface import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any, TypeVar

    from dockerpty.engine.calls import Call, Reply
    from dockerpty.engine.interface import Engine

    T = TypeVar("T")

#: Whatever the number of processes. An engine does not start more at a time any faster.
THREADS = 4
#: One read. Above 64 KiB nothing was gained (docs/design.md).
READ_SIZE = 64 * 1024

# Held for a few lines only: users are counted in the loop's thread and in those of the pool.
_lock = threading.Lock()


class Hub:
    """What the processes of one event loop share.

    Attributes:
        buffer: where each of them reads; what is in it is taken before anybody else reads.
        ways: the ways to engines, by the client that leads there.
        users: of all of them.
    """

    __slots__ = ("__weakref__", "buffer", "pool", "users", "ways")

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_SIZE))
        self.pool: ThreadPoolExecutor | None = None
        self.users = 0
        self.ways: dict[int, Way] = {}


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


class Way:
    """The way to one engine, for all processes of a loop that came with the same client.

    Attributes:
        buffer: that of the loop.
    """

    __slots__ = ("_client", "_engine", "_hub", "_idle", "_turn", "_users", "buffer")

    def __init__(self, hub: Hub, client: Any) -> None:
        """Connect to nothing yet."""
        self.buffer = hub.buffer
        self._hub = hub
        self._client = client
        self._users = 0
        self._engine = engine_of(client)
        # The caller's own stays the caller's. One that cannot be had twice is used by one thread at a time.
        copy = self._engine.again()
        self._idle: list[Engine] = [] if copy is None else [copy]
        self._turn = threading.Lock() if copy is None else None

    def hold(self) -> None:
        """Count one user more."""
        with _lock:
            self._users += 1
            self._hub.users += 1

    def release(self) -> None:
        """Count one user less; after the last the kept connections are closed, and the threads end. From any thread."""
        hub = self._hub
        with _lock:
            self._users -= 1
            hub.users -= 1
            pool = hub.pool
            if not self._users:
                if hub.ways.get(id(self._client)) is self:
                    del hub.ways[id(self._client)]
                if pool is not None:
                    # Without one nothing was asked, and nothing is connected.
                    idle, self._idle = self._idle, []
                    _close(idle, pool)
            if pool is not None and not hub.users:
                hub.pool = None
                pool.shutdown(wait=False)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have something done in a thread."""
        self.hold()
        with _lock:
            if self._hub.pool is None:
                self._hub.pool = ThreadPoolExecutor(THREADS, "dockerpty-process")
            pool = self._hub.pool
        future = pool.submit(work)
        future.add_done_callback(lambda _: self.release())
        return future

    def soon(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have something done in a thread that is done whoever waits for it, and however the loop ends."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[T] = loop.create_future()

        def tell(future: Future[T]) -> None:
            if told.cancelled():
                return
            error = future.exception()
            if error is None:
                told.set_result(future.result())
            else:
                told.set_exception(error)

        def done(future: Future[T]) -> None:
            try:
                loop.call_soon_threadsafe(tell, future)
            except RuntimeError:
                pass  # the loop is closed, and with it everybody who waited

        self.submit(work).add_done_callback(done)
        return told

    def ask(self, work: Callable[[Engine], T]) -> Future[T]:
        """Have something done with the engine."""
        return self.submit(lambda: self._with_engine(work))

    async def run(self, work: Callable[[Engine], T], undo: Callable[[Engine, T], None] | None = None) -> T:
        """Have something done with the engine, and wait for it.

        Args:
            work: is not begun if this is cancelled before; nothing stops it once it has begun.
            undo: takes back, in a thread, what nobody waits for any more.
        """
        future = self.ask(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel() and undo is not None:
                # It is done, or a thread is at it, which waits for nothing that is behind it in the queue.
                self.submit(lambda: self._take_back(future, undo))
            raise

    async def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        """Make a call; see `Engine.send`."""
        return await self.run(lambda engine: engine.send(call, subject=subject, timeout=timeout))

    async def answer(self, request: Call | float) -> Reply | None:
        """Do what a plan asks for: make a call, or let some seconds pass."""
        if isinstance(request, float):
            await asyncio.sleep(request)
            return None
        return await self.send(request)

    def _take_back(self, future: Future[T], undo: Callable[[Engine, T], None]) -> None:
        if future.exception() is None:
            self._with_engine(lambda engine: undo(engine, future.result()))

    def _with_engine(self, work: Callable[[Engine], T]) -> T:
        if self._turn is not None:
            with self._turn:
                return work(self._engine)
        with _lock:
            engine = self._idle.pop() if self._idle else self._engine.again()
        assert engine is not None
        try:
            return work(engine)
        finally:
            with _lock:
                self._idle.append(engine)


def _close(engines: list[Engine], pool: ThreadPoolExecutor) -> None:
    for engine in engines:
        try:
            # To see an ssh out takes a moment.
            pool.submit(engine.close)
        except RuntimeError:  # the interpreter ends
            engine.close()


def way_to(client: Any) -> Way:
    """Give the way to the engine behind a client, for the running loop, held once."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    way = hub.ways.get(id(client))
    if way is None:
        way = hub.ways[id(client)] = Way(hub, client)
    way.hold()
    return way
