"""A tree packed and unpacked; and archives that would like to write elsewhere, none of which does."""

from __future__ import annotations

import os
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.archive import (
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
)
from dockerpty.errors import ArchiveError, DockerptyError
from dockerpty.tree import PIECE, Unpacker, gathered, members, pack
from tests.conftest import missing, needs_root

Pair = tuple[Member, bytes]


def tar(*members: Member | Pair) -> bytes:
    writer, data = Writer(), b""
    for each in members:
        member, content = each if isinstance(each, tuple) else (each, b"")
        member.size = len(content)
        data += writer.begin(member) + writer.data(content) + writer.end()
    return data + END


def same(member: Member, parts: tuple[str, ...]) -> tuple[str, ...]:
    return parts


def unpack(folder: Path, *pieces: bytes, **options: Any) -> list[str]:
    """Unpack, and give what was said meanwhile."""
    said: list[str] = []
    unpacker = Unpacker(str(folder), same, said.append, **options)
    try:
        for piece in pieces:
            unpacker.take(piece)
        unpacker.eof()
    finally:
        unpacker.close()
    return said


def tree_of(folder: Path) -> dict[str, object]:
    """Each name below a directory with all that a copy keeps."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        what: object = None
        if stat.S_ISREG(status.st_mode):
            what = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            what = os.readlink(path)
        found[str(path.relative_to(folder))] = (oct(status.st_mode), int(status.st_mtime), what)
    return found


def descriptors() -> set[str]:
    return {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)}


def _is_open(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A directory to unpack into; what stands beside it must be there afterwards, and nothing else."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (tmp_path / "file").write_text("kept")
    yield inside
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "inside", "outside"]
    assert (tmp_path / "file").read_text() == "kept"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"
    assert stat.S_IMODE((outside / "secret").stat().st_mode) & 0o777 in (0o644, 0o600)
    assert [name for name in os.listdir(inside) if name.startswith(".dpty-")] == []
    assert not any(str(tmp_path) in each for each in descriptors())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with one of everything."""
    root = tmp_path / "source"
    (root / "d" / "empty").mkdir(parents=True)
    (root / "d" / "file").write_bytes(b"text")
    (root / "d" / "none").write_bytes(b"")
    (root / "large").write_bytes(os.urandom(PIECE + 1000))
    (root / "set-id").write_bytes(b"x")
    (root / "set-id").chmod(0o4755)
    (root / "locked").mkdir()
    (root / "locked" / "in").write_bytes(b"in")
    os.link(root / "d" / "file", root / "second")
    (root / "to-file").symlink_to("d/file")
    (root / "absolute").symlink_to("/nowhere")
    (root / "d" / "up").symlink_to("../large")
    (root / "new\nline").write_bytes(b"n")
    (root / os.fsdecode(b"\xff\xfe")).write_bytes(b"u")
    (root / ("n" * 250)).write_bytes(b"long")
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, (978307200, 978307200), follow_symlinks=False)
    (root / "locked").chmod(0o555)
    os.utime(root, (978307200, 978307200))
    return root


# There and back


def test_a_tree_comes_back_as_it_was(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    data = b"".join(pack(str(source), "root", pytest.fail))
    assert unpack(target, data) == []
    (source / "set-id").chmod(0o755)
    assert tree_of(target / "root") == tree_of(source)
    assert (target / "root" / "d" / "file").stat().st_nlink == 2
    assert (target / "root").stat().st_mtime == 978307200


def test_the_standard_tar_program_reads_it_too(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    data = b"".join(pack(str(source), ".", pytest.fail))
    subprocess.run(["tar", "xpf", "-", "-C", target], input=data, check=True)
    assert tree_of(target) == tree_of(source)


def test_pieces_are_of_bounded_size_and_small_files_go_together(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"small{number}").write_bytes(b"x")
    (tmp_path / "large").write_bytes(bytes(5 * PIECE))
    sizes = [len(piece) for piece in pack(str(tmp_path), "x", pytest.fail)]
    assert max(sizes) <= PIECE + 64 * 1024 + 1024
    assert len(sizes) < 15


def test_what_is_no_directory_is_packed_alone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("x")
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("link", SYMLINK), ("pipe", FIFO)):
        data = b"".join(pack(str(tmp_path / name), "n", pytest.fail))
        events = Reader().feed(data)
        assert isinstance(events[0], Member)
        assert (events[0].name, events[0].kind) == ("n", kind)


def test_a_socket_is_left_out_and_told_of(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        said: list[str] = []
        events = Reader().feed(b"".join(pack(str(tmp_path), "n", said.append)))
    assert [event.name for event in events if isinstance(event, Member)] == ["n"]
    assert said == [f"skipped {tmp_path}/s: a socket cannot be copied"]


def test_what_is_not_there_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(DockerptyError, match="there is no such file; is the path right"):
        list(pack(str(tmp_path / "none"), "n", pytest.fail))


def test_what_goes_away_in_the_middle_is_left_out_and_told_of(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(2 * PIECE))
    (tmp_path / "b").write_bytes(b"b")
    said: list[str] = []
    pieces = pack(str(tmp_path), "n", said.append)
    next(pieces)
    (tmp_path / "b").unlink()
    list(pieces)
    assert said == [f"skipped {tmp_path}/b: it is gone"]


def test_a_file_that_becomes_shorter_in_the_middle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(3 * PIECE))
    pieces = pack(str(tmp_path / "a"), "a", pytest.fail)
    next(pieces)
    os.truncate(tmp_path / "a", PIECE)
    with pytest.raises(DockerptyError, match="it became shorter meanwhile"):
        list(pieces)


def test_a_name_that_went_away_is_no_other_end_of_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"ours")
    os.link(tmp_path / "a", tmp_path / "b")
    opened = os.open

    def go_away_then(path: Any, *rest: Any, **more: Any) -> int:
        if path == "a":
            (tmp_path / "a").unlink()
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", go_away_then)
    said: list[str] = []
    data = b"".join(pack(str(tmp_path), "n", said.append))
    assert said == [f"skipped {tmp_path}/a: it is gone"]
    assert b"ours" in data
    members = [event for event in Reader().feed(data) if isinstance(event, Member)]
    assert [(member.name, member.kind) for member in members] == [("n", DIRECTORY), ("n/b", FILE)]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory with secrets under the names that the tests' own files have."""
    (tmp_path / "outside").mkdir()
    for name in ("z", "secret"):
        (tmp_path / "outside" / name).write_bytes(b"secret")
    return tmp_path / "outside"


def swap(folder: Path, target: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.symlink_to(target)


def test_a_directory_swapped_for_a_link_while_it_is_open_is_read_on(tmp_path: Path, outside: Path) -> None:
    inner = tmp_path / "root" / "inner"
    inner.mkdir(parents=True)
    (inner / "a").write_bytes(bytes(2 * PIECE))
    (inner / "z").write_bytes(b"ours")
    pieces = pack(str(tmp_path / "root"), "n", pytest.fail)
    data = next(pieces)
    swap(inner, outside)
    data += b"".join(pieces)
    assert b"ours" in data
    assert b"secret" not in data


def test_one_swapped_for_a_link_before_it_is_opened_again_is_an_error(tmp_path: Path, outside: Path) -> None:
    inner = tmp_path / "root" / "inner"
    (inner / "deep").mkdir(parents=True)
    (inner / "deep" / "a").write_bytes(bytes(2 * PIECE))
    (inner / "z").write_bytes(b"ours")
    pieces = pack(str(tmp_path / "root"), "n", pytest.fail)
    packed = [next(pieces)]
    swap(inner, outside)
    with pytest.raises(DockerptyError, match=f"{inner}/z: something else has its name now; copy when nobody"):
        packed.extend(pieces)
    assert b"secret" not in b"".join(packed)


def test_a_file_swapped_for_a_link_is_an_error(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"ours")
    look = os.stat

    def swap_then(path: str, **rest: Any) -> os.stat_result:
        status = look(path, **rest)
        (tmp_path / "a").unlink()
        (tmp_path / "a").symlink_to(outside / "secret")
        return status

    monkeypatch.setattr(os, "stat", swap_then)
    with pytest.raises(DockerptyError, match="something else has its name now"):
        list(pack(str(tmp_path / "a"), "n", pytest.fail))


def test_nothing_stays_open_when_a_walk_is_left_in_the_middle(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "large").write_bytes(bytes(2 * PIECE))
    before = len(os.listdir("/proc/self/fd"))
    pieces = pack(str(tmp_path), "n", pytest.fail)
    next(pieces)
    assert len(os.listdir("/proc/self/fd")) > before
    pieces.close()  # type: ignore[attr-defined]  # a generator, told as an iterator
    assert len(os.listdir("/proc/self/fd")) == before


def test_of_a_file_that_grows_comes_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(2 * PIECE))
    pieces = pack(str(tmp_path / "a"), "a", pytest.fail)
    data = next(pieces)
    with (tmp_path / "a").open("ab") as file:
        file.write(b"more")
    events = Reader().feed(data + b"".join(pieces))
    assert isinstance(events[-1], MemberEnd)
    assert events[-1].member.size == 2 * PIECE


# What is there already


def test_a_directory_is_merged_and_a_file_replaced(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "kept").write_text("kept")
    (folder / "d" / "old").write_text("old and longer")
    os.link(folder / "d" / "old", folder / "d" / "other name of old")
    unpack(folder, tar(Member("d", DIRECTORY, mode=0o755), (Member("d/old"), b"new")))
    assert (folder / "d" / "kept").read_text() == "kept"
    assert (folder / "d" / "old").read_text() == "new"
    assert (folder / "d" / "other name of old").read_text() == "old and longer"


def test_the_directory_it_is_for_stays_as_it_is(folder: Path) -> None:
    folder.chmod(0o700)
    unpack(folder, tar(Member(".", DIRECTORY, mode=0o777, mtime=5), (Member("./x"), b"x")))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "x").read_text() == "x"


def test_a_link_of_a_files_name_is_replaced_and_not_followed(folder: Path) -> None:
    (folder / "x").symlink_to("../outside/secret")
    unpack(folder, tar((Member("x"), b"new")))
    assert not (folder / "x").is_symlink()
    assert (folder / "x").read_text() == "new"


@pytest.mark.parametrize(
    ("make", "member", "words"),
    [
        (lambda f: (f / "x").mkdir(), Member("x"), "cannot write x: a directory of that name is there"),
        (lambda f: (f / "x").mkdir(), Member("x", SYMLINK, link="y"), "a directory of that name is there"),
        (lambda f: (f / "x").touch(), Member("x", DIRECTORY), "cannot write x: a file of that name is there"),
        (lambda f: (f / "x").touch(), Member("x/y"), "cannot write through x: a file of that name is there"),
        (lambda f: os.mkfifo(f / "x"), Member("x", DIRECTORY), "a named pipe of that name is there"),
        (
            lambda f: (f / "x").symlink_to("../outside"),
            Member("x", DIRECTORY),
            "cannot write x: a symbolic link of that name is there",
        ),
    ],
)
def test_a_directory_never_replaces_anything_else_nor_the_reverse(
    make: Callable[[Path], None], member: Member, words: str, folder: Path
) -> None:
    make(folder)
    with pytest.raises(ArchiveError, match=words):
        unpack(folder, tar(member))


def test_a_directory_that_nobody_may_write_to_is_filled_first(folder: Path) -> None:
    members: list[Member | Pair] = [
        Member("d", DIRECTORY, mode=0o500, mtime=7),
        (Member("d/x"), b"x"),
        (Member("y"), b"y"),
    ]
    unpack(folder, tar(*members))
    status = (folder / "d").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o500, 7)
    (folder / "d").chmod(0o700)


def test_directories_that_the_archive_does_not_name_are_made(folder: Path) -> None:
    unpack(folder, tar((Member("a/b/c"), b"x")))
    assert (folder / "a" / "b" / "c").read_text() == "x"


# What would like to be elsewhere. That nothing is, the fixture sees to.


@pytest.mark.parametrize(
    "name", ["../file", "a/../../file", "/../file", "..", "d/..", "../outside/secret", "./../file"]
)
def test_no_name_leads_upwards(name: str, folder: Path) -> None:
    with pytest.raises(ArchiveError, match="a name that leads out of its place"):
        unpack(folder, tar((Member(name), b"bad")))


def test_an_absolute_name_is_one_below_the_target(folder: Path) -> None:
    name = f"{folder.parent}/file"
    unpack(folder, tar((Member(name), b"new")))
    assert Path(f"{folder}{name}").read_text() == "new"


@pytest.mark.parametrize("link", ["../outside", "{outside}", "/"])
@pytest.mark.parametrize("before", [True, False])
def test_nothing_is_written_through_a_link(link: str, before: bool, folder: Path) -> None:
    link = link.format(outside=folder.parent / "outside")
    members: list[Member | Pair] = []
    if before:
        (folder / "d").mkdir()
        (folder / "d" / "l").symlink_to(link)
    else:
        members = [Member("d", DIRECTORY, mode=0o755), Member("d/l", SYMLINK, link=link)]
    with pytest.raises(ArchiveError, match="cannot write through l: a symbolic link of that name is there"):
        unpack(folder, tar(*members, (Member("d/l/secret"), b"bad")))


def test_no_directorys_mode_is_set_through_a_link(folder: Path) -> None:
    # The directory is in work when a link takes its place, from outside the archive.
    unpacker = Unpacker(str(folder), same, pytest.fail)
    mode = (folder.parent / "outside").stat().st_mode
    data = tar(Member("a", DIRECTORY, mode=0o777), Member("b", DIRECTORY, mode=0o777), (Member("c"), b""))
    try:
        unpacker.take(data[:512])
        (folder / "a").rmdir()
        (folder / "a").symlink_to("../outside")
        with pytest.raises(ArchiveError, match="cannot write through a"):
            unpacker.take(data[512:])
    finally:
        unpacker.close()
    assert (folder.parent / "outside").stat().st_mode == mode


def test_a_link_that_leads_out_of_the_target_is_refused(folder: Path) -> None:
    with pytest.raises(ArchiveError, match=r"it is a link to \.\./\.\./outside, which is outside the target"):
        unpack(folder, tar(Member("d", DIRECTORY), Member("d/l", SYMLINK, link="../../outside")))


@pytest.mark.parametrize("link", ["../outside/secret", "/../outside/secret", "none", "d", "through/secret"])
def test_no_second_name_is_given_to_what_is_elsewhere_or_no_file(link: str, folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "through").symlink_to("../outside")
    with pytest.raises(DockerptyError, match=r"cannot (write|read)"):
        unpack(folder, tar(Member("h", HARDLINK, link=link)))
    assert (folder.parent / "outside" / "secret").stat().st_nlink == 1


def test_a_second_name_of_a_link_is_one_of_the_link_itself(folder: Path) -> None:
    members: list[Member | Pair] = [
        Member("l", SYMLINK, link=str(folder.parent / "outside" / "secret")),
        Member("h", HARDLINK, link="l", mode=0o777),
        (Member("h"), b"new"),
    ]
    unpack(folder, tar(*members))
    assert (folder / "h").read_text() == "new"
    assert (folder / "l").is_symlink()


def test_data_for_a_second_name_does_not_change_the_first(folder: Path) -> None:
    (folder / "mine").write_text("mine")
    unpack(
        folder,
        tar(Member("h", HARDLINK, link="mine"), Member("h", HARDLINK, link="mine"), (Member("h"), b"b")),
    )
    assert (folder / "mine").read_text() == "mine"
    assert (folder / "h").read_text() == "b"
    assert sorted(os.listdir(folder)) == ["h", "mine"]


def test_devices_and_pipes_are_left_out_and_told_of(folder: Path) -> None:
    said = unpack(
        folder, tar(Member("n", CHARACTER, device=(1, 3)), Member("p\x1b", FIFO), (Member("x"), b""))
    )
    assert os.listdir(folder) == ["x"]
    assert said == ["skipped n: a character device is not copied", "skipped p?: a named pipe is not copied"]


def test_the_last_of_two_members_of_one_name_counts(folder: Path) -> None:
    unpack(
        folder,
        tar((Member("x"), b"first and longer"), Member("x", SYMLINK, link="y"), (Member("x"), b"last")),
    )
    assert (folder / "x").read_text() == "last"


def test_a_member_may_not_be_the_directory_itself(folder: Path) -> None:
    for member in (Member("."), Member("/", SYMLINK, link="x")):
        with pytest.raises(ArchiveError, match="it would replace the directory that it is for"):
            unpack(folder, tar(member))


def test_a_name_that_this_system_cannot_have_is_an_error_that_says_which(folder: Path) -> None:
    with pytest.raises(DockerptyError, match=r"cannot write n+: File name too long"):
        unpack(folder, tar((Member("n" * 300), b"x")))


def test_a_directory_told_a_thousand_times_is_remembered_once(folder: Path) -> None:
    unpacker = Unpacker(str(folder), same, pytest.fail)
    writer = Writer()
    try:
        for _ in range(1000):
            unpacker.take(writer.begin(Member("d", DIRECTORY, mode=0o755)) + writer.end())
        assert len(unpacker._around) == 1
    finally:
        unpacker.close()


# Interruptions


@pytest.mark.parametrize("end", [512, 600, 512 + 512, 512 + 1536])
def test_a_copy_that_is_cut_leaves_the_old_file_and_nothing_of_the_new(end: int, folder: Path) -> None:
    (folder / "x").write_text("old")
    data = tar((Member("x"), b"n" * 2000))
    with pytest.raises(ArchiveError, match="it ends in the middle"):
        unpack(folder, data[:end])
    assert os.listdir(folder) == ["x"]
    assert (folder / "x").read_text() == "old"


def test_an_interruption_at_any_step_leaves_no_half_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members: list[Member | Pair] = [
        (Member("x"), b"new"),
        Member("l", SYMLINK, link="x"),
        Member("h", HARDLINK, link="x"),
    ]
    data = tar(*members)
    for name in ("fchmod", "utime", "rename", "symlink", "link"):
        real = getattr(os, name)

        def interrupted(*args: object, real: Callable[..., None] = real, **kwargs: object) -> None:
            real(*args, **kwargs)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(os, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                unpack(folder, data)
        assert [each for each in os.listdir(folder) if each not in ("x", "l", "h")] == []
    unpack(folder, data)
    assert (folder / "x").read_text() == "new"


def test_a_full_disk_leaves_nothing_and_says_what_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DockerptyError, match="cannot write x: No space left on device"):
        unpack(folder, tar((Member("x"), b"new")))
    assert os.listdir(folder) == []


# Owners, and what only root gives


def test_what_a_program_may_do_is_kept_with_its_owner_only(folder: Path) -> None:
    needs_root("gives capabilities")
    # net_raw, permitted and effective (linux/capability.h, revision 2).
    value = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    data = tar(
        (Member("x", mode=0o755, capability=value, uid=5), b"x"), (Member("y", capability=b"bad"), b"y")
    )
    try:
        os.setxattr(folder, "user.x", b"x")
    except OSError:
        missing("no attributes on this filesystem")
    unpack(folder, data)
    assert os.listxattr(folder / "x") == []
    unpack(folder, data, keep_owner=True)
    assert os.getxattr(folder / "x", "security.capability") == value
    assert os.listxattr(folder / "y") == []
    events = Reader().feed(b"".join(pack(str(folder), "n", pytest.fail)))
    assert [e.capability for e in events if isinstance(e, Member)] == [b"", value, b""]


def test_owners_are_kept_where_that_was_asked_for_and_ours_else(folder: Path) -> None:
    needs_root("gives files away")
    data = tar(
        Member("d", DIRECTORY, mode=0o3775, uid=5, gid=6),
        (Member("d/x", FILE, mode=0o6755, uid=5, gid=6), b"x"),
        Member("l", SYMLINK, link="x", uid=5, gid=6),
    )
    for keep in (False, True):
        assert unpack(folder, data, keep_owner=keep) == []
        for name in ("d", "d/x", "l"):
            status = os.lstat(folder / name)
            assert (status.st_uid, status.st_gid) == ((5, 6) if keep else (os.getuid(), os.getgid()))
        modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("d", "d/x")]
        assert modes == ([0o3775, 0o6755] if keep else [0o1775, 0o755])


def test_who_is_not_root_keeps_no_owner_and_no_set_id_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    unpack(folder, tar((Member("x", mode=0o6755), b"x")), keep_owner=True)
    assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o755


def test_links_are_followed_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("there")
    here = tmp_path / "d"
    here.mkdir()
    (here / "l").symlink_to("../outside")
    (here / "f").symlink_to("../outside/f")
    (here / "none").symlink_to("nowhere")
    said: list[str] = []
    archive = b"".join(gathered(members(str(here), "d", said.append, follow_links=True)))
    found = {each.name: each.kind for each in Reader().feed(archive) if isinstance(each, Member)}
    assert found == {"d": DIRECTORY, "d/f": FILE, "d/l": DIRECTORY, "d/l/f": FILE}
    assert len(said) == 1
    assert "none" in said[0]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to("..")
    (tmp_path / "a" / "twin").symlink_to("b")
    with pytest.raises(DockerptyError, match="circle"):
        list(members(str(tmp_path / "a"), "a", print, follow_links=True))


def test_a_directory_that_two_links_lead_to_is_no_circle(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").symlink_to("b")
    (tmp_path / "a" / "two").symlink_to("b")
    archive = b"".join(gathered(members(str(tmp_path / "a"), "a", print, follow_links=True)))
    names = [each.name for each in Reader().feed(archive) if isinstance(each, Member)]
    assert names == ["a", "a/b", "a/one", "a/two"]


def test_a_member_can_be_changed_or_left_out_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "d" / name).write_text(name)
    os.link(tmp_path / "d" / "b", tmp_path / "d" / "second")

    def alter(member: Member) -> bool:
        member.uid = 77
        return member.name != "d/b"

    archive = b"".join(gathered(members(str(tmp_path / "d"), "d", print, alter=alter)))
    found = [each for each in Reader().feed(archive) if isinstance(each, Member)]
    # Of a file that was left out under its first name, the second one has the content.
    assert [(each.name, each.kind) for each in found[1:]] == [
        ("d/a", FILE),
        ("d/c", FILE),
        ("d/second", FILE),
    ]
    assert {each.uid for each in found} == {77}


def test_what_is_placed_nowhere_is_left_out_with_its_data(folder: Path) -> None:
    def place(member: Member, parts: tuple[str, ...]) -> tuple[str, ...] | None:
        return None if member.name == "a" else parts

    unpacker = Unpacker(str(folder), place, print)
    unpacker.take(tar((Member("a"), b"x" * 600), (Member("b"), b"y")))
    unpacker.eof()
    unpacker.close()
    assert os.listdir(folder) == ["b"]
    assert (unpacker.members, unpacker.moved) == (1, 1)


# What is there already, and a mode for all


def test_what_is_there_is_left_as_it_is_when_asked(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/old").write_text("old")
    (tmp_path / "link").symlink_to("nowhere")
    said = unpack(
        tmp_path,
        tar(
            Member("d", DIRECTORY, mode=0o755),
            (Member("d/old"), b"other"),
            (Member("d/new"), b"new"),
            Member("d/second", HARDLINK, link="d/new"),
            Member("d/third", HARDLINK, link="d/old"),
            (Member("link"), b"other"),
        ),
        overwrite=False,
    )
    assert sorted(os.listdir(tmp_path / "d")) == ["new", "old", "second"]
    assert (tmp_path / "d/old").read_text() == "old"
    assert (tmp_path / "d/new").read_text() == (tmp_path / "d/second").read_text() == "new"
    assert os.readlink(tmp_path / "link") == "nowhere"
    # It would get what the archive does not mean.
    assert said == ["skipped d/third: it is a second name of d/old, which was left as it was"]


def test_left_as_it_is_or_not_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(ArchiveError, match="a directory of that name is there"):
        unpack(tmp_path, tar((Member("x"), b"")), overwrite=False)


def test_a_mode_for_all_is_that_of_files_only(tmp_path: Path) -> None:
    data = tar(
        Member("d", DIRECTORY, mode=0o750), (Member("d/f", mode=0o600), b""), (Member("g", mode=0o4755), b"")
    )
    unpack(tmp_path, data, mode=0o444)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("d", "d/f", "g")] == [
        0o750,
        0o444,
        0o444,
    ]
    unpack(tmp_path, data, mode=0o4711)
    # It was asked for by name: then the set-id bit is meant.
    assert stat.S_IMODE((tmp_path / "g").stat().st_mode) == 0o4711
