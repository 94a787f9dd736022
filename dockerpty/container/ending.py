"""What became of a process: plans that ask the engine for it (see `plan`), and are sent its replies.

They yield calls, and seconds to wait before the next one.
"""

from __future__ import annotations

from dockerpty import log
from dockerpty.container.state import is_going, is_younger
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError, NotFound
from dockerpty.result import KILLED_CODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from dockerpty.engine.calls import Call, Reply
    from dockerpty.result import Reason

    Asking = Generator[Call | float, Any, "Ending"]

_log = log.get(__name__)

#: The engine has an exec's exit code a moment after the end of its stream.
_EXIT_CODE_WAIT_S = 2.0
#: How often a container is asked for that nobody could wait for.
_CONTAINER_POLL_S = 0.1
#: One whose stream has ended may run for a moment longer; who attaches again waits for that.
CONTAINER_LOOKS = 6


class Ending:
    """How a process ended.

    Attributes:
        reason: `exited`, `removed` or `lost`.
        code: its exit code; None if it is lost.
        info: the last inspection, empty where there was none.
        error: why the last question had no answer; None where it had one.
    """

    __slots__ = ("code", "error", "info", "reason")

    def __init__(
        self,
        reason: Reason,
        code: int | None,
        info: dict[str, Any],
        error: DockerptyError | None = None,
    ) -> None:
        self.reason = reason
        self.code = code
        self.info = info
        self.error = error

    @property
    def engine_is_away(self) -> bool:
        """Whether it is lost since the engine could not be asked, and not since the engine does not know."""
        return self.reason == "lost" and self.error is not None and not isinstance(self.error, NotFound)


def of_exec(exec_id: str, container: str, created: str = "") -> Asking:
    """Learn how an exec ended whose stream has ended.

    Args:
        container: whose it is, "" if that is not known: an engine that has forgotten the exec is asked for it.
        created: `Date` of the answer that told of the exec's creation, for a container that is called by its name.
    """
    info: dict[str, Any] = {}
    waited, pause = 0.0, 0.002
    try:
        while True:
            info = (yield calls.inspect_exec(exec_id)).json()
            if not info["Running"] or waited >= _EXIT_CODE_WAIT_S:
                break
            yield pause
            waited += pause
            pause = min(pause * 2, 0.1)
    except NotFound as error:
        return (yield from _forgotten(error, container or info.get("ContainerID") or "-", created))
    except DockerptyError as error:
        return Ending("lost", None, {}, error)
    code = info["ExitCode"]
    if info["Running"] or code is None or code < 0:
        return Ending("lost", None, info)
    return Ending("exited", code, info)


def _forgotten(error: NotFound, container: str, created: str) -> Asking:
    """Tell apart why the engine has forgotten an exec: its container was removed, or the engine started anew."""
    try:
        found = (yield calls.inspect_container(container)).json()
    except NotFound:
        return Ending("removed", KILLED_CODE, {}, error)
    except DockerptyError as away:
        return Ending("lost", None, {}, away)
    # Of a container that it removes the engine forgets the execs first. One that is younger only has the same name.
    if is_going(found) or is_younger(found, created):
        return Ending("removed", KILLED_CODE, {}, error)
    return Ending("lost", None, {}, error)


def of_container(
    container: str, waited: int | None, *, was_running: bool, removes_itself: bool, until_it_ends: bool
) -> Asking:
    """Learn how a container ended whose stream has ended.

    Args:
        waited: what the engine's wait has told, see `waited_code`.
        was_running: it ran when it was attached to.
        removes_itself: it was to be removed at its end: that it is gone is no surprise, and says nothing of its code.
        until_it_ends: ask for as long as it runs; else one that still runs after a moment is lost.
    """
    info: dict[str, Any] = {}
    code, looks = waited, 0
    try:
        while code is None:
            info = (yield calls.inspect_container(container)).json()
            state = info["State"]
            if not state.get("Running"):
                # Podman makes what has ended ready for another start when it is attached to, and forgets its code.
                code = None if was_running and state.get("Status") == "created" else state.get("ExitCode")
                break
            looks += 1
            if looks == CONTAINER_LOOKS and not until_it_ends:
                break
            yield _CONTAINER_POLL_S
        if waited == KILLED_CODE:
            info = (yield calls.inspect_container(container)).json()
    except NotFound as error:
        if not removes_itself:
            return Ending("removed", KILLED_CODE if code is None else code, info)
        if code is None:
            return Ending("lost", None, info, error)
    except DockerptyError as error:
        if code is None:
            return Ending("lost", None, info, error)
        _log.debug("no more than the exit code: %s", error)
    if code is None or code < 0:
        return Ending("lost", None, info)
    return Ending("exited", code, info)


def waited_code(reply: Reply | None) -> int | None:
    """Return the exit code in the answer to a wait, None where there is none."""
    if reply is None:
        return None
    answer = reply.json()
    # Of one that was removed Podman says so, and 0.
    code = -1 if (answer.get("Error") or {}).get("Message") else int(answer.get("StatusCode", -1))
    return code if code >= 0 else None
