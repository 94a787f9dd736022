"""An image that is not there, fetched by the engine; and what is done again once it is there."""

from __future__ import annotations

from dockerpty.engine import plain_json
from dockerpty.engine.calls import Call, no_engine
from dockerpty.engine.twins import twin
from dockerpty.errors import APIError, ImageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from dockerpty.engine.interface import Engine

    Show = Callable[[dict[str, Any]], None]
    T = TypeVar("T")

# The engine says nothing for as long as a layer takes, and some are many gigabytes on slow lines.
TIMEOUT_S = 6 * 3600.0
# A line tells of one step of one layer, in some hundred bytes.
LINE_LIMIT = 1024 * 1024


def with_image(create: Callable[[], T], pull: Callable[[], None]) -> T:
    """Call `create`, and if it fails for want of its image, `pull` that and call it again."""
    try:
        return create()
    except ImageNotFound:
        pull()
    return create()


def pull(
    engine: Engine, image: str, show: Show | None = None, *, platform: str | None = None, auth: str = ""
) -> None:
    """Let the engine fetch an image. Blocks until it is there.

    Args:
        show: is told each step, as the engine tells it: `status`, and where it is about a layer `id` and
            `progressDetail`.
        platform: of the image, where there are several.
        auth: who we are to the registry (see `credentials`); "" for nobody.

    Raises:
        APIError: the registry, or the engine, refused it.
        ProtocolError: what answers is no engine.
    """
    progress = Progress(image, show)
    engine.stream(pull_call(image, platform, auth), progress.take, timeout=TIMEOUT_S)
    progress.take(b"\n")


class Progress:
    """What the engine tells while it fetches: a line for each step. A failure among them is raised.

    The head of the answer was sent long before anything could go wrong: an error is one of these lines.
    """

    def __init__(self, image: str, show: Show | None = None) -> None:
        self._image = image
        self._show = show
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
            step = plain_json.loads(line)
        except (ValueError, RecursionError) as error:
            raise no_engine("it is no JSON") from error
        failure = step.get("error") if isinstance(step, dict) else None
        if failure:
            words = str(failure)
            hint = "is its name right, and may you have it?"
            raise twin(APIError("pull", self._image, words, hint, status_code=200, explanation=words))
        if self._show is not None and isinstance(step, dict):
            self._show(step)


def pull_call(image: str, platform: str | None = None, auth: str = "") -> Call:
    """Make the call: `POST /images/create`, Engine API 1.24; with a platform 1.32."""
    name, tag = split(image)
    kwargs = {"repository": name, "tag": tag}
    if platform:
        kwargs["platform"] = platform
    return Call(
        "POST",
        "/images/create",
        {"fromImage": name, "tag": tag, "platform": platform or None},
        name="pull",
        kwargs=kwargs,
        action="pull",
        subject=image,
        headers=(("X-Registry-Auth", auth),) if auth else (),
    )


def split(image: str) -> tuple[str, str]:
    """Split an image's reference into its name and its tag or digest; without either the tag is `latest`."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    before, colon, tag = image.rpartition(":")
    # host:5000/name has a port and no tag.
    return (before, tag) if colon and "/" not in tag else (image, "latest")
