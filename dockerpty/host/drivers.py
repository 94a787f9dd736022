"""Who drives a host's plans: one that waits where it is called, and one on event loops.

Here are the locks, the tasks and the engine; the rules are in `core`. Both have the same methods, so that a face is one
line over either. What is done with one session is done in the order of the calls, and what is left of an operation that
was given up is tidied up before the next begins.
"""

from __future__ import annotations

import asyncio
import inspect
import threading

from dockerpty import log
from dockerpty.errors import DockerptyError, EngineError, EngineUnreachable, ProtocolError
from dockerpty.host.errors import SessionBusyError, of_engine
from dockerpty.host.parents import engine_behind
from dockerpty.host.requests import Alone, Close, Invoke, Meanwhile, Wait
from dockerpty.host.send import Blocking, OnLoop, wait, without_engine
from dockerpty.plan import drive, drive_on_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any, TypeVar

    from dockerpty.engine.interface import Engine
    from dockerpty.host.parents import EngineRef
    from dockerpty.host.requests import Plan, Request

    T = TypeVar("T")

_log = log.get(__name__)

# What comes out of a plan as an error of the host.
_ENGINES = (EngineError, ProtocolError)


class LoopDriver:
    """Drives plans on the running event loop. When that has ended, on the next: nothing that is kept belongs to one.

    Args:
        find_engine: says where the engine is; asked at the first use, and again when it could not be reached.
        host: the host's name, for errors.
    """

    def __init__(self, find_engine: Callable[[], Awaitable[EngineRef]], host: str = "") -> None:
        self._find_engine = find_engine
        self._host = host
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._executor: OnLoop | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # Keys that are held, and not by a plan that is driven.
        self._loose: set[str] = set()

    async def alone(self, key: str, plan: Plan[T], after: Callable[[], Plan[None]] | None = None) -> T:
        """Drive a plan while no other of the same key is driven; who comes first is served first.

        Args:
            after: tidies up when the plan was cancelled. That is done in the background: whoever cancels does not wait
                for it, and the next with this key does.

        Raises:
            HostConnectionError: the engine could not be reached.
            HostError: it refused.
            Exception: whatever else the plan raises.
        """
        lock = self._lock(key)
        await lock.acquire()
        handed_on = False
        try:
            request = next(plan)
            while True:
                try:
                    reply = await self._answer(request)
                except asyncio.CancelledError as error:
                    handed_on = True
                    self._spawn(self._abandon(lock, plan, error, after))
                    raise
                except BaseException as error:  # noqa: BLE001  # raised where it was asked for, and from there
                    request = plan.throw(error)
                else:
                    request = plan.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result
        except _ENGINES as error:
            raise of_engine(error, self._host) from error
        finally:
            if not handed_on:
                lock.release()

    async def hold(self, key: str) -> Callable[[], None]:
        """Wait until no plan of this key is driven, and let none be until the function that this gives is called."""
        lock = self._lock(key)
        await lock.acquire()
        self._loose.add(key)
        return lambda: self._free(key, lock)

    async def finish(self, key: str, plan: Plan[T]) -> T:
        """Drive a plan when no other of its key is driven any more; what is only held is not waited for."""
        return await (self.drive(plan) if key in self._loose else self.alone(key, plan))

    def _free(self, key: str, lock: asyncio.Lock) -> None:
        self._loose.discard(key)
        lock.release()

    async def drive(self, plan: Plan[T]) -> T:
        """Drive a plan, whatever else is done. One that is cancelled tidies up by itself, and whoever cancels waits.

        Raises:
            HostConnectionError: the engine could not be reached.
            HostError: it refused.
            Exception: whatever else the plan raises.
        """
        self._enter()
        try:
            return await drive_on_loop(plan, self._answer)
        except _ENGINES as error:
            raise of_engine(error, self._host) from error

    async def engine(self) -> Engine:
        """Give an engine for one thread, to be closed by whoever asked.

        Raises:
            HostConnectionError: the parent cannot tell where it is.
        """
        return _another(await self._known_engine())

    async def settle(self) -> None:
        """Wait until nothing is done in the background any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def is_held(self, key: str) -> bool:
        """Say whether a plan of this key is driven now, or might be."""
        lock = self._locks.get(key)
        return lock is not None and lock.locked() and self._loop is not None and not self._loop.is_closed()

    def drop(self) -> None:
        """Let go of the engine: the next use finds it anew. Touches no loop, from any thread."""
        executor, self._executor, self._engine = self._executor, None, None
        if executor is not None:
            executor.release()

    def _enter(self) -> None:
        """Notice that another loop runs than the last time."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise RuntimeError(f"{self._host} is in use on another event loop, which runs: make one for each")
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.release()
        self._loop, self._locks, self._tasks, self._loose = loop, {}, set(), set()

    def _lock(self, key: str) -> asyncio.Lock:
        self._enter()
        return self._locks.setdefault(key, asyncio.Lock())

    async def _answer(self, request: Request) -> Any:
        if isinstance(request, (Wait, Close)):
            # Also when the way to the engine is gone.
            executor = self._executor
            return await (
                without_engine(request, _in_thread) if executor is None else executor.answer(request)
            )
        if isinstance(request, Alone):
            async with self._lock(request.key):
                return await drive_on_loop(request.plan, self._answer)
        if isinstance(request, Meanwhile):
            self._spawn(self._unheard(request.plan))
            return None
        if isinstance(request, Invoke):
            given = request.function()
            return await given if inspect.isawaitable(given) else given
        executor = self._executor
        if executor is None:
            executor = await self._connect()
        try:
            return await executor.answer(request)
        except EngineUnreachable:
            # The way to it may be another one by now.
            self.drop()
            raise

    async def _connect(self) -> OnLoop:
        engine = await self._known_engine()
        # Somebody else may have been faster.
        if self._executor is None:
            self._executor = OnLoop(engine)
        return self._executor

    async def _known_engine(self) -> Engine:
        self._enter()
        if self._engine is None:
            found = await self._find_engine()
            if self._engine is None:
                self._engine = engine_behind(found)
        return self._engine

    async def _abandon(
        self, lock: asyncio.Lock, plan: Plan[T], error: BaseException, after: Callable[[], Plan[None]] | None
    ) -> None:
        """See a plan that was cancelled to its end, and tidy up after it."""
        try:
            try:
                await drive_on_loop(_thrown(plan, error), self._answer)
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
            except Exception as late:  # noqa: BLE001  # nobody waits for it
                _log.debug("failed after it was cancelled: %s", late)
            if after is not None:
                await self._unheard(after())
        finally:
            lock.release()

    async def _unheard(self, plan: Plan[Any]) -> None:
        try:
            await drive_on_loop(plan, self._answer)
        except (DockerptyError, OSError) as error:
            _log.debug("failed in the background: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        # asyncio.run cancels what is there at its end, and not what tidies up after that: the next use does it.
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.gather does; no other way
        tasks = self._tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)


class ThreadDriver:
    """Drives plans where it is called. Each thread may use sessions of its own at the same time.

    Args:
        find_engine: says where the engine is; asked at the first use, and again when it could not be reached.
        host: the host's name, for errors.
    """

    def __init__(self, find_engine: Callable[[], EngineRef], host: str = "") -> None:
        self._find_engine = find_engine
        self._host = host
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._idle: list[Engine] = []
        self._locks: dict[str, threading.Lock] = {}
        # Keys that are held, and not by a plan that is driven.
        self._loose: set[str] = set()

    def alone(self, key: str, plan: Plan[T], after: Callable[[], Plan[None]] | None = None) -> T:
        """Drive a plan while no other of the same key is driven.

        Args:
            after: tidies up when a Ctrl-C ended the plan, before that is raised.

        Raises:
            SessionBusyError: another thread is at it.
            HostConnectionError: the engine could not be reached.
            HostError: it refused.
            Exception: whatever else the plan raises.
        """
        release = self._hold(key)
        try:
            return self.drive(plan)
        except KeyboardInterrupt:
            if after is not None:
                self._unheard(after())
            raise
        finally:
            release()

    def hold(self, key: str) -> Callable[[], None]:
        """Let no plan of this key be driven until the function that this gives is called.

        Raises:
            SessionBusyError: another thread is at it.
        """
        release = self._hold(key)
        self._loose.add(key)

        def free() -> None:
            self._loose.discard(key)
            release()

        return free

    def finish(self, key: str, plan: Plan[T]) -> T:
        """Drive a plan when no other of its key is driven any more; what is only held is not waited for."""
        if key in self._loose:
            return self.drive(plan)
        with self._lock_of(key):
            return self.drive(plan)

    def drive(self, plan: Plan[T]) -> T:
        """Drive a plan, whatever else is done.

        Raises:
            HostConnectionError: the engine could not be reached.
            HostError: it refused.
            Exception: whatever else the plan raises.
        """
        answers = _Answers(self)
        try:
            return drive(plan, answers.answer)
        except _ENGINES as error:
            if isinstance(error, EngineUnreachable):
                self.drop()
            raise of_engine(error, self._host) from error
        finally:
            answers.close()

    def engine(self) -> Engine:
        """Give an engine for one thread, to be closed by whoever asked."""
        return _another(self._known_engine())

    def settle(self) -> None:
        """Do nothing: here is no background."""

    def is_held(self, key: str) -> bool:
        """Say whether a plan of this key is driven now."""
        return self._lock_of(key).locked()

    def drop(self) -> None:
        """Let go of the engine: the next use finds it anew."""
        with self._lock:
            idle, self._idle, self._engine = self._idle, [], None
        for engine in idle:
            engine.close()

    def wait_turn(self, key: str, plan: Plan[T], answer: Callable[[Request], Any]) -> T:
        """Drive a plan, by these answers, when no other of its key is driven any more."""
        with self._lock_of(key):
            return drive(plan, answer)

    def _hold(self, key: str) -> Callable[[], None]:
        lock = self._lock_of(key)
        if not lock.acquire(blocking=False):
            hint = "open a session for each thread"
            raise SessionBusyError(
                "use", f"the {key}".strip(), "another thread uses it", hint, host=self._host
            )
        return lock.release

    def _unheard(self, plan: Plan[Any]) -> None:
        try:
            self.drive(plan)
        except (DockerptyError, OSError) as error:
            _log.debug("failed in the background: %s", error)

    def _lock_of(self, key: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())

    def _known_engine(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = engine_behind(self._find_engine())
            return self._engine

    def lend(self) -> Engine:
        """Lend an engine that no other thread has."""
        known = self._known_engine()
        with self._lock:
            engine = self._idle.pop() if self._idle else None
        return engine or _another(known)

    def take_back(self, engine: Engine) -> None:
        """Keep for the next what was lent, unless another engine is used by now."""
        with self._lock:
            known = self._engine
            keeps = known is not None and known.name == engine.name
            if keeps:
                self._idle.append(engine)
        if not keeps:
            engine.close()


class _Answers:
    """The answers to one plan, in one thread. An engine is found when it is needed."""

    def __init__(self, driver: ThreadDriver) -> None:
        self._driver = driver
        self._engine: Engine | None = None
        self._executor: Blocking | None = None

    def close(self) -> None:
        """Give back what was lent."""
        engine, self._engine = self._engine, None
        if engine is not None:
            self._driver.take_back(engine)

    def answer(self, request: Request) -> Any:
        """Do what a plan asks for."""
        if isinstance(request, Alone):
            return self._driver.wait_turn(request.key, request.plan, self.answer)
        if isinstance(request, Meanwhile):
            if request.optional:
                request.plan.close()
                return None
            try:
                return drive(request.plan, self.answer)
            except (DockerptyError, OSError) as error:
                _log.debug("failed in passing: %s", error)
                return None
        if isinstance(request, Invoke):
            return request.function()
        if isinstance(request, Wait):
            return wait(request)
        if isinstance(request, Close):
            # Also when the way to the engine is gone.
            return request.channel.close()
        if self._executor is None:
            self._engine = self._driver.lend()
            self._executor = Blocking(self._engine)
        return self._executor.answer(request)


def _in_thread(work: Callable[[], object]) -> asyncio.Future[object]:
    # At once, and not with the next turn of a loop that may have no other.
    return asyncio.get_running_loop().run_in_executor(None, work)


def _another(engine: Engine) -> Engine:
    """Give an engine for one thread more; what `engine_behind` gives has one."""
    another = engine.again()
    assert another is not None
    return another


def _thrown(plan: Plan[T], error: BaseException) -> Plan[T]:
    """Go on with a plan that has begun, by raising something in it."""
    try:
        request = plan.throw(error)
        while True:
            try:
                reply = yield request
            except GeneratorExit:
                raise
            except BaseException as late:  # noqa: BLE001  # raised where it was asked for, and from there
                request = plan.throw(late)
            else:
                request = plan.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result
