"""An image that `run` did not find, fetched by the engine."""

from __future__ import annotations

import json

from dockerpty.calls import Call
from dockerpty.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.engine import Engine

# The engine says nothing for as long as a layer takes, and some are many gigabytes on slow lines.
TIMEOUT_S = 6 * 3600.0


def pull(engine: Engine, image: str) -> None:
    """Let the engine fetch an image. Blocks until it is there.

    Raises:
        APIError: the registry, or the engine, refused it.
    """
    reply = engine.send(pull_call(image), timeout=TIMEOUT_S)
    # Its head was sent long before anything could go wrong: an error is one of the lines of its body.
    for line in reply.body.splitlines():
        failure = json.loads(line).get("error")
        if failure:
            raise APIError(
                "pull",
                image,
                failure,
                "is its name right, and may you have it?",
                status_code=reply.status,
                explanation=failure,
            )


def pull_call(image: str) -> Call:
    """Make the call: `POST /images/create`, Engine API 1.24."""
    name, tag = split(image)
    return Call(
        "POST",
        "/images/create",
        {"fromImage": name, "tag": tag},
        name="pull",
        kwargs={"repository": name, "tag": tag},
        action="pull",
        subject=image,
    )


def split(image: str) -> tuple[str, str]:
    """Split an image's reference into its name and its tag or digest; without either the tag is `latest`."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    before, colon, tag = image.rpartition(":")
    # host:5000/name has a port and no tag.
    return (before, tag) if colon and "/" not in tag else (image, "latest")
