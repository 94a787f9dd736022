"""The usual verbs for files of a container: to look, to read and write, to make, move and remove.

What the engine can do by itself it does, also in a container that is stopped or has no shell: to look at a path and to
make a directory. The rest is done by programs of the container's own, as root.
"""

from __future__ import annotations

import fnmatch
import posixpath
import time

from dockerpty.archive import DIRECTORY, Member, Reader, Writer, parts_of
from dockerpty.errors import ArchiveError, DockerptyError
from dockerpty.host.transfer.getting import expanded
from dockerpty.host.transfer.inside import Inside
from dockerpty.host.transfer.look import Look, script
from dockerpty.tree import gathered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LIST = 'cd -- "$1" && for p in * .*; do [ -e "$p" ] || [ -L "$p" ] || continue; printf "%s\\0" "$p"; done'
_NO_NAMES = ("", ".", "..")


def exists(inside: Inside, path: object) -> bool:
    """Say whether there is something at a path; a link to nowhere is nothing."""
    return _found(inside, path) is not None


def stat(inside: Inside, path: object, *, follow_links: bool = True) -> Look:
    """Say what is at a path.

    Raises:
        FileNotFoundError: nothing.
    """
    return _must(inside, path, follow_links=follow_links)


def ls(inside: Inside, path: object = ".") -> list[str]:
    """List the names in a directory, sorted; without a shell its whole archive is read for that.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError: it is none.
    """
    found = _must(inside, path)
    if not found.is_dir:
        raise NotADirectoryError(f"{inside.said(found.path)} is no directory")
    if inside.is_hidden(found.path):
        inside.need_shell(found.path)
    elif not inside.does_all:
        return sorted(_listed(inside, found.path))
    output = inside.must("list", found.path, script(_LIST, found.path))
    return sorted({*output.decode("utf-8", "surrogateescape").split("\0")} - {*_NO_NAMES})


def glob(inside: Inside, pattern: object) -> list[str]:
    """List the paths that a pattern (`*?[`) stands for, sorted; none is no error. Needs a shell."""
    path = inside.absolute(pattern)
    if not inside.has_shell:
        folder, last = posixpath.split(path)
        return [posixpath.join(folder, name) for name in fnmatch.filter(ls(inside, folder), last)]
    return sorted(expanded(inside, path))


def mkdir(
    inside: Inside, path: object, mode: int = 0o755, *, parents: bool = False, exist_ok: bool = False
) -> None:
    """Make a directory, as the host's user has them; a mode as it is, whatever the umask.

    Raises:
        FileExistsError: something is there, and it is no directory, or `exist_ok` was not said.
        FileNotFoundError: one before it is missing, and `parents` was not said.
    """
    at, rest, known = inside.settle(inside.absolute(path))
    if known is not None and not known.is_dir:
        raise FileExistsError(f"{inside.said(at)} is no directory")
    if not rest:
        if not exist_ok:
            raise FileExistsError(f"there is {inside.said(at)} already")
        return
    if "/" in rest and not parents:
        raise FileNotFoundError(f"there is no {inside.said(posixpath.dirname(posixpath.join(at, rest)))}")
    pieces = gathered(_folders(rest, mode, inside.owner()))
    if not inside.is_hidden(posixpath.join(at, rest)):
        inside.upload(at, pieces)
        return
    inside.need_shell(at)
    words = [posixpath.join(at, rest), f"{mode:o}", "{}:{}".format(*inside.owner())]
    inside.must("make", words[0], script('mkdir -p -- "$1" && chmod "$2" "$1" && chown "$3" "$1"', *words))


def rm(inside: Inside, path: object, *, recursive: bool = False, missing_ok: bool = False) -> None:
    """Remove a file, a link, or with `recursive` a directory and all in it. Needs a container that runs.

    Raises:
        FileNotFoundError: nothing is there, and `missing_ok` was not said.
        IsADirectoryError: it is one, and `recursive` was not said.
        DockerptyError: it cannot be removed.
    """
    there = inside.literal(inside.absolute(path))
    found = inside.look(there)
    if found is None:
        if missing_ok:
            return
        raise FileNotFoundError(f"there is no {inside.said(there)}")
    if found.is_dir and not recursive:
        raise IsADirectoryError(f"{inside.said(there)} is a directory")
    _change(inside, "remove", there, ("rm", "-rf", "--", there))


def mv(inside: Inside, source: object, target: object) -> None:
    """Rename a file or directory, in place of a file that has the name; into a directory that has it.

    Raises:
        FileNotFoundError: there is no source.
        DockerptyError: it cannot be renamed.
    """
    there, to = inside.literal(inside.absolute(source)), inside.absolute(target)
    if inside.look(there) is None:
        raise FileNotFoundError(f"there is no {inside.said(there)}")
    _change(inside, "rename", there, ("mv", "-f", "--", there, to))


def _change(inside: Inside, action: str, path: str, argv: tuple[str, ...]) -> None:
    if inside.run is None or not inside.is_running:
        raise DockerptyError(action, inside.said(path), inside.stands_still)
    inside.must(action, path, argv)


def _found(inside: Inside, path: object, *, follow_links: bool = True) -> Look | None:
    # Of a container that is not there nothing is known, either.
    _ = inside.told
    return inside.find(inside.absolute(path), follow_links=follow_links)


def _must(inside: Inside, path: object, *, follow_links: bool = True) -> Look:
    found = _found(inside, path, follow_links=follow_links)
    if found is None:
        raise FileNotFoundError(f"there is no {inside.said(str(path))}")
    return found


def _folders(rest: str, mode: int, owner: tuple[int, int]) -> Iterator[bytes]:
    writer, steps = Writer(), rest.split("/")
    for index in range(len(steps)):
        bits = mode if index == len(steps) - 1 else 0o755
        member = Member("/".join(steps[: index + 1]), DIRECTORY, mode=bits, mtime=int(time.time()))
        member.uid, member.gid = owner
        yield writer.begin(member) + writer.end()


def _listed(inside: Inside, path: str) -> set[str]:
    """List a directory by its archive."""
    reader = Reader()
    names: set[str] = set()
    depth = 0 if path == "/" else 1

    def take(data: bytes) -> None:
        for event in reader.feed(data):
            if isinstance(event, Member):
                names.update(parts_of(event.name)[depth : depth + 1])

    try:
        inside.archive(path, take)
        reader.eof()
    except ArchiveError as error:
        raise inside.distrusted(path, error) from error
    return names
