"""An image that a command line needs: pulled with what its user may have, and shown on stderr."""

from __future__ import annotations

import os

from dockerpty.engine.pull import pull, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line
    from dockerpty.engine.client import Engine


def platform_of(line: Line) -> str:
    """Give the platform that an image is to be for: what the line says, or DOCKER_DEFAULT_PLATFORM; "" for any."""
    given: str | None = line.values.get("platform")
    return os.environ.get("DOCKER_DEFAULT_PLATFORM", "") if given is None else given


def fetch_missing(engine: Engine, line: Line, image: str) -> None:
    """Say that an image is not there, and pull it; raises as `fetch`."""
    from dockerpty.cli.session import notices

    platform = platform_of(line)
    wanted = f"{image} for {platform}" if platform else image
    notices(line)(f"cannot find the image {wanted} on the engine: it is pulled")
    fetch(engine, line, image)


def fetch(engine: Engine, line: Line, image: str) -> None:
    """Pull an image for a command line: with what its user may have, and shown unless it is to be quiet.

    Raises:
        DockerptyError: as `pull`.
    """
    from dockerpty.cli.engine import configuration_of
    from dockerpty.cli.session import notices
    from dockerpty.engine.credentials import registry_auth

    platform = platform_of(line)
    auth = registry_auth(configuration_of(line), split(image)[0], notices(line))
    if line.values["quiet"]:
        pull(engine, image, platform=platform, auth=auth)
        return
    from dockerpty.cli.progress import progress

    shown = progress()
    try:
        pull(engine, image, shown.take, platform=platform, auth=auth)
    finally:
        shown.close()
