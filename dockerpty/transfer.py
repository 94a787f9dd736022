"""Copying between this machine and a container, by the rules of `docker cp`.

The engine reads and writes a container's files as tar archives, whether it runs or not (Engine API 1.24,
`/containers/{id}/archive`). Here stands what docker makes of a path, a trailing slash and what is there already; the
files of this machine are `tree`'s affair. What is moved passes through in pieces: nothing is kept, here or on a disk.
"""

from __future__ import annotations

import base64
import json
import os
import posixpath
import stat

from dockerpty.archive import DIRECTORY, FILE, HARDLINK, shown
from dockerpty.engine import calls
from dockerpty.engine.calls import no_engine
from dockerpty.errors import APIError, ArchiveError, DockerptyError
from dockerpty.tree import Unpacker, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from dockerpty.archive import Member
    from dockerpty.engine.interface import Engine
    from dockerpty.tree import Notice, Parts

    Moved: TypeAlias = Callable[[int], None]

# For all of an archive, which may be large and the way long.
TIMEOUT_S = 24 * 3600.0

# Go's bits of a file's mode (io/fs.FileMode), as an engine writes them.
_GO_DIRECTORY = 1 << 31
_GO_LINK = 1 << 27
_GO_DEVICE = 1 << 26
_GO_IRREGULAR = 1 << 19

# As docker: a chain of links that is longer leads in a circle.
_LINKS = 10


class PathStat:
    """What an engine says of a path in a container.

    Attributes:
        mode: Go's bits.
        link: for a link, the path in the container that it leads to; else empty.
        size: bytes, of a file.
        mtime: when it was changed, as RFC 3339 has it.
    """

    __slots__ = ("link", "mode", "mtime", "size")

    def __init__(self, mode: int, link: str, size: int = 0, mtime: str = "") -> None:
        self.mode = mode
        self.link = link
        self.size = size
        self.mtime = mtime

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, and no link to one."""
        return bool(self.mode & _GO_DIRECTORY)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return bool(self.mode & _GO_LINK)


def stat_path(engine: Engine, container: str, path: str, *, timeout: float = TIMEOUT_S) -> PathStat | None:
    """Ask what a path of a container is; `None` where there is nothing, or no such container.

    Args:
        timeout: seconds: it waits for who reads an archive of the container.

    Raises:
        EngineUnreachable, ProtocolError: no engine answered.
    """
    try:
        reply = engine.send(calls.stat_archive(container, path), timeout=timeout)
    except APIError:
        # It has no words in it: the call that follows will be told why.
        return None
    try:
        told = json.loads(base64.b64decode(reply.headers["x-docker-container-path-stat"]))
        link, mtime = str(told.get("linkTarget") or ""), str(told.get("mtime") or "")
        return PathStat(int(told["mode"]), link, int(told.get("size") or 0), mtime)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise no_engine("there is nothing about the path in it") from error


def is_pattern(engine: Engine, container: str, path: str) -> bool:
    """Say whether a path has signs of a pattern in it, and nothing in the container has that very name."""
    return any(sign in path for sign in "*?[") and stat_path(engine, container, path) is None


def copy_out(
    engine: Engine,
    container: str,
    source: str,
    target: str,
    *,
    follow_link: bool = False,
    keep_owner: bool = False,
    mode: int | None = None,
    overwrite: bool = True,
    moved: Moved,
    notice: Notice,
) -> str:
    """Copy from a container to this machine, and return the full name of the target.

    Args:
        source: in the container; relative to its root.
        target: here. A directory that exists gets the source inside, any other name is the copy's.
        follow_link: of a source that is a link copy what it leads to, under the link's name.
        keep_owner: give the files to the numbers that own them in the container, where we are root.
        mode: the permissions of all files, in place of their own.
        overwrite: False leaves files that are there as they are; directories are filled all the same.
        moved: told how many bytes of archive have come.
        notice: told what is left out.

    Raises:
        ArchiveError: what came is no archive, or would write outside the target.
        DockerptyError: the engine refused, or this machine cannot write it.
    """
    target = _keep_ending(os.path.abspath(target), target)
    _check_target(target)
    asked = source
    if follow_link:
        source = _followed(engine, container, source)
    there, is_directory = _followed_here(target)
    folder, name = (there, "") if is_directory else split_entry(there)
    copied = base(source if _is_dot(source) else clean("/" + source))
    whole = copied in (".", "/")
    if copied == "." and clean("/" + source) != "/" and _is_podman(engine):
        # Of all that is in a directory Podman's archive lacks the directory itself, and may be of a file.
        source = clean("/" + source) + "/"
        copied = base(source)
    inside = base(asked if _is_dot(asked) else clean("/" + asked))
    if keep_owner and _is_podman(engine):
        # With root's name under it a set-id bit of anybody's would give the rights of root.
        notice("Podman does not tell who owns a file: what is copied is yours")
        keep_owner = False
    final = os.path.join(folder, name or inside)
    if not overwrite and not whole and os.path.lexists(final) and not os.path.isdir(final):
        known = stat_path(engine, container, source)
        if known is not None and not known.is_directory:
            # All of it would come only to be left out.
            return target
    came = False

    def place(member: Member, parts: Parts) -> Parts:
        nonlocal came
        if not came and source.endswith("/") and member.kind != DIRECTORY:
            # Docker's engine has refused by now; Podman does not look at the slash.
            raise _no_directory(container, source)
        came = True
        if not unpacker.members and not is_directory:
            _check_kind(there, os.path.lexists(there), member.kind == DIRECTORY)
        if copied not in (".", "/"):
            if parts[:1] != (copied,):
                raise ArchiveError(
                    "write",
                    shown(member.name),
                    f"only {shown(copied)} was asked for",
                    "do not use that engine",
                )
            parts = parts[1:]
        if whole:
            return (name, *parts) if name else parts
        return (name or inside, *parts)

    try:
        unpacker = Unpacker(folder, place, notice, keep_owner=keep_owner, mode=mode, overwrite=overwrite)
    except OSError as error:
        raise DockerptyError("write to", shown(folder), error.strerror or str(error)) from error
    try:

        def take(data: bytes) -> None:
            moved(len(data))
            unpacker.take(data)

        _download(engine, container, source, take)
        unpacker.eof()
        if not unpacker.members and not whole:
            raise DockerptyError(
                "copy",
                f"{container}:{source}",
                "it is no file, directory or link",
                "copy what is in it with `cat`",
            )
    finally:
        unpacker.close()
    return target


def stream_out(
    engine: Engine, container: str, source: str, write: Callable[[bytes], None], *, follow_link: bool = False
) -> None:
    """Hand a path of a container on as the tar archive that the engine makes of it; raises as `copy_out`."""
    if follow_link:
        source = _followed(engine, container, source)
    _download(engine, container, source, write)


def copy_in(
    engine: Engine,
    container: str,
    source: str,
    target: str,
    *,
    follow_link: bool = False,
    keep_owner: bool = False,
    mode: int | None = None,
    owner: tuple[int, int] | None = None,
    overwrite: bool = True,
    moved: Moved,
    notice: Notice,
) -> str:
    """Copy from this machine into a container, and return the path there.

    Args:
        source: here.
        target: in the container; relative to its root. A directory that exists gets the source inside, any other name
            is the copy's.
        follow_link: of a source that is a link copy what it leads to, under the link's name.
        keep_owner: what docker calls `copyUIDGID`.
        mode: the permissions of all files, in place of their own.
        owner: numbers of the user and the group that shall own all that is copied.
        overwrite: False leaves files that are there as they are; directories are filled all the same.
        moved: told how many bytes of archive the engine has taken.
        notice: told what is left out.

    Raises:
        DockerptyError: the engine refused, or this machine cannot read it.
    """
    there, known = _target_in(engine, container, target)
    path, name, is_directory = _source_here(source, follow_link)
    folder = there
    if known is None or not known.is_directory:
        _check_kind(f"{container}:{there}", known is not None, is_directory)
        folder, name = split_entry(there)
        if known is None and engine.is_podman:
            _check_folder(engine, container, folder)

    # Asked before: while the engine takes an archive, it answers nothing else about the container.
    left = set() if overwrite else _already_there(engine, container, folder, path, name)
    if left and not is_directory:
        return f"{container}:{there}"

    def alter(member: Member) -> bool:
        if mode is not None and member.kind in (FILE, HARDLINK):
            member.mode = mode
        if owner is not None:
            member.uid, member.gid = owner
        return member.name not in left

    def pieces() -> Iterator[bytes]:
        for piece in pack(path, name, notice, alter=alter):
            yield piece
            moved(len(piece))

    call = calls.put_archive(container, folder, keep_owner=keep_owner)
    engine.upload(call, pieces(), timeout=TIMEOUT_S)
    return f"{container}:{there}"


def stream_in(
    engine: Engine, container: str, pieces: Iterator[bytes], target: str, *, keep_owner: bool = False
) -> None:
    """Let the engine unpack a tar archive, compressed or not, into a directory of a container; raises as `copy_in`."""
    there, known = _target_in(engine, container, target)
    if known is None:
        # Which of the two it is, only this tells.
        engine.send(calls.inspect_container(container))
    if reason := _no_directory_for(known):
        raise DockerptyError(
            "unpack into", f"{container}:{target}", reason, "a tar archive needs one that exists"
        )
    engine.upload(calls.put_archive(container, there, keep_owner=keep_owner), pieces, timeout=TIMEOUT_S)


def check_directory(engine: Engine, container: str, target: str) -> None:
    """Raise DockerptyError unless a target is a directory that exists, which several sources need.

    Args:
        container: that it is in; empty for one here.
    """
    if container:
        reason = _no_directory_for(_target_in(engine, container, target)[1])
    elif os.path.isdir(target):
        reason = ""
    else:
        reason = "it is no directory" if os.path.lexists(target) else "there is no such directory"
    if reason:
        where = f"{container}:{target}" if container else shown(target)
        raise DockerptyError("copy several files to", where, reason, "they need one that exists")


def name_of(source: str, *, here: bool) -> str:
    """Give the name that a source gets in a directory; empty for one that is copied without its own."""
    full = os.path.abspath(source) if here else clean("/" + source)
    return "" if _is_dot(source) or full == "/" else base(full)


def _no_directory_for(known: PathStat | None) -> str:
    if known is None:
        return "there is no such directory"
    return "" if known.is_directory else "it is no directory"


def _already_there(engine: Engine, container: str, folder: str, path: str, name: str) -> set[str]:
    """Name the members of a tree whose place in the container is taken, by anything but a directory."""
    found = set()
    to_do = [(path, name)]
    while to_do:
        here, inside = to_do.pop()
        known = stat_path(engine, container, posixpath.join(folder, inside))
        if known is None:
            # Nor is there anything below it.
            continue
        try:
            if not stat.S_ISDIR(os.lstat(here).st_mode):
                if not known.is_directory:
                    found.add(inside)
            elif known.is_directory:
                to_do += [(os.path.join(here, each), f"{inside}/{each}") for each in os.listdir(here)]
        except OSError:
            continue  # as it will be told when it is read
    return found


def _download(engine: Engine, container: str, source: str, take: Callable[[bytes], None]) -> None:
    try:
        engine.stream(calls.get_archive(container, source), take, timeout=TIMEOUT_S)
    except APIError as error:
        # Said of a path on the engine's own disk, which is nobody's business.
        if _is_said_directory(source) and "not a directory" in error.explanation:
            raise _no_directory(container, source) from error
        raise


def _is_podman(engine: Engine) -> bool:
    if engine.is_podman is None:
        engine.send(calls.ping())
    return bool(engine.is_podman)


def _no_directory(container: str, source: str) -> DockerptyError:
    return DockerptyError(
        "copy from", f"{container}:{source}", "it is no directory", "leave out what follows its name"
    )


def _target_in(engine: Engine, container: str, target: str) -> tuple[str, PathStat | None]:
    """Follow a target that is a link, and say what is there."""
    known = stat_path(engine, container, target)
    there = target
    if known is not None and known.is_link:
        there = _joined(target, known.link)
        known = stat_path(engine, container, there)
    if known is not None and known.mode & (_GO_DEVICE | _GO_IRREGULAR):
        raise DockerptyError(
            "copy to", f"{container}:{target}", "it is a device", "give a directory, or a file's name"
        )
    return there, known


def _check_folder(engine: Engine, container: str, folder: str) -> None:
    """Refuse to copy into a directory that is not there, which Podman would make."""
    # Without a root there is no container, as the next call will be told.
    if stat_path(engine, container, folder) is None and stat_path(engine, container, "/") is not None:
        raise DockerptyError(
            "copy to", f"{container}:{folder}", "there is no such directory", "make it first"
        )


def _followed(engine: Engine, container: str, source: str) -> str:
    known = stat_path(engine, container, source)
    if known is None or not known.is_link:
        return source
    return _keep_ending(_joined(source, known.link), source)


def _joined(path: str, link: str) -> str:
    return link if link.startswith("/") else clean(posixpath.join(split_entry(path)[0], link))


def _source_here(source: str, follow_link: bool) -> tuple[str, str, bool]:
    """Give a source's path without links before its last step, its name in the archive, whether it is a directory."""
    full = _keep_ending(os.path.abspath(source), source)
    try:
        if follow_link:
            path = _keep_ending(os.path.realpath(full, strict=True), full)
        else:
            before, _, last = full.rpartition("/")
            path = posixpath.join(os.path.realpath(before or "/", strict=True), last)
        # With the slash that may end it: this fails for a file.
        is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError as error:
        hint = "is the path right?" if isinstance(error, FileNotFoundError) else ""
        raise DockerptyError("copy", shown(source), (error.strerror or str(error)).lower(), hint) from error
    return path, "." if _is_dot(full) or full == "/" else base(full), is_directory


def _check_target(target: str) -> None:
    parent = os.path.dirname(clean(target))
    if not os.path.isdir(parent):
        raise DockerptyError(
            "copy to", shown(target), f"there is no directory {shown(parent)}", "make it first"
        )
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return  # it will be made
    except OSError as error:
        raise DockerptyError("copy to", shown(target), (error.strerror or str(error)).lower()) from error
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise DockerptyError("copy to", shown(target), "it is a device", "give a directory, or a file's name")


def _followed_here(target: str) -> tuple[str, bool]:
    """Follow a target that is a link; give where it leads, and whether that is a directory. It need not exist."""
    path = target
    for _ in range(_LINKS):
        try:
            link = os.readlink(path.rstrip("/") if path.endswith("/") and len(path) > 1 else path)
        except OSError:
            # No link, or nothing at all.
            break
        path = _keep_ending(_joined(path, link), target)
    else:
        raise DockerptyError("copy to", shown(target), "its links lead in a circle", "give another target")
    if not os.path.isdir(os.path.dirname(clean(path))):
        raise DockerptyError("copy to", shown(target), "it is a link to nowhere", "give another target")
    return path, os.path.isdir(path)


def _check_kind(there: str, exists: bool, is_directory: bool) -> None:
    """Refuse what docker refuses where the target is no directory."""
    if exists and is_directory:
        raise DockerptyError(
            "copy a directory to",
            shown(there),
            "there is a file of that name",
            "give a directory, or a new name",
        )
    if not exists and not is_directory and _is_said_directory(there):
        raise DockerptyError(
            "copy to", shown(there), "there is no such directory", "make it first, or leave out the slash"
        )


# Paths as Go's `path/filepath` has them, which differs from ours in a slash here and there.


def clean(path: str) -> str:
    """Give the shortest name of the same place."""
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path


def base(path: str) -> str:
    """Give the last step; "/" for the root and "." for nothing."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def split_entry(path: str) -> tuple[str, str]:
    """Split a path into the directory and the name in it; a "." at its end is a name."""
    cleaned = clean(path)
    if _is_dot(path):
        return cleaned, "."
    before, slash, last = cleaned.rpartition("/")
    return before or slash or ".", last or "/"


def _keep_ending(cleaned: str, original: str) -> str:
    """Give a cleaned path the slash or dot that ended it: they say that it is a directory, or all that is in one."""
    if _is_dot(original) and not _is_dot(cleaned):
        return posixpath.join(cleaned, ".")
    return posixpath.join(cleaned, "") if original.endswith("/") else cleaned


def _is_dot(path: str) -> bool:
    return base(path) == "."


def _is_said_directory(path: str) -> bool:
    return path.endswith("/") or _is_dot(path)
