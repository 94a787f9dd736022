"""Files from this machine into a container: `put`, and what it is made of.

All sources go in one archive, which is made as the engine takes it: no file between. A file that replaces another one,
and all that is much, is put under a temporary name first, where there is a shell to rename it: so under its final name
there is always a whole file. Blocking: the face of programs on a loop has a thread for it.
"""

from __future__ import annotations

import glob as globbing
import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dockerpty.archive import DIRECTORY, FILE, HARDLINK, SYMLINK, Member, Writer, shown
from dockerpty.engine import calls
from dockerpty.errors import DockerptyError
from dockerpty.host.errors import TransferError
from dockerpty.host.results import FileTransfer, Status, TransferResult
from dockerpty.host.transfer.inside import Inside
from dockerpty.host.transfer.look import Look, numbers_of
from dockerpty.host.transfer.sources import Left, base_of, check_names, listed, reason_of
from dockerpty.host.transfer.stop import Meter
from dockerpty.tree import PIECE, gathered, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from dockerpty.host.transfer.stop import Progress

    Alter: TypeAlias = Callable[[Member], bool]

# What is made on the way to a target.
_FOLDER_MODE = 0o755
_ANY_MODE = 0o7777
_TEMPORARY = ".dpty-"
# So little is sent at once, and needs no other name meanwhile.
_AT_ONCE, _AT_ONCE_BYTES = 32, 64 * 1024

# Rename all that is in $1 into $2, some hundred at a time: an argument list has an end. The shell finds the names by
# itself, since not all bytes of a name can be said in an exec.
_MOVE = r"""
t=$1 d=$2; set --; cd -- "$t" || exit
for n in * .*; do
  case $n in .|..) continue;; esac
  [ -e "$n" ] || [ -L "$n" ] || continue
  set -- "$@" "$n"
  [ $# -lt 500 ] || { mv -f -- "$@" "$d"/ || exit; set --; }
done
[ $# -eq 0 ] || mv -f -- "$@" "$d"/ || exit
cd / && rmdir -- "$t"
"""
# Write one file, of mode $4 and owner $5, as $1/$2, by way of $1/$3. A link of that name is not gone through.
_WRITE = (
    'mkdir -p -- "$1" && umask 077 && cat >"$1/$3" && chmod "$4" "$1/$3" && chown "$5" "$1/$3" '
    '&& { [ ! -L "$1/$2" ] || rm -f -- "$1/$2"; } && mv -f -- "$1/$3" "$1/$2"'
)


def put(
    inside: Inside,
    src_files: object,
    dest_dir: object,
    *,
    mode: int | str | None = None,
    owner: str | tuple[int, int] | None = None,
    follow_links: bool = False,
    overwrite: bool = True,
    name: str | None = None,
    glob: bool = False,
    progress: Progress | None = None,
) -> TransferResult:
    """Copy files and directories of this machine into a directory of a container.

    What replaces a file does so when it is whole, where there is a shell. Of a directory that is there already the
    files are written in place, by the engine.

    Args:
        inside: the container, with what ends the operation.
        src_files: a path, or some.
        dest_dir: in the container, from the root, or the working directory, or `~`; made with its parents if it is
            missing.
        mode: of files, as a number or in octal digits; by default their own permissions.
        owner: `uid:gid`; by default the host's user in the container.
        follow_links: of a link put what it leads to.
        overwrite: False leaves what is there, and skips the source.
        name: for a single source, what it is called there.
        glob: take sources for patterns, too.
        progress: told the bytes that are done, those of all, and the path in work.

    Returns:
        what came of each source, in their order.

    Raises:
        ValueError: the mode, the owner or the name is none, or two sources have the same name there. Nothing was moved.
        NotFound: there is no such container.
        EngineUnreachable: no engine answered when it was asked for the container.
    """
    began = time.monotonic()
    sources = listed(src_files)
    if glob:
        sources = [each for source in sources for each in _matches(source)]
    if name is not None and len(sources) != 1:
        raise ValueError(f"{name!r} can be the name of a single source, and there are {len(sources)}")
    names = [base_of(os.fsdecode(source)) for source in sources] if name is None else [name]
    check_names(names, sources)
    bits, numbers = _bits_of(mode), None if owner is None else numbers_of(owner)
    items = [_item(source, each, follow_links) for source, each in zip(sources, names, strict=True)]
    with inside:
        work = _Putting(inside, Meter(progress), bits, numbers)
        files = work.all(items, dest_dir, overwrite=overwrite)
    return TransferResult.of(files, duration=time.monotonic() - began, host=inside.host)


def put_bytes(
    inside: Inside,
    data: bytes,
    path: object,
    mode: int | str = 0o644,
    *,
    owner: str | tuple[int, int] | None = None,
) -> None:
    """Write a file of a container, in place of what has its name; its directory is made if it is missing.

    A link is followed, as by all that write to a file.

    Raises:
        ValueError: the mode or the owner is none.
        TransferError: it could not be written.
        DockerptyError: there is no container, or no engine.
    """
    put_stream(inside, [data], path, len(data), mode, owner=owner)


def put_stream(
    inside: Inside,
    pieces: Iterable[bytes],
    path: object,
    size: int,
    mode: int | str = 0o644,
    *,
    owner: str | tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a file of a container from pieces as they come; raises as `put_bytes`, and what `pieces` raises.

    Args:
        size: of all pieces together, in bytes. It is an error if they are more, or less.
    """
    bits, numbers = _bits_of(mode), None if owner is None else numbers_of(owner)
    with inside:
        there = inside.literal(inside.absolute(path))
        found = inside.look(there)
        if found is not None and found.is_link:
            found = inside.followed(found)
            if found is None:
                raise TransferError("write", inside.said(there), "it is a link to nowhere", host=inside.host)
            there = found.path
        item = _Item(path, base_of(there), size, False, lambda: iter(pieces))
        check_names([item.name], [path])
        files = _Putting(inside, Meter(progress), bits, numbers).all([item], posixpath.dirname(there))
    TransferResult.of(files, host=inside.host).check()


def _matches(source: Any) -> list[Any]:
    if os.path.lexists(source):
        return [source]
    return sorted(globbing.glob(os.fsdecode(source))) or [source]


def _bits_of(mode: int | str | None) -> int | None:
    """Read a mode.

    Raises:
        ValueError: it is none.
    """
    if mode is None:
        return None
    try:
        bits = int(mode, 8) if isinstance(mode, str) else int(mode)
    except ValueError:
        bits = -1
    if not 0 <= bits <= _ANY_MODE:
        raise ValueError(f"{mode!r} is no mode: write it as 0o644, or in octal digits")
    return bits


@dataclass(eq=False)
class _Item:
    """One source on its way.

    Attributes:
        source: as it was passed; `name`: what it is called there.
        size: bytes, as far as they are known before.
        content: where it is not on a disk, its bytes.
        error: why it cannot be put, with `status`.
        found: what has its name there.
    """

    source: Any
    name: str
    size: int = 0
    is_dir: bool = False
    content: Callable[[], Iterator[bytes]] | None = None
    follow_links: bool = False
    status: Status = Status.Success
    error: str = ""
    found: Look | None = None
    moved: int = 0
    left: Left = field(default_factory=Left)

    def pieces(self, name: str, writer: Writer, alter: Alter) -> Iterator[bytes]:
        """Give its members of an archive, under a name there."""
        self.left = Left()
        if self.content is None:
            path = os.path.abspath(os.fsdecode(self.source))
            return members(path, name, self.left, writer=writer, alter=alter, follow_links=self.follow_links)
        return self._single(name, writer, alter, self.content())

    def _single(self, name: str, writer: Writer, alter: Alter, content: Iterator[bytes]) -> Iterator[bytes]:
        member = Member(name, size=self.size, mtime=int(time.time()))
        alter(member)
        yield writer.begin(member)
        came = 0
        for data in content:
            came += len(data)
            if came > self.size:
                break
            yield writer.data(data)
        if came != self.size:
            how = "more" if came > self.size else "less"
            raise DockerptyError("read", shown(name), f"there is {how} of it than {self.size} bytes")
        yield writer.end()


def _item(source: Any, name: str, follow_links: bool) -> _Item:
    """Look at a source on this machine."""
    item = _Item(source, name, follow_links=follow_links)
    try:
        status = os.stat(source, follow_symlinks=follow_links)
    except (OSError, ValueError) as error:
        item.status, item.error = Status.Failed, reason_of(error)
        return item
    item.is_dir = stat.S_ISDIR(status.st_mode)
    if item.is_dir:
        item.size = _size_of(os.fsdecode(source))
    elif stat.S_ISREG(status.st_mode):
        item.size = status.st_size
    elif not stat.S_ISLNK(status.st_mode):
        item.status, item.error = Status.Skipped, "it is no file, directory or link"
    return item


def _size_of(folder: str) -> int:
    """Add up the files of a tree, as far as they can be seen: for who watches."""
    count = 0
    to_do = [folder]
    while to_do:
        try:
            with os.scandir(to_do.pop()) as entries:
                for each in entries:
                    if each.is_dir(follow_symlinks=False):
                        to_do.append(each.path)
                    elif each.is_file(follow_symlinks=False):
                        count += each.stat(follow_symlinks=False).st_size
        except OSError:
            pass  # told when it is read
    return count


class _Putting:
    """One call of `put`."""

    def __init__(self, inside: Inside, meter: Meter, bits: int | None, owner: tuple[int, int] | None) -> None:
        self._inside = inside
        self._meter = meter
        self._bits = bits
        self._given = owner
        self._owner = (0, 0)
        # The one that is read, and the one that could not be.
        self._item: _Item | None = None
        self._culprit: _Item | None = None
        # Its next piece is a header; and the bytes of data that follow that.
        self._begins = False
        self._due = 0

    def all(self, items: list[_Item], dest_dir: object, *, overwrite: bool = True) -> list[FileTransfer]:
        """Put each item, and give what came of it."""
        inside = self._inside
        if why := inside.is_over:
            return [
                FileTransfer(item.source, str(dest_dir), Status.Error, 0, f"not reached: {why}")
                for item in items
            ]
        # An error here is one of the container or the engine, and not of any source.
        _ = inside.told
        folder = inside.absolute(dest_dir)
        try:
            self._owner = self._given if self._given is not None else inside.owner()
            self._at, self._rest, known = inside.settle(folder)
            folder = posixpath.join(self._at, self._rest)
            if known is not None and not known.is_dir:
                raise DockerptyError(
                    "copy to", inside.said(known.path), "it is no directory", "give another one"
                )
            waiting = [item for item in items if item.status is Status.Success]
            if not self._rest:
                self._meet(waiting, folder, overwrite)
            waiting = [item for item in waiting if item.status is Status.Success]
            for item in waiting:
                self._meter.expect(item.size)
        except DockerptyError as error:
            self._fail([item for item in items if item.status is Status.Success], error)
            waiting = []
        ways: tuple[list[_Item], list[_Item]] = ([], [])
        for item in waiting:
            ways[self._is_hidden(folder, item)].append(item)
        self._groups(ways[False], by_engine=True)
        self._groups(ways[True], by_engine=False)
        self._meter.end()
        return [
            FileTransfer(
                item.source,
                posixpath.join(folder, item.name),
                item.status,
                item.moved if item.status is Status.Success else 0,
                item.error or str(item.left),
            )
            for item in items
        ]

    def _is_hidden(self, folder: str, item: _Item) -> bool:
        path = posixpath.join(folder, item.name)
        return self._inside.is_hidden(path) or (item.is_dir and bool(self._inside.hidden_below(path)))

    def _meet(self, items: list[_Item], folder: str, overwrite: bool) -> None:
        """Learn what has the names there already, and what cannot be for that."""
        found = self._inside.look_all([posixpath.join(folder, item.name) for item in items], brief=True)
        for item, there in zip(items, found, strict=True):
            item.found = there
            if there is None:
                continue
            if not overwrite:
                item.status, item.error = Status.Skipped, "it is there already"
            elif there.is_dir != item.is_dir:
                what = "a directory" if there.is_dir else "no directory"
                item.status, item.error = Status.Failed, f"there is {what} of that name"

    def _groups(self, items: list[_Item], *, by_engine: bool) -> None:
        """Put all together; what stands in the way of others, alone."""
        to_do = [items] if items else []
        while to_do:
            group = to_do.pop(0)
            self._culprit = None
            try:
                self._group(group, by_engine=by_engine)
            except DockerptyError as error:
                culprit: _Item | None = self._culprit
                if isinstance(error, ConnectionError) or self._inside.is_over or len(group) == 1:
                    self._fail(group, error)
                elif culprit is not None:
                    self._fail([culprit], error)
                    to_do.insert(0, [item for item in group if item is not culprit])
                else:
                    to_do[:0] = [[item] for item in group]

    def _fail(self, items: list[_Item], error: DockerptyError) -> None:
        over = self._inside.is_over
        status = Status.Error if over or isinstance(error, ConnectionError) else Status.Failed
        for item in items:
            item.status, item.error = status, over or reason_of(error)

    def _group(self, items: list[_Item], *, by_engine: bool) -> None:
        """Put these in one archive.

        Raises:
            DockerptyError: they were not put; what came of them is removed, as far as that can be.
        """
        inside, folder = self._inside, posixpath.join(self._at, self._rest)
        if not by_engine:
            inside.need_shell(folder)
            if not inside.has_tar:
                self._without_tar(items, folder)
                return
        renamed = [item for item in items if item.found is None or not item.is_dir]
        much = len(items) > _AT_ONCE or sum(item.size for item in items) > _AT_ONCE_BYTES
        much = much or any(item.is_dir for item in items)
        temporary = ""
        if renamed and (much or any(item.found for item in renamed)) and inside.has_shell:
            temporary = _TEMPORARY + os.urandom(12).hex()
        pieces = gathered(self._pieces(items, temporary, Writer(gnu=not by_engine)))
        if not much:
            # Nothing is sent before all is read: the engine gets the whole, or nothing.
            pieces = iter([b"".join(pieces)])
        try:
            if by_engine:
                call = calls.put_archive(inside.container, self._at)
                inside.engine.upload(call, pieces, timeout=inside.left())
            else:
                code, _ = inside.program(("tar", "-xpf", "-", "-C", self._at), stdin=pieces)
                if code:
                    raise DockerptyError("copy to", inside.said(folder), f"tar there ended with {code}")
            if temporary:
                code, _ = inside.shell(_MOVE, posixpath.join(folder, temporary), folder)
                if code:
                    raise DockerptyError("rename in", inside.said(folder), f"mv there ended with {code}")
        except BaseException:
            if temporary:
                self._tidy(posixpath.join(folder, temporary))
            raise
        for item in items:
            if item.found is not None and not item.is_dir and not temporary:
                item.error = "it was written in place: there is no shell to rename it"

    def _pieces(self, items: list[_Item], temporary: str, writer: Writer) -> Iterator[bytes]:
        steps = [step for step in self._rest.split("/") if step]
        for index in range(len(steps)):
            yield self._folder(writer, "/".join(steps[: index + 1]), _FOLDER_MODE)
        if temporary:
            yield self._folder(writer, "/".join((*steps, temporary)), 0o700)
        for item in items:
            inner = (temporary,) if temporary and (item.found is None or not item.is_dir) else ()
            self._item, item.moved = item, 0
            try:
                name = "/".join((*steps, *inner, item.name))
                yield from self._counted(item, item.pieces(name, writer, self._alter))
            except DockerptyError:
                self._culprit = item
                raise

    def _counted(self, item: _Item, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Hand on, and count the data among headers and what fills blocks."""
        path = str(item.source)
        for piece in pieces:
            if self._inside.stop is not None:
                self._inside.stop.check()
            begins, self._begins = self._begins, False
            yield piece
            count = 0 if begins else min(len(piece), self._due)
            self._due -= count
            item.moved += count
            self._meter.moved(count, path)

    def _folder(self, writer: Writer, name: str, mode: int) -> bytes:
        uid, gid = self._owner
        member = Member(name, DIRECTORY, mode=mode, uid=uid, gid=gid, mtime=int(time.time()))
        return writer.begin(member) + writer.end()

    def _alter(self, member: Member) -> bool:
        """Give a member the owner and the rights that it shall have there, just before it is written."""
        if member.kind not in (FILE, HARDLINK, DIRECTORY, SYMLINK):
            assert self._item is not None
            self._item.left(f"left out {shown(base_of(member.name))}: it is a {member.kind}")
            return False
        member.uid, member.gid = self._owner
        member.mode &= 0o777
        if self._bits is not None and member.kind in (FILE, HARDLINK):
            member.mode = self._bits
        # As with the set-id bits: whoever runs it there was not meant to have these rights.
        member.capability = b""
        self._begins, self._due = True, member.size
        return True

    def _tidy(self, path: str) -> None:
        """Remove what is there of what failed; if that fails too, the first failure is what counts."""
        try:
            self._inside.program(("rm", "-rf", "--", path), tidy=True)
        except Exception:  # noqa: BLE001  # of any kind: it is the other one that is raised
            pass

    def _without_tar(self, items: list[_Item], folder: str) -> None:
        """Write files one by one, where only a shell can."""
        uid, gid = self._owner
        for item in items:
            temporary = _TEMPORARY + os.urandom(12).hex()
            try:
                bits, content = self._content(item)
                words = (folder, item.name, temporary, f"{bits:o}", f"{uid}:{gid}")
                code, _ = self._inside.shell(_WRITE, *words, stdin=content)
                if code:
                    raise DockerptyError(
                        "copy to", self._inside.said(folder), f"the shell there ended with {code}"
                    )
            except BaseException as error:
                self._tidy(posixpath.join(folder, temporary))
                if isinstance(error, DockerptyError):
                    self._culprit = item
                raise

    def _content(self, item: _Item) -> tuple[int, Iterator[bytes]]:
        """Give a file's permissions, and what is in it."""
        if item.content is not None:
            return 0o644 if self._bits is None else self._bits, item.content()
        path = os.fsdecode(item.source)
        if item.is_dir or (os.path.islink(path) and not item.follow_links):
            raise DockerptyError("copy", shown(path), "there is no tar there, and it is no file")
        bits = os.stat(path).st_mode & 0o777 if self._bits is None else self._bits
        return bits, self._file(item, path)

    def _file(self, item: _Item, path: str) -> Iterator[bytes]:
        item.moved = 0
        try:
            with open(path, "rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    yield piece
                    item.moved += len(piece)
                    self._meter.moved(len(piece), path)
        except OSError as error:
            raise DockerptyError("read", shown(path), reason_of(error)) from error
