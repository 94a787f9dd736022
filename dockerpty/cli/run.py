"""`dpty run`: run a command in a new container."""

from __future__ import annotations

from dockerpty import calls
from dockerpty.cli.outcome import say, show
from dockerpty.cli.session import (
    bridge,
    engine_of,
    is_interactive,
    keywords,
    refuse_session_flags,
    wants_tty,
)
from dockerpty.errors import NotFound
from dockerpty.pty import RunOperation
from dockerpty.spec import container_config, environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockerpty.cli.grammar import Line
    from dockerpty.engine import Engine


def command(line: Line, common: Line) -> int:
    """Run the command line, and return its exit code."""
    image, *words = line.words
    values = line.values
    tty = wants_tty(line)
    interactive = is_interactive(line)
    if values["detach"]:
        refuse_session_flags(line)
    config = container_config(
        image,
        words,
        interactive=interactive,
        tty=tty,
        detach=values["detach"],
        environment=environment(values["env"], values["env_file"]),
        user=values["user"],
        workdir=values["workdir"],
        entrypoint=values["entrypoint"],
        hostname=values["hostname"],
        labels=values["label"],
        volumes=values["volume"],
        network=values["network"],
        privileged=values["privileged"],
        init=values["init"],
        remove=values["rm"],
    )
    engine = engine_of(common)
    try:
        if values["detach"]:
            return _in_the_background(engine, config, image, values["name"])
        session = keywords(line, tty)

        def run() -> int:
            return bridge(
                engine, RunOperation.create(engine, config, interactive, name=values["name"], **session)
            )

        return int(_with_image(engine, image, run))
    finally:
        engine.close()


def _in_the_background(engine: Engine, config: dict[str, Any], image: str, name: str | None) -> int:
    reply = _with_image(
        engine, image, lambda: engine.send(calls.create_container(config, name), subject=image)
    )
    container: str = reply.json()["Id"]
    engine.send(calls.start_container(container), subject=name or container[:12])
    show(container)
    return 0


def _with_image(engine: Engine, image: str, create: Any) -> Any:
    """Call `create`, and if it fails for want of the image, fetch that and call it again."""
    try:
        return create()
    except NotFound as error:
        if "no such image" not in error.explanation.lower():
            raise
    from dockerpty.cli.pull import pull

    say(f"cannot find the image {image} on the engine: it is pulled")
    pull(engine, image)
    return create()
