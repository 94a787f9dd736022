"""`--record` on a real engine: what is in the file is what the user saw, and the session does not notice."""

from __future__ import annotations

import io
import json
import signal
import stat
from pathlib import Path
from typing import Any

import pyte
import pytest
from docker.models.containers import Container

import dockerpty
from dockerpty.engine.client import from_environment
from dockerpty.recording import Cast, Recording
from tests.bed.engine import Bench
from tests.bed.screen import Screen
from tests.bed.terminal import NULL, PIPE
from tests.engine.command import DETACH, dpty, environment, shell, typed
from tests.engine.conftest import Sessions

Event = tuple[float, str, str]


def name_of(container: Container) -> str:
    return str(container.name)


def cast_of(path: Path) -> tuple[dict[str, Any], list[Event]]:
    """The header and the events of a file, read by our own reader."""
    with path.open("rb") as file:
        events = list(Cast(file, str(path)).events())
    return json.loads(path.read_bytes().splitlines()[0]), events


def shown(events: list[Event], code: str = "o") -> str:
    return "".join(data for _, kind, data in events if kind == code)


def screen_of(path: Path) -> list[str]:
    """What a terminal shows at the end of a recording, its changes of size followed."""
    head, events = cast_of(path)
    screen = pyte.Screen(head["width"], head["height"])
    stream = pyte.Stream(screen)
    for _, code, data in events:
        if code == "o":
            stream.feed(data)
        elif code == "r":
            cols, rows = map(int, data.split("x"))
            screen.resize(rows, cols)
    return [line.rstrip() for line in screen.display]


def test_a_session_in_vi_is_replayed_to_the_screen_that_the_user_saw(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "a.cast"
    terminal = typed(sessions, "exec", "-it", "--record", str(path), name_of(box), "vi", "/tmp/recorded")
    screen = Screen(terminal)
    screen.wait_for("~", row=10)
    terminal.send("ione\rzwei é\rthree")
    screen.wait_for("three", row=2)
    terminal.send("\x1b")
    screen.wait_for("- /tmp/recorded", row=-1)
    terminal.send("k0x")
    terminal.wait_until(lambda: screen.lines()[1] == "wei é", what="a letter less")
    seen = screen.lines()
    terminal.wait_until(lambda: screen_of(path) == seen, what="the same in the recording")
    terminal.signal(signal.SIGKILL)
    terminal.wait()
    assert screen_of(path) == seen
    head, events = cast_of(path)
    assert (head["width"], head["height"], head["command"]) == (80, 24, "vi /tmp/recorded")
    assert (head["title"], head["env"]["TERM"]) == (name_of(box), "xterm")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    times = [at for at, _, _ in events]
    assert times == sorted(times)
    assert shown(events, "i") == ""


def test_a_replay_shows_the_screen_again_and_gives_the_terminal_back(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "a.cast"
    script = "printf '\\033[2J\\033[3;5Hhere\\033[10;1Hthere\\r\\n'"
    terminal = typed(sessions, "exec", "-it", "--record", str(path), name_of(box), "sh", "-c", script)
    first = Screen(terminal)
    assert terminal.wait() == 0
    again = typed(sessions, "replay", "--to-end", str(path))
    second = Screen(again)
    assert again.wait() == 0
    assert second.lines() == first.lines()
    assert again.is_as_before()


def test_changes_of_size_and_what_was_typed_are_in_it_if_asked_for(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "a.cast"
    script = "echo up; while read line; do echo got $line; done"
    terminal = typed(
        sessions, "exec", "-it", "--record", str(path), "--record-input", name_of(box), "sh", "-c", script
    )
    terminal.expect("up")
    terminal.set_winsize(30, 100)
    terminal.send("secret\r")
    terminal.expect("got secret")
    terminal.wait_until(lambda: b'"r", "100x30"' in path.read_bytes(), what="the new size in the recording")
    terminal.send(DETACH)
    assert terminal.wait() == 0
    head, events = cast_of(path)
    assert (head["width"], head["height"]) == (80, 24)
    assert shown(events, "r") == "100x30"
    assert shown(events, "i") == "secret\r"
    assert "got secret" in shown(events)


def test_a_session_killed_in_a_flood_leaves_a_file_that_plays(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "a.cast"
    terminal = typed(sessions, "exec", "-t", "--record", str(path), name_of(box), "seq", "100000000")
    terminal.wait_until(
        lambda: path.exists() and path.stat().st_size > 200_000, what="a recording that grows"
    )
    terminal.signal(signal.SIGKILL)
    terminal.wait()
    _, events = cast_of(path)
    lines = shown(events).split("\r\n")[:-1]
    assert len(lines) > 1000
    assert lines == [str(number) for number in range(1, len(lines) + 1)]
    played = dpty(sessions, "replay", "--to-end", str(path))
    assert played.stdout.startswith(b"1\r\n2\r\n3\r\n")


def test_a_hundred_megabytes_take_no_memory_and_each_byte_is_kept_or_counted(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "a.cast"
    size = 100_000_000
    script = f"yes 123456789 | head -c {size}; echo done >&2; read wait"
    terminal = typed(
        sessions,
        *("exec", "-i", "--record", str(path), name_of(box), "sh", "-c", script),
        stdin=PIPE,
        stdout=NULL,
        stderr=PIPE,
    )
    terminal.expect_stderr("done", timeout=120)
    assert terminal.peak_mib() < 80
    terminal.feed("\n", end=True)
    assert terminal.wait(60) == 0
    _, events = cast_of(path)
    kept = len(shown(events).replace("\r\n", "\n"))
    lost = sum(int(data.split()[0]) for _, code, data in events if code == "m")
    assert kept + lost == size + len("done\n")
    assert kept > 1_000_000
    assert (b"lacks" in terminal.stderr) == (lost > 0)


def test_output_at_a_terminals_pace_is_kept_whole(box: Container, sessions: Sessions, tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    done = dpty(sessions, "exec", "-t", "--record", str(path), name_of(box), "seq", "200000")
    assert done.returncode == 0
    _, events = cast_of(path)
    assert shown(events).encode() == done.stdout
    assert {code for _, code, _ in events} == {"o"}


@pytest.mark.parametrize("verb", ["exec", "run"])
def test_a_file_that_exists_is_125_and_nothing_is_started(
    verb: str, bench: Bench, box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "a.cast"
    path.write_text("mine")
    name = bench.name()
    where = ["exec", "--record", str(path), name_of(box)]
    if verb == "run":
        where = ["run", "--rm", "--network", "none", "--name", name, "--record", str(path), "busybox"]
    before = len(bench.execs(box))
    done = dpty(sessions, *where, "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.decode() == (
        f"dpty: cannot record to {path}: it exists; name another file, or write over it with --force\n"
    )
    assert path.read_text() == "mine"
    assert len(bench.execs(box)) == before
    assert not bench.client.containers.list(all=True, filters={"name": name})
    if verb == "exec":
        assert dpty(sessions, *where[:1], "--force", *where[1:], "echo", "x").returncode == 0
        assert shown(cast_of(path)[1]) == "x\r\n"


def test_a_session_that_cannot_begin_leaves_no_recording(sessions: Sessions, tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    assert dpty(sessions, "exec", "--record", str(path), "no-such-container", "true").returncode == 125
    assert dpty(sessions, "attach", "--record", str(path), "no-such-container").returncode == 125
    assert not path.exists()


def test_each_command_with_a_session_records(bench: Bench, sessions: Sessions, tmp_path: Path) -> None:
    def path(name: str) -> Path:
        return tmp_path / f"{name}.cast"

    name = bench.name()
    done = dpty(
        sessions,
        *("run", "--network", "none", "--name", name, "--record", str(path("run")), "busybox"),
        *("sh", "-c", "echo hi; exit 3"),
    )
    bench.adopt(name)
    assert (done.returncode, done.stdout) == (3, b"hi\n")
    done = dpty(sessions, "start", "-a", "--record", str(path("start")), name)
    assert (done.returncode, done.stdout) == (3, b"hi\n")
    slow = bench.container("while ! test -e /go; do echo on; sleep 0.1; done; echo hi", start=True)
    for verb in ("attach", "watch"):
        terminal = typed(sessions, verb, "--record", str(path(verb)), name_of(slow))
        terminal.expect("on")
    slow.exec_run(["touch", "/go"])
    for terminal in sessions._open:
        assert terminal.wait() == 0
    opened = bench.container(start=True)
    done = dpty(sessions, "shell", "--record", str(path("shell")), name_of(opened), stdin=b"echo hi\n")
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    for verb in ("run", "start", "attach", "watch", "shell"):
        head, events = cast_of(path(verb))
        lines = shown(events).split("\r\n")
        if verb in ("attach", "watch"):
            assert lines[0] == "on", verb
            lines = [line for line in lines if line != "on"]
        assert lines == ["hi", ""], verb
        assert head["title"]


def test_a_full_disk_ends_the_recording_and_not_the_session(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "--record", "/dev/full", name_of(box), "sh", "-c", "echo hi; exit 4")
    assert (done.returncode, done.stdout) == (4, b"hi\n")
    assert done.stderr == (
        b"dpty: the recording /dev/full ends before the session did: No space left on device\n"
    )


def test_a_recording_can_go_to_a_program(box: Container, sessions: Sessions, tmp_path: Path) -> None:
    line = f"mkfifo {tmp_path}/p; cat {tmp_path}/p >{tmp_path}/a & sleep 0; exec 9<>{tmp_path}/p; "
    line += f"dpty exec --record {tmp_path}/p {name_of(box)} seq 1000 >/dev/null; exec 9<&-; wait"
    assert shell(sessions, line).returncode == 0
    assert shown(cast_of(tmp_path / "a")[1]).startswith("1\r\n2\r\n")


@pytest.mark.parametrize("flag", ["--record-input", "--force"])
def test_how_to_record_without_where_is_bad_usage(flag: str, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", flag, "web", "true")
    assert done.returncode == 125
    assert f"cannot use {flag}: nothing is recorded without --record FILE" in done.stderr.decode()


def test_the_library_records_to_a_path_and_to_a_file(
    box: Container, sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(sessions).items():
        monkeypatch.setenv(name, value)
    client = from_environment()
    quiet: dict[str, Any] = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
    try:
        for target in (tmp_path / "a.cast", io.StringIO(), Recording(tmp_path / "b.cast")):
            code = dockerpty.exec_command(
                client, box.id, ["sh", "-c", "echo hi; exit 2"], interactive=False, record=target, **quiet
            )
            assert code == 2
            if isinstance(target, io.StringIO):
                assert json.loads(target.getvalue().splitlines()[1])[2] == "hi\r\n"
        assert shown(cast_of(tmp_path / "a.cast")[1]) == "hi\r\n"
        assert shown(cast_of(tmp_path / "b.cast")[1]) == "hi\r\n"
        with pytest.raises(dockerpty.DockerptyError, match="it exists"):
            dockerpty.exec_command(
                client, box.id, "true", interactive=False, record=tmp_path / "a.cast", **quiet
            )
    finally:
        client.close()
