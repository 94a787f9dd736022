"""Tab in real shells: bash, zsh and fish at a terminal, with the scripts that `dpty completion` prints."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bed.engine import Bench, short_directory
from tests.bed.proxy import Proxy
from tests.bed.screen import Screen
from tests.bed.terminal import ROOT, Expected, Terminal
from tests.bed.waiting import SLACK
from tests.conftest import missing
from tests.engine.command import DPTY, dpty, environment, only
from tests.engine.conftest import Sessions

LEFT = "\x1b[D"

# What asks is dpty; any other line only tells that it was run, and how.
PROGRAM = f"""#!/bin/sh
case "$1" in
__complete | completion) PYTHONPATH={ROOT} exec {" ".join(DPTY)} "$@" ;;
esac
printf RAN
printf '[%s]' "$@"
echo
"""

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='READY''> '; source <(dpty completion bash)"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "PS1='READY''> '; autoload -Uz compinit; compinit -u -D; source <(dpty completion zsh)",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "function fish_prompt; printf 'READ''Y> '; end; dpty completion fish | source",
    ),
}


class Shell:
    """A shell at a terminal, in an empty directory, with `dpty` in its PATH."""

    def __init__(self, name: str, sessions: Sessions, place: Path) -> None:
        argv, setting_up = SHELLS[name]
        if shutil.which(argv[0]) is None:
            missing(f"no {name} to complete lines in")
        self.name = name
        self.place = place / "here"
        self.place.mkdir()
        programs = place / "bin"
        programs.mkdir()
        program = programs / "dpty"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        env = {
            **sessions.env,
            "PATH": f"{programs}:{environment(sessions)['PATH']}",
            "HOME": str(place),
            "ZDOTDIR": str(place),
            "XDG_CONFIG_HOME": str(place / "config"),
            "XDG_DATA_HOME": str(place / "data"),
            "DOCKER_CONFIG": str(place / "docker"),
            "INPUTRC": "/dev/null",
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }
        self.terminal = sessions.add(Terminal(argv, env=env, cwd=self.place, cols=200))
        self.screen = Screen(self.terminal)
        self.terminal.send(setting_up + "\r")
        self.terminal.expect("READY> ", 30)

    def completes(self, typed: str, shown: str, rest: str = "") -> list[str]:
        """Type, and Tab; wait until this is shown, go on, and Enter: the arguments that `dpty` gets."""
        self.terminal.send(f"{typed}\t")
        # Not typed ahead: fish takes that as a sign that nobody waits for the answer.
        self.screen.wait_for(f"READY> {shown}", timeout=10)
        return self.enters(rest)

    def enters(self, rest: str) -> list[str]:
        """Type the rest of a line, and Enter: the arguments that `dpty` gets."""
        self.terminal.send(f"{rest}\r")
        told = self.terminal.expect(re.compile(rb"RAN((\[[^\]]*\])*)\r\n"), 20)[1]
        self.terminal.expect("READY> ", 20)
        return told.decode()[1:-1].split("][")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, proxy: Proxy, sessions: Sessions, tmp_path: Path) -> Shell:
    # By way of a proxy, so that this is not repeated on each transport: over ssh the engine is not asked.
    return Shell(request.param, sessions, tmp_path)


def test_commands_flags_and_what_they_choose_from(shell: Shell) -> None:
    assert shell.completes("dpty repl", "dpty replay", "x") == ["replay", "x"]
    assert shell.completes("dpty exec --detach-k", "dpty exec --detach-keys", "none w") == [
        *("exec", "--detach-keys", "none", "w")
    ]
    assert shell.completes("dpty run --pull=al", "dpty run --pull=always", "b") == [
        "run",
        "--pull=always",
        "b",
    ]
    assert shell.completes("dpty run --pull ne", "dpty run --pull never", "b") == [
        "run",
        "--pull",
        "never",
        "b",
    ]


def test_containers_by_their_state(shell: Shell, bench: Bench) -> None:
    mark = f"tab-{os.getpid()}-{shell.name}"
    bench.container(start=True, name=f"{mark}-up")
    bench.container(name=f"{mark}-down")
    up, down = f"{mark}-up", f"{mark}-down"
    assert shell.completes(f"dpty exec -it {mark}", f"dpty exec -it {up}", "sh") == ["exec", "-it", up, "sh"]
    assert shell.completes(f"dpty start -ai {mark}", f"dpty start -ai {down}", "x") == [
        "start",
        "-ai",
        down,
        "x",
    ]
    # No space behind the colon: the path follows.
    assert shell.completes(f"dpty cp {mark}-d", f"dpty cp {down}:", "/etc .") == ["cp", f"{down}:/etc", "."]


def test_images_with_a_colon_in_the_middle(shell: Shell) -> None:
    assert shell.completes("dpty run busybox:lat", "dpty run busybox:latest", "ls") == [
        "run",
        "busybox:latest",
        "ls",
    ]


def completes_in_the_end(shell: Shell, line: str, behind: str, shown: str) -> None:
    """Type a line and Tab before what stands behind the cursor, again until this is shown.

    On a busy machine the engine may need longer for a file than it is given: then Tab does nothing, and a person tries
    again. That this is no habit is told by the time that an answer takes.
    """

    def rows() -> list[str]:
        return [row for row in shell.screen.lines() if row]

    for _ in range(10):
        shell.terminal.send(line + behind + LEFT * len(behind) + "\t")
        with contextlib.suppress(Expected):
            # Not typed ahead: zsh and fish take that as a sign that nobody waits for the answer.
            shell.screen.wait_for(f"READY> {shown}", timeout=1)
            return
        shell.terminal.send("\x15\x0b")  # to the beginning of the line, and to its end
        shell.terminal.wait_until(lambda: rows()[-1] == "READY>", 5, "an empty line")
    raise AssertionError(f"{shown!r} never came")


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_users_of_the_container_behind_the_cursor(
    name: str, proxy: Proxy, sessions: Sessions, tmp_path: Path, bench: Bench
) -> None:
    shell = Shell(name, sessions, tmp_path)
    container = str(bench.container(start=True).name)
    completes_in_the_end(shell, "dpty exec -u nob", f" {container} id", "dpty exec -u nobody ")
    assert shell.enters("") == ["exec", "-u", "nobody", container, "id"]


def test_users_in_fish_which_tells_nothing_of_what_is_behind_the_cursor(
    proxy: Proxy, sessions: Sessions, tmp_path: Path, bench: Bench
) -> None:
    only(proxy, bench.container(start=True))
    shell = Shell("fish", sessions, tmp_path)
    completes_in_the_end(shell, "dpty exec -l -u nob", "", "dpty exec -l -u nobody")
    assert shell.enters("id") == ["exec", "-l", "-u", "nobody", "id"]


def test_files_where_a_file_is_meant(shell: Shell) -> None:
    (shell.place / "a session.cast").touch()
    (shell.place / "folder").mkdir()
    assert shell.completes("dpty replay a", "dpty replay a\\ session.cast") == ["replay", "a session.cast"]
    assert shell.completes("dpty run --cidfile=fol", "dpty run --cidfile=folder/", "id b") == [
        *("run", "--cidfile=folder/id", "b")
    ]
    assert shell.completes("dpty cp fold", "dpty cp folder/", "file web:/") == ["cp", "folder/file", "web:/"]


def test_the_engine_and_the_contexts_are_those_of_the_line(shell: Shell, sessions: Sessions) -> None:
    folder = shell.place / "clients"
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"builder").hexdigest()
    meta.mkdir(parents=True)
    host = sessions.env["DOCKER_HOST"]
    (meta / "meta.json").write_text(json.dumps({"Name": "builder", "Endpoints": {"docker": {"Host": host}}}))
    argv = ["--config", "clients", "-c", "builder"]
    assert shell.completes("dpty --config clients -c bui", "dpty --config clients -c builder", "ps") == [
        *argv,
        "ps",
    ]
    there = "dpty --config clients -c builder run busybox:"
    assert shell.completes(there, f"{there}latest", "ls") == [*argv, "run", "busybox:latest", "ls"]


def test_an_engine_that_is_away_is_passed_over_in_silence(shell: Shell) -> None:
    (shell.place / "file").touch()
    away = "dpty -H unix:///nowhere.sock exec"
    shell.terminal.send(f"{away} -it \t")
    assert shell.enters("web sh") == ["-H", "unix:///nowhere.sock", "exec", "-it", "web", "sh"]
    assert b"cannot" not in shell.terminal.output
    # What needs none is still there.
    assert shell.completes(f"{away} --work", f"{away} --workdir", "/ w") == [
        *("-H", "unix:///nowhere.sock", "exec", "--workdir", "/", "w")
    ]


def test_bash_cuts_words_at_other_characters_and_in_quotes(
    proxy: Proxy, sessions: Sessions, tmp_path: Path
) -> None:
    bash = Shell("bash", sessions, tmp_path)
    (bash.place / "dump.sql").touch()
    assert bash.completes('dpty run "busybox:lat', 'dpty run "busybox:latest"', "ls") == [
        "run",
        "busybox:latest",
        "ls",
    ]
    assert bash.completes("true; dpty vers", "true; dpty version", "") == ["version"]
    assert bash.completes("dpty exec -i db psql < du", "dpty exec -i db psql < dump.sql") == [
        "exec",
        "-i",
        "db",
        "psql",
    ]
    bash.terminal.send("COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\r")
    bash.terminal.expect("READY> ")
    assert bash.completes("dpty run busybox:lat", "dpty run busybox:latest", "ls") == [
        "run",
        "busybox:latest",
        "ls",
    ]
    assert bash.completes("dpty run --pull=al", "dpty run --pull=always", "b") == [
        "run",
        "--pull=always",
        "b",
    ]


def seconds(sessions: Sessions, *words: str, at: int | None = None, offers: str = "") -> float:
    """How long the best of some answers takes: other work on this machine is no fault of ours.

    Args:
        at: the number of the word at the cursor, if that is not the last.
        offers: a word that must be in an answer, for its time to count.
    """
    times = []
    for _ in range(5):
        began = time.monotonic()
        done = dpty(sessions, "__complete", "zsh", str(len(words) - 1 if at is None else at), *words)
        took = time.monotonic() - began
        assert (done.returncode, done.stderr) == (0, b"")
        offered = [line.partition("\t")[0] for line in done.stdout.decode().splitlines()]
        if not offers or offers in offered:
            times.append(took)
    assert times, f"{offers} is in no answer"
    return min(times)


def test_an_answer_takes_less_than_a_person_notices(sessions: Sessions) -> None:
    assert seconds(sessions, "exec", "--", offers="--user") < 0.3 * SLACK
    assert seconds(sessions, "exec", "") < 0.3 * SLACK


@pytest.mark.own_socket
def test_so_does_one_for_which_the_engine_has_to_be_asked(bench: Bench, sessions: Sessions) -> None:
    container = str(bench.container(start=True).name)
    stopped = str(bench.container().name)
    assert seconds(sessions, "exec", "-it", "", offers=container) < 0.3 * SLACK
    assert seconds(sessions, "start", "", offers=stopped) < 0.3 * SLACK
    assert seconds(sessions, "run", "", offers="busybox:latest") < 0.3 * SLACK
    assert seconds(sessions, "cp", "", offers=f"{container}:") < 0.3 * SLACK
    # For these it reads a file out of the container.
    assert seconds(sessions, "exec", "-u", "", container, "id", at=2, offers="nobody") < 0.3 * SLACK


@pytest.fixture
def silent_engine() -> Iterator[str]:
    """The address of an engine that takes connections and says nothing."""
    with short_directory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/sock")
        server.listen()
        yield f"unix://{folder}/sock"


def test_an_engine_that_says_nothing_is_not_waited_for(sessions: Sessions, silent_engine: str) -> None:
    # It is given a fifth of a second; with connect-timeout it would be ten.
    assert seconds(sessions, "-H", silent_engine, "exec", "") < 0.5 * SLACK
    done = dpty(sessions, "-H", "tcp://127.0.0.1:1", "__complete", "fish", "3", "-H", silent_engine, "cp", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"files\t\n", b"")


def test_over_ssh_nobody_is_logged_in_for_a_tab(sessions: Sessions, tmp_path: Path) -> None:
    trace = tmp_path / "called"
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\ntouch {trace}\n")
    ssh.chmod(0o755)
    words = ("--ssh-client", str(ssh), "-H", "ssh://there", "exec", "")
    done = dpty(sessions, "__complete", "zsh", "5", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"words\n", b"")
    assert not trace.exists()


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_is_sound_for_the_shell_that_reads_it(
    name: str, sessions: Sessions, tmp_path: Path
) -> None:
    script = dpty(sessions, "completion", name)
    assert (script.returncode, script.stderr) == (0, b"")
    program = shutil.which(name)
    if program is None:
        missing(f"no {name} to complete lines in")
    done = subprocess.run([program, "-n"], input=script.stdout, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
