"""An image that `run` did not find, fetched by the engine."""

from __future__ import annotations

import json

from dockerpty.calls import Call, no_engine
from dockerpty.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.engine import Engine

# The engine says nothing for as long as a layer takes, and some are many gigabytes on slow lines.
TIMEOUT_S = 6 * 3600.0
# A line tells of one step of one layer, in some hundred bytes.
LINE_LIMIT = 1024 * 1024


def pull(engine: Engine, image: str) -> None:
    """Let the engine fetch an image. Blocks until it is there.

    Raises:
        APIError: the registry, or the engine, refused it.
        ProtocolError: what answers is no engine.
    """
    progress = Progress(image)
    engine.stream(pull_call(image), progress.take, timeout=TIMEOUT_S)
    progress.take(b"\n")


class Progress:
    """What the engine tells while it fetches: a line for each step, of which only a failure is kept.

    The head of the answer was sent long before anything could go wrong: an error is one of these lines.
    """

    def __init__(self, image: str) -> None:
        self._image = image
        self._begun = b""

    def take(self, data: bytes) -> None:
        """Take the next bytes of the answer; raises as `pull`."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > LINE_LIMIT:
            raise no_engine(f"it has a line of more than {LINE_LIMIT} bytes")
        for line in lines:
            if line.strip():
                self._look_at(line)

    def _look_at(self, line: bytes) -> None:
        try:
            step = json.loads(line)
        except ValueError as error:
            raise no_engine("it is no JSON") from error
        failure = step.get("error") if isinstance(step, dict) else None
        if failure:
            raise APIError(
                "pull",
                self._image,
                str(failure),
                "is its name right, and may you have it?",
                status_code=200,
                explanation=str(failure),
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
