"""A command that was started in a shell, and is read from and written to while it runs."""

from __future__ import annotations

import time
from collections import deque

from dockerpty.host.errors import SessionLostError
from dockerpty.host.in_order import check_timeout
from dockerpty.host.oneshot import OUTPUT_LIMIT
from dockerpty.host.results import CommandStatus, ShellCommand
from dockerpty.host.shell.running import Running, await_terminal, by_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerpty.host.oneshot import Keep
    from dockerpty.host.requests import Plan
    from dockerpty.host.shell.running import HasTerminal, Recover
    from dockerpty.host.shell.sequence import Follower
    from dockerpty.host.shell.shell import Shell


class Started:
    """A command that runs in a shell. Its shell is its own until `wait` has told what came of it.

    Nothing is read from it but by `more` and `wait`: what writes much waits for who reads it.

    Args:
        running: the command, once it has begun.
        pieces: where it puts what it writes, as (stream, bytes).
        until: by when it has to be over, by `time.monotonic`.
        follower: is told the end of what it writes.
    """

    def __init__(
        self,
        shell: Shell,
        running: Running,
        pieces: deque[tuple[int, bytes]],
        until: float | None,
        recover: Recover,
        follower: Follower | None = None,
    ) -> None:
        self._shell = shell
        self._running = running
        self._pieces = pieces
        self._until = until
        self._recover = recover
        self._follower = follower
        self._over = self._late = False
        self._status: CommandStatus | None = None

    def more(self) -> Plan[tuple[int, bytes] | None]:
        """Wait for the next piece of its output, as (stream, bytes); None when it is over, or its time."""
        while not self._pieces and not self._over:
            self._over = yield from self._running.step()
            if self._pieces or self._over:
                continue
            if self._until is not None and time.monotonic() >= self._until:
                self._over = self._late = True
                yield from self._running.stop(self._recover)
            else:
                yield from self._running.wait(self._until)
        return self._pieces.popleft() if self._pieces else None

    def write(self, data: bytes | str) -> Plan[None]:
        """Give it something to read, and wait until that was sent; what it writes meanwhile is for `more`.

        Raises:
            SessionLostError: it is over.
        """
        if not self._over:
            given = data.encode(self._running.encoding, "surrogateescape") if isinstance(data, str) else data
            self._running.write(given)
        while not self._over and self._running.unsent:
            self._over = yield from self._running.step()
            if not self._over:
                yield from self._running.wait()
        if self._over:
            raise SessionLostError("write to", "a command", "it is over", host=self._shell.host)

    def close_stdin(self) -> None:
        """End what it reads: with a terminal by the key for that, at the beginning of a line."""
        if not self._over:
            self._running.close_stdin()

    def close(self) -> Plan[None]:
        """End what it reads, and leave it; what runs still is left to `sequence.settle`."""
        if self._status is None:
            self._over = True
            yield from self._leave()

    def wait(self) -> Plan[CommandStatus]:
        """Wait for its end, and tell what came of it. What `more` has not told is in the result all the same."""
        while (yield from self.more()) is not None:
            pass
        if self._status is None:
            yield from self._leave()
            self._status = yield from self._running.result(timed_out=self._late)
        return self._status

    def _leave(self) -> Plan[None]:
        yield from self._running.close()
        if self._follower is not None:
            self._follower.end()


def start(
    shell: Shell,
    command: ShellCommand | str,
    *,
    timeout: float | None = None,
    merge: bool = False,
    output_limit: int = OUTPUT_LIMIT,
    keep: Keep = "head",
    encoding: str = "utf-8",
    errors: str = "replace",
    recover: Recover = by_keys,
    has_terminal: HasTerminal | None = None,
    follow: Callable[[str], Follower | None] | None = None,
) -> Plan[Started]:
    """Start a command in a shell that is ready for it.

    Args and what is raised: as for `running.run_one`, and `sequence.run_many`. What it reads it is given by
    `Started.write`, unless `command` says otherwise.
    """
    if isinstance(command, str):
        command = ShellCommand(command)
    limit = check_timeout(timeout if command.timeout is None else command.timeout)
    pieces: deque[tuple[int, bytes]] = deque()

    def collect(stream: int, data: bytes) -> Any:
        pieces.append((stream, data))

    follower = None if follow is None else follow(command.cmd)
    running = Running(
        shell,
        command,
        merge=merge,
        feeds=command.stdin is None,
        output_limit=output_limit,
        keep=keep,
        on_output=collect if follower is None else follower.also(collect),
        encoding=encoding,
        errors=errors,
    )
    yield from await_terminal(shell, has_terminal)
    try:
        yield from running.begin()
    except GeneratorExit:
        running.leave()
        raise
    except BaseException:
        yield from running.close()
        raise
    until = None if limit is None else time.monotonic() + limit
    return Started(shell, running, pieces, until, recover, follower)
