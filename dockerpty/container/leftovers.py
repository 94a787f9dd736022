"""What processes of ours that were killed have left behind on an engine: found, and removed. Nothing else ever is.

Whose a container is and whether its owner is gone is judged in `ownership`. What `dpty run` made without `--rm`, or was
detached from, is the user's and stays.
"""

from __future__ import annotations

import time

from dockerpty.container import detached
from dockerpty.container.ownership import DEADLINE, OWNER, ROLE, USER, has_passed, is_gone, owner, user
from dockerpty.engine import calls
from dockerpty.errors import APIError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dockerpty.engine.interface import Engine

#: What ends with the process that made it. Another role has its deadline, or belongs to the user.
_ENDS_WITH_OWNER = ("run-rm", "test", "toolbox")
#: ... but that its user may have detached from, of which only that user's own notes tell.
_MAY_BE_DETACHED = "run-rm"
_THE_USERS = "run"

# Killing what ignores its end, and taking its volumes away, may take the engine a while.
_REMOVE_LIMIT_S = 120.0


class Leftover:
    """A container that nobody is there for.

    Attributes:
        id, name: of the container.
        role: what it was made for.
        state: in the engine's words: running, exited.
        reason: why it is left over.
    """

    __slots__ = ("id", "name", "reason", "role", "state")

    def __init__(self, container: dict[str, Any], reason: str) -> None:
        """Take what the engine lists of a container."""
        self.id: str = container["Id"]
        self.name: str = calls.own_name(container) or self.id[:12]
        self.role: str = container["Labels"][ROLE]
        self.state: str = container.get("State") or ""
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(part for part in (self.id[:12], self.role, self.state) if part)})"


def find(engine: Engine) -> list[Leftover]:
    """List the containers that are left over, the newest first.

    Raises:
        EngineError: the engine refused, or cannot be asked.
    """
    now, here = time.time(), owner()
    listed = engine.send(calls.list_containers(all=True, filters={"label": [ROLE]})).json()
    found = []
    for container in listed:
        labels = container.get("Labels") or {}
        reason = why(labels, now, here, is_local=engine.is_local)
        if reason and not _is_inherited(engine, container, labels):
            found.append(Leftover(container, reason))
    # Read when all owners are judged: whoever detaches takes note of it first, and is gone then.
    the_users = detached.remembered()
    return [leftover for leftover in found if leftover.id not in the_users]


def remove(engine: Engine, leftover: Leftover) -> bool:
    """Remove a container, with its anonymous volumes, and kill it for that; say whether it was there to be removed.

    Raises:
        EngineError: it could not be removed.
    """
    call = calls.remove_container(leftover.id, force=True, volumes=True)
    try:
        engine.send(call, subject=leftover.name, timeout=_REMOVE_LIMIT_S)
    except NotFound:
        return False
    except APIError as error:
        # Its own end removes it at this moment.
        if error.status_code != 409 or "already in progress" not in error.explanation:
            raise
    return True


def why(labels: Mapping[str, str], now: float, here: str, *, is_local: bool = False) -> str:
    """Say why what has these labels is left over, "" if it is not, or if that cannot be judged from here.

    Args:
        now: seconds since the epoch.
        here: this process's own `owner()`.
        is_local: it is on an engine of this machine.
    """
    role = labels.get(ROLE, _THE_USERS)
    if role == _THE_USERS:
        return ""
    if DEADLINE in labels and has_passed(labels[DEADLINE], now):
        return "its time is over"
    if role == _MAY_BE_DETACHED and labels.get(USER, user()) != user():
        return ""
    if role in _ENDS_WITH_OWNER and is_gone(labels.get(OWNER, ""), here, is_local=is_local):
        return "the process that made it is gone"
    return ""


def _is_inherited(engine: Engine, container: dict[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether the labels are its image's: one that was committed from a container of ours hands them on."""
    try:
        image = engine.send(calls.inspect_image(container["ImageID"])).json()
    except NotFound:
        # Nobody can say any more.
        return True
    theirs = (image.get("Config") or {}).get("Labels") or {}
    return OWNER in theirs and theirs[OWNER] == labels.get(OWNER)
