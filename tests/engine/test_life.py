"""What happens around a session: others at the same container, what becomes of that, and odd places to run in."""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from dockerpty.recording import Cast
from tests.bed.engine import IMAGE, Bench
from tests.bed.terminal import NULL, PIPE, Terminal
from tests.conftest import missing, needs_root
from tests.engine.command import DETACH, DPTY, dpty, environment, shell, typed
from tests.engine.conftest import Sessions

TICKS = "trap 'exit 6' TERM; i=0; while sleep 0.1; do i=$((i+1)); echo tick $i; done"
NO_TERMINAL = b"dpty: cannot give the process a terminal: the input device is not a TTY"
# With -t both sides are a terminal.
SESSIONS = ("exec", "run", "start", "attach", "watch", "exec -t", "run -t", "start -t", "attach -t")


def name_of(container: Container) -> str:
    return str(container.name)


# Two at once


def test_one_types_and_the_other_looks_on(bench: Bench, sessions: Sessions) -> None:
    script = "while read line; do echo got $line; [ $line != end ] || exit 9; done"
    container = bench.container(script, tty=True, stdin_open=True, start=True)
    writer = typed(sessions, "attach", name_of(container))
    writer.wait_until(writer.is_raw, what="the raw terminal")
    looker = typed(sessions, "watch", name_of(container))

    def shown() -> bool:
        writer.send("again\r")
        return b"got again" in looker.read_for(0.1)

    looker.wait_until(shown, 10, "what is written, at the one who looks on")
    writer.send(DETACH)
    assert writer.wait() == 0
    assert writer.is_as_before()
    assert looker.process.poll() is None
    writer = typed(sessions, "attach", name_of(container))
    writer.wait_until(writer.is_raw, what="the raw terminal")
    looker.send("end\r")  # which arrives nowhere
    writer.send("last\r")
    looker.expect("got last")
    writer.send("end\r")
    assert (writer.wait(), looker.wait()) == (9, 9)
    assert writer.is_as_before()
    assert looker.is_as_before()


def test_two_that_work_in_one_container_have_nothing_to_do_with_each_other(
    bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(start=True)
    script = "echo up; while read line; do echo $line: $(stty size); done"
    first, second = (
        typed(sessions, "exec", "-it", name_of(container), "sh", "-c", script, rows=rows, cols=90)
        for rows in (20, 30)
    )
    for terminal, rows in ((first, 20), (second, 30)):
        terminal.expect("up")

        def answers(terminal: Terminal = terminal, rows: int = rows) -> bool:
            terminal.send("here\r")
            return f"here: {rows} 90".encode() in terminal.read_for(0.1)

        terminal.wait_until(answers, 5, "the size of the window")
    first.set_winsize(21, 91)
    first.send("only first\r")
    first.expect("only first: ")
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    bench.wait_for(lambda: len(bench.processes(container)) == 2, 5, "the end of the first")
    second.send("still\r")
    second.expect("still: 30 90")
    assert b"first" not in second.output
    second.send("\x04")
    assert second.wait() == 0
    assert first.is_as_before()
    assert second.is_as_before()


# What becomes of the container


class Ticking:
    """A session in which a line is shown ten times a second, and its container.

    Args:
        kind: one of `SESSIONS`.
    """

    def __init__(self, kind: str, bench: Bench, sessions: Sessions) -> None:
        self.verb, _, tty = kind.partition(" ")
        flags = ["-it"] if tty else []
        name = bench.name()
        words = {
            "exec": ["exec", *flags, name, "sh", "-c", TICKS],
            "run": ["run", *flags, "--network", "none", "--name", name, IMAGE, "sh", "-c", TICKS],
            "start": ["start", "-ai" if tty else "-a", name],
        }
        if self.verb != "run":
            command = "exec tail -f /dev/null" if self.verb == "exec" else TICKS
            is_container_tty = bool(tty) and self.verb != "exec"
            bench.container(
                command,
                name=name,
                tty=is_container_tty,
                stdin_open=is_container_tty,
                start=self.verb != "start",
            )
        streams = {"stderr": PIPE} if tty else {"stdout": PIPE, "stderr": PIPE}
        self.terminal = typed(sessions, *words.get(self.verb, [self.verb, name]), **streams)
        self._is_raw = bool(tty)
        self.wait_for_more()
        self.container = bench.adopt(name)
        assert self.terminal.is_raw() is self._is_raw

    @property
    def shown(self) -> bytes:
        """All that was shown."""
        return self.terminal.output if self._is_raw else self.terminal.stdout

    def wait_for_more(self) -> None:
        """Wait until another line comes."""
        late = self.shown.count(b"tick")
        self.terminal.wait_until(lambda: self.shown.count(b"tick") > late, 10, "more of it")

    def end(self) -> tuple[int, bytes]:
        """End the container, and expect the session to end with it: its code, and what it said."""
        self.container.kill("KILL" if self.verb == "exec" else "TERM")
        return self.ended()

    def ended(self) -> tuple[int, bytes]:
        """Wait for the end of the session: its code, and what it said."""
        code = self.terminal.wait(30)
        assert self.terminal.is_as_before()
        # Nothing but whole lines, and none of them twice.
        numbers = [
            int(line.removeprefix(b"tick ")) for line in self.shown.splitlines() if line or not self._is_raw
        ]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        return code, self.terminal.stderr

    def too_late(self, bench: Bench) -> list[tuple[int, bytes]]:
        """What it ends with, too, where the container was started again before the engine came to tell of its end."""
        if not bench.is_podman:
            # Engine 20.10 answers a wait with the code that it finds when it gets to it: by then that of the new life.
            return [] if self.verb == "exec" else [(0, b"")]
        if self.verb != "exec":
            return []
        words = (
            f"dpty: cannot learn the exit code of {self.container.name}: the engine no longer knows it;"
            " its process may still run: look before you start it again\n"
        )
        return [(255, words.encode())]

    @property
    def natural(self) -> tuple[int, bytes]:
        """What a session ends with whose container is told to end: `ended` of it."""
        return (137 if self.verb == "exec" else 6), b""


@pytest.fixture(params=SESSIONS)
def ticking(request: pytest.FixtureRequest, bench: Bench, sessions: Sessions) -> Ticking:
    """A session of each kind."""
    return Ticking(request.param, bench, sessions)


def test_a_container_that_ends_ends_it_with_its_code(ticking: Ticking) -> None:
    assert ticking.end() == ticking.natural


def test_a_container_that_is_removed_is_137(ticking: Ticking) -> None:
    ticking.container.remove(force=True)
    code, said = ticking.ended()
    assert code == 137
    assert said in (b"", f"dpty: {ticking.container.name} was removed\n".encode())


def test_a_container_that_is_paused_keeps_it_waiting_and_nothing_more(ticking: Ticking) -> None:
    ticking.container.pause()
    terminal = ticking.terminal
    seen = len(ticking.shown)
    terminal.read_for(0.5)
    late = len(ticking.shown)
    terminal.read_for(0.5)
    assert len(ticking.shown) == late
    assert late - seen < 100
    assert terminal.process.poll() is None
    ticking.container.unpause()
    ticking.wait_for_more()
    assert ticking.end() == ticking.natural


def test_a_container_that_is_restarted_ends_it_as_its_first_life_does(ticking: Ticking, bench: Bench) -> None:
    ticking.container.stop(timeout=0 if ticking.verb == "exec" else 5)
    ticking.container.start()
    assert ticking.ended() in (ticking.natural, *ticking.too_late(bench))
    assert bench.is_running(ticking.container)


def test_a_container_that_is_restarted_in_one_go_ends_it_too(ticking: Ticking, bench: Bench) -> None:
    ticking.container.restart(timeout=0 if ticking.verb == "exec" else 5)
    assert ticking.ended() in (ticking.natural, *ticking.too_late(bench))
    assert bench.is_running(ticking.container)


def test_a_container_that_is_renamed_is_the_same_even_if_another_has_its_name(
    ticking: Ticking, bench: Bench
) -> None:
    container, terminal = ticking.container, ticking.terminal
    old = name_of(container)
    container.rename(f"{old}-renamed")
    other = bench.container("trap 'exit 5' TERM; while :; do sleep 0.1; done", name=old, start=True)
    ticking.wait_for_more()
    if ticking.verb == "exec":
        terminal.signal(signal.SIGTERM)
        assert ticking.ended() == (-signal.SIGTERM, b"")
        bench.wait_for(lambda: len(bench.processes(container)) == 1, 5, "the end of what it has started")
    else:
        # A signal that is passed on finds it, too; who only looks on has none to pass on.
        if ticking.verb == "watch":
            container.kill("TERM")
        else:
            terminal.signal(signal.SIGTERM)
        assert ticking.ended() == ticking.natural
    assert bench.is_running(other)


@pytest.mark.parametrize("verb", ["attach", "start"])
def test_a_signal_that_is_not_passed_on_is_ours_and_the_container_goes_on(
    verb: str, bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(TICKS, start=verb == "attach")
    argv = [verb, *(["-a"] if verb == "start" else []), "--sig-proxy=false", name_of(container)]
    terminal = typed(sessions, *argv, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("tick")
    terminal.signal(signal.SIGTERM)
    assert (terminal.wait(30), terminal.stderr) == (-signal.SIGTERM, b"")
    assert terminal.is_as_before()
    assert bench.is_running(container)


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 64 KiB."""
    needs_root("can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        missing(f"cannot mount a small file system here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_in_the_middle_ends_the_recording_and_not_the_session(
    small_disk: Path, box: Container, sessions: Sessions
) -> None:
    path = small_disk / "a.cast"
    done = dpty(sessions, "exec", "--record", str(path), name_of(box), "sh", "-c", "seq 50000; exit 4")
    numbers = b"".join(b"%d\n" % number for number in range(1, 50001))
    assert (done.returncode, done.stdout) == (4, numbers)
    said = f"dpty: the recording {path} ends before the session did: No space left on device\n"
    assert done.stderr.decode() == said
    expect_begin_of(path, numbers)


def test_a_recording_that_may_not_grow_ends_and_the_session_goes_on(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "a.cast"
    line = f"ulimit -f 256; dpty exec --record {path} {name_of(box)} sh -c 'seq 50000; exit 4'"
    done = shell(sessions, line)
    numbers = b"".join(b"%d\n" % number for number in range(1, 50001))
    assert (done.returncode, done.stdout) == (4, numbers)
    assert done.stderr.decode() == f"dpty: the recording {path} ends before the session did: File too large\n"
    expect_begin_of(path, numbers)


def expect_begin_of(path: Path, whole: bytes) -> None:
    """Expect a recording that plays, and that has the beginning of something."""
    with path.open("rb") as file:
        kept = "".join(data for _, code, data in Cast(file, str(path)).events() if code == "o")
    begin = kept.replace("\r\n", "\n").encode()
    assert len(begin) > 1000
    assert whole.startswith(begin)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# A window of one character


def test_in_a_window_of_one_character_everything_is_said_all_the_same(
    bench: Bench, sessions: Sessions, tmp_path: Path
) -> None:
    container = bench.container(start=True)
    listed = typed(sessions, "ps", "--filter", f"name={container.name}", rows=1, cols=1)
    assert listed.wait() == 0
    assert name_of(container).encode() in re.sub(rb"\s|\x1b\[[0-9;]*m", b"", listed.output)

    path = tmp_path / "a.cast"
    terminal = typed(
        sessions, "shell", "--record", str(path), "-e", "PS1=$ ", name_of(container), rows=1, cols=1
    )
    terminal.expect("$ ")
    terminal.send("echo sh''own; exit 3\r")
    terminal.expect("shown\r\n")
    assert terminal.wait() == 3
    assert terminal.is_as_before()
    assert path.read_bytes().startswith(b'{"version": 2, "width": 1, "height": 1')

    for words in (["--to-end"], ["--speed", "20"]):
        played = typed(sessions, "replay", *words, str(path), rows=1, cols=1)
        assert played.wait() == 0
        assert b"shown\r\n" in played.output
        assert played.is_as_before()

    helped = typed(sessions, "help", "run", rows=1, cols=1)
    assert helped.wait() == 0
    assert b"Traceback" not in helped.output


# Pipes, and no input


@pytest.mark.parametrize(
    "line",
    [
        "ps -a",
        "ps -aq",
        "ps -a --format json",
        "version",
        "help run",
        "completion bash",
        "cp {box}:/bin -",
        "replay --to-end {cast}",
    ],
)
def test_a_reader_that_has_gone_is_a_death_by_sigpipe_and_no_complaint(
    line: str, box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    cast = tmp_path / "a.cast"
    cast.write_text('{"version": 2, "width": 80, "height": 24}\n[0.1, "o", "shown\\r\\n"]\n')
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*DPTY, *line.format(box=box.name, cast=cast).split()],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(sessions),
        timeout=30,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_the_first_line_is_enough_for_head(box: Container, sessions: Sessions) -> None:
    done = shell(sessions, "dpty ps -a | head -1")
    assert (done.stdout.split()[:2], done.stderr) == ([b"CONTAINER", b"ID"], b"")
    done = shell(sessions, f"dpty exec {box.name} yes | head -1")
    assert (done.stdout, done.stderr) == (b"y\n", b"")


def test_with_no_input_a_command_that_reads_ends_at_once(
    bench: Bench, box: Container, sessions: Sessions
) -> None:
    def lines() -> Iterator[tuple[int, list[str]]]:
        yield 8, ["exec", "-i", name_of(box), "sh", "-c", "cat; exit 8"]
        yield 8, ["run", "--rm", "-i", "--network", "none", IMAGE, "sh", "-c", "cat; exit 8"]
        yield 8, ["start", "-ai", name_of(bench.container("cat; exit 8", stdin_open=True))]
        yield 8, ["attach", name_of(bench.container("cat; exit 8", stdin_open=True, start=True))]
        yield 0, ["shell", name_of(box)]
        yield 125, ["exec", "-it", name_of(box), "cat"]
        yield 0, ["exec", "-i", "--tty=auto", name_of(box), "cat"]

    for code, argv in lines():
        terminal = typed(sessions, *argv, stdin=NULL)
        assert terminal.wait() == code, argv
        assert terminal.is_as_before()
        assert terminal.output.startswith(NO_TERMINAL if code == 125 else b"")
        assert code == 125 or terminal.output == b""


# A pipe into a process that has a terminal

GOT_OR_33 = "trap 'exit 33' INT; stty -echo; while read line; do echo got $line; done"


def piped_into(terminal: Terminal) -> Terminal:
    """Expect a session whose input is a pipe to pass that on, and to leave our terminal alone."""
    terminal.feed("a line\n")
    terminal.expect("got a line\r")
    assert terminal.is_as_before()
    return terminal


@pytest.mark.parametrize("verb", ["attach", "start"])
def test_ctrl_c_at_our_terminal_is_passed_on_where_only_a_pipe_is_typed_from(
    verb: str, bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(GOT_OR_33, tty=True, stdin_open=True, start=verb == "attach")
    flags = ["-ai"] if verb == "start" else []
    terminal = piped_into(typed(sessions, verb, *flags, name_of(container), stdin=PIPE))
    terminal.send("\x03")
    assert terminal.wait() == 33
    assert terminal.is_as_before()


@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_ctrl_c_at_our_terminal_is_a_keyboard_interrupt_for_a_program_that_pipes_in(
    verb: str, bench: Bench, sessions: Sessions
) -> None:
    if verb == "start":
        container = bench.container(GOT_OR_33, tty=True, stdin_open=True)
        terminal = sessions.start(container, term_stdin=PIPE)
    else:
        container = bench.container(start=True)
        terminal = sessions.exec_command(container, GOT_OR_33, tty=True, term_stdin=PIPE)
    piped_into(terminal)
    terminal.send("\x03")
    assert "KeyboardInterrupt" in terminal.report("raised")["kind"]
    assert terminal.wait() == -signal.SIGINT
    assert terminal.is_as_before()
    # It is ours alone.
    assert any("got $line" in line for line in bench.processes(container))


# Where nobody sits at a terminal


@pytest.mark.parametrize(
    ("line", "code", "out"),
    [
        ("exec -i --tty=auto {box} sh -c 'tty >&2; exit 7'", 7, b"not a tty\n"),
        ("run --rm -i --tty=auto --network none {image} sh -c 'tty; exit 7'", 7, b"not a tty\n"),
        ("shell {box} -- 'tty; exit 7'", 7, b"not a tty\n"),
        ("shell {box}", 0, b""),
        ("ps -q --filter name=^/?{box}$", 0, b"{id}\n"),
        (
            "exec -it {box} sh",
            125,
            NO_TERMINAL + b"; use --tty=auto, which gives it one only where there is one, or leave out -t\n",
        ),
    ],
)
def test_in_cron_there_is_no_terminal_and_nothing_asks_for_one(
    line: str, code: int, out: bytes, box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    mail = tmp_path / "mail"
    env = environment(sessions)
    # What cron gives, and what leads to the engine.
    given = {"HOME": str(tmp_path), "LOGNAME": "root", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    given |= {name: env[name] for name in ("PYTHONPATH", "DOCKER_HOST", *sessions.env) if name in env}
    words = shlex.split(line.format(box=box.name, image=IMAGE))
    with mail.open("wb") as file:
        done = subprocess.run(
            [*DPTY, *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=given,
            start_new_session=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, mail.read_bytes()) == (code, out.replace(b"{id}", (box.id or "")[:12].encode()))
