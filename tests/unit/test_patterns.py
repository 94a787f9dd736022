"""Names in a container by a pattern, with an engine on a unix socket that lists what a test tells it to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dockerpty.archive import DIRECTORY, END, SYMLINK, Member, Writer
from dockerpty.engine.client import from_environment
from dockerpty.errors import ArchiveError, DockerptyError
from dockerpty.patterns import matching
from tests.unit.loopback import ScriptedEngine, Step, answer
from tests.unit.test_transfer import GO_DIRECTORY, stat_answer

NAMES = [
    "a.log",
    "b.log",
    "B.LOG",
    ".hidden.log",
    "c.txt",
    "odd\nname.log",
    "d/",
    "d/x.log",
    "d/e/",
    "d/e/y.log",
]
NAMES += ["z/", "z/.x.log", "z/x.log", "[a].log"]
Matching = Callable[..., tuple[list[str], ScriptedEngine]]


def listed(names: list[str], own: str) -> bytes:
    """An archive of a directory that has these in it; each file has some data, which is passed over."""
    writer, data = Writer(), b""
    for name in [own, *(own + name for name in names)]:
        member = Member(
            name, DIRECTORY if name.endswith("/") else "file", size=0 if name.endswith("/") else 3
        )
        data += writer.begin(member) + (writer.data(b"abc") if member.size else b"") + writer.end()
    data += writer.begin(Member(own + "link.log", SYMLINK, link="a.log")) + writer.end()
    return data + END


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[Matching]:
    """Match a pattern with an engine that has a script."""
    monkeypatch.setenv("DOCKER_API_VERSION", "1.41")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, ExitStack() as stack:

        def match(pattern: str, *steps: Step) -> tuple[list[str], ScriptedEngine]:
            server = ScriptedEngine(os.path.join(folder, f"{len(os.listdir(folder))}.sock"), *steps)
            stack.callback(server.close)
            engine = from_environment(server.url)
            stack.callback(engine.close)
            return matching(engine, "web", pattern), server

        yield match


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.log", ["[a].log", "a.log", "b.log", "link.log", "odd\nname.log"]),
        ("?.log", ["a.log", "b.log"]),
        ("[ab].log", ["a.log", "b.log"]),
        ("[!a].log", ["b.log"]),
        ("[[]a].log", ["[a].log"]),
        (".*", [".hidden.log"]),
        ("*", ["[a].log", "B.LOG", "a.log", "b.log", "c.txt", "d", "link.log", "odd\nname.log", "z"]),
        ("*/", ["d", "z"]),
        ("[dc]*/.", ["d"]),
        ("*/*.log", ["d/x.log", "z/x.log"]),
        ("z/.*", ["z/.x.log"]),
        ("*/e/*", ["d/e/y.log"]),
        ("**/y.log", []),
        ("*.nope", []),
    ],
)
def test_a_pattern_is_matched_step_by_step_as_a_shell_does_it(
    pattern: str, names: list[str], found: Matching
) -> None:
    there = stat_answer(GO_DIRECTORY | 0o755)
    # Before the first step with a sign in it all is a name: only what is below that is asked for.
    folder = "z" if pattern.startswith("z/") else ""
    inside = [name[2:] for name in NAMES if name.startswith("z/") and name != "z/"] if folder else NAMES
    paths, server = found(f"var/log/{pattern}", there, answer(200, listed(inside, "./")))
    assert [path.removeprefix("/var/log/") for path in paths] == sorted(names)
    where = "/".join(filter(None, ("/var/log", folder, "."))).replace("/", "%2F")
    assert server.lines == [f"{verb} /v1.41/containers/web/archive?path={where}" for verb in ("HEAD", "GET")]


def test_in_the_root_it_is_matched_as_well(found: Matching) -> None:
    there = stat_answer(GO_DIRECTORY | 0o755)
    assert found("*.txt", there, answer(200, listed(NAMES, "./")))[0] == ["/c.txt"]
    assert found("/*.txt", there, answer(200, listed(NAMES, "/")))[0] == ["/c.txt"]


def test_where_there_is_no_such_directory_nothing_matches(found: Matching) -> None:
    paths, server = found("/nosuch/*", answer(404))
    assert (paths, len(server.lines)) == ([], 1)


def test_podmans_archive_names_the_directory_first(found: Matching) -> None:
    podman = {"server": "Libpod", "libpod_api_version": "4.3.1"}
    told = stat_answer(GO_DIRECTORY | 0o755).split(b"\r\n\r\n")[0]
    there = told + b"\r\nServer: Libpod\r\nLibpod-Api-Version: 4.3.1\r\nContent-Length: 0\r\n\r\n"
    paths, server = found("/var/log/*.txt", there, answer(200, listed(NAMES, "log/"), **podman))
    assert paths == ["/var/log/c.txt"]
    assert server.lines[-1] == "GET /v1.41/containers/web/archive?path=%2Fvar%2Flog%2F"


def test_half_a_list_is_none(found: Matching) -> None:
    there = stat_answer(GO_DIRECTORY | 0o755)
    with pytest.raises(ArchiveError):
        found("/s/*", there, answer(200, listed(NAMES, "./")[:2000]))
    with pytest.raises(DockerptyError):
        found("/s/*", there, answer(500, b'{"message":"no"}'))
