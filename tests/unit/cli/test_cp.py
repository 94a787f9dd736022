"""`dpty cp` as a command: its operands, what it says, and a long copy in little memory."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.archive import BLOCK, END, Member, Writer
from dockerpty.cli import cp, main
from dockerpty.cli.cp import Progress, places, split
from dockerpty.cli.grammar import UsageError, read
from dockerpty.cli.table import COMMANDS
from tests.bed.engine import short_directory
from tests.bed.screen import Screen
from tests.bed.terminal import ROOT, Terminal
from tests.bed.waiting import wait_for
from tests.unit.loopback import ScriptedEngine, Step, answer

MB = 1024 * 1024
SECONDS = 60

# Operands


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("web:/etc", ("web", "/etc")),
        ("web:etc", ("web", "etc")),
        ("web:/a:b", ("web", "/a:b")),
        ("file", ("", "file")),
        ("./web:x", ("", "./web:x")),
        ("../web:x", ("", "../web:x")),
        (".web:x", ("", ".web:x")),
        ("/web:x", ("", "/web:x")),
        ("a/b:x", ("a/b", "x")),
        ("web:", ("web", "")),
        ("-", ("", "-")),
        ("compose", ("", "compose")),
        ("label:/etc", ("label", "/etc")),
        ("label:a:b", ("label", "a:b")),
        ("label:a=b", ("label", "a=b")),
        ("compose://a", ("compose", "//a")),
    ],
)
def test_what_is_before_a_colon_is_a_container_unless_it_begins_with_a_slash_or_a_dot(
    word: str, place: tuple[str, str]
) -> None:
    assert split(word) == place


@pytest.mark.parametrize(
    "container", ["compose://shop/api", "compose://shop/api/2", "label:tier=web", "label:a.b/c="]
)
@pytest.mark.parametrize("path", ["/etc", "a:b", "a=b", "", "a\nb"])
def test_a_container_that_is_named_by_its_labels_has_a_colon_before_them(container: str, path: str) -> None:
    assert split(f"{container}:{path}") == (container, path)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["a", "b"], "neither is in a container; a place in a container is CONTAINER:PATH"),
        (["-", "-"], "neither is in a container"),
        (["a:/x", "b:/y"], "both are in a container; copy it here first"),
        (["a:", "b"], "there is no path in it; its root is a:/"),
        (["a:/x", ""], "there is no path in it"),
        ([":/x", "b"], "there is no container before the colon; for a file here, write ./ first"),
        (
            ["a:/x", "b", "c"],
            "they come from here and from a container; all sources of a copy are in one place",
        ),
        (["a:/x", "b:/y", "c"], "they come from two containers"),
        (["a:/x", "b", "-q"], "they come from here and from a container; flags stand before SRC"),
        (["a", "b", "c"], "neither is in a container"),
        (["a:/x", "a:/y", "b:/z"], "both are in a container"),
        (["a:/x", "a:", "b"], "there is no path in it"),
        (["a:/x", "a:/y", "-"], "a tar stream is of one source; copy one at a time, or a directory"),
        (["-", "b", "a:/x"], "a tar stream is of one source"),
    ],
)
def test_a_line_that_makes_no_sense_says_what_would(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        places(read(COMMANDS["cp"], words))
    assert hint in str(caught.value)


def test_sources_are_all_here_or_all_in_one_container() -> None:
    assert places(read(COMMANDS["cp"], ["a", "./b:c", "web:/x"])) == ("", ["a", "./b:c"], "web", "/x")
    assert places(read(COMMANDS["cp"], ["web:/a", "web:b", "."])) == ("web", ["/a", "b"], "", ".")
    assert places(read(COMMANDS["cp"], ["web:/a", "-"])) == ("web", ["/a"], "", "-")
    # In a container it is a name like any other.
    assert places(read(COMMANDS["cp"], ["web:/a", "web:-", "."])) == ("web", ["/a", "-"], "", ".")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--mode", "rw", "a", "web:/x"], "cannot use --mode rw: it takes octal digits, for example 640"),
        (["--mode", "888", "a", "web:/x"], "--mode 888: it takes octal digits"),
        (["--mode", "10644", "a", "web:/x"], "--mode 10644: it takes octal digits"),
        (["--mode=", "a", "web:/x"], "it takes octal digits"),
        (["--owner", "root", "a", "web:/x"], "--owner root: it takes two numbers, for example 1000:1000"),
        (["--owner", "1", "a", "web:/x"], "it takes two numbers"),
        (["--owner", "1:4294967295", "a", "web:/x"], "it takes two numbers"),
        (
            ["--owner", "1:2", "web:/x", "a"],
            "it is for what goes into a container; what is copied here is yours",
        ),
        (["-a", "--owner", "1:2", "a", "web:/x"], "--owner and -a together: each says who owns the copy"),
        (["--mode", "600", "web:/x", "-"], "cannot use --mode with -: a tar stream goes as it is"),
        (["--owner", "1:2", "-", "web:/x"], "cannot use --owner with -"),
        (["-n", "-", "web:/x"], "cannot use --no-clobber with -"),
    ],
)
def test_how_to_copy_is_read_before_an_engine_is_asked(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-H", "unix:///no/such.sock", "cp", *words]) == 125
    assert reason in capsys.readouterr().err


# What is said


def test_progress_is_shown_only_to_somebody_and_only_when_it_takes_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    shown: list[float] = []
    monkeypatch.setattr(cp, "can_draw", lambda stream: True)
    monkeypatch.setattr(Progress, "_show", lambda self: shown.append(now[0]))
    for wanted in (False, True):
        progress = Progress(wanted=wanted, clock=lambda: now[0])
        for now[0] in (0.1, 0.4, 0.5, 0.55, 0.61, 5.0):
            progress.moved(100)
        progress.close()
        progress.sum_up("web:/x")
        assert progress.count == 600
        now[0] = 0.0
    assert shown == [0.5, 0.61, 5.0]
    assert capsys.readouterr().err == "Successfully copied 600B to web:/x\n"


def test_where_nothing_can_be_drawn_it_is_told_in_lines_if_it_must(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    for always in (False, True):
        progress = Progress(wanted=True, always=always, clock=lambda: now[0])
        for now[0] in (0.1, 0.5, 1.4, 1.5, 1.6):
            progress.moved(100)
        progress.close()
        now[0] = 0.0
    assert capsys.readouterr().err == "200B so far\n400B so far\n"


# The command, with an engine of the test's


class Bench:
    """An engine with a script, and `dpty` that is told of it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._servers: list[ScriptedEngine] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._terminals: list[Terminal] = []

    def engine(self, *steps: Step) -> ScriptedEngine:
        self._servers.append(ScriptedEngine(f"{self._folder}/{len(self._servers)}.sock", *steps))
        return self._servers[-1]

    def start(
        self, *argv: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """Start `dpty cp` for the last engine; at its end it says on stderr how much memory it had."""
        code = (
            "import sys; from dockerpty.cli import main; code = main(sys.argv[1:])\n"
            "print(*(line for line in open('/proc/self/status') if 'VmHWM' in line), file=sys.stderr); sys.exit(code)"
        )
        env = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_API_VERSION": "1.41"}
        command = [sys.executable, "-c", code, "-H", self._servers[-1].url, "cp", *argv]
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=env)
        self._processes.append(process)
        return process

    def typed(self, *argv: str, **options: Any) -> Terminal:
        """Start `dpty cp` for the last engine at a terminal."""
        env = {"DOCKER_API_VERSION": "1.41", "NO_COLOR": None, **options.pop("env", {})}
        command = [sys.executable, "-m", "dockerpty", "-H", self._servers[-1].url, "cp", *argv]
        self._terminals.append(Terminal(command, env=env, **options))
        return self._terminals[-1]

    def run(self, *argv: str) -> tuple[int, bytes, bytes]:
        process = self.start(*argv)
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err.partition(b"VmHWM")[0]

    def memory(self, *argv: str) -> int:
        """Give the most bytes of memory that a copy had, which must succeed."""
        process = self.start(*argv, stdout=subprocess.DEVNULL)
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
        return int(err.split(b"VmHWM:")[1].split()[0]) * 1024

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for terminal in self._terminals:
            terminal.close()
        for server in self._servers:
            server.close()


def dribble(enough: threading.Event, size: int) -> Callable[[socket.socket], None]:
    """A step that answers with a file `f` of which a little comes at a time, and after the event the rest."""

    def step(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + Writer().begin(Member("f", size=size)))
        left, piece = size, bytes(64 * 1024)
        while left > len(piece) and not enough.wait(0.01):
            sock.sendall(piece)
            left -= len(piece)
        sock.sendall(bytes(left + -size % BLOCK) + END)
        sock.shutdown(socket.SHUT_RDWR)

    return step


def sip(enough: threading.Event) -> Callable[[socket.socket], None]:
    """A step that takes a chunked body a little at a time, and after the event the rest."""

    def step(sock: socket.socket) -> None:
        tail = b""
        while not tail.endswith(b"0\r\n\r\n"):
            enough.wait(0.01)
            tail = (tail + sock.recv(64 * 1024))[-5:]
        sock.sendall(answer(200))

    return step


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        bench = Bench(folder)
        yield bench
        bench.close()


def tar(**files: bytes) -> bytes:
    writer = Writer()
    return (
        b"".join(
            writer.begin(Member(n, size=len(c))) + writer.data(c) + writer.end() for n, c in files.items()
        )
        + END
    )


def send(size: int, pause: threading.Event | None = None, at: int = 0) -> Callable[[socket.socket], None]:
    """A step that answers with a file `f` of this size, and after `at` bytes waits for the event."""

    def step(sock: socket.socket) -> None:
        header = Writer().begin(Member("f", size=size))
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + header)
        left, piece = size, bytes(MB)
        while left:
            if pause is not None and size - left >= at:
                pause.wait(SECONDS)
                return
            left -= sock.send(piece[:left])
        sock.sendall(bytes(-size % BLOCK) + END)
        # The answer ends with its connection.
        sock.shutdown(socket.SHUT_RDWR)

    return step


def drain(counts: list[int]) -> Callable[[socket.socket], None]:
    """A step that takes a chunked body and keeps nothing of it."""

    def step(sock: socket.socket) -> None:
        total, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = sock.recv(256 * 1024)
            if not data:
                return
            total += len(data)
            tail = (tail + data)[-5:]
        counts.append(total)
        sock.sendall(answer(200))

    return step


NOTHING = answer(404)
# Behind a sign that turns, as on `⠙ 12.3 MB 4.5 MB/s`.
RATE = re.compile(r"\S (\d+\.\d) MB (\d+\.\d) MB/s")


def rates(screen: Screen) -> list[tuple[float, float]]:
    """Megabytes, and megabytes a second, in each row of a screen that tells them and nothing else."""
    return [(float(m[1]), float(m[2])) for m in map(RATE.fullmatch, screen.lines()) if m]


def test_while_it_takes_time_bytes_and_rate_are_shown_in_one_line_that_goes_away(
    bench: Bench, tmp_path: Path
) -> None:
    enough = threading.Event()
    bench.engine(dribble(enough, 60 * MB))
    try:
        terminal = bench.typed("web:/f", str(tmp_path / "f"), cols=200)
        screen = Screen(terminal)
        terminal.wait_until(lambda: rates(screen) and rates(screen)[0][1] > 0, 20, "the rate")
        ((first, _),) = rates(screen)
        terminal.wait_until(lambda: rates(screen)[0][0] > first, 20, "more bytes")
        ((_, rate),) = rates(screen)
        # No more than three times what the engine gives: on a busy machine it comes in lumps.
        assert 0 < rate < 3 * 64 * 1024 / 0.01 / 1e6
    finally:
        enough.set()
    assert terminal.wait(60) == 0
    assert [line for line in screen.lines() if line] == [f"Successfully copied 62.9MB to {tmp_path}/f"]
    assert terminal.is_as_before()
    assert b"\x1b[?25l" not in terminal.output
    assert (tmp_path / "f").stat().st_size == 60 * MB


def test_what_is_told_meanwhile_stands_above_it(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "a").open("wb") as file:
        file.truncate(100 * MB)
    with socket.socket(socket.AF_UNIX) as listener, short_directory() as short:
        # By a short way: the address of a socket has little room.
        os.symlink(folder, f"{short}/folder")
        listener.bind(f"{short}/folder/b [bold]x")
        enough = threading.Event()
        bench.engine(NOTHING, sip(enough))
        try:
            terminal = bench.typed(str(folder), "web:/there", cols=200)
            screen = Screen(terminal)
            terminal.wait_until(lambda: rates(screen), 20, "bytes and rate")
        finally:
            enough.set()
        assert terminal.wait(60) == 0
    assert [line for line in screen.lines() if line] == [
        f"dpty: skipped {folder}/b [bold]x: a socket cannot be copied",
        "Successfully copied 105MB to web:/there",
    ]


def test_quiet_or_on_a_terminal_that_cannot_draw_nothing_is_drawn(bench: Bench, tmp_path: Path) -> None:
    enough = threading.Event()
    bench.engine(dribble(enough, 61 * MB))
    plain = bench.typed("web:/f", str(tmp_path / "f"), cols=200, env={"TERM": "dumb"})
    bench.engine(dribble(enough, 61 * MB))
    quiet = bench.typed("-q", "web:/f", str(tmp_path / "g"))
    try:
        # Longer than it takes until something would be drawn.
        assert plain.read_for(1.0) == b""
    finally:
        enough.set()
    assert (plain.wait(60), quiet.wait(60)) == (0, 0)
    assert (plain.output, quiet.output) == (f"Successfully copied 64MB to {tmp_path}/f\r\n".encode(), b"")


def test_when_the_engine_goes_away_the_others_are_not_tried(bench: Bench, tmp_path: Path) -> None:
    def go(sock: socket.socket) -> None:
        os.unlink(server.url.removeprefix("unix://"))
        sock.shutdown(socket.SHUT_RDWR)

    told = answer(200, b'{"Id": "1", "Config": {}, "State": {}}')
    server = bench.engine(told, answer(200, tar(a=b"text")), go)
    code, _, err = bench.run("web:/a", "web:/b", "web:/c", "web:/d", str(tmp_path))
    assert (code, err.count(b"\n")) == (1, 1), err
    assert (os.listdir(tmp_path), len(server.lines)) == (["a"], 3), (err, server.lines)


def test_300_megabytes_go_either_way_in_the_memory_of_one(bench: Bench, tmp_path: Path) -> None:
    size = 300 * MB
    bench.engine(send(MB), send(size), send(size))
    little = bench.memory("web:/f", str(tmp_path / "f"))
    assert bench.memory("web:/f", str(tmp_path / "f")) < little + 16 * MB
    assert (tmp_path / "f").stat().st_size == size
    assert bench.memory("web:/f", "-") < little + 16 * MB
    counts: list[int] = []
    bench.engine(NOTHING, drain(counts))
    assert bench.memory(str(tmp_path / "f"), "web:/f") < little + 16 * MB
    # What came together with the request's head is not counted.
    wait_for(lambda: counts and counts[0] >= size - MB, SECONDS, "all of it to have come")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_is_ended_in_the_middle_dies_of_it_and_leaves_the_old_file_and_no_half_one(
    number: signal.Signals, bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("old")
    stop = threading.Event()
    bench.engine(send(10 * MB, stop, 5 * MB))
    try:
        process = bench.start("web:/f", str(tmp_path))
        wait_for(lambda: _size_beside(tmp_path) >= 4 * MB, SECONDS, "half of the file")
        process.send_signal(number)
        assert process.wait(SECONDS) == -number
    finally:
        stop.set()
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "old"


def test_who_is_ended_twice_leaves_no_half_file_either(bench: Bench, tmp_path: Path) -> None:
    stop = threading.Event()
    engine = bench.engine(send(10 * MB, stop, 5 * MB))
    code = (
        "import signal, sys; from dockerpty.cli import main; from dockerpty.tree import Unpacker\n"
        "whole = Unpacker.close\n"
        "def close(self): signal.raise_signal(signal.SIGINT); whole(self)\n"
        "Unpacker.close = close; sys.exit(main(sys.argv[1:]))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_API_VERSION": "1.41"}
    argv = [sys.executable, "-c", code, "-H", engine.url, "cp", "web:/f", str(tmp_path)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, env=env) as process:
        try:
            wait_for(lambda: _size_beside(tmp_path) >= 4 * MB, SECONDS, "half of the file")
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == -signal.SIGINT
        finally:
            stop.set()
    assert os.listdir(tmp_path) == []


def test_an_engine_that_makes_no_sense_leaves_the_callers_signals_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    assert main(["-H", "nonsense://", "cp", "web:/f", "."]) == 1
    assert "nonsense" in capsys.readouterr().err
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def _size_beside(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.name.startswith(".dpty-"))


def test_an_archive_that_would_write_elsewhere_is_refused_with_code_1(bench: Bench, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    hostile = io.BytesIO()
    with tarfile.open(fileobj=hostile, mode="w") as archive:
        link = tarfile.TarInfo("d/l")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        bad = tarfile.TarInfo("d/l/bad")
        bad.size = 3
        archive.addfile(bad, io.BytesIO(b"bad"))
    bench.engine(answer(200, hostile.getvalue()), answer(200, tar(**{"d/../../bad": b"bad"})))
    code, out, err = bench.run("web:/d", str(inside))
    assert (code, out) == (1, b"")
    assert err.startswith(
        b"dpty: cannot write through l: a symbolic link of that name is there, and no directory"
    )
    code, out, err = bench.run("web:/d", str(inside))
    assert (code, out) == (1, b"")
    assert b"a name that leads out of its place: d/../../bad" in err
    assert os.listdir(tmp_path) == ["inside"]


def test_a_copy_says_nothing_where_nobody_looks_on(bench: Bench, tmp_path: Path) -> None:
    bench.engine(answer(200, tar(f=b"text")))
    assert bench.run("web:/f", str(tmp_path)) == (0, b"", b"")
    assert (tmp_path / "f").read_text() == "text"


def test_a_stream_comes_out_of_stdout_and_goes_in_from_stdin(bench: Bench) -> None:
    data = tar(f=b"text")
    bench.engine(answer(200, data))
    assert bench.run("web:/f", "-") == (0, data, b"")


def test_a_dash_in_a_container_is_a_name_like_any_other(bench: Bench, tmp_path: Path) -> None:
    bench.engine(answer(200, tar(**{"-": b"text"})))
    assert bench.run("web:-", str(tmp_path / "f")) == (0, b"", b"")
    assert (tmp_path / "f").read_text() == "text"
    engine = bench.engine(NOTHING, answer(200))
    assert bench.run(str(tmp_path / "f"), "web:-") == (0, b"", b"")
    assert [request.line.partition(" ")[0] for request in engine.requests] == ["HEAD", "PUT"]


def test_a_full_disk_under_a_stream_is_told_with_where_it_went(bench: Bench) -> None:
    engine = bench.engine(answer(200, tar(f=b"text")))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_API_VERSION": "1.41"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dockerpty", "-H", engine.url, "cp", "web:/f", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=env,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"dpty: cannot write to stdout: No space left on device\n")


def test_a_reader_that_has_gone_ends_a_stream_by_sigpipe(bench: Bench) -> None:
    bench.engine(send(64 * MB))
    process = bench.start("web:/f", "-")
    assert process.stdout is not None
    process.stdout.read(100)
    process.stdout.close()
    process.stdout = None
    assert process.wait(SECONDS) == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("redirection", "words"), [("<&-", b"cannot read stdin"), (">&-", b"cannot write to stdout")]
)
def test_a_stream_that_is_closed_is_an_error(redirection: str, words: bytes, bench: Bench) -> None:
    directory = b"HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: eyJtb2RlIjoyMTQ3NDgzNjQ4fQ==\r\n\r\n"
    engine = bench.engine(directory, None)
    operands = "- web:/d" if redirection.startswith("<") else "web:/d -"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_API_VERSION": "1.41"}
    command = f"{sys.executable} -m dockerpty -H {engine.url} cp {operands} {redirection}"
    done = subprocess.run(
        ["sh", "-c", command], stderr=subprocess.PIPE, env=env, timeout=SECONDS, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"dpty: " + words)


def test_bad_usage_is_125_and_reaches_no_engine(bench: Bench) -> None:
    engine = bench.engine()
    for argv in (["a", "b"], ["a:/x", "b:/y"], ["a:/x"], ["--no-such-flag", "a", "b"]):
        code, out, err = bench.run(*argv)
        assert (code, out) == (125, b"")
        assert err.startswith(b"dpty: cannot ")
    assert engine.requests == []


def test_what_others_call_their_files_does_not_command_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(wanted=True)
    progress.moved(1)
    progress._show()
    progress.tell("skipped \x1b[2J\n: a socket cannot be copied")
    progress.close()
    assert "dpty: skipped ?[2J?: a socket cannot be copied" in capsys.readouterr().err
