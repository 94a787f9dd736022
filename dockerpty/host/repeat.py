"""Commands that a host runs again and again: when, how often, and what came of them.

A repeat is one plan, and so the same in both colours. On a loop it is a task. For programs that wait it is a thread,
one for each, which they have asked for by name.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta
from functools import partial

from dockerpty import log
from dockerpty.errors import DockerptyError
from dockerpty.host.errors import HostClosedError
from dockerpty.host.requests import Invoke, Wait
from dockerpty.host.results import CommandStatus, ShellCommand, commands_of
from dockerpty.plan import drive, drive_on_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from dockerpty.host.requests import Plan, Request

    Found: TypeAlias = tuple[datetime, list[CommandStatus]]
    Seconds: TypeAlias = float | timedelta

_log = log.get(__name__)

# A command that is under way cannot be taken back in a thread; it ends by itself, or with the process.
_JOIN_S = 5.0


class _Repeat:
    """One of them.

    Attributes:
        history: what came of the last runs, each with its time.
        dropped: ticks that came while the run before them was under way.
        stopped: no run begins any more.
    """

    def __init__(
        self,
        oneshot: Callable[[str, float | None], Any],
        clock: Callable[[], float],
        cmds: Any,
        interval: Seconds,
        times: int,
        duration: Seconds | None,
        until: datetime | Callable[[list[CommandStatus]], Any] | None,
        on_result: Callable[[list[CommandStatus]], Any] | None,
        max_history: int,
    ) -> None:
        self._cmds = commands_of(cmds)
        self._interval = _seconds(interval)
        if self._interval <= 0:
            raise ValueError("between two ticks is some time")
        self._oneshot = oneshot
        self._times = times
        self._duration = None if duration is None else _seconds(duration)
        self._until = until
        self._on_result = on_result
        self._clock = clock
        self.history: deque[Found] = deque(maxlen=max_history)
        self.dropped = 0
        self.stopped = False

    def beats(self) -> Plan[None]:
        """Run the commands at each tick, until there is no further one."""
        begun = self._clock()
        ends = [] if self._duration is None else [begun + self._duration]
        if isinstance(self._until, datetime):
            ends.append(begun + (self._until - datetime.now(self._until.tzinfo)).total_seconds())
        tick = runs = 0
        while runs != self._times and all(begun + tick * self._interval < end for end in ends):
            yield Wait((), begun + tick * self._interval)
            when = datetime.now(UTC)
            statuses: list[CommandStatus] = []
            for each in self._cmds:
                statuses.append((yield from self._once(each)))
            self.history.append((when, statuses))
            runs += 1
            if self._on_result is not None:
                yield Invoke(partial(self._on_result, statuses))
            if self.stopped or (callable(self._until) and self._until(statuses)):
                return
            next_tick = int((self._clock() - begun) // self._interval) + 1
            self.dropped += max(0, next_tick - tick - 1)
            tick = max(next_tick, tick + 1)

    def _once(self, command: ShellCommand) -> Plan[CommandStatus]:
        try:
            status: CommandStatus = yield Invoke(partial(self._oneshot, command.cmd, command.timeout))
        except HostClosedError:
            raise
        except DockerptyError as error:
            # The container may be there again at the next tick.
            return CommandStatus.unrun(command.cmd, str(error))
        return status


class _Repeats:
    """What both faces have in common.

    Args:
        oneshot: runs one command: its text, its time limit; on a loop it gives something to await.
        host: what to call it in logs.
        clock: that of `Wait.until`.
    """

    def __init__(
        self,
        oneshot: Callable[[str, float | None], Any],
        *,
        host: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._oneshot = oneshot
        self._host = host
        self._clock = clock
        self._repeats: dict[str, _Repeat] = {}

    def results(self, name: str) -> list[Found]:
        """Give what came of the last runs: when each began, and a status of each command. Also when it is over.

        Raises:
            KeyError: none of that name was started.
        """
        return list(self._repeats[name].history)

    def dropped(self, name: str) -> int:
        """Give how many ticks came while the run before them was under way, and so were none.

        Raises:
            KeyError: as `results`.
        """
        return self._repeats[name].dropped

    def _make(self, name: str, *wanted: Any) -> _Repeat:
        if self.is_active(name):
            raise ValueError(f"a repeat called {name!r} is under way: stop it first, or take another name")
        made = self._repeats[name] = _Repeat(self._oneshot, self._clock, *wanted)
        return made

    def is_active(self, name: str) -> bool:
        """Say whether a repeat is under way."""
        raise NotImplementedError

    def _ended(self, name: str, error: BaseException | None = None) -> None:
        if error is None or isinstance(error, HostClosedError):
            _log.debug("repeat complete: host=%s name=%s", self._host, name)
        else:
            _log.warning(
                "repeat failed: host=%s name=%s: %s: %s", self._host, name, type(error).__name__, error
            )


class Repeats(_Repeats):
    """The repeats of one host, for programs on an event loop; see `_Repeats` for the arguments.

    Args:
        sleep: as that of asyncio.
    """

    def __init__(
        self,
        oneshot: Callable[[str, float | None], Awaitable[CommandStatus]],
        *,
        host: str = "",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(oneshot, host=host, clock=clock)
        self._sleep = sleep
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(
        self,
        name: str,
        cmds: Any,
        interval: Seconds,
        times: int = -1,
        duration: Seconds | None = None,
        until: datetime | Callable[[list[CommandStatus]], Any] | None = None,
        on_result: Callable[[list[CommandStatus]], Any] | None = None,
        max_history: int = 1000,
    ) -> None:
        """Run commands now, and again at each tick; a tick that comes while they run is none, and is counted.

        A command that cannot be run for want of a container or an engine has a status that says so, and the repeat
        goes on. Any other error ends it, one of `on_result` too, and is logged.

        Args:
            name: by which it is stopped and asked for; free again when it is over.
            cmds: a text, a `ShellCommand`, or a sequence of both, run in order.
            interval: between two ticks, in seconds or as a `timedelta`.
            times: how often; below zero without end.
            duration: no run begins later than this, in seconds or as a `timedelta`.
            until: ... or later than this; or a function that is given each run's statuses, and ends it with a true
                answer.
            on_result: is given each run's statuses; may be a coroutine function.
            max_history: of how many runs the statuses are kept.

        Raises:
            ValueError: one of that name is under way; an interval of nothing.
        """
        repeat = self._make(name, cmds, interval, times, duration, until, on_result, max_history)
        self._tasks[name] = asyncio.get_running_loop().create_task(self._drive(name, repeat))

    def is_active(self, name: str) -> bool:
        """Say whether a repeat is under way, on a loop that is."""
        task = self._tasks.get(name)
        return task is not None and not task.done() and not task.get_loop().is_closed()

    async def stop(self, name: str) -> None:
        """Stop a repeat; a command that is under way is cancelled. Nothing happens if there is none."""
        if not self.is_active(name):
            return
        task = self._tasks[name]
        self._repeats[name].stopped = True
        if task is asyncio.current_task():
            return  # it stops itself, when it is through with this run
        if task.get_loop() is not asyncio.get_running_loop():
            task.get_loop().call_soon_threadsafe(task.cancel)
            return
        task.cancel()
        await asyncio.wait([task])

    async def stop_all(self) -> None:
        """Stop all of them."""
        await asyncio.gather(*(self.stop(name) for name in self._tasks))

    async def _drive(self, name: str, repeat: _Repeat) -> None:
        try:
            await drive_on_loop(repeat.beats(), self._answer)
        except asyncio.CancelledError:
            self._ended(name)
            raise
        except Exception as error:  # noqa: BLE001  # nobody else would hear of it
            self._ended(name, error)
        else:
            self._ended(name)

    async def _answer(self, request: Request) -> Any:
        if isinstance(request, Wait):
            assert request.until is not None
            await self._sleep(max(0.0, request.until - self._clock()))
            return False
        assert isinstance(request, Invoke)
        given = request.function()
        return await given if isinstance(given, Awaitable) else given


class RepeatsSync(_Repeats):
    """The repeats of one host, for programs that wait: a thread for each, from which `oneshot` is called."""

    def __init__(
        self,
        oneshot: Callable[[str, float | None], CommandStatus],
        *,
        host: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(oneshot, host=host, clock=clock)
        self._threads: dict[str, tuple[threading.Thread, threading.Event]] = {}

    def start(
        self,
        name: str,
        cmds: Any,
        interval: Seconds,
        times: int = -1,
        duration: Seconds | None = None,
        until: datetime | Callable[[list[CommandStatus]], Any] | None = None,
        on_result: Callable[[list[CommandStatus]], Any] | None = None,
        max_history: int = 1000,
    ) -> None:
        """Run commands now, and again at each tick, as `Repeats.start`; `until` and `on_result` are called there."""
        repeat = self._make(name, cmds, interval, times, duration, until, on_result, max_history)
        stop = threading.Event()
        thread = threading.Thread(
            target=self._drive, args=(name, repeat, stop), name=f"dockerpty-repeat-{name}", daemon=True
        )
        self._threads[name] = thread, stop
        thread.start()

    def is_active(self, name: str) -> bool:
        """Say whether a repeat is under way."""
        return name in self._threads and self._threads[name][0].is_alive()

    def stop(self, name: str) -> None:
        """Stop a repeat. A command that is under way is waited for, for five seconds at most."""
        if not self.is_active(name):
            return
        thread, stop = self._threads[name]
        self._repeats[name].stopped = True
        stop.set()
        if thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def stop_all(self) -> None:
        """Stop all of them."""
        for _, stop in self._threads.values():
            stop.set()
        for name in list(self._threads):
            self.stop(name)

    def _drive(self, name: str, repeat: _Repeat, stop: threading.Event) -> None:
        def answer(request: Request) -> Any:
            if isinstance(request, Wait):
                assert request.until is not None
                if stop.wait(max(0.0, request.until - self._clock())):
                    raise CancelledError
                return False
            assert isinstance(request, Invoke)
            return request.function()

        try:
            drive(repeat.beats(), answer)
        except CancelledError:  # somebody has stopped it while it waited
            self._ended(name)
        except Exception as error:  # noqa: BLE001  # nobody else would hear of it
            self._ended(name, error)
        else:
            self._ended(name)


def _seconds(given: Seconds) -> float:
    return given.total_seconds() if isinstance(given, timedelta) else float(given)
