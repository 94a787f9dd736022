"""Archives of a container that nobody trusts: what they would like to do is not done, and all is undone."""

from __future__ import annotations

import io
import os
import resource
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockerpty.archive import CHARACTER, DIRECTORY, END, FIFO, HARDLINK, SYMLINK, Member, Writer
from dockerpty.errors import ArchiveError, DockerptyError
from dockerpty.host.transfer.incoming import Incoming, Limits, Staging, remove
from dockerpty.tree import pack
from tests.conftest import needs_root
from tests.unit.test_tree import descriptors, tar, tree_of

ROOT = Member("d", DIRECTORY, mode=0o755)


def take(folder: Path, *pieces: bytes, limits: Limits | None = None, asked: str = "d") -> list[str]:
    """Bring an archive into a directory as `get` does it, and give what was left out."""
    left: list[str] = []
    with Staging(str(folder)) as staging:
        incoming = Incoming(staging.path, asked, asked, limits or Limits(), left.append)
        try:
            for piece in pieces:
                incoming.take(piece)
            incoming.eof()
        finally:
            incoming.close()
        staging.reveal(asked)
    return left


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Where it goes; beside it is what nobody may touch."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("mine")
    folder = tmp_path / "target"
    before = descriptors()
    yield folder
    assert descriptors() == before
    assert (tmp_path / "outside" / "file").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) in (["outside"], ["outside", "target"])
    assert not folder.exists() or not [each for each in folder.iterdir() if each.name.startswith(".dpty")]


def test_a_tree_comes_whole_and_is_there_at_once(target: Path) -> None:
    member = Member("d/f", mode=0o4751, mtime=1_000_000_000)
    archive = tar(
        ROOT, (member, b"abc"), Member("d/l", SYMLINK, link="f"), Member("d/h", HARDLINK, link="d/f")
    )
    assert take(target, archive) == []
    status = (target / "d" / "f").stat()
    assert (target / "d" / "f").read_bytes() == b"abc"
    assert stat.S_IMODE(status.st_mode) == 0o751
    assert int(status.st_mtime) == 1_000_000_000
    assert os.readlink(target / "d" / "l") == "f"
    assert (target / "d" / "h").read_bytes() == b"abc"


Pair = Member | tuple[Member, bytes]

HOSTILE: dict[str, list[Pair]] = {
    "a name from the root": [(Member("/etc/passwd"), b"x")],
    "a name from the root, that was asked for": [(Member("/d/x"), b"x")],
    "a name that leads upwards": [ROOT, (Member("d/../../outside/file"), b"x")],
    "a name that was not asked for": [ROOT, (Member("e"), b"x")],
    "a link, and a file through it": [
        ROOT,
        Member("d/l", SYMLINK, link="../../../outside"),
        (Member("d/l/file"), b"x"),
    ],
    "a link inside, and a file through it": [
        ROOT,
        Member("d/sub", DIRECTORY),
        Member("d/l", SYMLINK, link="sub"),
        (Member("d/l/file"), b"x"),
    ],
    "a link upwards": [ROOT, Member("d/l", SYMLINK, link="../../outside")],
    "a link from the root": [ROOT, Member("d/l", SYMLINK, link="/etc/passwd")],
    "a hard link upwards": [ROOT, Member("d/h", HARDLINK, link="../outside/file")],
    "a hard link from the root": [ROOT, Member("d/h", HARDLINK, link="/etc/passwd")],
    "a hard link to what was not asked for": [ROOT, Member("d/h", HARDLINK, link="outside/file")],
    "a hard link to nothing": [ROOT, Member("d/h", HARDLINK, link="d/none")],
    "a hard link, and data for it by way of a link": [
        ROOT,
        Member("d/l", SYMLINK, link="f"),
        Member("d/h", HARDLINK, link="d/l"),
        (Member("d/h"), b"x"),
    ],
    "a name twice": [ROOT, (Member("d/f"), b"1"), (Member("d/f"), b"2")],
    "a directory twice": [ROOT, Member("d", DIRECTORY)],
    "a file for a directory": [ROOT, Member("d/e", DIRECTORY), (Member("d/e"), b"x")],
    "a file without its directory": [ROOT, (Member("d/e/f"), b"x")],
    "a name too long for a file": [ROOT, (Member("d/" + "x" * 256), b"x")],
    "a name too long for a path": [ROOT, (Member("d/" + "x/" * 2100 + "f"), b"x")],
    "a zero byte in a name": [ROOT, (Member("d/ü\0b"), b"x")],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_trap_ends_it_and_all_is_undone(what: str, target: Path) -> None:
    with pytest.raises(ArchiveError):
        take(target, tar(*HOSTILE[what]))
    assert not target.exists()


@pytest.mark.parametrize("what", HOSTILE)
def test_a_trap_leaves_what_was_there(what: str, target: Path) -> None:
    (target / "d").mkdir(parents=True)
    (target / "d" / "f").write_text("old")
    with pytest.raises(ArchiveError):
        take(target, tar(*HOSTILE[what]))
    assert [path.name for path in target.rglob("*")] == ["d", "f"]
    assert (target / "d" / "f").read_text() == "old"


def test_devices_and_pipes_are_left_out_and_told_of(target: Path) -> None:
    archive = tar(
        ROOT, Member("d/dev", CHARACTER, device=(1, 3)), Member("d/pipe", FIFO), (Member("d/f"), b"x")
    )
    left = take(target, archive)
    assert len(left) == 2
    assert "character device" in left[0]
    assert os.listdir(target / "d") == ["f"]


def test_what_a_header_claims_counts_before_any_of_it_comes(target: Path) -> None:
    claimed = Member("d/big", size=10 * 1024**3)
    head = tar(ROOT)[: -len(END)] + Writer().begin(claimed)
    with pytest.raises(ArchiveError, match="more than 1000 bytes"):
        take(target, head, limits=Limits(max_bytes=1000))
    # Without a limit it is what never comes that ends it; no room was taken for it.
    with pytest.raises(ArchiveError, match="ends in the middle"):
        take(target, head, b"x" * 5000)
    assert not target.exists()


def test_bytes_are_counted_over_all_sources_of_a_transfer(target: Path) -> None:
    limits = Limits(max_bytes=5)
    take(target, tar((Member("a"), b"abc")), limits=limits, asked="a")
    with pytest.raises(ArchiveError, match="more than 5 bytes"):
        take(target, tar((Member("b"), b"abc")), limits=limits, asked="b")


def test_more_members_than_anybody_has_are_refused(target: Path) -> None:
    limits = Limits(max_members=100)
    many: list[Pair] = [ROOT, *(Member(f"d/{index}") for index in range(100))]
    with pytest.raises(ArchiveError, match="more than 100 files"):
        take(target, tar(*many), limits=limits)
    assert Limits().max_members == 1_000_000


@pytest.mark.parametrize("cut", [1, 511, 512, 700, 1024, 1536, 2047])
def test_an_archive_that_is_cut_short_leaves_the_old_file(cut: int, target: Path) -> None:
    target.mkdir()
    (target / "d").write_text("old")
    with pytest.raises(ArchiveError):
        take(target, tar((Member("d"), b"new" * 200))[:cut])
    assert (target / "d").read_text() == "old"


def test_a_directory_never_replaces_a_file_nor_the_reverse_and_then_nothing_is_renamed(target: Path) -> None:
    (target / "d" / "b").mkdir(parents=True)
    (target / "d" / "a").write_text("old")
    with pytest.raises(DockerptyError, match="a directory of that name"):
        take(target, tar(ROOT, (Member("d/a"), b"new"), (Member("d/b"), b"new")))
    assert (target / "d" / "a").read_text() == "old"


def test_a_link_that_has_the_name_of_a_directory_is_not_gone_through(target: Path, tmp_path: Path) -> None:
    target.mkdir()
    (target / "d").symlink_to(tmp_path / "outside")
    with pytest.raises(DockerptyError):
        take(target, tar(ROOT, (Member("d/file"), b"new")))


def test_a_file_replaces_a_link_of_its_name_and_not_what_that_leads_to(target: Path, tmp_path: Path) -> None:
    target.mkdir()
    (target / "f").symlink_to(tmp_path / "outside" / "file")
    take(target, tar((Member("f"), b"new")), asked="f")
    assert (target / "f").read_bytes() == b"new"
    assert not (target / "f").is_symlink()


def test_directories_are_merged_and_have_the_modes_and_times_of_what_came(target: Path) -> None:
    (target / "d" / "e").mkdir(parents=True)
    (target / "d" / "e" / "kept").write_text("old")
    inner = Member("d/e", DIRECTORY, mode=0o500, mtime=1_000_000_000)
    take(target, tar(ROOT, inner, (Member("d/e/new"), b"new"), Member("d/n", DIRECTORY, mode=0o555)))
    assert sorted(os.listdir(target / "d" / "e")) == ["kept", "new"]
    assert stat.S_IMODE((target / "d" / "e").stat().st_mode) == 0o500
    assert int((target / "d" / "e").stat().st_mtime) == 1_000_000_000
    assert stat.S_IMODE((target / "d" / "n").stat().st_mode) == 0o555


def test_who_is_not_root_gets_directories_that_he_may_not_write_to(tmp_path: Path) -> None:
    needs_root("has another user to be")
    folder = tmp_path / "mine"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    for path in [*tmp_path.parents, tmp_path]:
        if str(path).startswith("/tmp/") and path.stat().st_mode & 0o001 == 0:
            os.chmod(path, path.stat().st_mode | 0o711)
    locked: list[Pair] = [Member("d", DIRECTORY, mode=0o555), (Member("d/f", mode=0o400), b"x")]
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setresuid(12345, 12345, 12345)
            take(folder, tar(*locked))
            # Once more: now they are merged, and cannot be, since the user has said so; nothing is left behind.
            try:
                take(folder, tar(*locked))
            except DockerptyError:
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.listdir(folder) == ["d"]
    assert stat.S_IMODE((folder / "d").stat().st_mode) == 0o555
    assert (folder / "d" / "f").read_bytes() == b"x"


def test_a_target_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with pytest.raises(DockerptyError, match="no directory"):
        Staging(str(tmp_path / "f"))
    with pytest.raises(DockerptyError, match="no directory"):
        Staging(str(tmp_path / "f" / "g"))
    assert os.listdir(tmp_path) == ["f"]


def test_directories_that_were_made_for_nothing_are_taken_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Staging(str(tmp_path / "a" / "b")):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_directory_that_others_make_and_take_back_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a" / "b"
    mkdir, mkdtemp = os.mkdir, tempfile.mkdtemp
    others: list[str] = []

    def too_late(path: str, mode: int = 0o777) -> None:
        if not others:
            mkdir(path)
        mkdir(path, mode)

    def in_vain(**options: str) -> str:
        others.append("took it back")
        if len(others) < 3:
            shutil.rmtree(tmp_path / "a")
        return mkdtemp(**options)

    monkeypatch.setattr("os.mkdir", too_late)
    monkeypatch.setattr("tempfile.mkdtemp", in_vain)
    with Staging(str(target)) as staging:
        Path(staging.path, "f").write_text("x")
        staging.reveal("f")
    assert len(others) == 3
    assert os.listdir(target) == ["f"]


def test_a_deep_tree_is_removed_whatever_its_modes(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    deep = folder
    deep.mkdir()
    for _ in range(1500):
        os.mkdir(deep / "x")
        deep = deep / "x"
        if len(str(deep)) > 3500:
            break
    (deep / "f").write_text("x")
    (folder / "l").symlink_to("/etc")
    os.chmod(deep, 0)
    remove(str(folder))
    assert os.listdir(tmp_path) == []
    remove(str(folder))


def test_with_a_umask_there_are_no_permissions_and_times_of_the_container(tmp_path: Path) -> None:
    member = Member("d", mode=0o777, mtime=1_000_000_000)
    with Staging(str(tmp_path)) as staging:
        incoming = Incoming(staging.path, "d", "d", Limits(), print, umask=0o027)
        incoming.take(tar((member, b"x")))
        incoming.eof()
        incoming.close()
        staging.reveal("d")
    status = (tmp_path / "d").stat()
    assert stat.S_IMODE(status.st_mode) == 0o750
    assert status.st_mtime > 1_000_000_000


def test_the_umask_of_this_machine_is_found_without_being_changed(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with Staging(str(tmp_path / "x")) as staging:
            assert staging.umask == 0o027
    finally:
        assert os.umask(before) == 0o027


# Any tree there and back, by way of an archive in memory.

NAMES = (
    st.binary(min_size=1, max_size=30)
    .map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"0"))
    .filter(lambda raw: raw not in (b".", b".."))
)
LEAVES = st.tuples(st.binary(max_size=3000), st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o000]))
TREES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(NAMES | st.just(b"new\nline"), inner, max_size=4), max_leaves=15
)


def plant(path: bytes, tree: object) -> None:
    if isinstance(tree, dict):
        os.mkdir(path)
        for name, inner in tree.items():
            plant(path + b"/" + name, inner)
        os.chmod(path, 0o751)
    else:
        assert isinstance(tree, tuple)
        with open(path, "wb") as file:
            file.write(tree[0])
        os.chmod(path, tree[1])
    os.utime(path, (1_000_000_000, 1_000_000_000))


def seen(path: bytes) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    for folder, names, files in os.walk(path):
        for name in [*names, *files]:
            full = os.path.join(folder, name)
            status = os.lstat(full)
            content = Path(os.fsdecode(full)).read_bytes() if stat.S_ISREG(status.st_mode) else None
            found[os.path.relpath(full, path)] = (status.st_mode, int(status.st_mtime), content)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES, cuts=st.lists(st.integers(1, 4000), max_size=5))
def test_any_tree_comes_back_as_it_was(tree: object, cuts: list[int], tmp_path: Path) -> None:
    needs_root("reads files of all modes")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    try:
        plant(os.fsencode(here) + b"/d", tree)
        archive = b"".join(pack(str(here / "d"), "d", pytest.fail))
        pieces = []
        for cut in cuts:
            pieces.append(archive[:cut])
            archive = archive[cut:]
        assert take(there, *pieces, archive) == []
        assert seen(os.fsencode(there)) == seen(os.fsencode(here))
    finally:
        remove(str(here))
        remove(str(there))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_an_archive_writes_elsewhere_or_leaves_anything(
    data: st.DataObject, tmp_path: Path
) -> None:
    archive = bytearray(
        tar(ROOT, (Member("d/f"), b"abc"), Member("d/l", SYMLINK, link="f"), (Member("d/g"), b""))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    target = tmp_path / "t" / "target"
    try:
        take(target, bytes(archive))
    except DockerptyError:
        assert not target.exists()
    assert os.listdir(tmp_path) in ([], ["t"])
    remove(str(tmp_path / "t"))


def test_memory_does_not_grow_with_what_comes(target: Path) -> None:
    writer = Writer()
    piece = b"\0" * (1024 * 1024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    left: list[str] = []
    with Staging(str(target)) as staging:
        incoming = Incoming(staging.path, "d", "d", Limits(), left.append)
        incoming.take(writer.begin(Member("d", size=64 * len(piece))))
        for _ in range(64):
            incoming.take(writer.data(piece))
        incoming.take(writer.end() + END)
        incoming.eof()
        incoming.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


def test_the_standard_librarys_archives_are_taken_too(target: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("d")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    take(target, packed.getvalue())
    assert (target / "d").read_bytes() == b"abc"


def test_what_comes_back_is_what_tree_says_too(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "d" / "e").mkdir(parents=True)
    (here / "d" / "e" / "f").write_text("x")
    (here / "d" / "l").symlink_to("e/f")
    take(tmp_path / "there", b"".join(pack(str(here / "d"), "d", pytest.fail)))
    assert tree_of(tmp_path / "there") == tree_of(here)
