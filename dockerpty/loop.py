"""One loop: poll(), deadlines, and who is served when.

What is watched has four methods: `interest` (descriptors and poll events that matter now), `busy` (can be served
without a poll), `deadline` (on the monotonic clock, or None) and `serve` (the descriptors that are ready). They are
asked afresh each turn, so that a state is written down once, where it belongs, and never here.
"""

from __future__ import annotations

import select
import time

from dockerpty.io import READ_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from dockerpty.io import Pump

    class Watched(Protocol):
        """What a loop serves."""

        def interest(self) -> Iterable[tuple[int, int]]: ...
        def busy(self) -> bool: ...
        def deadline(self) -> float | None: ...
        def serve(self, ready: dict[int, int]) -> None: ...

    class Calls(Protocol):
        """Calls to an engine, as a loop sees them."""

        def interest(self) -> list[tuple[int, int]]: ...
        def deadline(self) -> float | None: ...
        def serve(self) -> None: ...


class Loop:
    """Serves what it watches, in the order it was given."""

    def __init__(self) -> None:
        self._watched: list[Watched] = []
        #: One buffer for all who read: it is empty again when `serve` returns.
        self.buffer = memoryview(bytearray(READ_SIZE))

    def watch(self, watched: Watched) -> None:
        self._watched.append(watched)

    def pump(self, pump: Pump) -> None:
        self.watch(_WatchedPump(pump, self.buffer))

    def calls(self, calls: Calls) -> None:
        """Watch calls to an engine: a `Pending` or a `Control`."""
        self.watch(_WatchedCalls(calls))

    def at(self, deadline: Callable[[], float | None], action: Callable[[], None]) -> None:
        """Call `action` when the deadline has passed; the deadline is asked each turn."""
        self.watch(_Timer(deadline, action))

    def turn(self, limit: float | None = None) -> None:
        """Wait until somebody can be served, or until `limit` (monotonic seconds), and serve them all once."""
        wanted: dict[int, int] = {}
        until = limit
        busy = False
        for watched in self._watched:
            for fd, events in watched.interest():
                wanted[fd] = wanted.get(fd, 0) | events
            busy = busy or watched.busy()
            deadline = watched.deadline()
            if deadline is not None and (until is None or deadline < until):
                until = deadline
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        if busy:
            timeout: float | None = 0
        else:
            # Rounded up: a poll that returns a moment too early would turn for nothing.
            timeout = None if until is None else max(0.0, until - time.monotonic()) * 1000 + 0.999
        ready = dict(poll.poll(timeout))
        for watched in list(self._watched):
            watched.serve(ready)


class _WatchedPump:
    def __init__(self, pump: Pump, buffer: memoryview) -> None:
        self._pump = pump
        self._buffer = buffer
        self.interest = pump.interest
        self.busy = pump.busy

    def deadline(self) -> float | None:
        return None

    def serve(self, ready: dict[int, int]) -> None:
        self._pump.serve(ready, self._buffer)


class _WatchedCalls:
    """Serves calls only when there is something for them: most turns of a session are not about them."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.interest = calls.interest
        self.deadline = calls.deadline

    def busy(self) -> bool:
        return False

    def serve(self, ready: dict[int, int]) -> None:
        deadline = self.deadline()
        if any(fd in ready for fd, _ in self.interest()) or (
            deadline is not None and time.monotonic() >= deadline
        ):
            self._calls.serve()


class _Timer:
    def __init__(self, deadline: Callable[[], float | None], action: Callable[[], None]) -> None:
        self.deadline = deadline
        self._action = action

    def interest(self) -> Iterable[tuple[int, int]]:
        return ()

    def busy(self) -> bool:
        return False

    def serve(self, ready: dict[int, int]) -> None:
        deadline = self.deadline()
        if deadline is not None and time.monotonic() >= deadline:
            self._action()
