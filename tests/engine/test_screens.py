"""What a person sees: full-screen programs by every command that gives a terminal, and a tour through all in tmux."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import docker.errors
import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.screen import Screen
from tests.bed.terminal import Terminal
from tests.bed.tmux import Tmux
from tests.engine.command import DETACH, DPTY, environment, typed
from tests.engine.conftest import Sessions

VERBS = ("exec", "run", "attach", "start", "shell", "toolbox")
OF_A_CONTAINER = ("run", "attach", "start")
"""Those whose signals are the container's, unless somebody says otherwise."""
NEW = {7, 25}
"""The private modes of a terminal that nobody has changed: it wraps, and shows its cursor."""

SWITCHES = "1049 1 1002 1006 2004"
"""The alternate screen, the other arrows, mouse reports and their newer form, and brackets around what is pasted."""

PASTED = b"\x1b[200~two\rlines \xc3\xa9\x1b[201~"
CLICKED = b"\x1b[<0;11;7M\x1b[<0;11;7m"
ENDED = 7

# A program that switches on all there is, shows what is typed, and ends at a line's end without having cleaned up.
CARELESS = (
    "stty -icanon -echo -icrnl; "
    f"for mode in {SWITCHES}; do printf '\\033[?'$mode'h'; done; printf '\\033[?25l\\033='; "
    f"echo up; dd bs=1 count={len(PASTED + CLICKED)} 2>&- | cat -v; read line; exit {ENDED}"
)

# On Engine 20.10 the size comes a moment after the start, over ssh a long one.
SIZED = "until stty size 2>&- | grep -v ^0; do sleep 0.02; done"

Start = Callable[..., Terminal]


@pytest.fixture
def start(bench: Bench, sessions: Sessions) -> Iterator[Start]:
    """Starts `sh -c SCRIPT` at a terminal by one of the commands; what `run` makes is removed."""
    made: list[str] = []

    def begin(verb: str, script: str, *flags: str, rows: int = 24, cols: int = 80) -> Terminal:
        words = ["sh", "-c", script]
        if verb == "run":
            made.append(bench.name())
            argv = [*("run", "-it", "--rm", "--network", "none", "--name", made[-1]), *flags, IMAGE, *words]
        elif verb == "attach":
            # It waits for who will watch, so that nothing is missed.
            container = bench.container(
                ["sh", "-c", f"read go; {script}"], tty=True, stdin_open=True, start=True
            )
            argv = ["attach", *flags, id_of(container)]
        elif verb == "start":
            container = bench.container(words, tty=True, stdin_open=True)
            argv = ["start", "-ai", *flags, id_of(container)]
        elif verb == "toolbox":
            container = bench.container(start=True)
            argv = ["shell", "--toolbox", IMAGE, *flags, id_of(container), *words]
        else:
            container = bench.container(start=True)
            argv = [verb, *(["-it"] if verb == "exec" else []), *flags, id_of(container), *words]
        terminal = typed(sessions, *argv, rows=rows, cols=cols)
        if verb == "attach":
            terminal.wait_until(terminal.is_raw, what="the raw terminal")
            terminal.send("\r")
        return terminal

    yield begin
    for name in made:
        with contextlib.suppress(docker.errors.NotFound):  # it is gone
            bench.adopt(name)


# One program after the other


@pytest.mark.parametrize("verb", VERBS)
def test_an_editor_a_pager_and_a_monitor_are_drawn_and_follow_the_window(verb: str, start: Start) -> None:
    long = "x" * 90
    # The monitor shows a line that is cut at the edge of a narrow window.
    script = f"sh -c 'sleep 60; : {long} END' & for i in $(seq 60); do echo line $i; done >/tmp/book; "
    terminal = start(verb, f"{script} export PS1='$ '; exec sh")
    screen = Screen(terminal)

    # The answer to the question in it is the shell's: a program typed before that would take it for itself.
    prompt = "$ \x1b[6n"
    terminal.expect(prompt)
    terminal.send("vi /tmp/book\r")
    screen.wait_for("/tmp/book", row=-1)
    screen.wait_for("line 23", row=22)
    assert 1049 in screen.modes()
    screen.resize(34, 90)
    screen.wait_for("line 33", row=32)
    screen.wait_for("/tmp/book", row=-1)
    terminal.send(":q\r")
    terminal.wait_until(lambda: screen.modes() == NEW, what="the editor's modes to be switched off")

    terminal.expect(prompt)
    terminal.send("less /tmp/book\r")
    screen.wait_for("line 33", row=32)
    screen.resize(11, 60)
    terminal.expect("\x1b[11;0H")
    terminal.send("G")
    screen.wait_for("line 60")
    screen.wait_for("(END)", row=-1)
    terminal.send("q")

    terminal.expect(prompt)
    terminal.send("clear; top -d 1\r")
    screen.wait_for("Mem:", row=0)
    screen.wait_for("sh -c sleep 60")
    assert not any("xxx" in line for line in screen.lines())
    screen.resize(24, 190)
    screen.wait_for("END")
    terminal.send("q")

    terminal.expect(prompt)
    terminal.send("clear; stty size\r")
    screen.wait_for("24 190")
    terminal.expect(prompt)
    terminal.send("exit 3\r")
    assert terminal.wait() == 3
    assert terminal.is_as_before()
    assert screen.modes() == NEW


# What a program switched on


@pytest.mark.parametrize("way", ["exit", "detach", "sigterm"])
@pytest.mark.parametrize("verb", VERBS)
def test_what_a_program_switched_on_works_and_is_switched_off_for_it(
    verb: str, way: str, start: Start
) -> None:
    terminal = start(verb, CARELESS, *(["--sig-proxy=false"] if verb in OF_A_CONTAINER else []))
    screen = Screen(terminal)
    terminal.expect("up")
    assert screen.modes() == {7} | {int(mode) for mode in SWITCHES.split()}
    terminal.send(PASTED + CLICKED)
    terminal.expect("^[[200~two^Mlines M-CM-)^[[201~^[[<0;11;7M^[[<0;11;7m")

    match way:
        case "exit":
            terminal.send("\n")
        case "detach":
            terminal.send(DETACH)
        case _:
            terminal.signal(signal.SIGTERM)
    assert terminal.wait() == {"exit": ENDED, "detach": 0, "sigterm": -signal.SIGTERM}[way]
    assert terminal.is_as_before()
    assert screen.modes() == NEW
    assert terminal.output.rfind(b"\x1b>") > terminal.output.rfind(b"\x1b=")
    if way == "detach":
        # On the screen that the user comes back to, not on the one that is left.
        last = terminal.output.rpartition(b"\x1b[?1049l")[2]
        assert b"dpty: detached from " in last


# In tmux


@pytest.fixture
def tmux(bench: Bench, sessions: Sessions, tmp_path: Path) -> Iterator[Tmux]:
    """A person's shell in tmux, in which `dpty` is the command."""
    function = f'dpty() {{ {shlex.join(DPTY)} "$@"; }}'
    env = environment(sessions, TERM="screen", HOME=str(tmp_path))
    with Tmux([function, f"cd {shlex.quote(str(tmp_path))}"], env) as tmux:
        yield tmux


@pytest.fixture
def web(bench: Bench) -> Container:
    """A container with a text that fills more than a window."""
    container = bench.container(start=True)
    bench.run_inside(container, "for i in $(seq 60); do echo line $i; done >/book")
    return container


@pytest.mark.parametrize("way", ["quit", "detach", "kill"])
def test_in_tmux_the_screen_and_the_terminal_come_back(
    way: str, web: Container, bench: Bench, tmux: Tmux
) -> None:
    before, modes = tmux.attributes(), tmux.modes()
    tmux.run("echo stays")
    switch_on = r"printf '\033[?1002h\033[?1006h\033[?2004h'"
    tmux.type(f"dpty exec -it {web.name} sh -c {shlex.quote(f'{switch_on}; exec vi /book')}")
    tmux.wait_for("line 23", row=22)
    assert tmux.modes()["alternate_on"] == "1"
    assert (tmux.modes()["mouse_any_flag"], tmux.modes()["mouse_sgr_flag"]) == ("1", "1")
    tmux.resize(30, 100)
    tmux.wait_for("line 29", row=28)
    tmux.wait_for("/book", row=-1)
    match way:
        case "quit":
            tmux.press(":", "q", "!", "Enter")
        case "detach":
            tmux.press("C-p", "C-q")
        case _:
            tmux.wait_until(lambda: len(bench.processes(web)) > 1, "the editor")
            tmux.terminate()
    tmux.wait_until(tmux.shows_prompt, "the prompt")
    assert tmux.modes() == modes
    assert "stays" in tmux.lines()
    assert not any("line 5" in line for line in tmux.lines())
    # Nothing that is pasted now is put into brackets.
    tmux.paste("echo not''bracketed\n")
    tmux.wait_for("notbracketed")
    assert tmux.attributes() == before


def test_a_tour_through_every_command_in_tmux(
    web: Container, bench: Bench, tmux: Tmux, tmp_path: Path
) -> None:
    name = str(web.name)
    made = bench.container("echo ready; read line; echo got $line; exit 4", tty=True, stdin_open=True)
    ticks = bench.container("while sleep 0.1; do echo tick; done", start=True)

    # help, version, completion
    assert "Usage:" in " ".join(tmux.run("dpty help | head -5"))
    assert tmux.run("dpty help exec | head -1")[0].startswith("Usage: dpty exec")
    assert "Server:" in " ".join(tmux.run("dpty version"))
    assert tmux.run("dpty completion bash | bash -n")[-1] == "=0="

    # exec
    tmux.type(f"clear; dpty exec -it -e PS1='in> ' {name} sh")
    tmux.wait_for("in>")
    tmux.type(f"{SIZED}; tty")
    tmux.wait_for("24 80")
    tmux.wait_for("/dev/pts/0")
    tmux.type("exit 5")
    tmux.wait_until(tmux.shows_prompt, "the prompt")
    assert tmux.run(f"dpty exec {name} sh -c 'exit 6'")[-1] == "=6="

    # run
    tmux.type(f"clear; dpty run --rm -it --network none -e PS1='own> ' {IMAGE} sh")
    tmux.wait_for("own>")
    tmux.type("exit 7")
    tmux.wait_until(tmux.shows_prompt, "the prompt")

    # start, detach, attach
    tmux.type(f"clear; dpty start -ai {made.name}")
    tmux.wait_for("ready")
    tmux.press("C-p", "C-q")
    tmux.wait_for(f"dpty: detached from {made.name}")
    tmux.type(f"clear; dpty attach {made.name}; echo =$?=")
    tmux.wait_until(lambda: not tmux.attributes()[3] & termios.ECHO, "the raw terminal")
    tmux.type("hello")
    tmux.wait_for("got hello")
    tmux.wait_for("=4=")

    # ps: as a table that fits
    rows = tmux.run(f"dpty ps --filter name={name}")
    assert rows[0].startswith("CONTAINER ID")
    assert name in " ".join(rows)
    assert all(len(row) <= 80 for row in rows)

    # cp, in both directions
    assert "Successfully copied" in " ".join(tmux.run(f"dpty cp {name}:/book ./book"))
    assert (tmp_path / "book").read_text().endswith("line 60\n")
    assert tmux.run(f"dpty cp -q book {name}:/again")[-1] == "=0="
    assert web.exec_run(["cmp", "/book", "/again"])[0] == 0

    # shell, recorded; and the recording played
    tmux.type(f"clear; dpty shell --record cast -e PS1='best> ' {name}")
    tmux.wait_for("best>")
    # A vi that is told the size while it takes a command forgets the command.
    tmux.type(SIZED)
    tmux.wait_for("24 80")
    tmux.type("vi /book")
    tmux.wait_for("line 23", row=22)
    assert tmux.modes()["alternate_on"] == "1"
    tmux.press(":", "q", "Enter")
    tmux.wait_until(lambda: tmux.modes()["alternate_on"] == "0", "the shell again")
    tmux.type("echo it was a sh''ell; exit")
    tmux.wait_for("it was a shell")
    tmux.wait_until(tmux.shows_prompt, "the prompt")
    assert json.loads((tmp_path / "cast").read_text().splitlines()[0])["width"] == 80
    tmux.run("true")
    played = tmux.run("dpty replay --speed 50 cast")
    assert "it was a shell" in " ".join(played)
    assert tmux.modes()["alternate_on"] == "0"

    # watch
    tmux.type(f"clear; dpty watch {ticks.name}; echo =$?=")
    tmux.wait_for("tick")
    tmux.press("C-c")
    tmux.wait_for("=0=")

    # prune, which asks before it does anything
    assert tmux.run("dpty prune --dry-run")[-1] == "=0="
