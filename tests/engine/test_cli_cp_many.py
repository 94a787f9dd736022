"""`dpty cp` with several sources, patterns, and what is said of how to copy, on a real engine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.bed.engine import Bench
from tests.bed.transports import Transport
from tests.engine.command import dpty, typed
from tests.engine.conftest import Sessions

# What there is to copy, in a container and here.
TREE = r"""
mkdir -p d .h e; echo a >a.log; echo b >b.log; echo h >.h.log; echo t >c.txt; echo deep >d/deep.log
echo x >'e/[x].log'; echo n >"$(printf 'odd\nname.log')"; ln -s a.log l.log; chmod 600 a.log; chmod 700 d
"""
ODD = "odd\nname.log"


@pytest.fixture(scope="module")
def box(judge: DockerClient, transport: Transport) -> Iterator[Container]:
    """A container with the tree at /s, and a link to that."""
    bench = Bench(judge)
    made = bench.container(start=True)
    code, output = bench.run_inside(made, f"mkdir /s && cd /s && {TREE} ln -s /s /ls; cp c.txt /r.txt")
    assert code == 0, output
    yield made
    bench.close()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree here, in the directory that we are in."""
    folder = tmp_path / "s"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert os.spawnlp(os.P_WAIT, "sh", "sh", "-c", TREE) == 0
    return folder


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """A directory to copy to."""
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def inside(bench: Bench, box: Container, script: str) -> str:
    code, output = bench.run_inside(box, script)
    assert code == 0, output
    return output.decode()


def test_several_sources_go_into_a_directory_of_a_container(
    box: Container, bench: Bench, sessions: Sessions, sources: Path
) -> None:
    inside(bench, box, "mkdir /in1 && ln -s /in1 /lin1")
    done = dpty(sessions, "cp", "a.log", "d", f"{sources}/l.log", f"{box.name}:/lin1")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert inside(bench, box, "cd /in1; find . | sort; cat a.log d/deep.log; readlink l.log").split() == [
        *(".", "./a.log", "./d", "./d/deep.log", "./l.log"),
        *("a", "deep", "a.log"),
    ]


def test_several_sources_come_out_into_a_directory_here(
    box: Container, sessions: Sessions, into: Path
) -> None:
    done = dpty(sessions, "cp", "-L", f"{box.name}:/s/d", f"{box.name}:s/l.log", str(into))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sorted(os.listdir(into)) == ["d", "l.log"]
    assert ((into / "l.log").read_text(), (into / "l.log").is_symlink()) == ("a\n", False)
    assert (into / "d/deep.log").read_text() == "deep\n"


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_several_sources_need_a_directory_that_exists(
    kind: str, box: Container, bench: Bench, sessions: Sessions, sources: Path, into: Path
) -> None:
    target = str(into / kind)
    reason = "there is no such directory"
    if kind == "file":
        reason = "it is no directory"
        (into / kind).touch()
        inside(bench, box, f"mkdir -p {into} && touch {target}")
    before = os.listdir(into)
    for words in (
        ["a.log", "b.log", f"{box.name}:{target}"],
        [f"{box.name}:/s/a.log", f"{box.name}:/s/b.log", target],
        # How many a pattern stands for changes nothing.
        [f"{box.name}:/s/a.l?g", target],
    ):
        done = dpty(sessions, "cp", *words)
        said = f"dpty: cannot copy several files to {words[-1]}: {reason}; they need one that exists\n"
        assert (done.returncode, done.stderr.decode()) == (1, said)
    assert os.listdir(into) == before
    assert kind == "file" or bench.run_inside(box, f"ls {target}")[0] != 0


def test_two_sources_of_one_name_are_an_error_before_anything_moves(
    box: Container, bench: Bench, sessions: Sessions, sources: Path, into: Path
) -> None:
    (sources / "d/a.log").touch()
    inside(bench, box, "mkdir -p /in2 /s/again && touch /s/again/a.log")
    done = dpty(sessions, "cp", "b.log", "a.log", "d/a.log", f"{box.name}:/in2")
    assert (done.returncode, done.stderr) == (
        1,
        b"dpty: cannot copy a.log and d/a.log: both would become a.log; copy one of them under another name\n",
    )
    assert inside(bench, box, "ls -A /in2") == ""
    done = dpty(
        sessions, "cp", f"{box.name}:/s/b.log", f"{box.name}:/s/*/a.log", f"{box.name}:/s/a.log", str(into)
    )
    assert (done.returncode, b"/s/again/a.log and /s/a.log: both would become a.log" in done.stderr) == (
        1,
        True,
    )
    done = dpty(sessions, "cp", "b.log", "d/.", f"{box.name}:/in2")
    assert (done.returncode, b"copy d/.: it has no name of its own beside others" in done.stderr) == (1, True)
    assert (os.listdir(into), inside(bench, box, "ls -A /in2; rm -r /s/again")) == ([], "")


def test_what_fails_hides_nothing_of_the_others(
    box: Container, bench: Bench, sessions: Sessions, sources: Path, into: Path
) -> None:
    inside(bench, box, "mkdir -p /in3/b.log")
    done = dpty(sessions, "cp", "nosuch", "a.log", "b.log", "c.txt", f"{box.name}:/in3")
    first, second = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert first == "dpty: cannot copy nosuch: no such file or directory; is the path right?"
    assert "/in3" in second
    assert inside(bench, box, "ls /in3").split() == ["a.log", "b.log", "c.txt"]
    of = box.name
    done = dpty(
        sessions, "cp", f"{of}:/s/a.log", f"{of}:/s/none", f"{of}:/s/*.none", f"{of}:/s/c.txt", str(into)
    )
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, len(lines)) == (1, 2)
    assert any(f"{of}:/s/none" in line or "/s/none" in line for line in lines)
    assert (
        f"dpty: cannot copy from {of}:/s/*.none: nothing there has such a name; is the pattern right?"
        in lines
    )
    assert sorted(os.listdir(into)) == ["a.log", "c.txt"]


def test_of_a_container_that_is_not_there_one_line_tells(
    sessions: Sessions, sources: Path, into: Path
) -> None:
    for words in (["no-such-box:/a", "no-such-box:/*", str(into)], ["a.log", "b.log", "no-such-box:/"]):
        done = dpty(sessions, "cp", *words)
        assert (done.returncode, done.stderr.count(b"\n"), b"no-such-box" in done.stderr) == (1, 1, True)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["/s/*.log"], ["a.log", "b.log", "l.log", ODD]),
        (["s/[ab].log", "/s/?.txt"], ["a.log", "b.log", "c.txt"]),
        (["/s/.*"], [".h", ".h.log"]),
        (["/s/*/"], ["d", "e"]),
        (["/s/*/*.log", "/r.txt"], ["[x].log", "deep.log", "r.txt"]),
        # Through a link before the first sign.
        (["/ls/[!a].log"], ["b.log", "l.log"]),
        # There is a file of this very name.
        (["/s/e/[x].log"], ["[x].log"]),
    ],
)
def test_a_pattern_is_matched_in_the_container(
    patterns: list[str], names: list[str], box: Container, sessions: Sessions, into: Path
) -> None:
    done = dpty(sessions, "cp", *(f"{box.name}:{each}" for each in patterns), str(into))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sorted(os.listdir(into)) == sorted(names)


def test_a_name_that_looks_like_a_pattern_keeps_dockers_rules(
    box: Container, sessions: Sessions, into: Path
) -> None:
    assert dpty(sessions, "cp", f"{box.name}:/s/e/[x].log", str(into / "new")).returncode == 0
    assert (into / "new").read_text() == "x\n"


@pytest.mark.parametrize("pattern", ["/s/*.none", "/none/*", "/s/a.log/*", "/proc/*.none"])
def test_a_pattern_without_a_match_is_an_error_that_names_it(
    pattern: str, box: Container, sessions: Sessions, into: Path
) -> None:
    done = dpty(sessions, "cp", f"{box.name}:{pattern}", str(into))
    said = (
        f"dpty: cannot copy from {box.name}:{pattern}: nothing there has such a name; is the pattern right?\n"
    )
    assert (done.returncode, done.stderr.decode()) == (1, said)


def test_a_pattern_needs_neither_a_shell_nor_a_process(bench: Bench, sessions: Sessions, into: Path) -> None:
    created = bench.container(start=False)
    done = dpty(sessions, "cp", f"{created.name}:/etc/pass*", str(into))
    assert (done.returncode, done.stderr, os.listdir(into)) == (0, b"", ["passwd"])


def test_mode_and_owner_are_those_of_what_goes_in(
    box: Container, bench: Bench, sessions: Sessions, sources: Path
) -> None:
    inside(bench, box, "mkdir /in4")
    # One source as well as several.
    for words in (["b.log", "d", f"{box.name}:/in4"], ["c.txt", f"{box.name}:/in4/new"]):
        done = dpty(sessions, "cp", "--mode", "4750", "--owner", "33:44", *words)
        assert (done.returncode, done.stderr) == (0, b"")
    rights = inside(bench, box, "cd /in4 && stat -c '%n %a %u:%g' b.log d d/deep.log new")
    assert rights.splitlines() == [
        "b.log 4750 33:44",
        "d 700 33:44",
        "d/deep.log 4750 33:44",
        "new 4750 33:44",
    ]


def test_mode_is_that_of_what_comes_out_and_owner_is_refused(
    box: Container, sessions: Sessions, into: Path
) -> None:
    done = dpty(sessions, "cp", "--mode=640", f"{box.name}:/s/[ab].log", f"{box.name}:/s/d", str(into))
    assert (done.returncode, done.stderr) == (0, b"")
    assert {
        name: stat.S_IMODE((into / name).stat().st_mode) for name in ("a.log", "b.log", "d", "d/deep.log")
    } == {"a.log": 0o640, "b.log": 0o640, "d": 0o700, "d/deep.log": 0o640}
    done = dpty(sessions, "cp", "--owner=1:2", f"{box.name}:/s/a.log", str(into))
    assert (done.returncode, b"it is for what goes into a container" in done.stderr) == (125, True)


def test_what_is_there_is_left_alone_when_asked_into_a_container(
    box: Container, bench: Bench, sessions: Sessions, sources: Path
) -> None:
    inside(bench, box, "mkdir -p /in5/d; echo old | tee /in5/a.log >/in5/d/deep.log; ln -s none /in5/c.txt")
    (sources / "d/new").touch()
    for words in (["a.log", f"{box.name}:/in5/a.log"], ["a.log", "b.log", "c.txt", "d", f"{box.name}:/in5"]):
        done = dpty(sessions, "cp", "-n", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    found = inside(bench, box, "cd /in5; cat a.log b.log d/deep.log; readlink c.txt; ls d")
    assert found.split() == ["old", "b", "old", "none", "deep.log", "new"]


def test_what_is_there_is_left_alone_when_asked_here(box: Container, sessions: Sessions, into: Path) -> None:
    (into / "d").mkdir()
    for name in ("a.log", "d/deep.log"):
        (into / name).write_text("old")
    for words in (["a.log", str(into / "a.log")], ["*.log", f"{box.name}:/s/d", str(into)]):
        done = dpty(sessions, "cp", "--no-clobber", f"{box.name}:/s/{words[0]}", *words[1:])
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert {name: (into / name).read_text() for name in ("a.log", "b.log", "d/deep.log")} == {
        "a.log": "old",
        "b.log": "b\n",
        "d/deep.log": "old",
    }


def test_sources_of_two_places_are_bad_usage(box: Container, sessions: Sessions, sources: Path) -> None:
    of = box.name
    for words, reason in (
        (["a.log", f"{of}:/s/b.log", "."], b"they come from here and from a container"),
        ([f"{of}:/s/a.log", "other:/s/b.log", "."], b"they come from two containers"),
        ([f"{of}:/s/a.log", f"{of}:/s/b.log", f"{of}:/"], b"both are in a container"),
        (["a.log", "b.log", "d"], b"neither is in a container"),
        ([f"{of}:/s/a.log", f"{of}:/s/b.log", "-"], b"a tar stream is of one source"),
    ):
        done = dpty(sessions, "cp", *words)
        assert (done.returncode, reason in done.stderr) == (125, True), done.stderr


def test_progress_is_shown_when_it_is_asked_for(box: Container, sessions: Sessions, into: Path) -> None:
    words = (f"{box.name}:/s/a.log", f"{box.name}:/s/b.log", str(into))
    said = f"Successfully copied 4.1kB to {into}\n".encode()
    for flags, heard in (
        ([], b""),
        (["--progress=auto"], b""),
        (["--progress=always"], said),
        (["-q", "--progress", "always"], b""),
    ):
        done = dpty(sessions, "cp", *flags, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", heard), flags
    for flags, heard in (([], said), (["--progress=never"], b""), (["-q", "--progress=always"], b"")):
        terminal = typed(sessions, "cp", *flags, *words)
        assert (terminal.wait(), terminal.output.replace(b"\r\n", b"\n")) == (0, heard), flags


def test_who_was_found_by_labels_may_be_asked_for_several(
    bench: Bench, sessions: Sessions, into: Path
) -> None:
    made = bench.container(labels={"dpty.cp.many": into.parent.name}, start=False)
    assert made.name
    of = f"label:dpty.cp.many={into.parent.name}"
    done = dpty(sessions, "cp", f"{of}:/etc/group", f"{of}:/etc/pass*", str(into))
    assert (done.returncode, done.stderr, sorted(os.listdir(into))) == (0, b"", ["group", "passwd"])
