"""Several sources of `dpty cp`, or a pattern: all go to one directory, and each has an outcome of its own."""

from __future__ import annotations

from dockerpty.archive import shown
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError, EngineUnreachable
from dockerpty.patterns import matching
from dockerpty.transfer import check_directory, is_pattern, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dockerpty.engine.interface import Engine


def copy_each(
    engine: Engine,
    container: str,
    sources: Sequence[str],
    target: str,
    *,
    inward: bool,
    copy: Callable[[str], str],
    tell: Callable[[str], None],
) -> str:
    """Copy all sources, and return the place where they are; empty if one of them is not there.

    Args:
        target: in the container for those that go `inward`, here for those that come out of it.
        copy: copies one, and returns where.
        tell: says why one could not be copied.

    Raises:
        DockerptyError: the target is no directory, there is no such container, or two sources have one name: nothing
            was copied. Or the engine has gone.
    """
    # Here it is one error, and not one for each of them.
    engine.send(calls.inspect_container(container))
    check_directory(engine, container if inward else "", target)
    place, failed = "", False
    found: list[str] = []
    for source in sources:
        try:
            found += [source] if inward else _expanded(engine, container, source)
        except EngineUnreachable:
            raise
        except DockerptyError as error:
            tell(str(error))
            failed = True
    _check_names(found, inward)
    for source in found:
        try:
            place = copy(source)
        except EngineUnreachable:
            raise
        except DockerptyError as error:
            tell(str(error))
            failed = True
    return "" if failed else place


def _expanded(engine: Engine, container: str, source: str) -> list[str]:
    if not is_pattern(engine, container, source):
        return [source]
    found = matching(engine, container, source)
    if not found:
        raise DockerptyError(
            "copy from", f"{container}:{source}", "nothing there has such a name", "is the pattern right?"
        )
    return found


def _check_names(sources: Sequence[str], inward: bool) -> None:
    """Refuse two sources of one name, of which the second would take the first one's place."""
    known: dict[str, str] = {}
    for source in sources:
        name = name_of(source, here=inward)
        if not name:
            raise DockerptyError(
                "copy", shown(source), "it has no name of its own beside others", "copy it alone"
            )
        if name in known:
            raise DockerptyError(
                "copy",
                f"{shown(known[name])} and {shown(source)}",
                f"both would become {shown(name)}",
                "copy one of them under another name",
            )
        known[name] = source
