"""The states of a container, as its inspection has them."""

from __future__ import annotations

from dockerpty.engine.twins import conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.errors import APIError

#: What helps a container that does not run into a state in which it can be attached to.
_REMEDIES = {"paused": "unpause it first", "restarting": "wait until it runs", "dead": "remove it"}


def refusal(action: str, container: str, state: dict[str, Any], waited: str = "") -> APIError:
    """Return the error for a container that is in a state in which nobody can get at its process.

    Args:
        action: what cannot be done.
        state: `State` of its inspection.
        waited: what was tried: `" after 3 s"`.
    """
    # Podman 4.3 has names of its own for two that Docker knows under others.
    status = str(state.get("Status") or "not running")
    status = {"configured": "created", "stopped": "exited"}.get(status, status)
    for each in ("Dead", "Restarting", "Paused"):
        if state.get(each):
            status = each.lower()
    return conflict(action, container, f"it is {status}{waited}", _REMEDIES.get(status, "start it first"))
