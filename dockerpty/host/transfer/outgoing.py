"""What goes from this machine into a container: files, directories and links, and bytes that are on no disk."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dockerpty.archive import Member, Writer, shown
from dockerpty.errors import DockerptyError
from dockerpty.host.results import Status
from dockerpty.host.transfer.look import Look
from dockerpty.host.transfer.sources import Left, reason_of
from dockerpty.tree import PIECE, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Alter: TypeAlias = Callable[[Member], bool]


@dataclass(eq=False)
class Outgoing:
    """One source on its way.

    Attributes:
        source: as it was passed; `name`: what it is called there.
        size: bytes, as far as they are known before.
        bits: its permissions.
        content: where it is not on a disk, its bytes.
        error: why it cannot be put, with `status`; or what is to be said of how it was.
        found: what has its name there.
        moved: bytes of data that were sent; `left`: what was left out.
    """

    source: Any
    name: str
    size: int = 0
    bits: int = 0o644
    is_dir: bool = False
    is_link: bool = False
    content: Iterator[bytes] | None = None
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
        return self._single(name, writer, alter, self.content)

    def data(self) -> Iterator[bytes]:
        """Give a file's bytes, `size` of them; DockerptyError if it is none, and as they come if there are less."""
        if self.content is not None:
            return self.content
        path = os.fsdecode(self.source)
        if self.is_dir or self.is_link:
            raise DockerptyError("copy", shown(path), "only a file can be written there, without a tar")
        return exactly(_read(path, self.size), self.size, path)

    def _single(self, name: str, writer: Writer, alter: Alter, content: Iterator[bytes]) -> Iterator[bytes]:
        member = Member(name, size=self.size, mtime=int(time.time()))
        alter(member)
        yield writer.begin(member)
        for data in content:
            yield writer.data(data)
        yield writer.end()


def outgoing(source: Any, name: str, follow_links: bool) -> Outgoing:
    """Look at a source on this machine."""
    item = Outgoing(source, name, follow_links=follow_links)
    try:
        status = os.stat(source, follow_symlinks=follow_links)
    except (OSError, ValueError) as error:
        item.status, item.error = Status.Failed, reason_of(error)
        return item
    item.bits = status.st_mode & 0o777
    item.is_dir, item.is_link = stat.S_ISDIR(status.st_mode), stat.S_ISLNK(status.st_mode)
    if item.is_dir:
        item.size = _size_of(os.fsdecode(source))
    elif stat.S_ISREG(status.st_mode):
        item.size = status.st_size
    elif not item.is_link:
        item.status, item.error = Status.Skipped, "it is no file, directory or link"
    return item


def exactly(pieces: Iterable[bytes], size: int, name: str) -> Iterator[bytes]:
    """Hand pieces on; DockerptyError if they are more or less than `size` bytes together."""
    came = 0
    for piece in pieces:
        came += len(piece)
        if came > size:
            break
        yield piece
    if came != size:
        how = "more" if came > size else "less"
        raise DockerptyError("read", shown(name), f"there is {how} of it than {size} bytes")


def _read(path: str, left: int) -> Iterator[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(min(PIECE, left)):
                left -= len(piece)
                yield piece
    except OSError as error:
        raise DockerptyError("read", shown(path), reason_of(error)) from error


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
