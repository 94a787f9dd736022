"""`get` and `put` with an engine that does what no real one does."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dockerpty.archive import DIRECTORY, Member, Reader, Writer
from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.interface import TIMEOUT, Engine
from dockerpty.errors import APIError, DockerptyError, EngineUnreachable
from dockerpty.host.errors import TransferError
from dockerpty.host.results import Status
from dockerpty.host.transfer import files
from dockerpty.host.transfer.getting import get, get_bytes
from dockerpty.host.transfer.inside import Inside, Survey
from dockerpty.host.transfer.look import numbers_of, script
from dockerpty.host.transfer.putting import put, put_bytes
from dockerpty.host.transfer.stop import Stop
from tests.unit.host.test_incoming import HOSTILE
from tests.unit.test_tree import tar

GO_DIRECTORY, GO_LINK = 1 << 31, 1 << 27
Archive = bytes | Callable[[Callable[[bytes], None]], None]


class FakeEngine(Engine):
    """An engine in memory.

    Args:
        paths: what there is, with Go's mode; a text is where a link leads.
        archives: of each path; or what does the sending.
        told: the inspection.
    """

    name = "unix:///fake"

    def __init__(
        self,
        paths: dict[str, int | str] | None = None,
        archives: dict[str, Archive] | None = None,
        **told: Any,
    ) -> None:
        self.paths = paths or {}
        self.archives = archives or {}
        self.told = {"Config": {}, "State": {"Running": False, "StartedAt": "then"}, "HostConfig": {}, **told}
        self.uploads: list[tuple[str, list[Member]]] = []
        self.refuses: set[str] = set()

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        if call.name == "inspect_container":
            return Reply(200, {}, json.dumps(self.told).encode())
        assert call.method == "HEAD"
        path = call.kwargs["path"]
        if path not in self.paths:
            raise APIError("look at", path, status_code=404)
        what = self.paths[path]
        mode, link = (GO_LINK, what) if isinstance(what, str) else (what, "")
        known = {"mode": mode, "linkTarget": link, "size": 3, "mtime": "2020-01-02T03:04:05.123456789Z"}
        head = base64.b64encode(json.dumps(known).encode()).decode()
        return Reply(200, {"x-docker-container-path-stat": head}, b"")

    def stream(
        self, call: Call, take: Callable[[bytes], None], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        archive = self.archives[call.kwargs["path"]]
        if callable(archive):
            archive(take)
        else:
            for at in range(0, len(archive), 700):
                take(archive[at : at + 700])
        return Reply(200, {}, b"")

    def upload(
        self, call: Call, body: Iterator[bytes], *, subject: str = "", timeout: float = TIMEOUT
    ) -> Reply:
        reader, members = Reader(), []
        for piece in body:
            members += [event for event in reader.feed(piece) if isinstance(event, Member)]
        reader.eof()
        if self.refuses & {member.name for member in members}:
            raise APIError("copy to", "web", "no", status_code=500, explanation="the engine does not like it")
        self.uploads.append((call.kwargs["path"], members))
        return Reply(200, {}, b"")


def good(name: str) -> bytes:
    return tar((Member(name), b"good"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "d").write_text("old")
    return folder


def unchanged(target: Path) -> bool:
    return os.listdir(target) == ["d"] and (target / "d").read_text() == "old"


@pytest.mark.parametrize("what", HOSTILE)
def test_a_container_that_sets_a_trap_gets_nothing_written_not_even_what_was_good(
    what: str, target: Path
) -> None:
    engine = FakeEngine({"/a": 0, "/d": GO_DIRECTORY}, {"/a": good("a"), "/d": tar(*HOSTILE[what])})
    with pytest.raises(TransferError) as caught:
        get(Inside(engine, "web", host="h"), ["/a", "/d"], target)
    assert "h:/d" in str(caught.value)
    assert caught.value.host == "h"
    assert unchanged(target)


def test_an_archive_that_ends_early_though_the_answer_does_not_is_a_trap(target: Path) -> None:
    whole = tar((Member("d"), b"x" * 5000))
    for cut in (0, 512, 1000, len(whole) - 1024):
        engine = FakeEngine({"/d": 0}, {"/d": whole[:cut]})
        with pytest.raises(TransferError, match="ends in the middle"):
            get(Inside(engine, "web"), "/d", target)
        with pytest.raises(TransferError, match="ends in the middle"):
            get_bytes(Inside(engine, "web"), "/d")
    assert unchanged(target)


def test_a_claim_of_ten_gigabytes_is_refused_at_once_where_there_is_a_limit(target: Path) -> None:
    member = Member("d", size=10 * 1024**3)
    engine = FakeEngine({"/d": 0}, {"/d": Writer().begin(member) + b"x"})
    with pytest.raises(TransferError, match="more than 1000 bytes"):
        get(Inside(engine, "web"), "/d", target, max_bytes=1000)
    with pytest.raises(TransferError, match="more than 1000 bytes"):
        get_bytes(Inside(engine, "web"), "/d", 1000)
    assert unchanged(target)


def test_a_connection_that_is_lost_is_the_outcome_of_one_source_and_the_others_come(target: Path) -> None:
    def lost(take: Callable[[bytes], None]) -> None:
        take(good("b")[:600])
        raise EngineUnreachable("reach", "the engine", "it went away")

    engine = FakeEngine({"/b": 0, "/a": 0}, {"/b": lost, "/a": good("a")})
    result = get(Inside(engine, "web", host="h"), ["/b", "/a", "/none"], target)
    assert [each.status for each in result.files] == [Status.Error, Status.Success, Status.Failed]
    assert result.message.startswith("/b (h): ")
    assert sorted(os.listdir(target)) == ["a", "d"]
    assert (result.bytes, result.files[1].bytes) == (4, 4)


def test_a_stop_before_it_begins_reaches_nothing(target: Path) -> None:
    with Stop() as stop:
        stop.stop()
        engine = FakeEngine({"/a": 0, "/srv": GO_DIRECTORY}, {"/a": good("a")})
        for result in (
            get(Inside(engine, "web", stop=stop), ["/a", "/b"], target),
            put(Inside(engine, "web", stop=stop), [target / "d", target / "e"], "/srv"),
            get(Inside(engine, "web", deadline=0.0), ["/a", "/b"], target),
        ):
            assert [each.status for each in result.files] == [Status.Error, Status.Error]
            assert "not reached" in result.message
    assert unchanged(target)
    assert engine.uploads == []


def test_a_file_that_is_more_than_one_is_a_trap() -> None:
    engine = FakeEngine({"/f": 0}, {"/f": tar((Member("f"), b"1"), (Member("f"), b"2"))})
    with pytest.raises(TransferError, match="more than that file"):
        get_bytes(Inside(engine, "web"), "/f")
    engine = FakeEngine({"/f": 0}, {"/f": tar(Member("f", DIRECTORY))})
    with pytest.raises(TransferError, match="directory"):
        get_bytes(Inside(engine, "web"), "/f")


# What is put


def test_what_the_engine_refuses_fails_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    engine = FakeEngine({"/srv": GO_DIRECTORY})
    engine.refuses.add("b")
    result = put(Inside(engine, "web"), [tmp_path / name for name in ("a", "b", "c")], "/srv")
    assert [each.status for each in result.files] == [Status.Success, Status.Failed, Status.Success]
    assert "the engine does not like it" in result.message
    assert [[member.name for member in members] for _, members in engine.uploads] == [["a"], ["c"]]


def test_all_goes_in_one_archive_with_the_directories_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    os.chmod(tmp_path / "b", 0o6755)
    engine = FakeEngine(
        {"/srv": GO_DIRECTORY}, {"/etc/passwd": tar((Member("passwd"), b"app:x:7:8::/home/app:/bin/sh"))}
    )
    engine.paths["/etc/passwd"] = 0
    result = put(Inside(engine, "web", user="app"), [tmp_path / "a", tmp_path / "b"], "/srv/new/dir")
    assert result == (Status.Success, "")
    [(base, members)] = engine.uploads
    assert base == "/srv"
    assert [member.name for member in members] == ["new", "new/dir", "new/dir/a", "new/dir/b"]
    assert {(member.uid, member.gid) for member in members} == {(7, 8)}
    assert [member.mode for member in members] == [
        0o755,
        0o755,
        (tmp_path / "a").stat().st_mode & 0o777,
        0o755,
    ]


def test_where_the_engine_does_not_see_it_nothing_is_written_below(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    engine = FakeEngine(
        {
            "/dev": GO_DIRECTORY,
            "/way": "/scratch",
            "/scratch": GO_DIRECTORY,
            "/m": GO_DIRECTORY,
            "/vol": GO_DIRECTORY,
        },
        HostConfig={"Tmpfs": {"/scratch": ""}},
        Mounts=[{"Type": "tmpfs", "Destination": "/m"}, {"Type": "volume", "Destination": "/vol"}],
    )
    for place in ("/dev/shm", "/proc", "/sys/x", "/scratch", "/way", "/m/x"):
        result = put(Inside(engine, "web"), tmp_path / "a", place)
        assert result.status is Status.Failed, place
        assert "does not run" in result.message
        with pytest.raises(DockerptyError, match="does not run"):
            put_bytes(Inside(engine, "web"), b"x", f"{place}/x")
    assert engine.uploads == []
    assert put(Inside(engine, "web"), tmp_path / "a", "/vol/sub").ok


def test_what_is_looked_at_is_told_in_the_systems_own_form() -> None:
    engine = FakeEngine(
        {"/f": 0o755 | 1 << 23, "/l": "/f", "/d": GO_DIRECTORY | 1 << 20 | 0o777, "/x": "/none"}
    )
    inside = Inside(engine, "web")
    found = files.stat(inside, "/l")
    assert (found.path, oct(found.mode), found.size, found.mtime) == ("/f", "0o104755", 3, 1577934245)
    assert oct(files.stat(inside, "/d").mode) == "0o41777"
    assert files.stat(inside, "/l", follow_links=False).is_link
    assert not files.exists(inside, "/x")
    assert not files.exists(inside, "/x/y")


def test_an_owner_is_two_numbers() -> None:
    assert numbers_of("1:2") == numbers_of((1, 2)) == (1, 2)
    assert numbers_of("7") == (7, 0)
    for wrong in ("", "me", "1:", ":1", "1:x", "-1:2", "1:2:3"):
        with pytest.raises(ValueError, match="no owner"):
            numbers_of(wrong)


@pytest.mark.parametrize("source", ["/", "..", "a/..", "x/."])
def test_what_has_no_name_cannot_be_put_or_got(source: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name"):
        put(Inside(FakeEngine(), "web"), source, "/srv")
    if source == "/":
        with pytest.raises(ValueError, match="no name"):
            get(Inside(FakeEngine(), "web"), source, tmp_path)


class Shell:
    """What runs programs, as a test would have it: here they do nothing, or what it is told."""

    def __init__(self, *, fails: str = "") -> None:
        self.fails = fails
        self.ran: list[tuple[str, ...]] = []

    def __call__(
        self, argv: Sequence[str], *, stdin: Iterator[bytes] | None = None, **_: Any
    ) -> tuple[int, bytes, bytes]:
        self.ran.append(tuple(argv))
        if "/proc/self/mounts" in argv[2]:
            return (
                0,
                b"none / overlay rw 0 0\nnone /with\\040space tmpfs rw 0 0\nshell\ntar\nroot 00000000a80425fb\n",
                b"",
            )
        for _piece in stdin or ():
            pass
        return int(bool(self.fails) and self.fails in argv[2]), b"", b"one\nthe reason\n"


RUNNING = {"Running": True, "StartedAt": "now"}


def test_what_only_a_program_reaches_fails_alone(target: Path) -> None:
    def ends(*_: object, **__: object) -> tuple[int, bytes, bytes]:
        raise TransferError("run", "cat in the container", "the container stopped")

    engine = FakeEngine({"/a": 0}, {"/a": good("a")})
    for run in (None, ends):
        inside = Inside(engine, "web", run, survey=Survey("now", ("/dev/shm",), has_shell=True))
        engine.told["State"] = RUNNING
        result = get(inside, ["/dev/shm/*", "/dev/shm/x", "/a"], target)
        assert [each.status for each in result.files] == [Status.Failed, Status.Failed, Status.Success]


def test_what_was_put_under_another_name_is_removed_when_it_cannot_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("new")
    engine, shell = FakeEngine({"/srv": GO_DIRECTORY, "/srv/f": 0o644}, State=RUNNING), Shell(fails="mv -f")
    result = put(Inside(engine, "web", shell), tmp_path / "f", "/srv")
    assert result.status is Status.Failed
    assert result.message.endswith("the reason")
    [(base, members)] = engine.uploads
    assert (base, members[1].name) == ("/srv", f"{members[0].name}/f")
    assert shell.ran[-1] == ("rm", "-rf", "--", f"/srv/{members[0].name}")


@pytest.mark.parametrize("error", [KeyboardInterrupt, EngineUnreachable("reach", "it"), RuntimeError])
def test_it_is_removed_whatever_ends_it(error: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("new")
    engine, shell = FakeEngine({"/srv": GO_DIRECTORY, "/srv/f": 0o644}, State=RUNNING), Shell()

    def broken(*_: Any, **__: Any) -> Reply:
        raise error

    engine.upload = broken  # type: ignore[method-assign]  # an engine that is broken from here on
    inside = Inside(engine, "web", shell)
    if isinstance(error, EngineUnreachable):
        assert put(inside, tmp_path / "f", "/srv").status is Status.Error
    else:
        with pytest.raises(error):
            put(inside, tmp_path / "f", "/srv")
    assert shell.ran[-1][:3] == ("rm", "-rf", "--")
    assert shell.ran[-1][3].startswith("/srv/.dpty-")


def test_mounts_are_what_the_kernel_says_in_this_life_and_asked_for_once(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    engine, shell = FakeEngine({"/srv": GO_DIRECTORY}, State=dict(RUNNING)), Shell()
    survey = Survey()
    for _ in range(2):
        inside = Inside(engine, "web", shell, survey=survey)
        assert inside.is_hidden("/with space/x")
        assert not inside.is_hidden("/without")
    assert len(shell.ran) == 1
    # Another life has others; and one that is over has none of them.
    engine.told["State"]["StartedAt"] = "later"
    assert Inside(engine, "web", shell, survey=survey).is_hidden("/with space")
    assert len(shell.ran) == 2
    engine.told["State"]["Running"] = False
    inside = Inside(engine, "web", shell, survey=survey)
    assert not inside.is_hidden("/with space")
    assert not inside.has_shell


def test_a_word_that_is_no_utf_8_is_said_in_another_way() -> None:
    assert script("true", "plain ü") == ["sh", "-c", "true", "sh", "plain ü"]
    escaped = script("true", "\udcff'", "x")
    assert escaped[2].endswith("true")
    assert escaped[3:] == ["sh", "\\0377\\0047", "\\0170"]
    shell = Shell()
    Inside(FakeEngine(State=RUNNING), "web", shell).program(("cat", "\udcff"))
    assert shell.ran[-1][2].endswith('exec "$@"')
