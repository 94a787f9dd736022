"""What a session and its loop see of an engine, whichever way it is reached.

`client` implements it over connections of our own, `foreign` over the methods of somebody else's client. Apart from
both, so that neither needs the other.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dockerpty.engine.calls import Call, Reply
    from dockerpty.engine.transport import Stopping, Transport
    from dockerpty.errors import DockerptyError

    Done = Callable[[Reply | DockerptyError], None]

TIMEOUT = 60.0
"""Seconds for an answer, as in docker-py: an engine that starts a container on a busy machine takes some."""


class Engine:
    """An engine, for one session: no two threads may use it at once.

    Attributes:
        name: its address, for messages.
        api_version: what it speaks, known after the first answer.
        is_podman: whether it is Podman's service, known after the first answer.
        is_local: it is reached by a socket of this machine: what runs there began after the machine's last boot.
        stop: what may end a call under way, and with it its connection; not those from inside a loop.
    """

    name: str = ""
    is_local: bool = False
    api_version: tuple[int, int] | None = None
    is_podman: bool | None = None
    stop: Stopping | None = None

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        """Make a call and wait for its answer. A call that the engine may have seen is never repeated, but a GET.

        Args:
            call: one of `calls`.
            subject: what to call it on, in messages; the call's own id or name by default.
            timeout: seconds until the answer must be complete.

        Raises:
            NotFound: it does not exist.
            APIError: the engine refused.
            EngineUnreachable: it did not answer.
            ProtocolError: what answered is no engine.
        """
        raise NotImplementedError

    def stream(
        self, call: Call, take: Callable[[bytes], None], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Make a call with an answer of any length, and wait for its end.

        Args:
            take: gets the body of a success in pieces as it comes; that of the reply is empty. What it raises ends
                the call.

        Raises:
            NotFound, APIError, EngineUnreachable, ProtocolError: as `send`.
        """
        raise NotImplementedError

    def upload(
        self, call: Call, body: Iterator[bytes], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        """Make a call with a body of any length, and wait for the answer.

        Args:
            body: gives it in pieces, and is asked for the next when the engine has taken the last: no more than one
                is held. What it raises ends the call; an answer that comes before its end leaves the rest unasked.

        Raises:
            NotFound, APIError, EngineUnreachable, ProtocolError: as `send`.
        """
        raise NotImplementedError

    def hijack(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Transport:
        """Make a call that turns its connection into a raw stream, and give that connection to the caller.

        Raises:
            NotFound, APIError, EngineUnreachable, ProtocolError: as `send`.
        """
        raise NotImplementedError

    def begin(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Pending | None:
        """Make a call whose answer has its head at once and its body later; return when the head is there.

        Returns:
            what a loop watches; `None` if this client can only wait for the whole answer.

        Raises:
            NotFound, APIError, EngineUnreachable, ProtocolError: as `send`.
        """
        raise NotImplementedError

    def control(self, *, connects: bool = True) -> Control:
        """Open the way for calls from inside a loop.

        Args:
            connects: now, which blocks for as long as that takes; else with the first call, which is told if that
                fails, and which blocks for two seconds at most.
        """
        raise NotImplementedError

    def again(self) -> Engine | None:
        """Give an engine at the same place that shares no connection with this one, for a forked process; or `None`."""
        return None

    def close(self) -> None:
        """Free what this holds; a caller's client and what `hijack`, `begin` and `control` gave stay open."""
        raise NotImplementedError


class Pending:
    """An answer whose body is still to come, for a loop to watch.

    Attributes:
        done: there is a `reply` or an `error`.
    """

    done: bool = False
    reply: Reply | None = None
    error: DockerptyError | None = None

    def interest(self) -> list[tuple[int, int]]:
        """Give the descriptors to poll, with poll's events; none when done."""
        raise NotImplementedError

    def serve(self) -> None:
        """Read what is there."""
        raise NotImplementedError

    def deadline(self) -> float | None:
        """Give the time by `time.monotonic` at which to serve without an event."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up waiting. Idempotent."""
        raise NotImplementedError


class Control:
    """Calls without waiting: one in flight, the others in line behind it."""

    def submit(self, call: Call, done: Done, timeout: float) -> None:
        """Put a call in line.

        Args:
            call: one of `calls`.
            done: called once, from `serve`, with the reply or the error.
            timeout: seconds, counted from when it is sent.
        """
        raise NotImplementedError

    @property
    def idle(self) -> bool:
        """Nothing is in flight or in line, and every `done` was called."""
        raise NotImplementedError

    def interest(self) -> list[tuple[int, int]]:
        """Give the descriptors to poll, with poll's events; none when idle."""
        raise NotImplementedError

    def serve(self) -> None:
        """Send and read what goes without waiting, and call each `done` whose time has come."""
        raise NotImplementedError

    def deadline(self) -> float | None:
        """Give the time by `time.monotonic` at which to serve without an event."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up what is in line, without calling `done`. Idempotent."""
        raise NotImplementedError
