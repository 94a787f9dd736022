"""What comes from a container, on this machine: kept apart until all of it is there, and trusted in nothing.

A `Staging` is a directory of our own beside the targets, on the same filesystem. There each source is unpacked by the
rules of `tree`, and by stricter ones: whatever is not plainly what was asked for ends the whole transfer. Then each
file is renamed to its final name, so that under it there is always a whole file: the old one, or the new one.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from dockerpty.archive import SYMLINK, Member, shown
from dockerpty.errors import ArchiveError, DockerptyError
from dockerpty.tree import Unpacker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from dockerpty.tree import Notice, Parts

MAX_MEMBERS = 1_000_000
"""Of one transfer."""

_PREFIX = ".dpty-"
# What an archive says that no filesystem of this machine can hold.
_CANNOT_BE = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
# Linux: the longest name of a file that a program can open, with the zero byte at its end.
_LONGEST_PATH = 4096
# To make a directory that others make and remove at the same time.
_ATTEMPTS = 10


@dataclass
class Limits:
    """What a transfer may bring in all.

    Attributes:
        max_bytes: None for any number.
        max_members: files, directories and all else.
    """

    max_bytes: int | None = None
    max_members: int = MAX_MEMBERS
    _bytes: int = field(default=0, init=False)
    _members: int = field(default=0, init=False)

    def count(self, member: Member) -> None:
        """Raise ArchiveError if there is too much with this one. What it claims counts, before any of it comes."""
        self._members += 1
        if self._members > self.max_members:
            raise _trap(member, f"there are more than {self.max_members} files")
        self.count_bytes(member, member.size)

    def count_bytes(self, member: Member, count: int) -> None:
        """Raise ArchiveError if there is too much with so many bytes more."""
        self._bytes += count
        if self.max_bytes is not None and self._bytes > self.max_bytes:
            raise _trap(member, f"there are more than {self.max_bytes} bytes", "raise max_bytes")


class Incoming:
    """One archive on its way into a directory of ours.

    Args:
        folder: where to write: empty, but for what other archives have brought there.
        asked: the name in the archive of what was asked for; all else is refused.
        name: what to call it here.
        limits: of the transfer.
        notice: told what is left out.
        started: told of each file that begins.
        umask: None to keep permissions and times, else the bits that nobody shall have, and the time is now.
        links: a list where links are noted in place of being made: what they are in the container, and here.
    """

    def __init__(
        self,
        folder: str,
        asked: str,
        name: str,
        limits: Limits,
        notice: Notice,
        *,
        started: Callable[[Member], None] = lambda _: None,
        umask: int | None = None,
        links: list[tuple[Parts, Parts]] | None = None,
    ) -> None:
        self._room = _LONGEST_PATH - len(os.fsencode(folder)) - 2
        self._asked, self._name = asked, name
        self._limits, self._started = limits, started
        self._umask, self._links = umask, links
        self._last: Member | None = None
        self._unpacker = Unpacker(folder, self._place, notice, fresh=True)

    @property
    def moved(self) -> int:
        """Bytes of files' data that were written."""
        return self._unpacker.moved

    @property
    def members(self) -> int:
        """How many were written, or noted as links."""
        return self._unpacker.members + len(self._links or ())

    def take(self, data: bytes) -> None:
        """Take the next bytes of the archive.

        Raises:
            ArchiveError: they are none, or what they say must not be done.
            DockerptyError: this machine cannot write it.
        """
        self._guarded(lambda: self._unpacker.take(data))

    def eof(self) -> None:
        """Say that the archive is over; raises as `take`."""
        self._guarded(self._unpacker.eof)

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._unpacker.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except ArchiveError:
            raise
        except DockerptyError as error:
            cause = error.__cause__
            if isinstance(cause, ValueError) or (isinstance(cause, OSError) and cause.errno in _CANNOT_BE):
                # This machine has no such names: nobody who means well sends them.
                raise ArchiveError(error.action, error.subject, error.reason, error.hint) from error
            raise

    def _place(self, member: Member, parts: Parts) -> Parts | None:
        if member is self._last:
            # The other end of a hard link, which stands in the archive as well.
            if member.link.startswith("/"):
                raise _trap(member, "it is a second name of what is said from the root")
            return self._renamed(member, parts)
        self._last = member
        self._limits.count(member)
        if member.name.startswith("/"):
            raise _trap(member, "its name is one from the root")
        there, parts = parts, self._renamed(member, parts)
        if len("/".join(parts).encode("utf-8", "surrogateescape")) > self._room:
            raise _trap(member, "its name is longer than this machine's may be")
        if member.kind == SYMLINK:
            if self._links is not None:
                self._links.append((there, parts))
                return None
            if member.link.startswith("/"):
                raise _trap(
                    member,
                    f"it is a link to {shown(member.link)}, which is outside the target",
                    "follow_links=True gets what it leads to",
                )
        member.mode &= 0o777
        if self._umask is not None:
            member.mode &= ~self._umask
            member.mtime = int(time.time())
        self._started(member)
        return parts

    def _renamed(self, member: Member, parts: Parts) -> Parts:
        if parts[:1] != (self._asked,):
            raise _trap(member, f"only {shown(self._asked)} was asked for")
        return (self._name, *parts[1:])


class Staging:
    """A directory of our own in the directory of the targets, made with that.

    Attributes:
        path: of our own.
        umask: the bits that nobody shall have of what is made on this machine.
    """

    def __init__(self, target: str) -> None:
        """Make both.

        Raises:
            DockerptyError: this machine refuses, or a file is where the target's directory would be.
        """
        self._target = os.path.abspath(target)
        self._made: list[str] = []
        self._keeps = False
        try:
            self.path = self._own()
            probe = os.path.join(self.path, "umask")
            os.mkdir(probe)
            self.umask = 0o777 & ~stat.S_IMODE(os.stat(probe).st_mode)
            os.rmdir(probe)
        except OSError as error:
            self._unmake()
            reason = "it is no directory" if isinstance(error, (FileExistsError, NotADirectoryError)) else ""
            reason = reason or (error.strerror or str(error)).lower()
            raise DockerptyError("write to", shown(target), reason) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        remove(self.path)
        if not self._keeps:
            self._unmake()

    def final(self, name: str) -> str:
        """Give the path that `reveal` would give it."""
        return os.path.join(self._target, name)

    def reveal(self, name: str) -> None:
        """Give what is whole its final name, file by file, in place of what had it; directories are merged.

        Raises:
            DockerptyError: a directory would replace something else, or the reverse: then nothing was renamed; or this
                machine refuses.
        """
        staged, final = os.path.join(self.path, name), self.final(name)
        try:
            before: dict[str, os.stat_result] = {}
            for _ in _pairs(staged, final, before):
                pass
            merged = []
            for here, there, is_merged in _pairs(staged, final, before):
                if is_merged:
                    merged.append((here, there))
                else:
                    self._keeps = True
                    _rename(here, there)
            # The inner ones first, since each changes the one that it is in.
            for here, there in reversed(merged):
                status = before[here]
                os.chmod(there, stat.S_IMODE(status.st_mode))
                os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))
            self._keeps = True
        except OSError as error:
            raise DockerptyError("write", shown(final), (error.strerror or str(error)).lower()) from error

    def _own(self) -> str:
        for attempt in range(_ATTEMPTS):
            try:
                self._make(self._target)
                return tempfile.mkdtemp(prefix=_PREFIX, dir=self._target)
            except FileNotFoundError:
                # Another transfer has taken back what it had made, and we took for somebody's.
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _make(self, folder: str) -> None:
        missing = []
        while not os.path.lexists(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for each in reversed(missing):
            try:
                os.mkdir(each)
                self._made.append(each)
            except FileExistsError:
                pass  # by another transfer, meanwhile; or it is a file, as is seen below
        if not os.path.isdir(self._target):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def _unmake(self) -> None:
        for each in reversed(self._made):
            try:
                os.rmdir(each)
            except OSError:
                return  # somebody has put something there meanwhile


def remove(path: str) -> None:
    """Remove a tree of our own, whatever its modes; what somebody else has removed is gone already."""
    to_do = [path]
    while to_do:
        folder = to_do[-1]
        try:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                os.unlink(folder)
                to_do.pop()
                continue
            os.chmod(folder, 0o700)
            with os.scandir(folder) as entries:
                inside = [each.path for each in entries]
            if inside:
                to_do += inside
            else:
                os.rmdir(folder)
                to_do.pop()
        except FileNotFoundError:
            to_do.pop()


def _pairs(staged: str, final: str, before: dict[str, os.stat_result]) -> Iterator[tuple[str, str, bool]]:
    """Give what is staged, where it goes, and whether it is a directory that is there already, whose inside follows.

    Args:
        before: keeps what such directories were here, which are opened to us and change as they are emptied.
    """
    to_do = [(staged, final)]
    while to_do:
        here, there = to_do.pop()
        status = os.lstat(here)
        is_folder = stat.S_ISDIR(status.st_mode)
        try:
            replaced = stat.S_ISDIR(os.lstat(there).st_mode)
        except FileNotFoundError:
            yield here, there, False
            continue
        if is_folder != replaced:
            what, kind = ("a directory", "no directory") if is_folder else ("this", "a directory")
            raise DockerptyError(
                f"write {what} to", shown(there), f"there is {kind} of that name", "remove that first"
            )
        yield here, there, is_folder
        if is_folder:
            before.setdefault(here, status)
            os.chmod(here, stat.S_IMODE(status.st_mode) | 0o700)
            to_do += [(os.path.join(here, name), os.path.join(there, name)) for name in os.listdir(here)]


def _rename(here: str, there: str) -> None:
    """Rename; of a directory that we may not write to, the system asks that since its `..` changes."""
    try:
        os.rename(here, there)
        return
    except PermissionError:
        mode = stat.S_IMODE(os.lstat(here).st_mode)
        if os.path.islink(here) or not os.path.isdir(here) or mode & 0o200:
            raise
    os.chmod(here, mode | 0o700)
    try:
        os.rename(here, there)
    except OSError:
        os.chmod(here, mode)
        raise
    os.chmod(there, mode)


def _trap(member: Member, reason: str, hint: str = "do not use that container") -> ArchiveError:
    return ArchiveError("write", shown(member.name), reason, hint)
