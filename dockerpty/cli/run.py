"""`dpty run`: run a command in a new container."""

from __future__ import annotations

from dockerpty.cli.container_flags import ASKED
from dockerpty.cli.engine import configuration_of, engine_of
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import flush, show
from dockerpty.cli.pull import fetch, fetch_missing, platform_of
from dockerpty.cli.session import (
    START_LIMIT_S,
    bridge,
    is_interactive,
    keywords,
    notices,
    refuse_session_flags,
    variables_of,
    wants_tty,
)
from dockerpty.container.spec import container_config
from dockerpty.engine import calls
from dockerpty.engine.pull import with_image
from dockerpty.errors import DockerptyError
from dockerpty.pty import RunOperation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dockerpty.cli.cidfile import CidFile
    from dockerpty.cli.grammar import Line
    from dockerpty.engine.client import Engine

_STREAMS = ("stdin", "stdout", "stderr")
# Which engines came to know late: older ones would pass over them without a word.
_SINCE = {"annotation": (1, 43), "health_start_interval": (1, 44)}


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    values = line.values
    tty = wants_tty(line)
    _refuse_contradictions(line)
    streams = _streams(line)
    engine = engine_of(line)
    file = None
    try:
        config = _config(line, tty, streams, engine.name)
        _refuse_too_new(engine, line)
        if values["cidfile"]:
            from dockerpty.cli.cidfile import CidFile

            file = CidFile(values["cidfile"])

        def created(answer: dict[str, Any]) -> None:
            _tell_created(line, answer, file)
            shown = config["AttachStdout"] or config["AttachStderr"] or values["json"]
            if streams and not shown:
                # Nothing else will tell it: we leave when the input is there.
                show(answer["Id"])
                flush()

        if values["detach"]:
            return _with_image(engine, line, lambda: _in_the_background(engine, line, config, created))
        chosen = {*streams, "stdin"} if streams and is_interactive(line) else streams or _STREAMS
        more = {**keywords(line, tty), "streams": chosen, "created": created}

        def run() -> int:
            name, platform = values["name"], platform_of(line)
            operation = RunOperation.create(
                engine, config, is_interactive(line), name=name, platform=platform, **more
            )
            return bridge(engine, operation, line)

        return _with_image(engine, line, run)
    finally:
        engine.close()
        if file is not None:
            file.close()


def _config(line: Line, tty: bool, streams: list[str], engine: str) -> dict[str, Any]:
    image, *words = line.words
    values = line.values
    variables = variables_of(line)
    proxies = configuration_of(line).group("proxies")
    if proxies:
        from dockerpty.engine.proxies import with_proxies

        variables = with_proxies(variables, proxies, engine)
    return container_config(
        image,
        words,
        interactive=is_interactive(line),
        tty=tty,
        detach=values["detach"],
        environment=variables,
        user=values["user"],
        workdir=values["workdir"],
        entrypoint=values["entrypoint"],
        hostname=values["hostname"],
        labels=values["label"],
        label_files=values["label_file"],
        volumes=values["volume"],
        networks=values["network"],
        privileged=values["privileged"],
        init=values["init"],
        remove=values["rm"],
        streams=streams,
        asked={dest: values[dest] for dest in ASKED if values[dest] or values[dest] == ""},
    )


def _refuse_contradictions(line: Line) -> None:
    values = line.values
    if values["detach"]:
        refuse_session_flags(line)
        if values["attach"]:
            raise UsageError("use", "--attach", "nobody attaches with --detach", "leave out one of them")
    if not values["disable_content_trust"]:
        reason = "signatures of images are not checked here"
        raise UsageError("use", "--disable-content-trust=false", reason, "pull it with docker")


def _refuse_too_new(engine: Engine, line: Line) -> None:
    """Refuse what this engine does not know yet, as docker does. It is asked only where that matters."""
    for dest, since in _SINCE.items():
        if line.values[dest] in (None, []):
            continue
        if engine.api_version is None:
            engine.send(calls.ping())
        spoken = engine.api_version
        if spoken is not None and spoken < since:
            reason = "the engine speaks API {}.{} and knows it only from {}.{} on".format(*spoken, *since)
            raise DockerptyError("use", f"--{dest.replace('_', '-')}", reason, "leave it out")


def _streams(line: Line) -> list[str]:
    """Give what -a asks for, in lower case; [] for no such flag."""
    streams = [name.lower() for name in line.values["attach"]]
    for name in streams:
        if name not in _STREAMS:
            reason = f"{name!r} is none of {', '.join(_STREAMS)}"
            raise UsageError("use", f"--attach {name}", reason, line.command.see)
    return streams


def _in_the_background(
    engine: Engine, line: Line, config: dict[str, Any], created: Callable[[dict[str, Any]], None]
) -> int:
    values = line.values
    call = calls.create_container(config, values["name"], platform_of(line))
    answer = engine.send(call, timeout=START_LIMIT_S).json()
    container: str = answer["Id"]
    try:
        created(answer)
        subject = values["name"] or container[:12]
        engine.send(calls.start_container(container), subject=subject, timeout=START_LIMIT_S)
    except BaseException:
        if values["rm"]:
            _remove_unstarted(engine, container)
        raise
    if values["json"]:
        from dockerpty.cli.capture import show_detached

        show_detached(container, None, line.words[1:])
    else:
        show(container)
    return 0


def _remove_unstarted(engine: Engine, container: str) -> None:
    """Remove what never started: that never ends, and the engine removes only what has ended."""
    try:
        # Not by force: if it runs after all, it is the user's, and removes itself.
        engine.send(calls.remove_container(container, volumes=True))
    except DockerptyError:
        return  # mostly that the engine has done it


def _tell_created(line: Line, answer: dict[str, Any], file: CidFile | None) -> None:
    """Pass on what the engine says of a container that it has created, before anything else is done with it."""
    if file is not None:
        file.write(answer["Id"])
    for warning in answer.get("Warnings") or ():
        notices(line)(f"the engine warns: {warning}")


def _with_image(engine: Engine, line: Line, create: Callable[[], int]) -> int:
    """Call `create`, with the image fetched before or in between as `--pull` has it."""
    image, when = line.words[0], line.values["pull"]
    if when == "missing":
        return with_image(create, lambda: fetch_missing(engine, line, image))
    if when == "always":
        fetch(engine, line, image)
    return create()
