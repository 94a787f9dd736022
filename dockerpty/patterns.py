"""Names in a container that a pattern stands for, found without a program in it: by the archive of a directory."""

from __future__ import annotations

import fnmatch
import posixpath

from dockerpty.archive import DIRECTORY, Member, Reader, parts_of
from dockerpty.engine import calls
from dockerpty.transfer import TIMEOUT_S, clean, stat_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockerpty.engine.interface import Engine


def matching(engine: Engine, container: str, pattern: str) -> list[str]:
    """List the paths in a container that match a pattern, sorted.

    The engine tells what is in a directory only with all that is below it, which comes and is passed over: the deeper
    the first step with a sign in it, the less it is. Links are not followed, but for those before that step.

    Args:
        pattern: with `*`, `?` and `[...]`, which do not match a slash, nor a dot that begins a name. One that ends with
            a slash matches directories only. It is relative to the container's root.

    Raises:
        DockerptyError: the engine refused, or what came is no archive.
    """
    steps = clean("/" + pattern).split("/")[1:]
    before = next((at for at, step in enumerate(steps) if any(sign in step for sign in "*?[")), len(steps))
    folder, steps = "/" + "/".join(steps[:before]), steps[before:]
    # With the dot, what is in the directory that a link leads to; without anything there, the engine need not look.
    inside = posixpath.join(folder, ".")
    if stat_path(engine, container, inside) is None:
        return []
    if engine.is_podman:
        # It would give the archive of a file just so; by the slash the directory's own name comes before all others.
        inside = posixpath.join(folder, "")
    own = 1 if engine.is_podman and folder != "/" else 0
    reader, found = Reader(), set[str]()

    def take(data: bytes) -> None:
        for event in reader.feed(data):
            if isinstance(event, Member) and (event.kind == DIRECTORY or not pattern.endswith(("/", "/."))):
                parts = parts_of(event.name)[own:]
                if _match(parts, steps):
                    found.add(posixpath.join(folder, *parts))

    engine.stream(calls.get_archive(container, inside), take, timeout=TIMEOUT_S)
    reader.eof()
    return sorted(found)


def _match(parts: Sequence[str], steps: Sequence[str]) -> bool:
    return len(parts) == len(steps) and all(
        fnmatch.fnmatchcase(part, step) and (step.startswith(".") or not part.startswith("."))
        for part, step in zip(parts, steps, strict=True)
    )
