"""The states of a container, as its inspection has them."""

from __future__ import annotations

from dockerpty.engine.twins import conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.errors import APIError

#: What a container may be that runs, as the engine says, and that nobody can get at: the last that it is says most.
STANDS_STILL = ("Dead", "Restarting", "Paused")
#: What helps a container that does not run into a state in which it can be attached to.
_REMEDIES = {"paused": "unpause it first", "restarting": "wait until it runs", "dead": "remove it"}


def is_ready(state: dict[str, Any]) -> bool:
    """Say whether `State` of an inspection is that of a container whose processes can be got at."""
    return bool(state.get("Running")) and not any(state.get(each) for each in STANDS_STILL)


def is_going(container: dict[str, Any]) -> bool:
    """Say by its inspection whether a container is being removed: the engine forgets its execs first."""
    status = container["State"].get("Status")
    removes_itself = (container.get("HostConfig") or {}).get("AutoRemove")
    return status in ("removing", "dead") or (status == "exited" and bool(removes_itself))


def is_younger(container: dict[str, Any], date: str) -> bool:
    """Say whether a container was created after an answer of its engine's: then it only has the name of an older one.

    Args:
        container: its inspection.
        date: `Date` of the answer, which is in whole seconds.
    """
    from datetime import datetime
    from email.utils import parsedate_to_datetime

    try:
        lag = datetime.fromisoformat(container["Created"]) - parsedate_to_datetime(date)
    except (KeyError, TypeError, ValueError):
        return False  # somebody's own client, which keeps no headers, or an engine with dates of its own
    return lag.total_seconds() >= 1


def why_not_ready(state: dict[str, Any]) -> tuple[str, str]:
    """Return in which state a container is in which nobody can get at its process, and what helps it out of that.

    Args:
        state: `State` of its inspection.
    """
    # Podman 4.3 has names of its own for two that Docker knows under others.
    status = str(state.get("Status") or "not running")
    status = {"configured": "created", "stopped": "exited"}.get(status, status)
    for each in STANDS_STILL:
        if state.get(each):
            status = each.lower()
    return f"it is {status}", _REMEDIES.get(status, "start it first")


def refusal(action: str, container: str, state: dict[str, Any], waited: str = "") -> APIError:
    """Return the error for a container that is not ready.

    Args:
        action: what cannot be done.
        state: `State` of its inspection.
        waited: what was tried: `" after 3 s"`.
    """
    reason, hint = why_not_ready(state)
    return conflict(action, container, f"{reason}{waited}", hint)
