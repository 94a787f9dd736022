"""One operation on the files of a host's container, in the thread that calls it; and how a loop has it done in one.

What is moved, and how, is in `putting`, `getting` and `files`; here is what they need of a host.
"""

from __future__ import annotations

import asyncio
import queue
import select
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from dockerpty.engine.interface import Engine
from dockerpty.errors import EngineError, ProtocolError
from dockerpty.host.errors import TransferError, of_engine
from dockerpty.host.oneshot import oneshot
from dockerpty.host.requests import Wait
from dockerpty.host.send import Blocking
from dockerpty.host.transfer.inside import TIDY_S, Inside
from dockerpty.host.transfer.stop import Stop
from dockerpty.plan import drive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from dockerpty.host.core import HostCore
    from dockerpty.host.requests import Request
    from dockerpty.host.transfer.stop import Progress

    T = TypeVar("T")

# Pieces that wait to be taken, of 64 KiB each and more; and how often it is looked whether anybody wants them.
_HANDED, _LOOK_S = 8, 0.1
# What a program that looks or moves says on its stdout.
_OUTPUT_LIMIT = 64 * 1024 * 1024
# ... of one whose stdout is taken: its complaints.
_SAID_LIMIT = 4096


def work_on(
    core: HostCore,
    engine: Engine,
    container: str,
    work: Callable[[Inside], T],
    *,
    stop: Stop,
    timeout: float | None = None,
) -> T:
    """Do something with the files of a container, in this thread.

    Args:
        engine: nobody else's meanwhile; closed here.
        container: its full id.
        timeout: seconds for all of it.

    Raises:
        HostConnectionError: the engine could not be reached.
        HostNotRunningError: the container is gone.
        HostError: the engine refused.
        Exception: whatever else `work` raises.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    options = core.options
    beside = engine.again()
    try:
        runner = _Runner(core, beside or engine, container, stop, deadline)
        return work(
            Inside(
                engine,
                container,
                run=runner,
                user=options.user or "",
                workdir=options.workdir,
                host=core.name,
                stop=stop,
                deadline=deadline,
                survey=core.survey,
            )
        )
    except (EngineError, ProtocolError) as error:
        raise of_engine(error, core.name) from error
    finally:
        for each in (engine, beside):
            if each is not None:
                each.close()


def threads_of_its_own() -> ThreadPoolExecutor:
    """Give one operation its threads.

    Those that a loop has for all are few, and a program's own: what lasts long there holds up whoever asks for a name.
    """
    return ThreadPoolExecutor(thread_name_prefix="dockerpty-files")


async def in_thread(work: Callable[[Stop], T], *, sees_out: bool = False) -> T:
    """Do something in a thread, where a cancellation stops it.

    Args:
        sees_out: who cancels waits until it has tidied up.
    """
    stop, threads = Stop(), threads_of_its_own()
    task = asyncio.get_running_loop().run_in_executor(threads, work, stop)
    threads.shutdown(wait=False)

    def ended(task: asyncio.Future[T]) -> None:
        stop.close()
        if not task.cancelled():
            task.exception()  # whoever wants to know has been told

    task.add_done_callback(ended)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.stop()
        if sees_out:
            await asyncio.wait([task])
        raise


def on_this_loop(progress: Progress | None) -> Progress | None:
    """Have reports of progress made on the loop that runs here, whichever thread they come from."""
    if progress is None:
        return None
    report, loop = progress, asyncio.get_running_loop()

    def tell(done: int, total: int | None, path: str) -> None:
        try:
            loop.call_soon_threadsafe(report, done, total, path)
        except RuntimeError:
            pass  # the loop has ended before the transfer

    return tell


class Handover:
    """Pieces handed from the thread that has them to the one that wants them, a few at a time."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_HANDED)
        self._left = False

    def put(self, piece: bytes) -> None:
        """Hand one over, when there is room.

        Raises:
            TransferError: nobody wants it any more.
        """
        while not self._left:
            try:
                self._pieces.put(bytes(piece), timeout=_LOOK_S)
                return
            except queue.Full:
                continue  # still wanted?
        raise TransferError("go on with", "the transfer", "nobody wants the rest")

    def end(self) -> None:
        """Say that there are no more. Waits for nothing: whoever still takes pieces finds the end behind them."""
        self._left = True
        with suppress(queue.Full):  # whoever takes finds `_left`
            self._pieces.put_nowait(None)

    def leave(self) -> None:
        """Say that no more are wanted."""
        self._left = True

    def get(self) -> bytes | None:
        """Wait for the next one; None at the end."""
        while True:
            try:
                return self._pieces.get(timeout=_LOOK_S)
            except queue.Empty:
                if self._left:
                    return None


class _Runner:
    """Runs programs in the container for an operation on files; see `inside.Run`."""

    def __init__(
        self, core: HostCore, engine: Engine, container: str, stop: Stop, deadline: float | None
    ) -> None:
        self._core = core
        self._engine = engine
        self._container = container
        self._stop = stop
        self._deadline = deadline

    def __call__(
        self,
        argv: Sequence[str],
        *,
        user: str = "",
        stdin: Iterator[bytes] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        tidy: bool = False,
    ) -> tuple[int, bytes, bytes]:
        """Run one to its end."""
        options = self._core.options
        left = None if self._deadline is None else max(0.001, self._deadline - time.monotonic())
        take = on_output
        plan = oneshot(
            self._container,
            list(argv),
            TIDY_S if tidy else left,
            stdin=None if stdin is None else _Pieces(stdin),
            user=user or options.user or "",
            environment=options.environment,
            privileged=options.privileged,
            on_output=None if take is None else lambda stream, data: take(data) if stream == 1 else None,
            output_limit=_OUTPUT_LIMIT if take is None else _SAID_LIMIT,
            host=self._core.name,
        )
        blocking = Blocking(self._engine)
        status = drive(plan, blocking.answer if tidy else _Stoppable(blocking, self._stop).answer)
        if status.retcode < 0:
            why = status.error or "its time was over"
            raise TransferError("run", f"{argv[0]} in the container", why, host=self._core.name)
        return status.retcode, status.stdout, status.stderr


class _Pieces:
    """Pieces that are read like a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _: int = -1) -> bytes:
        """Give the next piece that is not empty; nothing at the end."""
        return next((piece for piece in self._pieces if piece), b"")


class _Stoppable:
    """Answers a plan until it is stopped: that is raised in it, once, so that it can tidy up."""

    # To be waited for like a channel.
    ended = False
    unsent = 0

    def __init__(self, blocking: Blocking, stop: Stop) -> None:
        self._blocking = blocking
        self._stop = stop
        self._told = False

    def answer(self, request: Request) -> Any:
        """Do what the plan asks for."""
        if self._told:
            return self._blocking.answer(request)
        if isinstance(request, Wait):
            watched: Any = (*request.channels, self)
            request = Wait(watched, request.until)
        reply = self._blocking.answer(request)
        if self._stop.stopped and isinstance(request, Wait):
            self._told = True
            self._stop.check()
        return reply

    def interest(self) -> list[tuple[int, int]]:
        """Give what tells of the stop."""
        return [(self._stop.fileno(), select.POLLIN)]

    def flush(self) -> None:
        """Do nothing."""

    def pending(self) -> bool:
        """Say that nothing waits unseen."""
        return False

    def end_waits(self) -> bool:
        """Say that no end does."""
        return False
