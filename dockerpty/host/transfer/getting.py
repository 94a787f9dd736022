"""Files from a container to this machine: `get`, and what it is made of.

The engine makes an archive of each source, which is unpacked as it comes (`incoming`). Blocking: the face of programs
on a loop has a thread for it.
"""

from __future__ import annotations

import glob
import os
import posixpath
import time
from typing import Any

from dockerpty.archive import Member, shown
from dockerpty.errors import ArchiveError, DockerptyError
from dockerpty.host.errors import TransferError
from dockerpty.host.results import FileTransfer, Status, TransferResult
from dockerpty.host.transfer.incoming import Incoming, Limits, Staging, remove
from dockerpty.host.transfer.inside import Inside
from dockerpty.host.transfer.look import Look, script
from dockerpty.host.transfer.onefile import OneFile
from dockerpty.host.transfer.sources import Left, base_of, check_names, listed, reason_of
from dockerpty.host.transfer.stop import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from dockerpty.host.transfer.stop import Progress
    from dockerpty.tree import Parts

BYTES_LIMIT = 64 * 1024 * 1024
"""Of what is read into memory, unless the caller says otherwise."""

# A pattern is matched by the shell itself, which splits nothing with this IFS, and runs nothing of what it expands.
_GLOB = 'IFS=; for p in $1; do if [ -e "$p" ] || [ -L "$p" ]; then printf \'%s\\0\' "$p"; fi; done'


def get(
    inside: Inside,
    src_files: object,
    dest_dir: str | PathLike[str],
    *,
    follow_links: bool = False,
    overwrite: bool = True,
    preserve: bool = True,
    progress: Progress | None = None,
    max_bytes: int | None = None,
) -> TransferResult:
    """Copy files and directories from a container into a directory of this machine.

    Args:
        inside: the container, with what ends the operation.
        src_files: a path, or some; each from the root, or the working directory, or `~`. Where nothing has such a
            name, a pattern (`*?[`).
        dest_dir: made with its parents if it is missing.
        follow_links: of a link get what it leads to.
        overwrite: False leaves what is there, and skips the source.
        preserve: keep permissions and times; else they are as of what is made now.
        progress: told the bytes that are done, those of all as far as they are known, and the path in work.
        max_bytes: of all files together.

    Returns:
        what came of each source, in their order.

    Raises:
        ValueError: two sources have the same name here, or one has none. Nothing was moved.
        TransferError: the container sent what must not be written, or more than was allowed. Nothing was written.
        NotFound: there is no such container.
        EngineUnreachable: no engine answered.
    """
    began = time.monotonic()
    target = os.fspath(dest_dir)
    if why := inside.is_over:
        files = [
            FileTransfer(each, target, Status.Error, 0, f"not reached: {why}") for each in listed(src_files)
        ]
    else:
        # An error here is one of the container or the engine, and not of any source.
        _ = inside.told
        sources = _expanded(inside, listed(src_files))
        check_names([base_of(path) for _, path in sources], [each for each, _ in sources])
        work = _Getting(inside, Meter(progress), Limits(max_bytes), follow_links=follow_links)
        files = work.all(sources, target, overwrite=overwrite, preserve=preserve)
    return TransferResult.of(files, duration=time.monotonic() - began, host=inside.host)


def get_bytes(inside: Inside, path: object, max_bytes: int = BYTES_LIMIT) -> bytes:
    """Read a file of a container; links are followed.

    Raises:
        FileNotFoundError: nothing is there.
        TransferError: it is no file, or larger than `max_bytes`.
        DockerptyError: it cannot be read.
    """
    kept = bytearray()
    get_stream(inside, path, kept.extend, max_bytes=max_bytes)
    return bytes(kept)


def get_stream(
    inside: Inside,
    path: object,
    take: Callable[[bytes], None],
    *,
    max_bytes: int | None = None,
    slowly: bool = False,
) -> None:
    """Hand on a file of a container in pieces, as they come; raises as `get_bytes`, and what `take` raises.

    Args:
        slowly: who takes it may ask the engine for more of this container meanwhile, which Docker does not answer
            while an archive is on its way: a program is preferred.
    """
    there = inside.absolute(path)
    _ = inside.told
    found = inside.find(there)
    if found is None:
        raise FileNotFoundError(f"there is no {inside.said(there)}")
    if not found.is_file:
        reason = "it is a directory" if found.is_dir else "it is no file"
        raise TransferError("read", inside.said(there), reason, host=inside.host)
    try:
        if not inside.is_hidden(found.path) and not (slowly and inside.does_all):
            file = OneFile(inside.said(there), max_bytes, take, host=inside.host)
            inside.archive(found.path, file.take)
            if file.eof():
                return
            _left_out(inside, found)
        _cat(inside, found.path, take, Limits(max_bytes))
    except ArchiveError as error:
        raise inside.distrusted(there, error) from error


def expanded(inside: Inside, pattern: str) -> list[str]:
    """List the paths that a pattern of the container's shell stands for."""
    output = inside.must("look for", pattern, script(_GLOB, pattern))
    return output.decode("utf-8", "surrogateescape").split("\0")[:-1]


def _expanded(inside: Inside, sources: list[Any]) -> list[tuple[Any, str]]:
    """Give each source as it was passed with a path that it stands for."""
    found = []
    for source in sources:
        text = str(source)
        path = inside.absolute(text)
        paths = [path]
        try:
            if glob.has_magic(text) and inside.find(path, follow_links=False) is None and inside.has_shell:
                paths = expanded(inside, path) or [path]
        except DockerptyError:
            pass  # as it will be told of this source
        found += [(source if each == path else each, each) for each in paths]
    return found


class _Getting:
    """One call of `get`."""

    def __init__(self, inside: Inside, meter: Meter, limits: Limits, *, follow_links: bool) -> None:
        self._inside = inside
        self._meter = meter
        self._limits = limits
        self._follow_links = follow_links

    def all(
        self, sources: list[tuple[Any, str]], target: str, *, overwrite: bool, preserve: bool
    ) -> list[FileTransfer]:
        """Get each source, and give what came of it."""
        files: list[FileTransfer] = []
        try:
            staging = Staging(target)
        except DockerptyError as error:
            return [
                FileTransfer(source, os.path.join(target, base_of(path)), Status.Failed, 0, str(error))
                for source, path in sources
            ]
        with staging:
            self._staging, self._preserve = staging, preserve
            for source, path in sources:
                name = base_of(path)
                final = staging.final(name)
                if why := self._inside.is_over:
                    files.append(FileTransfer(source, final, Status.Error, 0, f"not reached: {why}"))
                elif not overwrite and os.path.lexists(final):
                    files.append(FileTransfer(source, final, Status.Skipped, 0, "it is there already"))
                else:
                    files.append(self._one(source, path, name, final))
            # All has come that will: what was cut short by the end of the time stays away, as does all with a trap.
            for index, each in enumerate(files):
                staged = os.path.join(staging.path, os.path.basename(each.target))
                if each.status is Status.Success and os.path.lexists(staged):
                    files[index] = self._revealed(each)
        self._meter.end()
        return files

    def _revealed(self, file: FileTransfer) -> FileTransfer:
        if why := self._inside.is_over:
            return file._replace(status=Status.Error, bytes=0, error=why)
        try:
            self._staging.reveal(os.path.basename(file.target))
        except DockerptyError as error:
            return file._replace(status=Status.Failed, bytes=0, error=str(error))
        return file

    def _one(self, source: Any, path: str, name: str, final: str) -> FileTransfer:
        inside, left = self._inside, Left()
        try:
            found = inside.find(path, follow_links=self._follow_links)
            if found is None:
                return FileTransfer(source, final, Status.Failed, 0, f"there is no {inside.said(path)}")
            moved = self._fetch(found, (), name, left, (found.path,))
        except ArchiveError as error:
            raise inside.distrusted(path, error) from error
        except DockerptyError as error:
            remove(os.path.join(self._staging.path, name))
            status, why = inside.outcome(error)
            return FileTransfer(source, final, status, 0, why)
        if moved is None:
            return FileTransfer(source, final, Status.Skipped, 0, str(left) or "it is no file or directory")
        return FileTransfer(source, final, Status.Success, moved, str(left))

    def _fetch(self, found: Look, parts: Parts, name: str, left: Left, chain: tuple[str, ...]) -> int | None:
        """Bring a path of the container to `parts` and `name` below the staging: how many bytes; None if it is none."""
        inside = self._inside
        hidden = inside.is_hidden(found.path)
        if hidden and (found.is_file or (inside.is_made_up(found.path) and not found.is_dir)):
            return self._read(found, os.path.join(self._staging.path, *parts, name))
        by_engine = not hidden and not inside.hidden_below(found.path)
        if found.is_link and inside.engine.is_podman and inside.has_tar:
            by_engine = False  # for which one to nowhere is nothing
        moved = self._unpack(found, parts, name, left, chain, by_engine=by_engine)
        if moved is None and by_engine and (found.is_file or found.is_dir or found.is_link):
            _left_out(inside, found)
            if found.is_file:
                return self._read(found, os.path.join(self._staging.path, *parts, name))
            return self._unpack(found, parts, name, left, chain, by_engine=False)
        return moved

    def _unpack(
        self, found: Look, parts: Parts, name: str, left: Left, chain: tuple[str, ...], *, by_engine: bool
    ) -> int | None:
        """Do that by way of an archive."""
        inside = self._inside
        folder = os.path.join(self._staging.path, *parts)
        links: list[tuple[Parts, Parts]] | None = [] if self._follow_links else None
        incoming = Incoming(
            folder,
            base_of(found.path),
            name,
            self._limits,
            left,
            started=self._started,
            umask=None if self._preserve else self._staging.umask,
            links=links,
        )
        try:

            def take(data: bytes) -> None:
                before = incoming.moved
                incoming.take(data)
                self._meter.moved(incoming.moved - before, self._path)

            self._path = found.path
            if by_engine:
                inside.archive(found.path, take)
            else:
                self._tar(found, take)
            incoming.eof()
        finally:
            incoming.close()
        if not incoming.members:
            return None
        moved = incoming.moved
        for there, here in links or ():
            moved += self._linked(found, there, (*parts, *here), left, chain)
        return moved

    def _tar(self, found: Look, take: Callable[[bytes], None]) -> None:
        """Hand on the archive that a program makes of a path, where the engine does not see all of it."""
        inside = self._inside
        if found.is_dir and any(map(inside.is_made_up, (found.path, *inside.hidden_below(found.path)))):
            reason = "the kernel makes up what is in it, and no archive can tell how much that is"
            raise DockerptyError("get", inside.said(found.path), reason, "get its files, one by one")
        inside.need_shell(found.path)
        folder, name = posixpath.split(found.path)
        inside.must("get", found.path, ("tar", "-cf", "-", "-C", folder, "--", name), on_output=take)

    def _read(self, found: Look, staged: str) -> int:
        """Bring a file by its content, of which nobody knows the size before it ends."""
        inside, moved = self._inside, 0
        self._limits.count(Member(found.path))
        if not inside.is_made_up(found.path):
            self._meter.expect(found.size)
        with open(staged, "xb", buffering=0) as file:

            def take(data: bytes) -> None:
                nonlocal moved
                rest = memoryview(data)
                try:
                    while rest:
                        rest = rest[file.write(rest) :]
                except OSError as error:
                    raise DockerptyError("write", shown(staged), reason_of(error)) from error
                moved += len(data)
                self._meter.moved(len(data), found.path)

            _cat(inside, found.path, take, self._limits)
            mode = found.mode & 0o777 if self._preserve else 0o666 & ~self._staging.umask
            os.fchmod(file.fileno(), mode)
            if self._preserve and found.mtime:
                os.utime(file.fileno(), (found.mtime, found.mtime))
        return moved

    def _linked(self, found: Look, there: Parts, here: Parts, left: Left, chain: tuple[str, ...]) -> int:
        """Bring what a link in a directory leads to, to where the link would be."""
        inside = self._inside
        link = inside.look(posixpath.join(posixpath.dirname(found.path), *there))
        target = inside.followed(link) if link is not None else None
        if target is None:
            left(f"left out {shown('/'.join(there))}: it is a link to nowhere")
            return 0
        if any(f"{each}/".startswith(target.path.rstrip("/") + "/") for each in chain):
            raise DockerptyError(
                "get", inside.said(found.path), "its links lead in a circle", "get the links themselves"
            )
        folder = os.path.join(self._staging.path, *here[:-1])
        before = os.stat(folder)
        os.chmod(folder, before.st_mode | 0o700)
        moved = self._fetch(target, here[:-1], here[-1], left, (*chain, target.path))
        os.chmod(folder, before.st_mode)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        return moved or 0

    def _started(self, member: Member) -> None:
        self._path = member.name
        self._meter.expect(member.size)


def _left_out(inside: Inside, found: Look) -> None:
    """Raise DockerptyError where nothing but the engine can give a file, and it gives an archive without it.

    Docker 20.10 does so for a single file whose name is no UTF-8.
    """
    if not inside.has_shell:
        reason = "the engine leaves it out of its archive"
        raise DockerptyError("get", inside.said(found.path), reason, "get the directory that it is in")


def _cat(inside: Inside, path: str, take: Callable[[bytes], None], limits: Limits) -> None:
    inside.need_shell(path)
    member = Member(path)

    def feed(data: bytes) -> None:
        limits.count_bytes(member, len(data))
        take(data)

    inside.must("read", path, ("cat", "--", path), on_output=feed)
