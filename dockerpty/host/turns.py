"""An engine that cannot be had twice, such as a client of the program's own, for several threads: one at a time."""

from __future__ import annotations

import threading

from dockerpty.engine.interface import TIMEOUT, Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dockerpty.engine.calls import Call, Reply
    from dockerpty.engine.interface import Control, Pending
    from dockerpty.engine.transport import Transport


class InTurns(Engine):
    """Gives each thread that asks its turn. The streams that `hijack` gives are read by all at once."""

    def __init__(self, engine: Engine, turn: threading.RLock | None = None) -> None:
        self._engine = engine
        # Again in the same thread: a transfer may run a program while it takes or gives its pieces.
        self._turn = turn or threading.RLock()
        self.name, self.is_local = engine.name, engine.is_local
        self.api_version, self.is_podman = engine.api_version, engine.is_podman

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        """Make a call, when it is our turn."""
        with self._turn:
            return self._engine.send(call, subject=subject, timeout=timeout)

    def stream(
        self, call: Call, take: Callable[[bytes], None], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Make a call with a long answer, when it is our turn."""
        with self._turn:
            return self._engine.stream(call, take, subject=subject, timeout=timeout)

    def upload(
        self, call: Call, body: Iterator[bytes], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Make a call with a long body, when it is our turn."""
        with self._turn:
            return self._engine.upload(call, body, subject=subject, timeout=timeout)

    def hijack(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Transport:
        """Have a connection, when it is our turn."""
        with self._turn:
            return self._engine.hijack(call, subject=subject, timeout=timeout)

    def begin(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Pending | None:
        """Begin to wait for an answer, which the engine does in a thread of its own."""
        return self._engine.begin(call, subject=subject, timeout=timeout)

    def control(self, *, connects: bool = True) -> Control:
        """Open the way for calls from inside a loop."""
        return self._engine.control(connects=connects)

    def again(self) -> Engine:
        """Give the same, for another thread."""
        return InTurns(self._engine, self._turn)

    def close(self) -> None:
        """Leave it to its owner."""
