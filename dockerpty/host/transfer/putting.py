"""Files from this machine into a container: `put`, and what it is made of.

All sources go in one archive, which is made as the engine takes it: no file between. A file that replaces another one,
and all that is much, is put under a temporary name first, where there is a shell to rename it: so under its final name
there is always a whole file. Blocking: the face of programs on a loop has a thread for it.
"""

from __future__ import annotations

import glob as globbing
import os
import posixpath
import time
from collections.abc import Callable, Iterator
from typing import Any

from dockerpty.archive import DIRECTORY, FILE, HARDLINK, SYMLINK, Member, Writer, shown
from dockerpty.errors import DockerptyError
from dockerpty.host.errors import TransferError
from dockerpty.host.results import FileTransfer, Status, TransferResult
from dockerpty.host.transfer.inside import Inside
from dockerpty.host.transfer.look import numbers_of, script
from dockerpty.host.transfer.outgoing import Outgoing, exactly, outgoing
from dockerpty.host.transfer.sources import base_of, check_names, listed
from dockerpty.host.transfer.stop import Meter
from dockerpty.tree import gathered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockerpty.host.transfer.stop import Progress

# What is made on the way to a target.
_FOLDER_MODE = 0o755
_ANY_MODE = 0o7777
_TEMPORARY = ".dpty-"
# So little is sent at once, and needs no other name meanwhile.
_AT_ONCE, _AT_ONCE_BYTES = 32, 64 * 1024

# Rename all that is in $1 into $2, and go into directories that are there already; some hundred at a time, since an
# argument list has an end. The shell finds the names by itself: not all bytes of a name can be said in an exec. Before
# that it only looks, so that nothing is renamed where a directory would replace something else, or the reverse.
_MERGE = r"""
kind() { k=; if [ -L "$1" ]; then k=f; elif [ -d "$1" ]; then k=d; elif [ -e "$1" ]; then k=f; fi; }
merge() (
  how=$1 to=$3; cd -- "$2" || exit; set --
  for n in * .*; do
    case $n in .|..) continue;; esac
    kind "$n"; here=$k; kind "$to/$n"
    case $here$k in
      dd) merge "$how" "./$n" "$to/$n" || exit;;
      df|fd) echo "of a directory and a file none replaces the other: $to/$n" >&2; exit 1;;
      *) [ "$here" ] && [ "$how" = move ] || continue
        set -- "$@" "$n"; [ $# -lt 500 ] || { mv -f -- "$@" "$to/" || exit; set --; };;
    esac
  done
  [ $# -eq 0 ] || mv -f -- "$@" "$to/"
)
merge look "$1" "$2" && merge move "$1" "$2" && rm -rf -- "$1"
"""
# Write one file, of mode $4, owner $5 and $6 bytes, as $1/$2, by way of $1/$3 if that is another. If they are less,
# whoever sends them has gone. A link of that name is not gone through.
_WRITE = (
    'mkdir -p -- "$1" && umask 077 && cat >"$1/$3" && chmod "$4" "$1/$3" && chown "$5" "$1/$3" '
    '&& [ "$(wc -c <"$1/$3")" -eq "$6" ] '
    '&& { [ "$2" = "$3" ] || { { [ ! -L "$1/$2" ] || rm -f -- "$1/$2"; } && mv -f -- "$1/$3" "$1/$2"; }; } '
    '|| { [ "$2" = "$3" ] || rm -f -- "$1/$3"; exit 1; }'
)
_NO_SHELL = "it was written in place: there is no shell to rename it, or its root may not"
_NO_RENAMING = "it was written in place: something is mounted there, and nothing can be renamed to it"


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

    What replaces a file does so when it is whole, where there is a shell, and else in place, which its outcome says; of
    a directory that is there already each file by itself.

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
    items = [outgoing(source, each, follow_links) for source, each in zip(sources, names, strict=True)]
    work = _Putting(inside, Meter(progress), bits, numbers)
    files = work.all(items, dest_dir, overwrite=overwrite)
    return TransferResult.of(files, duration=time.monotonic() - began, host=inside.host)


def put_bytes(inside: Inside, data: bytes, path: object, mode: int | str = 0o644) -> None:
    """Write a file of a container, in place of what has its name; its directory is made if it is missing.

    A link is followed, as by all that write to a file.

    Raises:
        ValueError: the mode is none.
        TransferError: it could not be written.
        DockerptyError: there is no container, or no engine.
    """
    put_stream(inside, [data], path, len(data), mode)


def put_stream(
    inside: Inside, pieces: Iterable[bytes], path: object, size: int, mode: int | str = 0o644
) -> None:
    """Write a file of a container from pieces as they come; raises as `put_bytes`, and what `pieces` raises.

    While it asks for them Docker does nothing else for the container: it waits for the end of what it unpacks.

    Args:
        size: of all pieces together, in bytes. It is an error if they are more, or less.
    """
    bits = _bits_of(mode)
    there = inside.literal(inside.absolute(path))
    found = inside.look(there)
    if found is not None and found.is_link:
        found = inside.followed(found)
        if found is None:
            raise TransferError("write", inside.said(there), "it is a link to nowhere", host=inside.host)
        there = found.path
    item = Outgoing(path, base_of(there), size, content=exactly(pieces, size, there))
    check_names([item.name], [path])
    files = _Putting(inside, Meter(None), bits, None).all([item], posixpath.dirname(there))
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


class _Counting(Writer):
    """Tells of the data that goes through it."""

    def __init__(self, told: Callable[[int], None], *, gnu: bool) -> None:
        super().__init__(gnu=gnu)
        self._told = told

    def data(self, piece: bytes) -> bytes:
        """Give it as it is."""
        self._told(len(piece))
        return super().data(piece)


class _Putting:
    """One call of `put`."""

    def __init__(self, inside: Inside, meter: Meter, bits: int | None, owner: tuple[int, int] | None) -> None:
        self._inside = inside
        self._meter = meter
        self._bits = bits
        self._given = owner
        self._owner = (0, 0)
        # The one that is read, and the one that could not be.
        self._item = Outgoing("", "")
        self._culprit: Outgoing | None = None

    def all(self, items: list[Outgoing], dest_dir: object, *, overwrite: bool = True) -> list[FileTransfer]:
        """Put each item, and give what came of it."""
        inside = self._inside
        if why := inside.is_over:
            return [
                FileTransfer(item.source, str(dest_dir), Status.Error, 0, f"not reached: {why}")
                for item in items
            ]
        # An error here is one of the container or the engine, and not of any source.
        _ = inside.told
        self._folder = inside.absolute(dest_dir)
        by_engine, by_tar, singly = list[Outgoing](), list[Outgoing](), list[Outgoing]()
        try:
            self._owner = self._given if self._given is not None else inside.owner()
            self._at, self._rest, known = inside.settle(self._folder)
            self._folder = posixpath.join(self._at, self._rest) if self._rest else self._at
            if known is not None and not known.is_dir:
                reason = "it is no directory"
                raise DockerptyError("copy to", inside.said(known.path), reason, "give another one")
            if not self._rest:
                self._meet(_waiting(items), overwrite)
            for item in _waiting(items):
                path = posixpath.join(self._folder, item.name)
                is_hidden = inside.is_hidden(path) or (item.is_dir and inside.hidden_below(path))
                if is_hidden or (inside.is_mount(path) and not item.is_dir):
                    by_one = not inside.has_tar or (inside.is_mount(path) and not item.is_dir)
                    (singly if by_one else by_tar).append(item)
                else:
                    by_engine.append(item)
                self._meter.expect(item.size)
        except DockerptyError as error:
            self._fail(_waiting(items), error)
            by_engine = by_tar = singly = []
        self._groups(by_engine, lambda group: self._archive(group, by_engine=True))
        self._groups(by_tar, lambda group: self._archive(group, by_engine=False))
        for item in singly:
            self._groups([item], lambda group: self._write(*group))
        self._meter.end()
        return [
            FileTransfer(
                item.source,
                posixpath.join(self._folder, item.name),
                item.status,
                item.moved if item.status is Status.Success else 0,
                item.error or str(item.left),
            )
            for item in items
        ]

    def _meet(self, items: list[Outgoing], overwrite: bool) -> None:
        """Learn what has the names there already, and what cannot be for that."""
        paths = [posixpath.join(self._folder, item.name) for item in items]
        for item, there in zip(items, self._inside.look_all(paths, brief=True), strict=True):
            item.found = there
            if there is None:
                continue
            if not overwrite:
                item.status, item.error = Status.Skipped, "it is there already"
            elif there.is_dir != item.is_dir:
                what = "a directory" if there.is_dir else "no directory"
                item.status, item.error = Status.Failed, f"there is {what} of that name"

    def _groups(self, items: list[Outgoing], put: Callable[[list[Outgoing]], None]) -> None:
        """Put all together; what stands in the way of others, alone."""
        to_do = [items] if items else []
        while to_do:
            group = to_do.pop(0)
            self._culprit = None
            try:
                put(group)
            except DockerptyError as error:
                culprit: Outgoing | None = self._culprit
                if isinstance(error, ConnectionError) or self._inside.is_over or len(group) == 1:
                    self._fail(group, error)
                elif culprit is not None:
                    self._fail([culprit], error)
                    to_do.insert(0, [item for item in group if item is not culprit])
                else:
                    to_do[:0] = [[item] for item in group]

    def _fail(self, items: list[Outgoing], error: DockerptyError) -> None:
        for item in items:
            item.status, item.error = self._inside.outcome(error)

    def _archive(self, items: list[Outgoing], *, by_engine: bool) -> None:
        """Put these in one archive.

        Raises:
            DockerptyError: they were not put; what came of them is removed, as far as that can be.
        """
        inside = self._inside
        if not by_engine:
            inside.need_shell(self._folder)
        replaced = [item for item in items if item.found is not None]
        much = len(items) > _AT_ONCE or sum(item.size for item in items) > _AT_ONCE_BYTES
        much = much or any(item.is_dir for item in items)
        temporary = ""
        if (much or replaced) and (inside.does_all or not by_engine):
            temporary = _TEMPORARY + os.urandom(12).hex()
        pieces = gathered(self._pieces(items, temporary, _Counting(self._moved, gnu=not by_engine)))
        if not much:
            # Nothing is sent before all is read: the engine gets the whole, or nothing.
            pieces = iter([b"".join(pieces)])
        beside = posixpath.join(self._folder, temporary)
        try:
            if temporary:
                self._send_beside(pieces, beside, by_engine=by_engine)
            else:
                self._send(pieces, by_engine=by_engine)
        except BaseException:
            if temporary:
                self._tidy(beside)
            raise
        if not temporary:
            for item in replaced:
                item.error = _NO_SHELL
        # They have the permissions of what was there, and the times of the renaming, or of busybox's tar.
        late = [item for item in items if item.is_dir and ((item.found and temporary) or not by_engine)]
        if late:
            self._send(gathered(self._folders_of(late, Writer(gnu=not by_engine))), by_engine=by_engine)

    def _send(self, pieces: Iterator[bytes], *, by_engine: bool) -> None:
        if by_engine:
            self._inside.upload(self._at, pieces)
        else:
            self._inside.must("copy to", self._folder, ("tar", "-xpf", "-", "-C", self._at), stdin=pieces)

    def _send_beside(self, pieces: Iterator[bytes], beside: str, *, by_engine: bool) -> None:
        """Have it unpacked under another name, and renamed by who is there before: to start takes its time."""

        def unpacked() -> Iterator[bytes]:
            self._send(pieces, by_engine=True)
            yield b"\n"

        first = "read -r _ || exit" if by_engine else 'tar -xpf - -C "$3" || exit'
        argv = script(f"{first}\n{_MERGE}", beside, self._folder, self._at)
        self._inside.must("copy to", self._folder, argv, stdin=unpacked() if by_engine else pieces)

    def _pieces(self, items: list[Outgoing], temporary: str, writer: Writer) -> Iterator[bytes]:
        steps = [step for step in self._rest.split("/") if step]
        for index in range(len(steps)):
            yield self._made(writer, "/".join(steps[: index + 1]), _FOLDER_MODE)
        if temporary:
            steps.append(temporary)
            yield self._made(writer, "/".join(steps), 0o700)
        for item in items:
            self._item, item.moved = item, 0
            try:
                yield from item.pieces("/".join((*steps, item.name)), writer, self._alter)
            except DockerptyError:
                self._culprit = item
                raise

    def _folders_of(self, items: list[Outgoing], writer: Writer) -> Iterator[bytes]:
        def directories(member: Member) -> bool:
            return self._alter(member) and member.kind == DIRECTORY

        for item in items:
            self._item = item
            yield from item.pieces(item.name, writer, directories)

    def _moved(self, count: int) -> None:
        self._inside.left()
        self._item.moved += count
        self._meter.moved(count, str(self._item.source))

    def _made(self, writer: Writer, name: str, mode: int) -> bytes:
        uid, gid = self._owner
        member = Member(name, DIRECTORY, mode=mode, uid=uid, gid=gid, mtime=int(time.time()))
        return writer.begin(member) + writer.end()

    def _alter(self, member: Member) -> bool:
        """Give a member the owner and the rights that it shall have there, just before it is written."""
        if member.kind not in (FILE, HARDLINK, DIRECTORY, SYMLINK):
            self._item.left(f"left out {shown(base_of(member.name))}: it is a {member.kind}")
            return False
        member.uid, member.gid = self._owner
        member.mode &= 0o777
        if self._bits is not None and member.kind in (FILE, HARDLINK):
            member.mode = self._bits
        # As with the set-id bits: whoever runs it there was not meant to have these rights.
        member.capability = b""
        return True

    def _tidy(self, path: str) -> None:
        """Remove what is there of what failed; if that fails too, the first failure is what counts."""
        try:
            self._inside.program(("rm", "-rf", "--", path), tidy=True)
        except Exception:  # noqa: BLE001  # of any kind: it is the other one that is raised
            pass

    def _write(self, item: Outgoing) -> None:
        """Write a file by a shell: there is no tar, or something is mounted just there."""
        path = posixpath.join(self._folder, item.name)
        self._inside.need_shell(path)
        in_place = self._inside.is_mount(path)
        beside = item.name if in_place else _TEMPORARY + os.urandom(12).hex()
        self._item, item.moved = item, 0
        bits = item.bits if self._bits is None else self._bits
        words = (self._folder, item.name, beside, f"{bits:o}", "{}:{}".format(*self._owner), str(item.size))
        content = self._counted(item.data())
        try:
            self._inside.must("copy to", self._folder, script(_WRITE, *words), stdin=content)
        except BaseException:
            if not in_place:
                self._tidy(posixpath.join(self._folder, beside))
            raise
        item.error = _NO_RENAMING if in_place else ""

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._moved(len(piece))
            yield piece


def _waiting(items: list[Outgoing]) -> list[Outgoing]:
    return [item for item in items if item.status is Status.Success]
