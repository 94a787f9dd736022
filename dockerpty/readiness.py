"""Whether a container is ready for a session: the newest one, and the wait until one runs.

Asked in plain calls: events of the engine would tell it a moment earlier and need a connection of their own.
"""

from __future__ import annotations

import time

from dockerpty.container.state import is_ready, refusal
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dockerpty.engine.client import Engine

#: Between two questions: the first comes soon, for a container that is just about to run.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 0.5


def newest(engine: Engine, *, running: bool = True) -> str:
    """Return the name of the container that was created last.

    Args:
        running: only of those that run.

    Raises:
        DockerptyError: there is none.
    """
    call = (
        calls.list_containers(filters={"status": ["running"]})
        if running
        else calls.list_containers(all=True, limit=1)
    )
    found = engine.send(call).json()
    if not found:
        kind = "running container" if running else "container"
        raise DockerptyError("find", f"the newest {kind}", "there is none", "see dpty ps -a")
    last = max(found, key=lambda each: each.get("Created") or 0)
    return calls.own_name(last) or str(last["Id"])


def until_running(
    engine: Engine,
    container: str,
    seconds: float,
    *,
    action: str = "attach to",
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until a container runs, and is neither paused nor between two restarts. One that has ended may run again.

    Args:
        seconds: no longer than this.
        action: what it is waited for, for the error.

    Raises:
        NotFound: it is not there.
        APIError: it does not run in time, or never will.
    """
    until = clock() + seconds
    pause = _FIRST_PAUSE_S
    while True:
        state = engine.send(calls.inspect_container(container), subject=container).json()["State"]
        if is_ready(state):
            return
        left = until - clock()
        if left <= 0 or state.get("Dead"):
            raise refusal(action, container, state, "" if state.get("Dead") else f" after {seconds:g} s")
        sleep(min(pause, left))
        pause = min(pause * 2, _LAST_PAUSE_S)
