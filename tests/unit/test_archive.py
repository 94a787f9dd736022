"""Tar as members and back: any cutting of the bytes, what `tarfile` writes and reads, and what must be refused."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerpty.archive import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    END,
    FIFO,
    FILE,
    HARDLINK,
    HEADER_LIMIT,
    SYMLINK,
    Member,
    MemberEnd,
    Reader,
    Writer,
    climbs_out,
    parts_of,
    shown,
)
from dockerpty.errors import ArchiveError

Pairs = list[tuple[Member, bytes]]

LONG = "d" * 120 + "/" + "x" * 200

MEMBERS: Pairs = [
    (Member("d", DIRECTORY, mode=0o1755, mtime=1), b""),
    (Member("d/empty"), b""),
    (Member("d/file", size=3, mode=0o4750, uid=1000, gid=2**31, mtime=1_700_000_000), b"abc"),
    (Member("d/block", size=BLOCK), b"b" * BLOCK),
    (Member("d/more", size=BLOCK + 1), b"m" * (BLOCK + 1)),
    (Member("d/link", SYMLINK, link="../elsewhere", mode=0o777), b""),
    (Member("d/hard", HARDLINK, link="d/file"), b""),
    (Member("d/pipe", FIFO), b""),
    (Member("d/null", CHARACTER, device=(1, 3)), b""),
    (Member("d/disk", BLOCK_DEVICE, device=(8, 1)), b""),
    (Member(LONG, size=1), b"l"),
    (Member("long link", SYMLINK, link=LONG), b""),
    (Member("new\nline\x1b[2J", size=1), b"n"),
    (Member("gr\u00fc\u00dfe", size=1), b"g"),
    (Member("no utf-8 \udcff\udc80", size=1), b"u"),
    (Member("capable", size=1, capability=b"\x01\x00\x00\x02\x00 \xff\n="), b"c"),
]


def written(pairs: Iterable[tuple[Member, bytes]]) -> bytes:
    writer = Writer()
    return b"".join(writer.begin(member) + writer.data(data) + writer.end() for member, data in pairs) + END


def read(*pieces: bytes) -> tuple[Pairs, Reader]:
    reader = Reader()
    events: list[object] = []
    found: Pairs = []
    for piece in pieces:
        for event in reader.feed(piece):
            events.append(event)
            if isinstance(event, Member):
                found.append((event, b""))
            elif isinstance(event, MemberEnd):
                assert found[-1][0] == event.member
            else:
                found[-1] = (found[-1][0], found[-1][1] + bytes(event))
    assert len([e for e in events if isinstance(e, MemberEnd)]) == len(found)
    return found, reader


def header(name: str = "x", kind: bytes = tarfile.REGTYPE, size: int = 0, **fields: object) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def pax(*records: bytes) -> bytes:
    """Records with their lengths before them, as a header that stands before another."""
    payload = b""
    for record in records:
        length = len(record) + 2
        while len(b"%d %b\n" % (length, record)) != length:
            length += 1
        payload += b"%d %b\n" % (length, record)
    return header("pax", tarfile.XHDTYPE, len(payload)) + padded(payload)


# There and back


def test_what_was_written_is_read() -> None:
    found, reader = read(written(MEMBERS))
    assert found == MEMBERS
    assert reader.ended
    reader.eof()


@given(st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_any_cutting_of_the_bytes_gives_the_same_members(cuts: list[int]) -> None:
    data = written(MEMBERS)
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(data[at : at + size])
        at += size
    assert read(*pieces)[0] == MEMBERS


def test_bytes_one_at_a_time_are_enough() -> None:
    data = written(MEMBERS[:4])
    assert read(*(data[at : at + 1] for at in range(len(data))))[0] == MEMBERS[:4]


def test_the_standard_library_reads_what_we_write() -> None:
    with tarfile.open(fileobj=io.BytesIO(written(MEMBERS)), errors="surrogateescape") as tar:
        infos = tar.getmembers()
        assert [info.name for info in infos] == [member.name for member, _ in MEMBERS]
        third = infos[2]
        assert (third.mode, third.uid, third.gid, third.mtime) == (0o4750, 1000, 2**31, 1_700_000_000)
        extracted = tar.extractfile(third)
        assert extracted is not None
        assert extracted.read() == b"abc"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_we_read_what_the_standard_library_writes_in_every_format(form: int) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name in ("short", "d" * 90 + "/" + "n" * 90, "l" * 99 + "/" + "m" * 60):
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"12345"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "t" * 99
        tar.addfile(link)
    found, _ = read(file.getvalue())
    assert [(member.name, data) for member, data in found[:3]] == [
        ("short", b"12345"),
        ("d" * 90 + "/" + "n" * 90, b"12345"),
        ("l" * 99 + "/" + "m" * 60, b"12345"),
    ]
    assert found[3][0].link == "t" * 99


@given(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=300)
)
def test_any_name_comes_back(name: str) -> None:
    name = name.rstrip("/") or "x"
    assert read(written([(Member(name, size=1), b"x")]))[0][0][0].name == name


def test_numbers_beyond_a_headers_room_come_back() -> None:
    member = Member("big", size=2**40, uid=2**30, gid=2**31)
    reader = Reader()
    assert reader.feed(Writer().begin(member)) == [member]


def test_a_time_of_parts_of_a_second_or_before_1970_or_beyond_all_years_becomes_one_that_can_be_set() -> None:
    for text, seconds in ((b"12.75", 12), (b"-5", 0), (b"9" * 20, 2**36)):
        found, _ = read(pax(b"mtime=" + text) + header() + END)
        assert found[0][0].mtime == seconds


def test_global_headers_and_what_stands_in_other_records_are_passed_over() -> None:
    global_header = header("g", tarfile.XGLTYPE, 700) + padded(b"?" * 700)
    found, _ = read(global_header + pax(b"comment=x", b"SCHILY.xattr.user.a=\xff\0") + header("kept") + END)
    assert [member.name for member, _ in found] == ["kept"]


def test_what_follows_the_end_is_passed_over() -> None:
    found, reader = read(written([(Member("x"), b"")]) + b"not a header" * 100, b"more")
    assert len(found) == 1
    assert reader.ended


def test_only_a_file_is_followed_by_data_whatever_a_header_says() -> None:
    found, _ = read(
        header("d", tarfile.DIRTYPE, 512) + header("l", tarfile.LNKTYPE, 10, linkname="d/x") + END
    )
    assert [(member.name, member.size) for member, _ in found] == [("d", 0), ("l", 0)]


# What is refused


def test_an_archive_that_ends_in_the_middle_is_told_from_one_that_ended() -> None:
    data = written(MEMBERS[:4])
    for end in (0, 100, BLOCK, len(data) - 2 * BLOCK):
        reader = Reader()
        reader.feed(data[:end])
        with pytest.raises(ArchiveError, match="it ends in the middle; was its sender interrupted"):
            reader.eof()


SPARSE = header("s", tarfile.GNUTYPE_SPARSE)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>" + b"x" * BLOCK, "a header that makes no sense"),
        (b"\x1f\x8b" + b"x" * BLOCK, "a header that makes no sense"),
        (header("x", size=-1), "less than no bytes"),
        (SPARSE, "a sparse member: s"),
        (pax(b"GNU.sparse.major=1") + header(), "a sparse member"),
        (header("x", b"V"), "a member of an unknown kind: x"),
        (header("x", tarfile.XHDTYPE, HEADER_LIMIT + 1), "a header of more than"),
        (header("x", tarfile.GNUTYPE_LONGNAME, 2**60), "a header of more than"),
        (pax(b"size=-1") + header(), "the size of a member is not a number"),
        (pax(b"size=1e3") + header(), "the size of a member is not a number"),
        (pax(b"size=" + b"9" * 5000) + header(), "the size of a member is not a number"),
        (pax(b"uid=4294967295") + header(), "an owner that cannot be"),
        (header("x", uid=-1), "an owner that cannot be"),
        (header("pax", tarfile.XHDTYPE, 10) + padded(b"99 path=a\n"), "makes no sense"),
        (header("pax", tarfile.XHDTYPE, 10) + padded(b"2 path=abc"), "makes no sense"),
        (header("pax", tarfile.XHDTYPE, 10) + padded(b"path=abcde"), "makes no sense"),
        (header("pax", tarfile.XHDTYPE, 10) + padded(b"0 path=abc"), "makes no sense"),
    ],
)
def test_what_makes_no_sense_is_an_error(data: bytes, words: str) -> None:
    with pytest.raises(ArchiveError, match=words):
        read(data)


def test_records_of_digits_alone_cost_no_time() -> None:
    payload = b"1" * HEADER_LIMIT
    started = time.monotonic()
    with pytest.raises(ArchiveError, match="makes no sense"):
        read(header("pax", tarfile.XHDTYPE, len(payload)) + payload)
    assert time.monotonic() - started < 1


def test_a_reader_holds_no_more_than_a_header() -> None:
    reader = Reader()
    reader.feed(Writer().begin(Member("big", size=2**50)))
    piece = bytes(1024 * 1024)
    for _ in range(64):
        assert [len(event) for event in reader.feed(piece) if isinstance(event, memoryview)] == [len(piece)]
        assert len(reader._held) < BLOCK


@given(st.binary(max_size=4 * BLOCK))
def test_no_bytes_at_all_make_it_fail_with_anything_else(data: bytes) -> None:
    try:
        Reader().feed(data)
    except ArchiveError:
        pass  # refused


@given(st.data())
def test_no_damage_to_an_archive_makes_it_fail_with_anything_else(data: st.DataObject) -> None:
    whole = bytearray(pax(b"path=abc", b"size=3") + header("x", size=3) + padded(b"abc") + END)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        Reader().feed(whole)
    except ArchiveError:
        pass  # refused


# Names and links


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("a",)),
        ("a/b/", ("a", "b")),
        ("./a//b", ("a", "b")),
        ("/etc/passwd", ("etc", "passwd")),
        ("//", ()),
        (".", ()),
        ("", ()),
        ("...", ("...",)),
        ("a\nb", ("a\nb",)),
    ],
)
def test_a_name_is_steps_below_the_target(name: str, parts: tuple[str, ...]) -> None:
    assert parts_of(name) == parts


@pytest.mark.parametrize("name", ["..", "../x", "a/..", "a/../../x", "/../x", "a\0b"])
def test_a_name_that_leads_upwards_is_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match="a name that leads out of its place"):
        parts_of(name)


@pytest.mark.parametrize(
    ("parts", "link", "climbs"),
    [
        (("l",), "x", False),
        (("l",), "../x", True),
        (("d", "l"), "../x", False),
        (("d", "l"), "../../x", True),
        (("d", "l"), "a/b/../../../x", False),
        (("d", "l"), "../x/../../y", True),
        (("l",), "/etc/passwd", False),
        (("l",), ".", False),
    ],
)
def test_a_relative_link_may_lead_up_to_the_targets_root_and_no_further(
    parts: tuple[str, ...], link: str, climbs: bool
) -> None:
    assert climbs_out(parts, link) is climbs


def test_a_name_in_a_message_moves_no_cursor() -> None:
    assert shown("a\x1b[2J\nb\udcff") == "a?[2J?b?"


# The writer's caller is held to its word


def test_a_writer_wants_as_much_data_as_it_was_told() -> None:
    writer = Writer()
    with pytest.raises(ValueError, match="more data"):
        writer.data(b"x")
    writer.begin(Member("x", size=2))
    with pytest.raises(ValueError, match="has not ended"):
        writer.begin(Member("y"))
    with pytest.raises(ValueError, match="more data"):
        writer.data(b"xyz")
    writer.data(b"x")
    with pytest.raises(ValueError, match="1 bytes too few"):
        writer.end()
    writer.data(b"y")
    assert len(writer.end()) == BLOCK - 2


def test_members_are_compared_by_value() -> None:
    assert Member("a", size=1) == Member("a", size=1) != Member("a", size=2)
    assert Member("a", FILE) != "a"
    assert MemberEnd(Member("a")) == MemberEnd(Member("a"))
    assert repr(MemberEnd(Member("a"))) == "MemberEnd(Member('a', 'file', size=0))"


def test_in_gnus_form_a_name_needs_no_records_that_a_small_tar_does_not_read() -> None:
    member = Member("d/" + "ü" * 100 + "/" + "x" * 120, size=2)
    writer = Writer(gnu=True)
    data = writer.begin(member) + writer.data(b"ab") + writer.end() + END
    assert b"PaxHeader" not in data
    assert [event.name for event in Reader().feed(data) if isinstance(event, Member)] == [member.name]
