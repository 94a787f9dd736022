"""A session with a container that outlives the loss of its engine: what `--reconnect` is.

Never for an exec: no engine lets anybody attach to one again.
"""

from __future__ import annotations

import signal
import time

from dockerpty import log
from dockerpty.container.state import is_ready
from dockerpty.engine import calls
from dockerpty.errors import (
    APIError,
    DockerptyError,
    EngineUnreachable,
    NotFound,
    ProtocolError,
    SessionLost,
    SessionTimeout,
)
from dockerpty.pty import PseudoTerminal
from dockerpty.result import KILLED_CODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerpty.result import Reason

_log = log.get(__name__)

#: Between two questions to an engine that is away.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0
#: ... and to one that is there, about a container that will run in a moment.
_SOON_S = 0.1
_ANSWER_S = 10.0


class PersistentTerminal(PseudoTerminal):
    """Attaches again when a session was lost, or when its container has ended and its restart policy starts it again.

    What the container writes in between is in its log only.

    Args:
        operation: a `RunOperation`.
        limit: attach again so many times; None is without end. How long the engine is waited for has no limit.
        notice: takes a line for the user, each time.
    """

    def __init__(
        self,
        client: Any,
        operation: Any,
        *,
        limit: int | None = None,
        notice: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, operation, notice=notice)
        self._left = limit
        self._say = notice
        self._sleep = sleep
        self._clock = clock
        self._until: float | None = None
        self._attached_at = 0.0
        self._pause = FIRST_PAUSE_S

    def start(self, sockets: Any = None) -> int | None:
        """Bridge until the process ends for good, or the user detaches. What is raised is that of `PseudoTerminal`."""
        limit = self.operation._options.timeout
        self._attached_at = self._clock()
        self._until = None if limit is None else self._attached_at + limit
        try:
            code = super().start(sockets)
            lost = None
        except SessionLost as error:
            code, lost = None, error
        while True:
            why = self._why_again(code, lost)
            if not why:
                if lost is not None:
                    raise lost
                return code
            if self._left is not None:
                self._left -= 1
            self._say(why)
            if lost is not None:
                self._spare_the_engine()
            code, lost = self._once_more(code, lost)

    def _once_more(self, code: int | None, lost: SessionLost | None) -> tuple[int | None, SessionLost | None]:
        """Attach again when that can be done, and return the exit code or the loss that the session ended with."""
        pause = FIRST_PAUSE_S
        while True:
            state = self._state_when_back()
            if state is None or not is_ready(state):
                return self._ended(state, code, lost), None
            self._keep_time_limit()
            self.operation.again()
            self._attached_at = self._clock()
            try:
                return super().start(), None
            except SessionLost as error:
                return None, error
            except (EngineUnreachable, ProtocolError, APIError) as error:
                # Between the question and the attach it went away again, or the container ended or was paused.
                has_changed = isinstance(error, APIError) and error.status_code in (404, 409)
                if not (has_changed or _is_away(error)):
                    raise
                _log.debug("not attached: %s", error)
                self._wait(pause)
                pause = min(pause * 2, LAST_PAUSE_S)

    def _why_again(self, code: int | None, lost: SessionLost | None) -> str:
        """Say why the session is to go on; nothing if it is over."""
        who = self.operation.describe()
        if self._left == 0 or (lost is not None and lost.on_our_side):
            return ""
        if lost is not None:
            return f"lost {who}: attaching again when the engine is back, Ctrl-C gives up"
        if code is None or self.result is None or self.result.reason != "exited":
            return ""
        host = self.operation._container_info().get("HostConfig") or {}
        if (host.get("RestartPolicy") or {}).get("Name", "no") in ("", "no"):
            return ""
        try:
            state = self._ask()
        except (EngineUnreachable, ProtocolError, APIError) as error:
            # An engine that is stopped ends its containers first, and starts them again with itself.
            if not _is_away(error):
                raise
            _log.debug("away: %s", error)
        else:
            if state is None or not (state.get("Restarting") or state.get("Running")):
                return ""
        return f"{who} has ended with exit code {code} and is started again: following it, Ctrl-C gives up"

    def _spare_the_engine(self) -> None:
        """Attach ever less often where sessions are lost soon after they began: somebody between us cuts them."""
        if self._clock() - self._attached_at >= LAST_PAUSE_S:
            self._pause = FIRST_PAUSE_S
            return
        self._wait(self._pause)
        self._pause = min(self._pause * 2, LAST_PAUSE_S)

    def _wait(self, seconds: float) -> None:
        """Sleep, but not past the time limit, which is that of all sessions together."""
        if self._until is None:
            self._sleep(seconds)
            return
        self._sleep(max(0.0, min(seconds, self._until - self._clock())))
        self._keep_time_limit()

    def _keep_time_limit(self) -> None:
        if self._until is None:
            return
        if self._until > self._clock():
            self.operation._until = self._until
            return
        # Nobody is attached to it; what was started for us ends all the same.
        problem = self.operation._abandoned(signal.SIGTERM, timed_out=True)
        if problem:
            self._say(problem)
        reason = f"it took longer than {self.operation._options.timeout:g} s"
        error = SessionTimeout("go on with", self.operation.describe(), reason)
        if self.result is not None:
            self.result.reason, error.result = "timeout", self.result
        raise error

    def _state_when_back(self) -> dict[str, Any] | None:
        """Wait until the engine answers and the container has ended or can be attached to; None if it is gone."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                state = self._ask()
            except (EngineUnreachable, ProtocolError, APIError) as error:
                if not _is_away(error):
                    raise
                _log.debug("still away: %s", error)
                self._wait(pause)
                pause = min(pause * 2, LAST_PAUSE_S)
                continue
            if state is None or not (state.get("Restarting") or state.get("Paused")):
                return state
            self._wait(_SOON_S)

    def _ask(self) -> dict[str, Any] | None:
        container, engine = self.operation._reference, self.operation._engine
        # On a new connection: an engine that is being stopped takes none, but answers on those that it has, and says
        # of a container which it will start again that it has ended (Engine 20.10).
        engine.close()
        try:
            reply = engine.send(calls.inspect_container(container), timeout=_ANSWER_S)
        except NotFound:
            return None
        state: dict[str, Any] = reply.json()["State"]
        return state

    def _ended(self, state: dict[str, Any] | None, code: int | None, lost: SessionLost | None) -> int:
        """Return the exit code of a container that has ended while nobody was attached to it."""
        assert self.result is not None
        if state is not None and lost is not None and state.get("Status") in ("created", "configured"):
            raise lost  # it was never started: nobody knows what would have become of it
        ended: Reason = "exited"
        if state is None:
            ended, code = "removed", KILLED_CODE if code is None else code
        else:
            code = int(state.get("ExitCode") or 0)
        self.result.exit_code, self.result.reason = code, ended
        return code


def _is_away(error: DockerptyError) -> bool:
    """Say whether an error means that the engine is away, and may be back in a moment.

    Who stands before one that is away says so with 502 or 503. A 500 may be said by one that goes or comes, and Podman
    says it of a container that has just ended, which the next question shows.
    """
    return not isinstance(error, APIError) or error.status_code >= 500
