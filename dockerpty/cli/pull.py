"""An image that a command line needs: pulled with what its user may have, and shown on stderr."""

from __future__ import annotations

from dockerpty.engine.pull import pull, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line
    from dockerpty.engine.client import Engine


def fetch_missing(engine: Engine, line: Line, image: str, platform: str | None = None) -> None:
    """Say that an image is not there, and pull it; raises as `fetch`."""
    from dockerpty.cli.session import notices

    wanted = f"{image} for {platform}" if platform else image
    notices(line)(f"cannot find the image {wanted} on the engine: it is pulled")
    fetch(engine, line, image, platform)


def fetch(engine: Engine, line: Line, image: str, platform: str | None = None) -> None:
    """Pull an image for a command line: with what its user may have, and shown unless it is to be quiet.

    Raises:
        DockerptyError: as `pull`.
    """
    from dockerpty.cli.engine import configuration_of
    from dockerpty.cli.session import notices
    from dockerpty.engine.credentials import registry_auth

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
