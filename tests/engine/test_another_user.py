"""Somebody else than the owner: one who may not use the engine, and one who may, at a terminal of somebody else's.

That terminal is what `sudo -u` leaves its program with: descriptors that may be used, and a device that may not be.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from dockerpty.recording import Cast
from tests.bed.engine import Bench, short_directory
from tests.bed.proxy import Proxy
from tests.bed.terminal import PIPE, ROOT, Terminal
from tests.conftest import missing, needs_root
from tests.engine.command import DETACH
from tests.engine.conftest import Sessions

NOBODY = 65534
BECOME = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def name_of(container: Container) -> str:
    return str(container.name)


class Nobody:
    """Who may read nothing of ours but a copy of the package; where the tests are not root's, whoever runs them.

    Args:
        folder: for the copy, and for a socket.

    Attributes:
        path: a socket that only its owner may use, and this is not its owner.
        home: a folder that is theirs.
    """

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/docker.sock"
        self.home = Path(folder) / "home"
        self.home.mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._become: list[str] = []
        self._package = str(ROOT)
        self._python = sys.executable
        if os.getuid() != 0:
            os.chmod(self.path, 0)
            return
        os.chmod(self.path, 0o600)
        os.chmod(folder, 0o755)
        os.chown(self.home, NOBODY, NOBODY)
        self._package = folder
        shutil.copytree(
            ROOT / "dockerpty", f"{folder}/dockerpty", ignore=shutil.ignore_patterns("__pycache__")
        )
        self._become = BECOME
        pythons = [sys.executable, *filter(None, map(shutil.which, ("python3", "/usr/bin/python3")))]
        usable = (python for python in pythons if self._works(python))
        self._python = next(usable, "")

    def _works(self, python: str) -> bool:
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        argv = [*self._become, python, "-c", check]
        return subprocess.run(argv, cwd="/", capture_output=True, check=False).returncode == 0

    def argv(self, *words: str) -> list[str]:
        """`dpty`, run by them."""
        if not self._python:
            missing("no Python here that another user may run")
        return [*self._become, self._python, "-m", "dockerpty", *words]

    def env(self, home: str) -> dict[str, str]:
        """Their variables."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": self._package,
            "HOME": home,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *words: str, home: str) -> subprocess.CompletedProcess[bytes]:
        """Let them use an engine that they may not use."""
        return subprocess.run(
            self.argv("-H", f"unix://{self.path}", *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self.env(home),
            cwd="/",
            timeout=30,
            check=False,
        )

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def nobody() -> Iterator[Nobody]:
    with short_directory() as folder:
        nobody = Nobody(folder)
        yield nobody
        nobody.close()


# Who may not


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("exec web true", 125),
        ("run web", 125),
        ("attach web", 125),
        ("start web", 125),
        ("shell web", 125),
        ("watch web", 125),
        ("ps", 1),
        ("cp web:/x /tmp", 1),
        ("prune --force", 1),
        ("version --json", 1),
    ],
)
def test_who_may_not_use_the_engine_is_told_so_in_one_line(line: str, code: int, nobody: Nobody) -> None:
    done = nobody.run(*line.split(), home="/nonexistent")
    assert done.returncode == code
    assert done.stderr.decode() == (
        f"dpty: cannot reach the engine at unix://{nobody.path}: you are not allowed to use its socket;"
        " use sudo, or join the group docker and log in again\n"
    )


def test_a_home_that_is_somebody_elses_is_told_of_and_left_alone(nobody: Nobody) -> None:
    with short_directory() as home:
        config = Path(home) / ".docker" / "config.json"
        config.parent.mkdir()
        config.write_text('{"detachKeys": "ctrl-x"}')
        config.chmod(0)
        done = nobody.run("ps", home=home)
    first, *others = done.stderr.decode().splitlines()
    assert first == f"dpty: cannot read {config}: Permission denied; none of its settings count"
    assert len(others) == 1
    assert done.returncode == 1


def test_what_needs_no_engine_works_for_everybody(nobody: Nobody) -> None:
    for words in (["--version"], ["completion", "zsh"]):
        done = nobody.run(*words, home="/nonexistent")
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout


# Who may


class Guest:
    """Somebody who may use the engine, by a way of their own, and sits at a terminal that is root's."""

    def __init__(self, nobody: Nobody, engine: str, sessions: Sessions) -> None:
        self.home = nobody.home
        self._nobody = nobody
        self._engine = engine
        self._sessions = sessions

    def types(self, *words: str, **options: Any) -> Terminal:
        """Start `dpty` at the terminal; for `options` see `Terminal`."""
        env = {**self._nobody.env(str(self.home)), "DOCKER_HOST": self._engine, **options.pop("env", {})}
        terminal = Terminal(self._nobody.argv(*words), env=env, cwd=self.home, **options)
        assert os.stat(terminal.name).st_uid == 0
        return self._sessions.add(terminal)

    def pipes(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it between pipes, which are root's as well."""
        return subprocess.run(
            self._nobody.argv(*words),
            input=stdin,
            capture_output=True,
            env={**self._nobody.env(str(self.home)), "DOCKER_HOST": self._engine},
            cwd=self.home,
            timeout=60,
            check=False,
        )


@pytest.fixture
def guest(nobody: Nobody, proxy: Proxy, sessions: Sessions) -> Guest:
    needs_root("can be somebody else")
    engine = proxy.unix()
    path = Path(engine.removeprefix("unix://"))
    path.chmod(0o666)
    path.parent.chmod(0o755)
    return Guest(nobody, engine, sessions)


def test_their_session_is_like_any_other_and_the_terminal_comes_back(box: Container, guest: Guest) -> None:
    script = "id -u; while read line; do echo got $line $(stty size); [ $line != end ] || exit 7; done"
    terminal = guest.types("exec", "-it", name_of(box), "sh", "-c", script, rows=31, cols=97)
    terminal.expect("0\r\n")
    assert terminal.is_raw()
    assert terminal.flags() == terminal.flags_before

    def answers() -> bool:
        terminal.send("here\r")
        return b"got here 20 70" in terminal.read_for(0.1)

    terminal.set_winsize(20, 70)
    terminal.wait_until(answers, 10, "the new size of the window")
    terminal.send("end\r")
    assert terminal.wait() == 7
    assert terminal.is_as_before()


@pytest.mark.parametrize("way", ["detach", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_their_terminal_comes_back_however_they_leave(way: str, bench: Bench, guest: Guest) -> None:
    box = bench.container(start=True)
    script = "printf '\\033[?1049h'; echo up; exec sleep 4321"
    terminal = guest.types("exec", "-it", name_of(box), "sh", "-c", script)
    terminal.expect("up")
    assert terminal.is_raw()
    if way == "detach":
        terminal.send(DETACH)
        terminal.expect(f"dpty: detached from {name_of(box)}\r\n")
        assert terminal.wait() == 0
        assert b"\x1b[?1049l" in terminal.output
    else:
        number = getattr(signal, way)
        if way == "SIGKILL":
            terminal.wait_until_guarded()
        terminal.signal(number)
        assert terminal.wait() == -number
        assert way == "SIGKILL" or b"\x1b[?1049l" in terminal.output
    terminal.wait_until(terminal.is_as_before, 5, "the terminal as before")


def test_when_their_terminal_is_closed_they_go_with_it(bench: Bench, guest: Guest) -> None:
    box = bench.container(start=True)
    terminal = guest.types("exec", "-it", name_of(box), "sh", "-c", "echo up; exec sleep 4321")
    terminal.expect("up")
    terminal.hang_up()
    assert terminal.process.wait(20) == -signal.SIGHUP
    bench.wait_for(lambda: len(bench.processes(box)) == 1, 10, "the end of what they ran")


def test_all_that_is_written_comes_and_in_its_order(box: Container, guest: Guest) -> None:
    # More than a terminal and all pipes on the way hold: it may not be opened anew, so that one has to wait for it.
    terminal = guest.types("exec", "-it", name_of(box), "sh", "-c", "seq 100000; exit 5")
    terminal.reading = False
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.read_for(0.5)
    terminal.reading = True
    assert terminal.wait(60) == 5
    assert terminal.output == b"".join(b"%d\r\n" % number for number in range(1, 100_001))
    assert terminal.is_as_before()


def test_while_their_terminal_is_stopped_the_keys_to_leave_work(box: Container, guest: Guest) -> None:
    # Quietly: who says something at a terminal that is stopped waits for it.
    terminal = guest.types("exec", "-it", "--quiet", name_of(box), "yes")
    terminal.expect("y\r\ny")
    terminal.reading = False
    cpu = terminal.cpu_seconds()
    terminal.read_for(1.5)  # nothing is taken: it fills, and then there is nothing to do
    assert terminal.cpu_seconds() - cpu < 1.0
    terminal.send(DETACH)
    terminal.wait_until(lambda: terminal.process.poll() is not None, 20, "the end")
    terminal.reading = True
    assert terminal.wait() == 0
    assert terminal.is_as_before()


def test_a_container_of_theirs_runs_at_their_terminal(bench: Bench, guest: Guest) -> None:
    container = bench.container("read line; echo got $line; exit 9", tty=True, stdin_open=True)
    terminal = guest.types("start", "-ai", name_of(container))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("it\r")
    terminal.expect("got it")
    assert terminal.wait() == 9
    assert terminal.is_as_before()


def test_what_they_record_is_theirs_and_nobody_elses(box: Container, guest: Guest) -> None:
    path = guest.home / "a.cast"
    terminal = guest.types("exec", "-it", "--record", "a.cast", name_of(box), "sh", "-c", "echo sh''own")
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (NOBODY, 0o600)
    with path.open("rb") as file:
        kept = "".join(data for _, code, data in Cast(file, str(path)).events() if code == "o")
    assert kept == "shown\r\n"
    played = guest.types("replay", "--to-end", "a.cast")
    assert played.wait() == 0
    assert b"shown\r\n" in played.output
    assert played.is_as_before()
    # Where they may not write, nothing begins.
    refused = guest.types("exec", "-it", "--record", "/etc/a.cast", name_of(box), "true")
    assert refused.wait() == 125
    assert b"dpty: cannot " in refused.output
    assert b"Permission denied" in refused.output


def test_pipes_that_are_roots_are_read_and_written(box: Container, guest: Guest) -> None:
    data = os.urandom(3_000_000)
    done = guest.pipes("exec", "-i", name_of(box), "sh", "-c", "cat; echo err >&2; exit 6", stdin=data)
    assert (done.returncode, done.stdout == data, done.stderr) == (6, True, b"err\n")


def test_a_pipe_beside_their_terminal_takes_nothing_from_it(box: Container, guest: Guest) -> None:
    script = "cat; echo err >&2; exit 6"
    terminal = guest.types("exec", "-i", name_of(box), "sh", "-c", script, stdin=PIPE, stdout=PIPE)
    terminal.feed(b"given\n", end=True)
    assert terminal.wait() == 6
    assert (terminal.stdout, terminal.output) == (b"given\n", b"err\r\n")
    assert terminal.is_as_before()


def test_what_they_copy_is_theirs_here_and_what_they_may_not_write_is_told(
    bench: Bench, guest: Guest
) -> None:
    box = bench.container(start=True)
    assert bench.run_inside(box, "mkdir /d; echo text >/d/f; chown -R 7:7 /d")[0] == 0
    done = guest.pipes("cp", f"{name_of(box)}:/d", "d")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    copied = guest.home / "d" / "f"
    assert (copied.read_text(), copied.stat().st_uid) == ("text\n", NOBODY)
    done = guest.pipes("cp", "d/f", f"{name_of(box)}:/again")
    assert (done.returncode, done.stderr) == (0, b"")
    assert bench.run_inside(box, "cat /again") == (0, b"text\n")
    done = guest.pipes("cp", f"{name_of(box)}:/d/f", "/etc/dpty-must-not")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"dpty: cannot ")
    assert b"Permission denied" in done.stderr
    assert not Path("/etc/dpty-must-not").exists()
