"""`dpty cp` beside `docker cp` on a real engine: what is there afterwards is the same, or both refuse."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.bed.engine import Bench, engine_url
from tests.bed.terminal import TTY
from tests.bed.transports import Transport
from tests.conftest import needs_root
from tests.engine.command import Done, docker, dpty, shell, typed
from tests.engine.conftest import Sessions

# Older than any change that a copy makes: what has another time was changed just now.
OLD = 1_010_000_000
LONG_AGO = "200109090146.40"

# One of each kind of source, as a script for both sides, and what it is called.
TREE = r"""
mkdir -p d/e/deep d/locked; echo f >f; echo a >d/a; echo b >d/e/b; : >d/e/deep/none
chmod 640 d/a; chmod 4755 f; chmod 1777 d/e; chmod 555 d/locked
ln -s f lf; ln -s d ld; ln -s ../d/a d/up; ln -s /etc/passwd d/abs; ln -s nothing dang
ln d/a d/second; echo n >"$(printf 'd/new\nline')"; echo u >"$(printf 'd/\377\376')"; mkdir c; echo c >c/c
find . -depth -exec touch -h -t {time} {} +
""".replace("{time}", LONG_AGO)
SOURCES = [
    "f",
    "f/",
    "f/.",
    "c",
    "c/",
    "c/.",
    "d",
    "lf",
    "ld",
    "ld/",
    "ld/.",
    "dang",
    "none",
    "d/e/../a",
    "d/up",
]

LINKS = ("lf", "ld", "dang", "d/up")

# What may be where it goes.
TARGET = r"""
mkdir dir dir/f dir2 dir2/c; echo old >file; ln -s dir ldir; ln -s file lfile; ln -s nowhere ldang
echo old >dir2/c/kept; echo old >dir2/f; mkdir dir3; echo old >dir3/c; ln -s lfile l2
find . -depth -exec touch -h -t {time} {} +
""".replace("{time}", LONG_AGO)
# Not `ldir/`, where docker takes a directory's own entry (`SRC/.`) for a link that is in its way.
TARGETS = ["dir2", "dir2/", "dir", "dir3", "file", "file/", "ldir", "l2", "ldang", "new", "new/", "no/x", "."]
FEW = ["dir2", "file", "new", "new/"]


def name_of(container: Container) -> str:
    return str(container.name)


def local_tree(folder: Path) -> dict[str, Any]:
    """Each name below a directory with all that a copy keeps; a time is said only if it is an old one.

    Without the set-id bits, which docker hands on with our name under them.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        what = ""
        if stat.S_ISREG(status.st_mode):
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            what = os.readlink(path)
        old = int(status.st_mtime) <= OLD
        name = str(path.relative_to(folder))
        found[name] = (
            oct(status.st_mode & ~0o6000),
            status.st_uid,
            status.st_nlink * stat.S_ISREG(status.st_mode),
            old,
            what,
        )
    return found


def container_tree(sessions: Sessions, container: str, path: str) -> dict[str, Any]:
    """The same for a directory in a container, by the archive that docker makes of it."""
    done = docker(sessions, "cp", f"{container}:{path}/.", "-")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = {}
    with tarfile.open(fileobj=BytesIO(done.stdout), errors="surrogateescape") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            content = file.read() if file else info.linkname
            found[info.name] = (info.type, oct(info.mode), info.uid, info.gid, info.mtime <= OLD, content)
    return found


def files(tree: dict[str, Any]) -> dict[str, Any]:
    """Those that are no directories: of one even a refused copy may change the time."""
    return {name: what for name, what in tree.items() if what[4]}


def outcome(done: Done) -> bool:
    """Whether it succeeded; a refusal has the code of one, and words."""
    assert done.returncode in (0, 1), done
    assert bool(done.stderr) == bool(done.returncode), done
    return done.returncode == 0


def with_sources(bench: Bench) -> Container:
    made = bench.container(start=True)
    code, output = bench.run_inside(made, f"mkdir /s && cd /s && umask 022 && {TREE}")
    assert code == 0, output
    return made


@pytest.fixture(scope="module")
def box(judge: DockerClient, transport: Transport) -> Iterator[Container]:
    """A container with the sources in it."""
    bench = Bench(judge)
    yield with_sources(bench)
    bench.close()


@pytest.fixture(scope="module")
def dockers(engine: DockerClient) -> Iterator[Container]:
    """The same on Docker's engine, whichever is under test."""
    bench = Bench(engine)
    yield with_sources(bench)
    bench.close()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The same tree here."""
    folder = tmp_path / "s"
    folder.mkdir()
    os.spawnlp(os.P_WAIT, "sh", "sh", "-c", f"cd {folder} && umask 022 && {TREE}")
    return folder


CASES = [
    *((source, ()) for source in SOURCES),
    *((source, ("-L",)) for source in ("f", "lf", "ld", "ld/.", "dang", "d/up")),
]


@pytest.mark.parametrize(("source", "flags"), CASES, ids=lambda value: "".join(value) or "plain")
def test_out_of_a_container_the_same_is_there_as_with_docker(
    source: str,
    flags: tuple[str, ...],
    box: Container,
    dockers: Container,
    sessions: Sessions,
    bench: Bench,
    tmp_path: Path,
) -> None:
    targets, way, measure = FEW if flags else TARGETS, ["-H", engine_url()], dockers
    if not bench.is_podman:
        way, measure = [], box
    elif source in LINKS and not flags:
        # Podman gives what a link leads to, under the link's name, and docker's command takes that as well.
        way, measure = [], box
        # It is a directory: docker's command has asked Podman, and was told of a link.
        targets = [target for target in targets if (source, target) != ("ld", "new/")]
    for number, target in enumerate(targets):
        results = []
        for program, words, where in ((docker, way, measure), (dpty, [], box)):
            folder = tmp_path / f"{program.__name__}{number}"
            folder.mkdir()
            os.spawnlp(os.P_WAIT, "sh", "sh", "-c", f"cd {folder} && umask 022 && {TARGET}")
            before = local_tree(folder)
            done = program(
                sessions, *words, "cp", *flags, f"{name_of(where)}:/s/{source}", f"{folder}/{target}"
            )
            results.append((outcome(done), local_tree(folder)))
        if results[0][0]:
            assert results[1] == results[0], target
            continue
        # Docker may have removed by then what it was to replace; here every file is as it was.
        refused, after = results[1]
        assert not refused, target
        assert files(before).items() <= files(after).items()


@pytest.mark.parametrize(("source", "flags"), CASES, ids=lambda value: "".join(value) or "plain")
def test_into_a_container_the_same_is_there_as_with_docker(
    source: str,
    flags: tuple[str, ...],
    box: Container,
    sessions: Sessions,
    sources: Path,
    bench: Bench,
    request: pytest.FixtureRequest,
) -> None:
    root = f"/t{abs(hash(request.node.name))}"
    targets = FEW if flags else TARGETS
    if bench.is_podman:
        # What is missing of the way there Podman makes, also for docker's command; ours refuses as with Docker, below.
        targets = [target for target in targets if target != "no/x"]
    names = [f"{root}/{who}/{number}" for number in range(len(TARGETS)) for who in ("docker", "dpty")]
    script = "; ".join(f"(mkdir -p {name} && cd {name} && umask 022 && {TARGET})" for name in names)
    code, output = bench.run_inside(box, script)
    assert code == 0, output
    for number, target in enumerate(targets):
        results = []
        for program in (docker, dpty):
            there = f"{name_of(box)}:{root}/{program.__name__}/{number}/{target}"
            results.append(outcome(program(sessions, "cp", *flags, f"{sources}/{source}", there)))
        assert results[1] == results[0], target
    theirs, ours = (container_tree(sessions, name_of(box), f"{root}/{who}") for who in ("docker", "dpty"))
    assert ours == theirs
    bench.run_inside(box, f"rm -rf {root}")


@pytest.mark.parametrize("target", ["web:x", "./x:y", "/{tmp}/x:y", "x:y"])
def test_a_colon_is_read_as_docker_reads_it(
    target: str, box: Container, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for program in (docker, dpty):
        folder = tmp_path / program.__name__
        folder.mkdir()
        monkeypatch.chdir(folder)
        done = program(sessions, "cp", f"{name_of(box)}:/s/f", target.format(tmp=folder))
        # Both in a container: that is bad usage here, and an error there.
        results.append((done.returncode == 0, sorted(os.listdir(folder))))
    assert results[0] == results[1]


def test_root_is_copied_as_docker_copies_it(box: Container, sessions: Sessions, tmp_path: Path) -> None:
    results = []
    for program in (docker, dpty):
        folder = tmp_path / program.__name__
        folder.mkdir(mode=0o700)
        assert program(sessions, "cp", f"{name_of(box)}:/", str(folder)).returncode == 0
        results.append((stat.S_IMODE(folder.stat().st_mode), local_tree(folder)))
    assert results[0] == results[1]


def test_a_pipe_in_a_tree_is_left_out_and_told_of(bench: Bench, sessions: Sessions, tmp_path: Path) -> None:
    box = bench.container(start=True)
    bench.run_inside(box, "mkdir /s; mkfifo /s/p; echo x >/s/x")
    done = dpty(sessions, "cp", f"{name_of(box)}:/s", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"dpty: skipped s/p: a named pipe is not copied\n")
    assert os.listdir(tmp_path / "s") == ["x"]


@pytest.mark.parametrize("state", ["created", "ended", "paused"])
def test_a_container_that_does_not_run_is_copied_from_and_to(
    state: str, bench: Bench, sessions: Sessions, tmp_path: Path
) -> None:
    box = bench.container(
        "true" if state == "ended" else ("tail", "-f", "/dev/null"), start=state != "created"
    )
    if state == "ended":
        bench.wait_for_exit(box)
    elif state == "paused":
        box.pause()
    (tmp_path / "f").write_text("text")
    try:
        done = dpty(sessions, "cp", str(tmp_path / "f"), f"{name_of(box)}:/g")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert dpty(sessions, "cp", f"{name_of(box)}:/g", str(tmp_path)).returncode == 0
    finally:
        if state == "paused":
            box.unpause()
    assert (tmp_path / "g").read_text() == "text"


def test_a_stream_is_dockers_in_both_directions(box: Container, sessions: Sessions, bench: Bench) -> None:
    ours = dpty(sessions, "cp", f"{name_of(box)}:/s/c", "-")
    assert (ours.returncode, ours.stderr) == (0, b"")
    assert ours.stdout == docker(sessions, "cp", f"{name_of(box)}:/s/c", "-").stdout
    bench.run_inside(box, "mkdir -p /stream/dpty /stream/docker")
    for program in (docker, dpty):
        done = program(sessions, "cp", "-", f"{name_of(box)}:/stream/{program.__name__}", stdin=ours.stdout)
        assert (done.returncode, done.stderr) == (0, b"")
    ours_there, theirs = (
        container_tree(sessions, name_of(box), f"/stream/{who}") for who in ("dpty", "docker")
    )
    assert ours_there == theirs
    for target in ("/s/f", "/none"):
        assert dpty(sessions, "cp", "-", f"{name_of(box)}:{target}", stdin=ours.stdout).returncode == 1


def test_a_pipe_from_one_container_to_another(box: Container, sessions: Sessions, bench: Bench) -> None:
    other = bench.container(start=True)
    script = f"dpty cp {name_of(box)}:/s/d - | dpty cp - {name_of(other)}:/tmp"
    done = shell(sessions, script)
    assert (done.returncode, done.stderr) == (0, b"")
    assert container_tree(sessions, name_of(box), "/s/d") == container_tree(
        sessions, name_of(other), "/tmp/d"
    )


def test_much_data_comes_back_as_it_went(box: Container, sessions: Sessions, tmp_path: Path) -> None:
    block = os.urandom(1024 * 1024)
    with (tmp_path / "big").open("wb") as file:
        for _ in range(64):
            file.write(block)
    assert dpty(sessions, "cp", str(tmp_path / "big"), f"{name_of(box)}:/big").returncode == 0
    assert dpty(sessions, "cp", f"{name_of(box)}:/big", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == (tmp_path / "big").read_bytes()


@pytest.mark.parametrize("flags", [[], ["-a"]])
def test_owners_go_in_as_with_docker(
    flags: list[str], box: Container, bench: Bench, sessions: Sessions, tmp_path: Path
) -> None:
    needs_root("gives files away")
    (tmp_path / "f").touch()
    os.chown(tmp_path / "f", 1234, 2345)
    bench.run_inside(box, "mkdir -p /o/docker /o/dpty")
    for program in (docker, dpty):
        done = program(sessions, "cp", *flags, str(tmp_path / "f"), f"{name_of(box)}:/o/{program.__name__}")
        assert done.returncode == 0
    ours, theirs = (container_tree(sessions, name_of(box), f"/o/{who}") for who in ("dpty", "docker"))
    assert ours == theirs


def test_owners_come_out_only_with_archive(bench: Bench, sessions: Sessions, tmp_path: Path) -> None:
    needs_root("gives files away")
    box = bench.container(start=True)
    bench.run_inside(box, "echo x >/f; chown 1234:2345 /f; chmod 6755 /f")
    for name, flags in (("ours", []), ("theirs", ["-a"])):
        assert dpty(sessions, "cp", *flags, f"{name_of(box)}:/f", str(tmp_path / name)).returncode == 0
    ours, theirs = (tmp_path / "ours").stat(), (tmp_path / "theirs").stat()
    assert (ours.st_uid, stat.S_IMODE(ours.st_mode)) == (os.getuid(), 0o755)
    # In Podman's archives everything is root's: then a set-id bit would give away more than it did.
    kept = (0, 0, 0o755) if bench.is_podman else (1234, 2345, 0o6755)
    assert (theirs.st_uid, theirs.st_gid, stat.S_IMODE(theirs.st_mode)) == kept


def test_a_container_hands_nobody_here_the_rights_of_root(
    bench: Bench, sessions: Sessions, tmp_path: Path
) -> None:
    needs_root("makes copies that have root's rights")
    box = bench.container(start=True)
    bench.run_inside(box, "mkdir -p /s/d; cp /bin/busybox /s/su; chmod 4755 /s/su; chmod 2755 /s/d")
    assert dpty(sessions, "cp", f"{name_of(box)}:/s", str(tmp_path)).returncode == 0
    assert [stat.S_IMODE((tmp_path / "s" / name).stat().st_mode) for name in ("su", "d")] == [0o755] * 2


PODMANS_WORDS = {
    "{box}:/none": "cannot copy from {box}:/none: no such file or directory; is the path right?",
    "{box}:/none/x": "cannot copy to {box}:/none: there is no such directory; make it first",
    "no-such-box:/x": 'no container with name or ID "no-such-box" found: no such container; `dpty ps -a` lists',
}


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("{box}:/none", ".", "could not find the file /none in container {box}; is the path right?"),
        (
            "no-such-box:/x",
            ".",
            "no such container: no-such-box; `dpty ps -a` lists those that there are",
        ),
        (
            "{box}:/s/f/",
            ".",
            "cannot copy from {box}:/s/f/: it is no directory; leave out what follows its name",
        ),
        (__file__, "{box}:/none/x", "could not find the file /none in container {box}; is the path right?"),
        (__file__, "no-such-box:/x", "no such container: no-such-box"),
        (
            "/no/such/file",
            "{box}:/x",
            "cannot copy /no/such/file: no such file or directory; is the path right?",
        ),
    ],
)
def test_what_is_not_there_is_one_line_that_says_what_to_do(
    source: str,
    target: str,
    words: str,
    box: Container,
    bench: Bench,
    sessions: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    box_name = name_of(box)
    if bench.is_podman:
        words = PODMANS_WORDS.get(source) or PODMANS_WORDS.get(target) or words
    done = dpty(sessions, "cp", source.format(box=box_name), target.format(box=box_name))
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    assert words.format(box=box_name).lower() in done.stderr.decode().lower()
    assert os.listdir(tmp_path) == []


def test_at_a_terminal_the_last_line_is_dockers(box: Container, sessions: Sessions, tmp_path: Path) -> None:
    terminal = typed(sessions, "cp", f"{name_of(box)}:/s/f", str(tmp_path))
    assert terminal.wait() == 0
    assert terminal.output == f"Successfully copied 2.05kB to {tmp_path}\r\n".encode()
    terminal = typed(sessions, "cp", str(tmp_path / "f"), f"{name_of(box)}:/tmp")
    assert terminal.wait() == 0
    assert terminal.output == f"Successfully copied 2.05kB to {name_of(box)}:/tmp\r\n".encode()
    terminal = typed(sessions, "cp", "-q", str(tmp_path / "f"), f"{name_of(box)}:/tmp")
    assert (terminal.wait(), terminal.output) == (0, b"")


def test_a_tar_archive_is_not_written_to_a_terminal(box: Container, sessions: Sessions) -> None:
    terminal = typed(sessions, "cp", f"{name_of(box)}:/s/f", "-", stdout=TTY)
    assert terminal.wait() == 1
    assert b"cannot write a tar archive to the terminal: give a file or a program for it" in terminal.output


def test_ctrl_c_in_the_middle_leaves_nothing(bench: Bench, sessions: Sessions, tmp_path: Path) -> None:
    box = bench.container(start=True)
    bench.run_inside(box, "dd if=/dev/zero of=/big bs=1M count=300")
    terminal = typed(sessions, "cp", f"{name_of(box)}:/big", str(tmp_path))
    terminal.wait_until(lambda: os.listdir(tmp_path) and _beside(tmp_path) > 0, 20, "the first of it")
    terminal.send(b"\x03")
    assert terminal.wait() == -2
    assert os.listdir(tmp_path) == []
    assert terminal.is_as_before()


def _beside(folder: Path) -> int:
    return sum(os.lstat(folder / name).st_size for name in os.listdir(folder) if name.startswith(".dpty-"))
