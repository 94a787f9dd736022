"""A tree of files on this machine, as a tar archive and from one.

`pack` reads; an `Unpacker` writes, and trusts nothing that an archive says. Both open each step of a name by itself, in
the directory before it, and never through a link. So neither `..` nor a link, were it made by the archive itself or by
somebody else in the meantime, leads out of the directory that was given. A file has its name only when it is whole.

What an archive is, and which names and links are refused, stands in `archive`.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from dockerpty.archive import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    END,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    Member,
    MemberEnd,
    Reader,
    Writer,
    climbs_out,
    parts_of,
    shown,
)
from dockerpty.errors import ArchiveError, DockerptyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import TypeAlias

    Parts: TypeAlias = tuple[str, ...]
    Notice: TypeAlias = Callable[[str], None]

# Larger ones gained nothing on a real engine, smaller ones cost time per byte.
PIECE = 256 * 1024
# Headers and small files are sent together, up to this.
_GATHERED = 64 * 1024

# While it is written: a name that nobody else has, in the directory of the final one.
_BESIDE = ".dpty-"
# What holds a member whose own directory is not in the archive, as docker makes it.
_IMPLIED_MODE = 0o755

# What opening a link by these says: the one or the other, as the system likes it.
_IS_LINK = (errno.ENOTDIR, errno.ELOOP)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# What a program may do that is a file (capabilities(7)): the one attribute that docker copies.
_CAPABILITY = "security.capability"

_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}


def pack(
    path: str, name: str, notice: Notice, *, alter: Callable[[Member], bool] | None = None
) -> Iterator[bytes]:
    """Read what is at `path`, and all below it, as a tar archive in pieces of about a megabyte.

    Names are sorted, links stay links, several names of one file become hard links. Of the names of such files, and of
    those in the directories that are open, a list is kept; nothing else grows.

    Args:
        path: of the root.
        name: of the root in the archive.
        notice: told what cannot be in an archive, or is gone before it is read.
        alter: called with each member before it is written, which it may change; False leaves it out.

    Raises:
        DockerptyError: something cannot be read, or becomes shorter while it is.
    """
    return gathered(members(path, name, notice, alter=alter))


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give an archive of these members: small pieces are put together, and its end follows."""
    kept = bytearray()
    for piece in pieces:
        is_large = len(piece) >= _GATHERED
        if not is_large:
            kept += piece
        if kept and (is_large or len(kept) >= _GATHERED):
            yield bytes(kept)
            kept.clear()
        if is_large:
            # As it is: to copy it would take longer than to send it.
            yield piece
    yield bytes(kept + END)


def members(
    root: str,
    name: str,
    notice: Notice,
    *,
    writer: Writer | None = None,
    alter: Callable[[Member], bool] | None = None,
    follow_links: bool = False,
) -> Iterator[bytes]:
    """Read what `pack` reads, without the archive's end: several trees may go into one.

    Args:
        root, name, notice, alter: as for `pack`.
        writer: makes the archive.
        follow_links: of a link take what it leads to.

    Raises:
        DockerptyError: as `pack`; or links lead in a circle.
    """
    writer = writer or Writer()
    linked: dict[tuple[int, int], str] = {}
    # Of the directories around the one in work, outermost first: what a link may not lead back to.
    trail: list[tuple[int, int]] = []
    enter = _enter_link if follow_links else _enter
    folders: _Folders | None = None
    to_do: list[Parts] = [()]
    try:
        while to_do:
            parts = to_do.pop()
            here = os.path.join(root, *parts)
            try:
                # The root by the caller's name for it, all others in the directory that they were found in.
                folder, step = (folders.open(parts[:-1], enter), parts[-1]) if folders else (None, root)
                status = os.stat(step, dir_fd=folder, follow_symlinks=follow_links)
                member = _member_of(step, folder, "/".join((name, *parts)), status)
                if member is None:
                    notice(f"skipped {shown(here)}: a socket cannot be copied")
                    continue
                file = (status.st_dev, status.st_ino)
                if member.kind == FILE and file in linked:
                    member.kind, member.link, member.size = HARDLINK, linked[file], 0
                if member.kind == FILE and member.size:
                    flags = _SOURCE & ~os.O_NOFOLLOW if follow_links else _SOURCE
                    written = yield from _file(writer, step, folder, flags, here, member, alter)
                else:
                    written = alter is None or alter(member)
                    if written:
                        yield writer.begin(member) + writer.end()
                if not written:
                    continue
                if member.kind == FILE and status.st_nlink > 1:
                    # Now that it is in the archive: one that was gone before could not be another name's other end.
                    linked[file] = member.name
                if member.kind == DIRECTORY:
                    del trail[len(parts) :]
                    if file in trail:
                        raise _circle(here)
                    trail.append(file)
                    folders = folders or _Folders(enter(None, root))
                    inside = sorted(os.listdir(folders.open(parts, enter)), reverse=True)
                    to_do += [(*parts, each) for each in inside]
            except FileNotFoundError:
                # Of a directory that is in use things come and go; what was asked for by name must be there.
                if not parts:
                    raise DockerptyError(
                        "read", shown(here), "there is no such file", "is the path right?"
                    ) from None
                notice(f"skipped {shown(here)}: it is gone")
            except OSError as error:
                if error.errno in _IS_LINK:
                    raise _changed(here, "something else has its name now") from error
                raise DockerptyError("read", shown(here), error.strerror or str(error)) from error
    finally:
        if folders is not None:
            folders.close()


def _member_of(step: str, folder: int | None, name: str, status: os.stat_result) -> Member | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    member = Member(
        name,
        kind,
        mode=stat.S_IMODE(status.st_mode),
        mtime=status.st_mtime_ns // 1_000_000_000,
        uid=status.st_uid,
        gid=status.st_gid,
    )
    if kind == SYMLINK:
        member.link = os.readlink(step, dir_fd=folder)
    elif kind in (CHARACTER, BLOCK_DEVICE):
        member.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    elif kind == FILE:
        member.size = status.st_size
    return member


def _file(
    writer: Writer,
    step: str,
    folder: int | None,
    flags: int,
    here: str,
    member: Member,
    alter: Callable[[Member], bool] | None,
) -> Generator[bytes, None, bool]:
    with open(os.open(step, flags, dir_fd=folder), "rb", buffering=0) as file:
        # As it is now; the name may have got another file since it was looked at.
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _changed(here, "it is no file any more")
        left = member.size = status.st_size
        member.capability = _capability(file.fileno())
        if alter is not None and not alter(member):
            return False
        yield writer.begin(member)
        while left:
            piece = file.read(min(PIECE, left))
            if not piece:
                raise _changed(here, "it became shorter meanwhile")
            left -= len(piece)
            yield writer.data(piece)
        yield writer.end()
        return True


def _capability(fd: int) -> bytes:
    if sys.platform == "linux":
        try:
            return os.getxattr(fd, _CAPABILITY)
        except OSError as error:
            # None, or a filesystem that has no such thing.
            if error.errno not in (errno.ENODATA, errno.ENOTSUP):
                raise
    return b""


def _set_capability(fd: int, value: bytes) -> None:
    if sys.platform == "linux":
        try:
            os.setxattr(fd, _CAPABILITY, value)
        except OSError as error:
            # As docker: the file is worth having all the same. Only root can give it, and not on every filesystem.
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EINVAL):
                raise


class Unpacker:
    """Writes the members of an archive below one directory.

    Devices and named pipes are never made: each is told of. Directories have their final mode and time when the archive
    leaves them, so that one which nobody may write to can be filled. Memory holds the directories from the root to
    the member in work, and no more.

    Attributes:
        members: how many were written, or left as they were.
        moved: bytes of files' data that were written.
    """

    def __init__(
        self,
        folder: str,
        place: Callable[[Member, Parts], Parts | None],
        notice: Notice,
        *,
        keep_owner: bool = False,
        fresh: bool = False,
        mode: int | None = None,
        overwrite: bool = True,
    ) -> None:
        """Open the directory.

        Args:
            folder: where to write. This one may be a link: it is the caller's own name.
            place: says where below it a member belongs, and raises for one that belongs nowhere; called with the name
                of a hard link's other end, too. No steps are the directory itself, and None leaves it out.
            notice: told what is left out.
            keep_owner: give files to the owners that the archive names, where we are root; else they are ours, and give
                nobody rights: no set-id bits, no capabilities.
            fresh: the directory is empty: whatever an archive finds there is its own, and is refused, as is a member
                whose directory has not come before it.
            mode: the twelve bits of permission that all files get, in place of their own.
            overwrite: False leaves what is there as it is; directories are filled all the same.

        Raises:
            OSError: it is no directory, or cannot be opened.
        """
        self.members = self.moved = 0
        self._reader = Reader()
        self._place = place
        self._notice = notice
        self._keep_owner = keep_owner and os.geteuid() == 0
        # As cp(1): a program that runs as its owner was meant to be another's. Ours it would make whoever runs it us.
        self._bits = 0o7777 if self._keep_owner else 0o1777
        self._fresh = fresh
        self._mode = mode
        self._overwrite = overwrite
        # What was left as it was.
        self._left: set[Parts] = set()
        self._enter = _enter_to_write if fresh else _enter_or_make
        self._folders = _Folders(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        # The directories of the archive around the member in work, outermost first.
        self._around: list[tuple[Parts, Member]] = []
        # What is in work under a name of its own, in the directory opened last. Noted before it is made, so that an
        # interruption finds it.
        self._beside: str | None = None
        self._file: tuple[int, str] | None = None

    def take(self, data: bytes) -> None:
        """Take the next bytes of the archive.

        Raises:
            ArchiveError: they are no archive, or would write elsewhere.
            DockerptyError: this machine cannot write it.
        """
        for event in self._reader.feed(data):
            if isinstance(event, Member):
                self._guarded(event, self._begin)
            elif isinstance(event, MemberEnd):
                self._guarded(event.member, self._end)
            elif self._file is not None:
                self._write(event)

    def eof(self) -> None:
        """Say that the archive is over, and give the last directories their modes and times; raises as `take`."""
        self._reader.eof()
        self._leave(())

    def close(self) -> None:
        """Free everything; of a file that is not whole nothing remains. Idempotent."""
        if self._folders.at < 0:
            return
        if self._file is not None:
            os.close(self._file[0])
            self._file = None
        self._drop()
        self._folders.close()

    def _guarded(self, member: Member, step: Callable[[Member], None]) -> None:
        try:
            step(member)
        except ValueError as error:
            # Ours are such, too; this is one of the system's: a name that cannot be encoded.
            if isinstance(error, DockerptyError):
                raise
            raise DockerptyError("write", shown(member.name), str(error)) from error
        except OSError as error:
            raise DockerptyError("write", shown(member.name), error.strerror or str(error)) from error

    def _write(self, data: memoryview) -> None:
        assert self._file is not None
        fd, name = self._file
        self.moved += len(data)
        try:
            while len(data):
                data = data[os.write(fd, data) :]
        except OSError as error:
            raise DockerptyError("write", shown(name), error.strerror or str(error)) from error

    def _begin(self, member: Member) -> None:
        parts = self._place(member, parts_of(member.name))
        if parts is None:
            return
        self._leave(parts)
        if member.kind in (CHARACTER, BLOCK_DEVICE, FIFO):
            self._notice(f"skipped {shown(member.name)}: a {member.kind} is not copied")
            return
        if not parts:
            # The directory that was there before is nobody's to change but its owner's, with one exception of docker's.
            if member.kind != DIRECTORY:
                raise _refused(member, "it would replace the directory that it is for")
            if member.name.strip("/") == "" and not self._around:
                self._around.append((parts, member))
            return
        folder = self._folder_for(member, parts)
        there = _kind_at(folder, parts[-1])
        if self._fresh and there is not None:
            raise _refused(member, "it comes twice")
        if (there == DIRECTORY) != (member.kind == DIRECTORY) and there is not None:
            raise _refused(member, f"a {there} of that name is there", "remove that first")
        if member.kind == DIRECTORY:
            if there is None:
                os.mkdir(parts[-1], (member.mode & 0o777) | 0o700, dir_fd=folder)
            if self._around and self._around[-1][0] == parts:
                self._around.pop()
            self._around.append((parts, member))
        elif there is not None and not self._overwrite:
            self._left.add(parts)
        elif member.kind == FILE:
            self._file = (os.open(self._name(), _NEW, 0o600, dir_fd=folder), parts[-1])
        elif member.kind == SYMLINK:
            if climbs_out(parts, member.link):
                raise _refused(
                    member,
                    f"it is a link to {shown(member.link)}, which is outside the target",
                    "use -L, or - as the target and another tar",
                )
            self._symlink(member, folder, parts[-1])
        else:
            self._link(member, folder, parts[-1])
        self.members += 1

    def _folder_for(self, member: Member, parts: Parts) -> int:
        try:
            return self._folders.open(parts[:-1], self._enter)
        except FileNotFoundError:
            if not self._fresh:
                raise
            raise _refused(member, "its directory did not come before it") from None

    def _end(self, member: Member) -> None:
        if self._file is None:
            return
        fd, name = self._file
        if self._keep_owner:
            os.fchown(fd, member.uid, member.gid)
        # After the owner, whose change takes the set-id bits away.
        os.fchmod(fd, member.mode & self._bits if self._mode is None else self._mode)
        if member.capability and self._keep_owner:
            _set_capability(fd, member.capability)
        os.utime(fd, (member.mtime, member.mtime))
        self._reveal(name)
        self._file = None
        os.close(fd)

    def _symlink(self, member: Member, folder: int, name: str) -> None:
        beside = self._name()
        os.symlink(member.link, beside, dir_fd=folder)
        if self._keep_owner:
            os.chown(beside, member.uid, member.gid, dir_fd=folder, follow_symlinks=False)
        os.utime(beside, (member.mtime, member.mtime), dir_fd=folder, follow_symlinks=False)
        self._reveal(name)

    def _link(self, member: Member, folder: int, name: str) -> None:
        other = self._place(member, parts_of(member.link))
        if not other:
            raise _refused(member, "it is a second name of the target itself")
        if other in self._left:
            self._notice(
                f"skipped {shown(member.name)}: it is a second name of {shown(member.link)}, which was left as it was"
            )
            return
        # Where the other end is, opened beside the folder in work: both are needed at once.
        end = self._folders.walk(other[:-1], _enter_to_write)
        try:
            kind = _kind_at(end, other[-1])
            if kind not in (FILE, SYMLINK):
                raise _refused(member, f"it is a second name of {shown(member.link)}, which is no file here")
            os.link(other[-1], self._name(), src_dir_fd=end, dst_dir_fd=folder, follow_symlinks=False)
            self._reveal(name)
        finally:
            os.close(end)

    def _name(self) -> str:
        """Choose a name for what is made now; that nobody else has it, is by chance as good as certain."""
        self._beside = _BESIDE + os.urandom(12).hex()
        return self._beside

    def _reveal(self, name: str) -> None:
        """Give what is whole its name, in place of what had it."""
        assert self._beside is not None
        os.rename(self._beside, name, src_dir_fd=self._folders.at, dst_dir_fd=self._folders.at)
        # It is still there if both were names of one file already (POSIX).
        self._drop()

    def _drop(self) -> None:
        if self._beside is not None:
            try:
                os.unlink(self._beside, dir_fd=self._folders.at)
            except FileNotFoundError:
                pass  # it has its final name, or somebody has tidied up
            self._beside = None

    def _leave(self, parts: Parts) -> None:
        """Finish the directories that `parts` is not inside of."""
        while self._around and self._around[-1][0] != parts[: len(self._around[-1][0])]:
            self._finish(*self._around.pop())
        if not parts:
            while self._around:
                self._finish(*self._around.pop())

    def _finish(self, parts: Parts, member: Member) -> None:
        def step(member: Member) -> None:
            fd = self._folders.open(parts, self._enter)
            if self._keep_owner:
                os.fchown(fd, member.uid, member.gid)
            os.fchmod(fd, member.mode & self._bits)
            os.utime(fd, (member.mtime, member.mtime))

        self._guarded(member, step)


class _Folders:
    """The directories below one, each opened in the one before it and never through a link.

    Attributes:
        at: the one opened last, which stays open: most of what is asked for is in that of the one before.
    """

    def __init__(self, root: int) -> None:
        """Take the descriptor of the directory; it is closed with the rest."""
        self._root = self.at = root
        self._parts: Parts = ()

    def open(self, parts: Parts, enter: Callable[[int, str], int]) -> int:
        """Give the directory at `parts`; it stays open until another one is asked for."""
        if parts != self._parts:
            self._go(self.walk(parts, enter), parts)
        return self.at

    def walk(self, parts: Parts, enter: Callable[[int, str], int]) -> int:
        """Open the directory at `parts` step by step, for the caller to close."""
        known = len(self._parts) if parts[: len(self._parts)] == self._parts else 0
        fd = os.open(".", _FOLDER, dir_fd=self.at if known else self._root)
        try:
            for step in parts[known:]:
                inner = enter(fd, step)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd

    def close(self) -> None:
        self._go(self._root, ())
        os.close(self._root)
        self._root = self.at = -1

    def _go(self, fd: int, parts: Parts) -> None:
        left, self.at, self._parts = self.at, fd, parts
        if left not in (self._root, fd):
            os.close(left)


def _enter(folder: int | None, step: str) -> int:
    return os.open(step, _FOLDER, dir_fd=folder)


def _enter_link(folder: int | None, step: str) -> int:
    return os.open(step, _FOLDER & ~os.O_NOFOLLOW, dir_fd=folder)


def _enter_to_write(folder: int, step: str) -> int:
    try:
        return os.open(step, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno not in _IS_LINK:
            raise
        raise ArchiveError(
            "write through",
            shown(step),
            f"a {_kind_at(folder, step)} of that name is there, and no directory",
            "remove that first",
        ) from error


def _enter_or_make(folder: int, step: str) -> int:
    try:
        return _enter_to_write(folder, step)
    except FileNotFoundError:
        os.mkdir(step, _IMPLIED_MODE, dir_fd=folder)
        return os.open(step, _FOLDER, dir_fd=folder)


def _circle(here: str) -> DockerptyError:
    return DockerptyError("copy", shown(here), "its links lead in a circle", "copy the links themselves")


def _changed(here: str, reason: str) -> DockerptyError:
    return DockerptyError("read", shown(here), reason, "copy when nobody changes it")


def _kind_at(folder: int, name: str) -> str | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return _KINDS.get(stat.S_IFMT(status.st_mode), "socket")


def _refused(member: Member, reason: str, hint: str = "") -> ArchiveError:
    return ArchiveError("write", shown(member.name), reason, hint)
