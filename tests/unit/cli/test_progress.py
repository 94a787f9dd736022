"""How a pull is shown: docker's lines in a pipe, a line for each layer on a terminal, which stays clean."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockerpty.cli.progress import DrawnProgress, PlainProgress, counts, layer_line, progress
from tests.bed.screen import Screen
from tests.bed.terminal import PIPE, Terminal
from tests.unit.loopback import ScriptedEngine, Step, answer

MB = 1_000_000


def step(status: str, layer: str = "", **more: Any) -> dict[str, Any]:
    return {"status": status, **({"id": layer} if layer else {}), **more}


def moving(status: str, layer: str, current: int, total: int) -> dict[str, Any]:
    return step(status, layer, progressDetail={"current": current, "total": total}, progress="[==> ]")


# As an engine tells of a pull; beside it what docker prints of that in a pipe.
PULL: list[tuple[dict[str, Any], str | None]] = [
    (step("Pulling from library/web", "latest"), "latest: Pulling from library/web"),
    (step("Pulling fs layer", "aaaa", progressDetail={}), "aaaa: Pulling fs layer"),
    (step("Pulling fs layer", "bbbb", progressDetail={}), "bbbb: Pulling fs layer"),
    (moving("Downloading", "aaaa", MB, 4 * MB), None),
    (moving("Downloading", "bbbb", MB // 2, MB), None),
    (moving("Downloading", "aaaa", 2 * MB, 4 * MB), None),
    (step("Download complete", "bbbb", progressDetail={}), "bbbb: Download complete"),
    (moving("Downloading", "aaaa", 4 * MB, 4 * MB), None),
    (moving("Extracting", "aaaa", 4 * MB, 4 * MB), None),
    (step("Pull complete", "aaaa", progressDetail={}), "aaaa: Pull complete"),
    (step("Pull complete", "bbbb", progressDetail={}), "bbbb: Pull complete"),
    (step("Digest: sha256:abc"), "Digest: sha256:abc"),
    ({"aux": {"ID": "sha256:abc"}}, None),
    (step("Status: Downloaded newer image for web:latest"), "Status: Downloaded newer image for web:latest"),
]
STEPS = [each for each, _ in PULL]
LINES = [line for _, line in PULL if line is not None]


def test_in_a_pipe_the_lines_are_dockers(capsys: pytest.CaptureFixture[str]) -> None:
    shown = progress()
    assert isinstance(shown, PlainProgress)
    for each in STEPS:
        shown.take(each)
    shown.close()
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in LINES))


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({}, ""),
        ({"current": 0, "total": 0}, ""),
        ({"current": 1_234_567, "total": 3_400_000}, " 1.235MB/3.4MB"),
        ({"current": 1_234_567}, " 1.235MB"),
        ({"current": 5, "total": 3}, "      5B"),
        ({"current": 5, "units": "s"}, "5 s"),
        ({"current": 5, "total": 9, "units": "layers"}, "5/9 layers"),
    ],
)
def test_counts_are_told_as_far_as_they_are_known(detail: dict[str, Any], said: str) -> None:
    assert counts(detail) == said


@pytest.mark.parametrize(
    ("room", "line"),
    [
        (79, "aaaa: Downloading [=======================>                      ]      2MB/4MB"),
        (45, "aaaa: Downloading [======>     ]      2MB/4MB"),
        (40, "aaaa: Downloading      2MB/4MB"),
    ],
)
def test_a_bar_takes_the_room_that_is_left(room: int, line: str) -> None:
    assert layer_line(moving("Downloading", "aaaa", 2 * MB, 4 * MB), room) == line


def test_a_bar_ends_with_its_frame_whatever_the_counts_say() -> None:
    for current in (0, 1, 4 * MB - 1, 4 * MB):
        line = layer_line(moving("Downloading", "aaaa", current, 4 * MB), 79)
        assert len(line) <= 79
        assert re.search(r"\[=*> *\] ", line)
    assert "[" not in layer_line(moving("Downloading", "aaaa", 5, 0), 79)


def test_what_a_registry_writes_cannot_command_the_terminal() -> None:
    assert layer_line(step("Pull\x1b[2J", "aaaa", progressDetail={}), 79) == "aaaa: Pull?[2J"


def test_a_layer_is_drawn_when_its_status_turns_and_else_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, drawn = [0.0], []
    shown = DrawnProgress(clock=lambda: now[0])
    monkeypatch.setattr(shown, "_draw", lambda: drawn.append(dict(shown._layers)))
    for each in [
        step("Waiting", "aaaa", progressDetail={}),
        *(moving("Downloading", "aaaa", n, 9) for n in range(9)),
    ]:
        shown.take(each)
    assert len(drawn) == 2
    now[0] = 0.2
    shown.take(moving("Downloading", "aaaa", 9, 9))
    assert len(drawn) == 3


# The whole way, with an engine that has only this pull to give


def chunks(*steps: dict[str, Any]) -> bytes:
    data = b"".join(json.dumps(each).encode() + b"\r\n" for each in steps)
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = HEAD + chunks(*STEPS) + b"0\r\n\r\n"
# What comes behind the pull is not wanted here.
REFUSED = answer(500, b'{"message": "no more"}', Api_Version="1.41", Server="Docker")
TOLD = b"dpty: cannot create a container from web: no more"


def never_ending(sock: socket.socket) -> None:
    """Tell the first steps, and the rest when nobody waits any more."""
    sock.sendall(HEAD + chunks(*STEPS[:6]))
    sock.recv(1)


@pytest.fixture
def pulling(tmp_path: Path) -> Iterator[Any]:
    """Start `dpty run --pull always` on an engine with these answers."""
    opened: list[Terminal] = []
    engines: list[ScriptedEngine] = []

    def start(*steps: Step, flags: tuple[str, ...] = (), **options: Any) -> Terminal:
        engine = ScriptedEngine(str(tmp_path / "engine"), *steps)
        engines.append(engine)
        variables = {"TERM": "xterm", "LC_ALL": "C.UTF-8", "DOCKER_CONFIG": str(tmp_path), "NO_COLOR": None}
        env = {**variables, **options.pop("env", {}), "DOCKER_HOST": engine.url}
        argv = [sys.executable, "-m", "dockerpty", "run", "--pull", "always", *flags, "web"]
        opened.append(Terminal(argv, env=env, **options))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()
    for engine in engines:
        engine.close()


def test_a_pull_in_a_pipe_is_told_in_dockers_lines(pulling: Any) -> None:
    terminal = pulling(WHOLE, REFUSED, stderr=PIPE)
    assert terminal.wait() == 125
    assert terminal.stderr.decode().splitlines() == [*LINES, TOLD.decode()]
    assert terminal.output == b""


def test_a_pull_that_is_to_be_quiet_says_nothing(pulling: Any) -> None:
    terminal = pulling(WHOLE, REFUSED, flags=("-q",))
    assert terminal.wait() == 125
    assert terminal.output.strip() == TOLD


def test_a_terminal_that_can_only_write_gets_the_plain_lines(pulling: Any) -> None:
    terminal = pulling(WHOLE, REFUSED, env={"TERM": "dumb"})
    assert terminal.wait() == 125
    assert terminal.output.decode().splitlines() == [*LINES, TOLD.decode()]


def test_on_a_terminal_each_layer_has_one_line(pulling: Any) -> None:
    terminal = pulling(WHOLE, REFUSED)
    screen = Screen(terminal)
    assert terminal.wait() == 125
    assert [line for line in screen.lines() if line] == [
        "latest: Pulling from library/web",
        "aaaa: Pull complete",
        "bbbb: Pull complete",
        "Digest: sha256:abc",
        "Status: Downloaded newer image for web:latest",
        TOLD.decode(),
    ]
    assert b"\x1b[?25l" not in terminal.output


def test_no_color_is_honoured(pulling: Any) -> None:
    terminal = pulling(WHOLE, REFUSED, env={"NO_COLOR": "1"})
    assert terminal.wait() == 125
    assert not re.search(rb"\x1b\[[0-9;]*m", terminal.output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_interrupted_leaves_the_terminal_clean(pulling: Any, number: int) -> None:
    terminal = pulling(never_ending, cols=60)
    screen = Screen(terminal)
    screen.wait_for("bbbb: Downloading [")
    if number == signal.SIGINT:
        terminal.send(b"\x03")
    else:
        terminal.signal(number)
    assert terminal.wait() == -number
    lines = [line for line in screen.lines() if line]
    assert lines[0] == "latest: Pulling from library/web"
    assert lines[1].startswith("aaaa: Downloading [")
    assert lines[2].startswith("bbbb: Downloading [")
    assert all("Traceback" not in line for line in lines)
    assert terminal.is_as_before()
    assert b"\x1b[?25l" not in terminal.output
    assert b"\x1b[?1049h" not in terminal.output


def test_a_failure_is_told_below_the_layers(pulling: Any) -> None:
    terminal = pulling(HEAD + chunks(*STEPS[:4], {"error": "no space left"}) + b"0\r\n\r\n")
    screen = Screen(terminal)
    assert terminal.wait() == 125
    lines = [line for line in screen.lines() if line]
    assert lines[1].startswith("aaaa: Downloading")
    assert lines[-1].startswith("dpty: cannot pull web: no space left")


def test_more_layers_than_rows_do_not_run_into_each_other(pulling: Any) -> None:
    layers = [f"layer{number:02}" for number in range(20)]
    steps = [step("Pulling fs layer", layer, progressDetail={}) for layer in layers]
    steps += [step("Pull complete", layer, progressDetail={}) for layer in layers]
    terminal = pulling(HEAD + chunks(*steps, step("Digest: x")) + b"0\r\n\r\n", REFUSED, rows=10)
    screen = Screen(terminal)
    assert terminal.wait() == 125
    assert [line for line in screen.lines() if line] == [
        *(f"{layer}: Pull complete" for layer in layers[-7:]),
        "Digest: x",
        TOLD.decode(),
    ]


@pytest.mark.parametrize("cols", [1, 10, 30])
def test_a_narrow_terminal_has_one_line_for_each_layer(pulling: Any, cols: int) -> None:
    terminal = pulling(WHOLE, REFUSED, cols=cols)
    screen = Screen(terminal)
    assert terminal.wait() == 125
    assert b"Traceback" not in terminal.output
    if cols == 30:
        assert [line for line in screen.lines() if line.startswith(("aaaa", "bbbb"))] == [
            "aaaa: Pull complete",
            "bbbb: Pull complete",
        ]
