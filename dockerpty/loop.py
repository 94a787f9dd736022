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
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from dockerpty.io import Pump

    Interest = Sequence[tuple[int, int]]

    class Watched(Protocol):
        """What a loop serves."""

        def interest(self) -> Interest: ...
        def busy(self) -> bool: ...
        def deadline(self) -> float | None: ...
        def serve(self, ready: dict[int, int]) -> None: ...

    class Calls(Protocol):
        """Calls to an engine, as a loop sees them."""

        def interest(self) -> Interest: ...
        def deadline(self) -> float | None: ...
        def serve(self) -> None: ...


#: poll takes no longer one (an `int` in C); what is to come later is waited for once more.
_LONGEST_MS = 2**31 - 1
#: How long a turn may linger after the first key: nobody sees that a recording is written so much later.
_MOMENT_S = 0.1


class Loop:
    """Serves what it watches, in the order it was given."""

    def __init__(self) -> None:
        self._watched: list[Watched] = []
        self._pumps: list[_WatchedPump] = []
        self._interests: list[Interest] = []
        self._owners: dict[int, list[Watched]] = {}
        self._poll: Any = select.poll() if hasattr(select, "poll") else None
        self._timers: list[tuple[Callable[[], float | None], Callable[[], None]]] = []
        #: One buffer for all who read: it is empty again when `serve` returns.
        self.buffer = memoryview(bytearray(READ_SIZE))
        #: When bytes moved last, or may have, on the monotonic clock.
        self.moved_at = 0.0

    def watch(self, watched: Watched) -> None:
        """Serve this from now on."""
        self._watched.append(watched)

    def pump(self, pump: Pump) -> None:
        """Move the bytes of a pump from now on."""
        watched = _WatchedPump(pump, self.buffer)
        self._pumps.append(watched)
        self.watch(watched)

    def calls(self, calls: Calls) -> None:
        """Watch calls to an engine: a `Pending` or a `Control`."""
        self.watch(_WatchedCalls(calls))

    def at(self, deadline: Callable[[], float | None], action: Callable[[], None]) -> None:
        """Call `action` when the deadline has passed; the deadline is asked each turn."""
        self._timers.append((deadline, action))

    def turn(self, *, linger: bool = False) -> None:
        """Wait until somebody can be served or a deadline has passed, and serve all of them once.

        Args:
            linger: stay for a moment, while nothing happens but that bytes pass through quiet pumps: nobody has
                anything to decide then. A key has its way through here.
        """
        # All that can be found out before waiting is: behind the wait is somebody's key.
        until, busy = self._look_round()
        lanes = {watched.fd: watched.lane for watched in self._pumps if watched.is_quiet}
        ready: dict[int, int] = {}
        poll, readable, monotonic = self._poll.poll, select.POLLIN, time.monotonic
        wait = 0 if busy else _milliseconds(until)
        stays, passes = linger and not busy, 0
        while True:
            passes += 1
            moved = False
            for fd, events in poll(wait):
                if events == readable and fd in lanes:
                    stays = lanes[fd]() and stays
                    moved = True
                    continue
                ready[fd] = events
                stays = False
                for watched in self._owners[fd]:
                    # Who has two descriptors is served once; who is busy is served below.
                    if watched not in busy:
                        busy.append(watched)
            if not moved:
                break
            self.moved_at = now = monotonic()
            if not stays:
                break
            # Who was shown what passed may have got a deadline by it.
            if passes == 1 and (until is None or until > now + _MOMENT_S):
                until = now + _MOMENT_S
            if until is not None:
                if now >= until:
                    break
                wait = min((until - now) * 1000 + 0.999, _LONGEST_MS)
        for watched in busy:
            watched.serve(ready)
            if isinstance(watched, _WatchedPump):
                self.moved_at = time.monotonic()
        # What moved while we stayed may have moved the deadline, too: then the next turn asks for it anew.
        if passes == 1 and until is not None and time.monotonic() >= until:
            self._serve_overdue(ready)

    def _look_round(self) -> tuple[float | None, list[Watched]]:
        """Ask all what they wait for, and prepare the poll; return the first deadline, and who need not wait."""
        until: float | None = None
        busy: list[Watched] = []
        interests = []
        for watched in self._watched:
            interests.append(watched.interest())
            if watched.busy():
                busy.append(watched)
            due = watched.deadline()
            if due is not None and (until is None or due < until):
                until = due
        for deadline, _ in self._timers:
            due = deadline()
            if due is not None and (until is None or due < until):
                until = due
        if interests != self._interests:
            self._register(interests)
        return until, busy

    def _register(self, interests: list[Interest]) -> None:
        """Prepare the poll for what is wanted now; most turns want what the last one did."""
        self._interests = interests
        self._owners = {}
        wanted: dict[int, int] = {}
        for watched, interest in zip(self._watched, interests, strict=True):
            for fd, events in interest:
                wanted[fd] = wanted.get(fd, 0) | events
                self._owners.setdefault(fd, []).append(watched)
        self._poll = select.poll()
        for fd, events in wanted.items():
            self._poll.register(fd, events)

    def _serve_overdue(self, ready: dict[int, int]) -> None:
        now = time.monotonic()
        for watched in self._watched:
            due = watched.deadline()
            if due is not None and due <= now:
                watched.serve(ready)
        for deadline, action in list(self._timers):
            due = deadline()
            if due is not None and due <= now:
                action()


def _milliseconds(until: float | None) -> float | None:
    """Return poll's time-out, rounded up: a poll that returns a moment too early would turn for nothing."""
    if until is None:
        return None
    left = until - time.monotonic()
    return min(left * 1000 + 0.999, _LONGEST_MS) if left > 0 else 0


class _WatchedPump:
    def __init__(self, pump: Pump, buffer: memoryview) -> None:
        self._pump = pump
        self._buffer = buffer[: pump.read_size]
        # What `interest` gives while the pump is quiet, as it is between two keys: asked for once. All that is left to
        # do then for a descriptor that can be read, and tells no more than that, is to take its lane.
        self._quiet: Interest | None = None
        self.is_quiet = False
        self.fd = -1
        self.lane: Callable[[], bool]
        self.busy = pump.busy

    def interest(self) -> Interest:
        self.is_quiet = self._pump.quiet()
        if not self.is_quiet:
            return self._pump.interest()
        if self._quiet is None:
            self._quiet = self._pump.interest()
            self.fd = self._pump.fileno()
            self.lane = self._pump.lane(self._buffer)
        return self._quiet

    def deadline(self) -> float | None:
        return None

    def serve(self, ready: dict[int, int]) -> None:
        self._pump.serve(ready, self._buffer)


class _WatchedCalls:
    """Calls to an engine, which find out for themselves what can be sent and read."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.interest = calls.interest
        self.deadline = calls.deadline

    def busy(self) -> bool:
        return False

    def serve(self, ready: dict[int, int]) -> None:
        self._calls.serve()
