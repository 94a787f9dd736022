"""Which container is meant, by whatever a caller names it with."""

from __future__ import annotations

from dockerpty.errors import DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How a text begins that is no id and no name, but says which labels a container has: no name has a colon.
COMPOSE, LABEL = "compose://", "label:"
BY_LABELS = (COMPOSE, LABEL)


def identity(container: Any) -> str:
    """Return the id or name in whatever names a container."""
    if isinstance(container, dict):
        container = container.get("Id") or container.get("ID")
    elif not isinstance(container, str):
        container = getattr(container, "id", None)
    if not isinstance(container, str) or not container:
        raise DockerptyError(
            "find",
            "the container",
            "it is no id, name, dict with an Id or object with an id",
            "pass one of these",
        )
    return container


def name_for(container: Any) -> str:
    """Return what messages call a container."""
    name = getattr(container, "name", None)
    return name if isinstance(name, str) and name else identity(container)
