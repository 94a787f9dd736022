"""Copying by docker's rules, with an engine on a unix socket that sends and takes what a test tells it to."""

from __future__ import annotations

import base64
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.archive import DIRECTORY, END, HARDLINK, SYMLINK, Member, Reader, Writer
from dockerpty.engine.client import Engine, from_environment
from dockerpty.engine.http11 import request
from dockerpty.errors import ArchiveError, DockerptyError, EngineUnreachable, NotFound, ProtocolError
from dockerpty.transfer import base, clean, copy_in, copy_out, split_entry, stat_path, stream_in, stream_out
from tests.unit.loopback import ScriptedEngine, Step, answer

GO_DIRECTORY, GO_LINK, GO_DEVICE = 1 << 31, 1 << 27, 1 << 26
NO_FILE = answer(404, b'{"message":"Could not find the file /x in container web"}', "Not Found")
NO_CONTAINER = answer(404, b'{"message":"No such container: web"}', "Not Found")
NOTHING = answer(404)


def tar(*members: Member | tuple[Member, bytes]) -> bytes:
    writer, data = Writer(), b""
    for each in members:
        member, content = each if isinstance(each, tuple) else (each, b"")
        member.size = len(content)
        data += writer.begin(member) + writer.data(content) + writer.end()
    return data + END


def stat_answer(mode: int = 0o644, link: str = "") -> bytes:
    told = json.dumps({"name": "x", "size": 1, "mode": mode, "mtime": "", "linkTarget": link})
    head = (
        f"HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: {base64.b64encode(told.encode()).decode()}\r\n\r\n"
    )
    return head.encode()


class Sink:
    """A step that reads a chunked body to its end, then answers."""

    def __init__(self, reply: bytes = b"") -> None:
        self.body = b""
        self.server: ScriptedEngine | None = None
        self._reply = reply or answer(200)

    def __call__(self, sock: socket.socket) -> None:
        assert self.server is not None
        data = self.server.requests[-1].body
        while True:
            while b"\r\n" not in data:
                data += self._more(sock)
            line, _, data = data.partition(b"\r\n")
            size = int(line, 16)
            while len(data) < size + 2:
                data += self._more(sock)
            assert data[size : size + 2] == b"\r\n"
            self.body += data[:size]
            data = data[size + 2 :]
            if not size:
                sock.sendall(self._reply)
                return

    def _more(self, sock: socket.socket) -> bytes:
        more = sock.recv(65536)
        if not more:
            raise ConnectionAbortedError
        return more

    def names(self) -> list[str]:
        return [event.name for event in Reader().feed(self.body) if isinstance(event, Member)]


Scripted = Callable[..., tuple[Engine, ScriptedEngine]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Start an engine with a script, and give ours for it."""
    monkeypatch.setenv("DOCKER_API_VERSION", "1.41")
    opened: list[Any] = []
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:

        def start(*steps: Step) -> tuple[Engine, ScriptedEngine]:
            server = ScriptedEngine(f"{directory}/{len(opened)}.sock", *steps)
            for step in steps:
                if isinstance(step, Sink):
                    step.server = server
            engine = from_environment(server.url)
            opened.extend([server, engine])
            return engine, server

        yield start
        for each in reversed(opened):
            each.close()


class Copy:
    """The rest of a copy's arguments, and what it told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.counts: list[int] = []

    @property
    def options(self) -> dict[str, Any]:
        return {"moved": self.counts.append, "notice": self.said.append}


@pytest.fixture
def copy() -> Copy:
    return Copy()


# Paths as docker has them


@pytest.mark.parametrize(
    ("path", "cleaned", "last", "entry"),
    [
        ("/a/b", "/a/b", "b", ("/a", "b")),
        ("/a/b/", "/a/b", "b", ("/a", "b")),
        ("/a/b/.", "/a/b", ".", ("/a/b", ".")),
        ("/a", "/a", "a", ("/", "a")),
        ("//a", "/a", "a", ("/", "a")),
        ("/", "/", "/", ("/", "/")),
        ("a", "a", "a", (".", "a")),
        (".", ".", ".", (".", ".")),
        ("", ".", ".", (".", ".")),
        ("a/..", ".", "..", (".", ".")),
    ],
)
def test_paths_are_those_of_docker(path: str, cleaned: str, last: str, entry: tuple[str, str]) -> None:
    assert (clean(path), base(path), split_entry(path)) == (cleaned, last, entry)


# What an engine says of a path


def test_a_path_is_a_directory_or_a_link_or_not_there(scripted: Scripted) -> None:
    engine, server = scripted(stat_answer(GO_DIRECTORY | 0o755), stat_answer(GO_LINK | 0o777, "/to"), NOTHING)
    first, second, third = (stat_path(engine, "web", "/a b") for _ in range(3))
    assert first is not None
    assert (first.is_directory, first.is_link, first.link) == (True, False, "")
    assert second is not None
    assert (second.is_directory, second.is_link, second.link) == (False, True, "/to")
    assert third is None
    assert server.lines == ["HEAD /v1.41/containers/web/archive?path=%2Fa%20b"] * 3


@pytest.mark.parametrize(
    "value",
    ["", "no base64", *(base64.b64encode(each).decode() for each in (b"[]", b"{}", b'{"mode": 1e999}'))],
)
def test_an_answer_without_what_a_path_is_is_from_no_engine(value: str, scripted: Scripted) -> None:
    engine, _ = scripted(f"HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: {value}\r\n\r\n".encode())
    with pytest.raises(ProtocolError, match="there is nothing about the path in it"):
        stat_path(engine, "web", "/")


# Out of a container


def test_a_file_goes_into_a_directory_and_takes_a_new_name_else(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    data = tar((Member("f", mode=0o640, mtime=5), b"text"))
    engine, server = scripted(answer(200, data), answer(200, data))
    assert copy_out(engine, "web", "/a/f", str(tmp_path), **copy.options) == str(tmp_path)
    assert copy_out(engine, "web", "/a/f", str(tmp_path / "g"), **copy.options) == str(tmp_path / "g")
    for name in ("f", "g"):
        assert (tmp_path / name).read_text() == "text"
        assert (tmp_path / name).stat().st_mtime == 5
    assert server.lines == ["GET /v1.41/containers/web/archive?path=%2Fa%2Ff"] * 2
    assert sum(copy.counts) == 2 * len(data)


TREE = tar(
    Member("d/", DIRECTORY, mode=0o755),
    (Member("d/f"), b"f"),
    Member("d/h", HARDLINK, link="d/f"),
    Member("d/l", SYMLINK, link="f"),
)
INSIDE = tar(
    Member("./", DIRECTORY, mode=0o755),
    (Member("./f"), b"f"),
    Member("./h", HARDLINK, link="./f"),
    Member("./l", SYMLINK, link="f"),
)
ROOT = tar(Member("/", DIRECTORY, mode=0o755), (Member("/f"), b"f"))


@pytest.mark.parametrize(
    ("source", "data", "target", "found"),
    [
        ("/d", TREE, "there", ["there/d", "there/d/f", "there/d/h", "there/d/l"]),
        ("d/", TREE, "there/", ["there/d", "there/d/f", "there/d/h", "there/d/l"]),
        ("/d", TREE, "new", ["new", "new/f", "new/h", "new/l"]),
        ("/d", TREE, "new/", ["new", "new/f", "new/h", "new/l"]),
        ("/d", TREE, "link", ["there/d", "there/d/f", "there/d/h", "there/d/l"]),
        ("/d/.", INSIDE, "there", ["there/f", "there/h", "there/l"]),
        ("/d/.", INSIDE, "new", ["new", "new/f", "new/h", "new/l"]),
        ("/", ROOT, "there", ["there/f"]),
        ("/", ROOT, "new", ["new", "new/f"]),
        ("/d/..", ROOT, "new", ["new", "new/f"]),
    ],
)
def test_a_directory_goes_into_one_that_exists_and_takes_a_new_name_else(
    source: str, data: bytes, target: str, found: list[str], scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    # Whether it is Podman is asked first where that makes a difference.
    asked = [answer(200, b"OK", server="Docker")] if source.endswith("/.") else []
    engine, _ = scripted(*asked, answer(200, data))
    copy_out(engine, "web", source, f"{tmp_path}/{target}", **copy.options)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert names == sorted({"there", "link", *found})
    assert copy.said == []


PODMAN = answer(200, b"OK", server="Libpod", libpod_api_version="4.3.1")


@pytest.mark.parametrize(
    ("target", "found"),
    [("there", ["there/f", "there/h", "there/l"]), ("new", ["new", "new/f", "new/h", "new/l"])],
)
def test_what_is_in_a_directory_is_asked_for_with_it_where_it_would_be_missing(
    target: str, found: list[str], scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    engine, server = scripted(PODMAN, answer(200, TREE))
    copy_out(engine, "web", "/d/.", f"{tmp_path}/{target}", **copy.options)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert names == sorted({"there", *found})
    assert server.lines[1] == "GET /v1.41/containers/web/archive?path=%2Fd%2F"


def test_where_the_engine_does_not_tell_whose_a_file_is_nobodys_set_id_bit_becomes_ours(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    engine, _ = scripted(PODMAN, answer(200, tar((Member("f", mode=0o4755), b"text"))))
    copy_out(engine, "web", "/f", str(tmp_path), keep_owner=True, **copy.options)
    assert (tmp_path / "f").stat().st_mode & 0o7777 == 0o755
    assert copy.said == ["Podman does not tell who owns a file: what is copied is yours"]


@pytest.mark.parametrize("source", ["/f/", "/f/."])
def test_a_file_that_is_said_to_be_a_directory_is_refused_where_the_engine_does_not(
    source: str, scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    asked = [PODMAN] if source.endswith(".") else []
    engine, _ = scripted(*asked, answer(200, tar((Member("f"), b"text"))))
    with pytest.raises(DockerptyError, match="/f/: it is no directory; leave out what follows its name"):
        copy_out(engine, "web", source, str(tmp_path), **copy.options)
    assert os.listdir(tmp_path) == []


def test_a_target_that_is_a_link_to_a_file_keeps_the_link(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("d/none")
    engine, _ = scripted(answer(200, tar((Member("f"), b"text"))))
    copy_out(engine, "web", "/f", str(tmp_path / "l"), **copy.options)
    assert os.readlink(tmp_path / "l") == "d/none"
    assert (tmp_path / "d" / "none").read_text() == "text"


@pytest.mark.parametrize(
    ("data", "target", "words"),
    [
        (
            tar((Member("d"), b"x")),
            "new/",
            "there is no such directory; make it first, or leave out the slash",
        ),
        (TREE, "file", "cannot copy a directory to .*file: there is a file of that name"),
        (TREE, "no/x", "there is no directory .*/no; make it first"),
        (TREE, "file/x", "there is no directory .*/file; make it first"),
        (TREE, "file/", "not a directory"),
        (TREE, "circle", "its links lead in a circle|too many levels"),
        (TREE, "/dev/null", "it is a device"),
    ],
)
def test_a_target_that_cannot_be_is_an_error(
    data: bytes, target: str, words: str, scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    engine, _ = scripted(answer(200, data))
    with pytest.raises(DockerptyError, match=words):
        copy_out(engine, "web", "/d", os.path.join(tmp_path, target), **copy.options)
    assert sorted(os.listdir(tmp_path)) == ["circle", "file"]


def test_with_follow_link_what_it_leads_to_comes_under_the_links_name(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    engine, server = scripted(stat_answer(GO_LINK, "/a/f"), answer(200, tar((Member("f"), b"text"))))
    copy_out(engine, "web", "/l", str(tmp_path), follow_link=True, **copy.options)
    assert (tmp_path / "l").read_text() == "text"
    assert server.lines[1] == "GET /v1.41/containers/web/archive?path=%2Fa%2Ff"


@pytest.mark.parametrize(
    "members",
    [
        [Member("d", DIRECTORY), (Member("elsewhere"), b"bad")],
        [Member("d", DIRECTORY), (Member("../x"), b"bad")],
        [Member("d", DIRECTORY), (Member("/etc/passwd"), b"bad")],
        [Member("d", DIRECTORY), Member("d/h", HARDLINK, link="mine")],
        [(Member("mine"), b"bad")],
    ],
)
def test_what_was_not_asked_for_is_refused(
    members: list[Any], scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    engine, _ = scripted(answer(200, tar(*members)))
    with pytest.raises(ArchiveError, match=r"was asked for|leads out of its place"):
        copy_out(engine, "web", "/d", str(tmp_path), **copy.options)
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "mine").stat().st_nlink == 1
    assert set(os.listdir(tmp_path)) <= {"mine", "d"}


def test_an_answer_that_is_cut_is_an_error_and_leaves_no_file(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    data = tar((Member("f"), b"x" * 2000))

    def cut(sock: socket.socket) -> None:
        sock.sendall(answer(200, data)[:-1500])
        sock.close()

    engine, _ = scripted(cut, answer(200, data[:1024]))
    with pytest.raises(EngineUnreachable, match="in the middle of an answer"):
        copy_out(engine, "web", "/f", str(tmp_path), **copy.options)
    with pytest.raises(ArchiveError, match="it ends in the middle"):
        copy_out(engine, "web", "/f", str(tmp_path), **copy.options)
    assert os.listdir(tmp_path) == []


def test_what_is_not_in_the_container_is_told_with_what_to_do(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    engine, _ = scripted(NO_FILE, NO_CONTAINER)
    with pytest.raises(NotFound, match=r"cannot copy from web:/x: Could not find .*; is the path right"):
        copy_out(engine, "web", "/x", str(tmp_path), **copy.options)
    with pytest.raises(NotFound, match="`dpty ps -a` lists"):
        copy_out(engine, "web", "/x", str(tmp_path), **copy.options)


def test_a_file_with_a_slash_behind_it_is_told_without_the_engines_own_paths(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    engine, _ = scripted(answer(500, b'{"message":"lstat /var/lib/docker/x/f/: not a directory"}'))
    with pytest.raises(DockerptyError, match=r"^cannot copy from web:/f/: it is no directory; leave out"):
        copy_out(engine, "web", "/f/", str(tmp_path), **copy.options)


def test_a_device_alone_is_an_error(scripted: Scripted, copy: Copy, tmp_path: Path) -> None:
    engine, _ = scripted(answer(200, tar(Member("n", "character device"))))
    with pytest.raises(DockerptyError, match="it is no file, directory or link"):
        copy_out(engine, "web", "/n", str(tmp_path), **copy.options)


def test_a_stream_is_handed_on_as_it_is(scripted: Scripted) -> None:
    engine, server = scripted(stat_answer(GO_LINK, "/to"), answer(200, b"whatever"))
    pieces: list[bytes] = []
    stream_out(engine, "web", "/l", pieces.append, follow_link=True)
    assert b"".join(pieces) == b"whatever"
    assert server.lines[1].endswith("archive?path=%2Fto")


# Into a container


@pytest.mark.parametrize(
    ("source", "stats", "target", "path", "names"),
    [
        ("f", [stat_answer(GO_DIRECTORY)], "/there", "/there", ["f"]),
        ("f", [NOTHING], "/there/new", "/there", ["new"]),
        ("f", [stat_answer(0o644)], "/there/old", "/there", ["old"]),
        ("f", [stat_answer(GO_LINK, "/other"), stat_answer(GO_DIRECTORY)], "/l", "/other", ["f"]),
        ("f", [stat_answer(GO_LINK, "/other/x"), NOTHING], "/l", "/other", ["x"]),
        ("d", [stat_answer(GO_DIRECTORY)], "/there", "/there", ["d", "d/in"]),
        ("d/", [stat_answer(GO_DIRECTORY)], "/there", "/there", ["d", "d/in"]),
        ("d/.", [stat_answer(GO_DIRECTORY)], "/there", "/there", [".", "./in"]),
        ("d", [NOTHING], "/there/new", "/there", ["new", "new/in"]),
        ("d", [NOTHING], "new/", ".", ["new", "new/in"]),
        ("d/.", [NOTHING], "/there/new", "/there", ["new", "new/in"]),
        ("l", [stat_answer(GO_DIRECTORY)], "/there", "/there", ["l"]),
        ("l/", [stat_answer(GO_DIRECTORY)], "/there", "/there", ["l", "l/in"]),
        ("l/.", [stat_answer(GO_DIRECTORY)], "/there", "/there", [".", "./in"]),
    ],
)
def test_what_goes_in_has_the_name_and_place_of_dockers_rules(
    source: str,
    stats: list[bytes],
    target: str,
    path: str,
    names: list[str],
    scripted: Scripted,
    copy: Copy,
    tmp_path: Path,
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "in").touch()
    (tmp_path / "f").write_text("text")
    (tmp_path / "l").symlink_to("d")
    sink = Sink()
    engine, server = scripted(*stats, sink)
    copy_in(engine, "web", f"{tmp_path}/{source}", target, **copy.options)
    assert sink.names() == names
    put = server.requests[-1]
    expected = path.replace("/", "%2F")
    assert put.line == f"PUT /v1.41/containers/web/archive?path={expected}&noOverwriteDirNonDir=true"
    assert put.headers["Transfer-Encoding"] == "chunked"
    assert put.headers["Content-Type"] == "application/x-tar"
    assert sum(copy.counts) == len(sink.body)


def test_with_follow_link_what_a_link_leads_to_goes_under_its_name(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("text")
    (tmp_path / "l").symlink_to("f")
    sink = Sink()
    engine, _ = scripted(stat_answer(GO_DIRECTORY), sink)
    copy_in(engine, "web", str(tmp_path / "l"), "/", follow_link=True, keep_owner=True, **copy.options)
    events = Reader().feed(sink.body)
    assert [(e.name, e.kind, e.size) for e in events if isinstance(e, Member)] == [("l", "file", 4)]


@pytest.mark.parametrize(
    ("source", "stat", "target", "words"),
    [
        ("d", stat_answer(0o644), "/f", "cannot copy a directory to web:/f: there is a file of that name"),
        ("f", NOTHING, "/new/", "cannot copy to web:/new/: there is no such directory; make it first"),
        ("f", stat_answer(GO_DEVICE), "/dev/x", "cannot copy to web:/dev/x: it is a device"),
        ("none", stat_answer(GO_DIRECTORY), "/", "none: no such file or directory; is the path right"),
        ("f/", stat_answer(GO_DIRECTORY), "/", "f/: not a directory"),
        ("f/.", stat_answer(GO_DIRECTORY), "/", "not a directory"),
    ],
)
def test_what_cannot_go_in_is_an_error_before_anything_is_sent(
    source: str, stat: bytes, target: str, words: str, scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").touch()
    engine, server = scripted(stat)
    with pytest.raises(DockerptyError, match=words):
        copy_in(engine, "web", f"{tmp_path}/{source}", target, **copy.options)
    assert len(server.lines) == 1


def test_a_directory_that_is_missing_there_is_not_made_by_an_engine_that_would(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "f").touch()
    missing = answer(404, server="Libpod", libpod_api_version="4.3.1")
    engine, server = scripted(missing, NOTHING, stat_answer(GO_DIRECTORY))
    with pytest.raises(
        DockerptyError, match="cannot copy to web:/none: there is no such directory; make it first"
    ):
        copy_in(engine, "web", f"{tmp_path}/f", "/none/x", **copy.options)
    assert [line.partition("?")[2] for line in server.lines] == [
        "path=%2Fnone%2Fx",
        "path=%2Fnone",
        "path=%2F",
    ]


def test_a_refusal_before_the_end_of_the_body_is_told_and_the_rest_not_read(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(200 * 1024 * 1024)

    def refuse(sock: socket.socket) -> None:
        sock.sendall(answer(403, b'{"message":"container rootfs is marked read-only"}'))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)

    engine, _ = scripted(NOTHING, refuse)
    with pytest.raises(DockerptyError, match="cannot copy to web:/: container rootfs is marked read-only"):
        copy_in(engine, "web", str(tmp_path / "f"), "/f", **copy.options)
    assert sum(copy.counts) < 20 * 1024 * 1024


def test_an_engine_that_goes_away_in_the_middle_is_lost(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(bytes(5 * 1024 * 1024))

    engine, _ = scripted(NOTHING, None)
    with pytest.raises(EngineUnreachable):
        copy_in(engine, "web", str(tmp_path / "f"), "/f", **copy.options)


def test_no_piece_is_asked_for_before_the_engine_has_taken_the_one_before(scripted: Scripted) -> None:
    sink = Sink()
    ahead: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(32):
            ahead.append(number - len(sink.body) // 2**20)
            yield bytes(2**20)

    engine, _ = scripted(stat_answer(GO_DIRECTORY), sink)
    stream_in(engine, "web", pieces(), "/")
    assert len(sink.body) == 32 * 2**20
    # One on its way, and one that the sink has read and not counted yet.
    assert max(ahead) <= 2


def test_an_error_of_the_source_ends_the_upload_unfinished(scripted: Scripted) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"some"
        raise OSError(5, "Input/output error")

    sink = Sink()
    engine, _ = scripted(stat_answer(GO_DIRECTORY), sink)
    with pytest.raises(OSError, match="Input/output error"):
        stream_in(engine, "web", pieces(), "/")
    assert sink.body in (b"some", b"")


def test_a_stream_goes_in_as_it_is_and_only_into_a_directory(scripted: Scripted) -> None:
    sink = Sink()
    engine, server = scripted(stat_answer(GO_DIRECTORY), sink, stat_answer(0o644), NOTHING, NO_CONTAINER)
    stream_in(engine, "web", iter([b"what", b"", b"ever"]), "/d", keep_owner=True)
    assert sink.body == b"whatever"
    assert server.lines[-1].endswith("path=%2Fd&noOverwriteDirNonDir=true&copyUIDGID=true")
    with pytest.raises(DockerptyError, match="it is no directory; a tar archive needs one that exists"):
        stream_in(engine, "web", iter([]), "/f")
    with pytest.raises(NotFound, match="no such container"):
        stream_in(engine, "web", iter([]), "/f")


def test_a_chunked_request_says_so_and_has_no_length() -> None:
    head = request("PUT", "/x", [("Host", "h")], chunked=True)
    assert head == b"PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


# Mode, owner, and what is there already


def heads(server: ScriptedEngine) -> list[str]:
    return [
        line.partition("path=")[2].replace("%2F", "/") for line in server.lines if line.startswith("HEAD")
    ]


def test_files_get_the_mode_and_all_that_goes_in_the_owner(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    (tmp_path / "s/d").mkdir(parents=True, mode=0o750)
    (tmp_path / "s/d").chmod(0o750)
    (tmp_path / "s/d/f").touch()
    os.link(tmp_path / "s/d/f", tmp_path / "s/g")
    (tmp_path / "s/l").symlink_to("g")
    sink = Sink()
    engine, _ = scripted(stat_answer(GO_DIRECTORY | 0o755), sink)
    copy_in(engine, "web", f"{tmp_path}/s", "/t", mode=0o640, owner=(7, 8), **copy.options)
    found = [event for event in Reader().feed(sink.body) if isinstance(event, Member)]
    assert {(each.uid, each.gid) for each in found} == {(7, 8)}
    modes = {each.name: oct(each.mode) for each in found if each.kind != SYMLINK}
    assert modes["s/d"] == "0o750"
    assert (modes["s/d/f"], modes["s/g"]) == ("0o640", "0o640")


def test_what_is_there_is_asked_for_only_where_something_is(
    scripted: Scripted, copy: Copy, tmp_path: Path
) -> None:
    for name in ("s/old", "s/both/old", "s/both/new", "s/none/a", "s/none/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folder, file = stat_answer(GO_DIRECTORY | 0o755), stat_answer()
    there = {"/t": folder, "/t/s": folder, "/t/s/old": file, "/t/s/both": folder, "/t/s/both/old": file}
    sink = Sink()

    def look(sock: socket.socket) -> None:
        sock.sendall(there.get(heads(server)[-1], NOTHING))

    engine, server = scripted(*[look] * 7, sink)
    copy_in(engine, "web", f"{tmp_path}/s", "/t", overwrite=False, **copy.options)
    assert sorted(heads(server)) == sorted([*there, "/t/s/both/new", "/t/s/none"])
    assert sink.names() == ["s", "s/both", "s/both/new", "s/none", "s/none/a", "s/none/b"]


def test_of_a_file_that_is_there_nothing_is_sent(scripted: Scripted, copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    engine, server = scripted(stat_answer(GO_DIRECTORY | 0o755), stat_answer(), stat_answer(), stat_answer())
    for target in ("/t", "/t/f"):
        copy_in(engine, "web", f"{tmp_path}/f", target, overwrite=False, **copy.options)
    assert {line.split()[0] for line in server.lines} == {"HEAD"}


def test_nor_does_it_come(scripted: Scripted, copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    engine, server = scripted(stat_answer(), stat_answer(), answer(200, tar((Member("g"), b"new"))))
    for target in (tmp_path, tmp_path / "f"):
        copy_out(engine, "web", "/s/f", str(target), overwrite=False, **copy.options)
    assert {line.split()[0] for line in server.lines} == {"HEAD"}
    copy_out(engine, "web", "/s/g", str(tmp_path), overwrite=False, **copy.options)
    assert ((tmp_path / "f").read_text(), (tmp_path / "g").read_text()) == ("old", "new")
