"""An exec made, and in which state its container is where it cannot be."""

from __future__ import annotations

from dockerpty import log
from dockerpty.container.state import is_ready, why_not_ready
from dockerpty.engine import calls
from dockerpty.errors import APIError, DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.engine.calls import Reply
    from dockerpty.engine.interface import Engine

_log = log.get(__name__)


def create_exec(engine: Engine, container: str, config: dict[str, Any], subject: str) -> Reply:
    """Create an exec from the engine's own form of configuration.

    Args:
        subject: what messages call its container.

    Raises:
        NotFound: there is no such container.
        APIError: it does not run; which state it is in is asked only then.
    """
    try:
        return engine.send(calls.create_exec(container, config), subject=subject)
    except APIError as error:
        if error.status_code in (409, 500):  # Docker's and Podman's
            _name_state(engine, container, error)
        raise


def _name_state(engine: Engine, container: str, error: APIError) -> None:
    """Say in an error which state the container is in: of that the engine tells at most that it does not run."""
    try:
        state = engine.send(calls.inspect_container(container)).json()["State"]
    except DockerptyError as another:
        _log.debug("state unknown: %s", another)
        return
    if not is_ready(state):
        error.reason, error.hint = why_not_ready(state)
