"""Tar as members and back, by our own rules of safety. Pure: whoever calls moves the bytes.

A `Reader` is fed bytes as they come and gives events; a `Writer` is told members and gives bytes. Both keep one header
and nothing of the data, so that memory does not grow with an archive. What a header's fields mean is the standard
library's (`tarfile`); what a name or a link may say is ours, and stands in `parts_of` and `climbs_out`. Nothing here
touches a file: `tree` does.
"""

from __future__ import annotations

import tarfile

from dockerpty.errors import ArchiveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

BLOCK = 512
END = bytes(2 * BLOCK)
"""What an archive ends with."""
HEADER_LIMIT = 1024 * 1024
"""Bytes of what stands before a header for a long name or a large number. A path has 4 KiB, an attribute 64 KiB."""

FILE = "file"
DIRECTORY = "directory"
SYMLINK = "symbolic link"
HARDLINK = "hard link"
CHARACTER = "character device"
BLOCK_DEVICE = "block device"
FIFO = "named pipe"

_KINDS = {
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.CONTTYPE: FILE,
    tarfile.DIRTYPE: DIRECTORY,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.LNKTYPE: HARDLINK,
    tarfile.CHRTYPE: CHARACTER,
    tarfile.BLKTYPE: BLOCK_DEVICE,
    tarfile.FIFOTYPE: FIFO,
}
# Backwards, so that of the types that are files the usual one is written.
_TYPES = {kind: number for number, kind in reversed(_KINDS.items())}

# What is taken from the records before a header (POSIX pax); the rest of them is passed over.
# The name of the last one is that of the writers of Linux.
_CAPABILITY = "SCHILY.xattr.security.capability"
_RECORDS = ("path", "linkpath", "size", "mtime", "uid", "gid", _CAPABILITY)

_GNU_NAME = tarfile.GNUTYPE_LONGNAME
_GNU_LINK = tarfile.GNUTYPE_LONGLINK
_EXTENSIONS = (tarfile.XHDTYPE, _GNU_NAME, _GNU_LINK)

# Beyond these no system has a time, or an owner; -1 is no owner, but "leave it" to chown.
_LAST_SECOND = 2**36
_OWNERS = 2**32 - 1


class Member:
    """One entry of an archive, compared by value.

    Attributes:
        name: as it stands in the archive; bytes that are no UTF-8 as surrogates.
        kind: `FILE` and its like.
        mode: the twelve bits of permission.
        size: bytes of data; 0 for all but files.
        mtime: whole seconds since 1970.
        uid, gid: the owner's numbers.
        link: what a link leads to: for a symbolic one its text, for a hard one another member's name.
        device: major and minor number.
        capability: what Linux lets a program do that is a file, in the kernel's own form.
    """

    __slots__ = ("capability", "device", "gid", "kind", "link", "mode", "mtime", "name", "size", "uid")

    def __init__(
        self,
        name: str,
        kind: str = FILE,
        *,
        mode: int = 0o644,
        size: int = 0,
        mtime: int = 0,
        uid: int = 0,
        gid: int = 0,
        link: str = "",
        device: tuple[int, int] = (0, 0),
        capability: bytes = b"",
    ) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.size = size
        self.mtime = mtime
        self.uid = uid
        self.gid = gid
        self.link = link
        self.device = device
        self.capability = capability

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Member) and all(
            getattr(self, name) == getattr(other, name) for name in Member.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # it is changed by whoever renames it

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {self.kind!r}, size={self.size})"


class MemberEnd:
    """Says that all data of a member has come; comes also for members that have none."""

    __slots__ = ("member",)

    def __init__(self, member: Member) -> None:
        self.member = member

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemberEnd) and self.member == other.member

    __hash__ = None  # type: ignore[assignment]  # nor has its member one

    def __repr__(self) -> str:
        return f"MemberEnd({self.member!r})"


if TYPE_CHECKING:
    Event: TypeAlias = Member | memoryview | MemberEnd


class Reader:
    """An archive, fed as its bytes come: ustar, pax and GNU, with what Go's writer makes of them.

    Sparse members are refused: no engine sends them, and a few bytes of one may stand for any amount of data.

    Attributes:
        ended: the archive's end has come; what follows is passed over.
    """

    def __init__(self) -> None:
        self.ended = False
        self._member: Member | None = None
        # Bytes of data to come, then of padding or of what is passed over.
        self._left = 0
        self._skip = 0
        # What is collected until there is `_need` of it: a header, or what stands before one.
        self._held = bytearray()
        self._need = BLOCK
        self._extension = b""
        self._extension_size = 0
        self._records: dict[str, bytes] = {}

    def feed(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take the next bytes, in any cutting.

        Returns:
            for each member itself, pieces of its data and its end. The pieces are views of `data`: use them before
            that changes.

        Raises:
            ArchiveError: these are no tar archive, or a member is of a kind that we do not take.
        """
        events: list[Event] = []
        view = memoryview(data).toreadonly()
        while len(view) and not self.ended:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                events.append(piece)
                if not self._left:
                    self._finish(events)
            elif self._skip:
                taken = min(self._skip, len(view))
                self._skip -= taken
                view = view[taken:]
            else:
                taken = self._need - len(self._held)
                self._held += view[:taken]
                view = view[taken:]
                if len(self._held) == self._need:
                    block, self._held, self._need = bytes(self._held), bytearray(), BLOCK
                    self._take(block, events)
        return events

    def eof(self) -> None:
        """Say that no more bytes come.

        Raises:
            ArchiveError: the archive has not come to its end.
        """
        if not self.ended:
            raise _wrong("it ends in the middle", "was its sender interrupted? try again")

    def _take(self, block: bytes, events: list[Event]) -> None:
        if self._extension:
            kind, self._extension = self._extension, b""
            self._learn(kind, block[: self._extension_size])
            return
        if not block.strip(b"\0"):
            # Two are written, and all readers take the first for the end.
            self.ended = True
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise _wrong("it has a header that makes no sense") from error
        if header.size < 0:
            raise _wrong("it has a member of less than no bytes")
        if header.type == tarfile.XGLTYPE:
            # As engines do, which never write one.
            self._skip = _padded(header.size)
        elif header.type in _EXTENSIONS:
            self._expect(header)
        else:
            self._begin(header, events)

    def _expect(self, header: tarfile.TarInfo) -> None:
        if header.size > HEADER_LIMIT:
            raise _wrong(f"it has a header of more than {HEADER_LIMIT} bytes")
        if header.size:
            self._extension, self._extension_size = header.type, header.size
            self._need = _padded(header.size)

    def _learn(self, kind: bytes, payload: bytes) -> None:
        if kind == tarfile.XHDTYPE:
            self._records.update(_records(payload))
        else:
            name = "path" if kind == _GNU_NAME else "linkpath"
            self._records[name] = payload.partition(b"\0")[0]

    def _begin(self, header: tarfile.TarInfo, events: list[Event]) -> None:
        kind = _KINDS.get(header.type)
        if kind is None:
            what = (
                "a sparse member" if header.type == tarfile.GNUTYPE_SPARSE else "a member of an unknown kind"
            )
            raise _wrong(f"it has {what}: {shown(header.name)}")
        records, self._records = self._records, {}
        member = Member(
            _text(records["path"]) if "path" in records else header.name,
            kind,
            mode=header.mode & 0o7777,
            mtime=_number(records, "mtime", int(header.mtime)),
            uid=_number(records, "uid", header.uid),
            gid=_number(records, "gid", header.gid),
            device=(header.devmajor, header.devminor) if kind in (CHARACTER, BLOCK_DEVICE) else (0, 0),
            capability=records.get(_CAPABILITY, b"") if kind == FILE else b"",
        )
        if kind in (SYMLINK, HARDLINK):
            member.link = _text(records["linkpath"]) if "linkpath" in records else header.linkname
        if kind == FILE:
            # Whatever else a header says: only a file is followed by data.
            member.size = _number(records, "size", header.size)
        member.mtime = min(max(member.mtime, 0), _LAST_SECOND)
        if not (0 <= member.uid < _OWNERS and 0 <= member.gid < _OWNERS):
            raise _wrong(f"it has a member of an owner that cannot be: {shown(member.name)}")
        self._member, self._left = member, member.size
        events.append(member)
        if not member.size:
            self._finish(events)

    def _finish(self, events: list[Event]) -> None:
        assert self._member is not None
        self._skip = _padded(self._member.size) - self._member.size
        events.append(MemberEnd(self._member))
        self._member = None


class Writer:
    """An archive in the making, as pax where ustar has no room: what an engine reads.

    For each member `begin`, its data in pieces through `data`, then `end`; after the last one the bytes `END`.

    Args:
        gnu: in GNU's form instead, which every `tar` reads, but which has no room for capabilities.
    """

    def __init__(self, *, gnu: bool = False) -> None:
        self._gnu = gnu
        self._member: Member | None = None
        self._left = 0

    def begin(self, member: Member) -> bytes:
        """Give a member's header.

        Raises:
            ValueError: the member before it was not ended.
        """
        if self._member is not None:
            raise ValueError(f"{self._member!r} has not ended")
        header = tarfile.TarInfo(member.name)
        header.type = _TYPES[member.kind]
        header.mode, header.mtime = member.mode, member.mtime
        header.uid, header.gid = member.uid, member.gid
        header.linkname = member.link
        header.devmajor, header.devminor = member.device
        if member.capability:
            header.pax_headers = {_CAPABILITY: _text(member.capability)}
        header.size = member.size if member.kind == FILE else 0
        self._member, self._left = member, header.size
        if self._gnu:
            return header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def data(self, piece: bytes) -> bytes:
        """Give a piece of data as it stands in the archive, which is as it is.

        Raises:
            ValueError: it is more than the member's size.
        """
        if self._member is None or len(piece) > self._left:
            raise ValueError(f"more data than {self._member!r} has")
        self._left -= len(piece)
        return piece

    def end(self) -> bytes:
        """Give what fills a member's last block.

        Raises:
            ValueError: it was less than the member's size.
        """
        if self._member is None or self._left:
            raise ValueError(f"{self._left} bytes too few for {self._member!r}")
        size = self._member.size if self._member.kind == FILE else 0
        self._member = None
        return bytes(_padded(size) - size)


def parts_of(name: str) -> tuple[str, ...]:
    """Split a member's name into the steps from the target's root; none for the root itself.

    A leading slash counts for nothing, as in every tar: engines write one when they are asked for `/`.

    Raises:
        ArchiveError: a step leads upwards, or there is a zero byte in the name.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or "\0" in name:
        raise _wrong(f"it has a name that leads out of its place: {shown(name)}")
    return parts


def climbs_out(parts: tuple[str, ...], link: str) -> bool:
    """Say whether a relative symbolic link at `parts` leads above the target's root, by its text.

    An absolute one does not: it leads to where its owner said. That nothing is written through either is the affair of
    whoever writes.
    """
    if link.startswith("/"):
        return False
    depth = len(parts) - 1
    for step in link.split("/"):
        if step == "..":
            depth -= 1
        elif step not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False


def shown(name: str) -> str:
    """Give a name for a message: what would move a cursor, or cannot be written, as question marks."""
    return "".join(char if char.isprintable() else "?" for char in name)


def _records(payload: bytes) -> dict[str, bytes]:
    """Read the records of a pax header.

    Not by `tarfile`, which takes quadratic time for some in the versions before 3.11.10 (CVE-2024-6232).
    """
    found = {}
    at = 0
    while at < len(payload):
        space = payload.find(b" ", at, at + 20)
        digits = payload[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        if end <= space or end > len(payload) or payload[end - 1 : end] != b"\n":
            raise _wrong("it has a header that makes no sense")
        name, equals, value = payload[space + 1 : end - 1].partition(b"=")
        if name.startswith(b"GNU.sparse."):
            raise _wrong("it has a sparse member")
        key = name.decode("latin-1")
        if equals and key in _RECORDS:
            found[key] = value
        at = end
    return found


def _number(records: dict[str, bytes], key: str, otherwise: int) -> int:
    if key not in records:
        return otherwise
    # Of a time only the seconds: engines have no more.
    digits = records[key].partition(b".")[0]
    if not digits.removeprefix(b"-" if key == "mtime" else b"").isdigit() or len(digits) > 20:
        raise _wrong(f"the {key} of a member is not a number")
    return int(digits)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _wrong(reason: str, hint: str = "do not use what wrote it") -> ArchiveError:
    return ArchiveError("read", "the tar archive", reason, hint)
