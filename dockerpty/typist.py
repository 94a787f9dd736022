"""Who types in a session that a script leads: the script's machine, behind a pipe that is the session's stdin."""

from __future__ import annotations

import os
import select

from dockerpty.errors import SessionTimeout
from dockerpty.expect import Machine
from dockerpty.io import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerpty.expect import Script


class Typist:
    """Shown what the process writes, it types what the script says.

    Args:
        over: called when the script ends the session: by `exit`, or because something did not come.

    Attributes:
        stdin: the number of the descriptor to read from; closed by `close`.
    """

    def __init__(self, script: Script, over: Callable[[], None]) -> None:
        self.stdin, writing_end = os.pipe()
        os.set_blocking(writing_end, False)
        self._stream = Stream(writing_end)
        self._machine = Machine(script)
        self._over = over

    def begin(self) -> None:
        """The session begins: so do the time limits."""
        self._machine.begin()
        self._type()

    def look(self, piece: bytes | memoryview) -> None:
        """Look at a piece of output."""
        self._machine.feed(piece)
        self._type()

    def verdict(self) -> int | SessionTimeout | None:
        """Say how the session is to end: with the code of `exit`, with an error, or as the process ends it."""
        self._machine.end()
        if self._machine.failure:
            return SessionTimeout("find", self._machine.failure)
        return self._machine.code

    def close(self) -> None:
        """Close both ends of the pipe."""
        self._stream.abandon()
        os.close(self.stdin)

    # What a loop asks -------------------------------------------------------------------------------------------------

    def interest(self) -> list[tuple[int, int]]:
        """Text that the pipe has not taken yet."""
        stream = self._stream
        return [(stream.fileno(), select.POLLOUT)] if not stream.closed and stream.needs_write() else []

    def busy(self) -> bool:
        """It waits for output, or for time to pass."""
        return False

    def deadline(self) -> float | None:
        """Until then what is waited for has to come."""
        return self._machine.deadline()

    def serve(self, ready: dict[int, int]) -> None:
        """Write on, or give up waiting."""
        if not self._stream.closed and self._stream.fileno() in ready:
            self._stream.do_write()
        self._machine.expire()
        self._type()

    def _type(self) -> None:
        machine = self._machine
        if not self._stream.closed and not self._stream.close_requested:
            self._stream.write(machine.take())
            if machine.input_ends:
                self._stream.close()
        if machine.failure or machine.code is not None:
            self._over()
