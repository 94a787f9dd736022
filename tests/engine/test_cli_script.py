"""`dpty script` on a real engine: state that is kept, codes, what is left running."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench
from tests.bed.terminal import PIPE
from tests.engine.command import dpty, shell, typed
from tests.engine.conftest import Sessions
from tests.engine.test_cli_exec import expect_gone, is_there, name_of, seen

_numbers = itertools.count(1)


@pytest.fixture
def mark() -> str:
    """A number for `sleep` that no other test uses: how its process is found again."""
    return f"77{os.getpid()}{next(_numbers):03d}"


def texts(*commands: str) -> list[str]:
    return [word for text in commands for word in ("-c", text)]


def test_state_is_kept_and_the_streams_stay_apart(box: Container, sessions: Sessions) -> None:
    commands = texts("cd /tmp; A=5; f() { echo $A; }", "pwd", "f; echo err >&2")
    assert seen(dpty(sessions, "script", *commands, name_of(box))) == (0, b"/tmp\n5\n", b"err\n")


def test_the_first_that_fails_ends_it_with_its_code(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "script", *texts("echo one", "(exit 7)", "echo three"), name_of(box))
    assert seen(done) == (7, b"one\n", b"")


def test_with_k_all_are_run_and_the_worst_code_is_ours(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "script", "-kx", *texts("(exit 7)", "(exit 3)", "echo three"), name_of(box))
    assert seen(done) == (7, b"three\n", b"+ (exit 7)\n+ (exit 3)\n+ echo three\n")


def test_a_shell_that_ends_ends_the_script_and_with_k_another_one_goes_on(
    box: Container, sessions: Sessions
) -> None:
    commands = texts("A=5", "exit 3", "echo $A.")
    assert seen(dpty(sessions, "script", *commands, name_of(box))) == (3, b"", b"")
    done = dpty(sessions, "script", "-k", *commands, name_of(box))
    said = f"dpty: the shell in {name_of(box)} is another one: the state of the one before is gone\n"
    assert seen(done) == (3, b".\n", said.encode())


@pytest.mark.parametrize("place", ["file", "stdin"])
def test_a_file_is_one_script_which_its_commands_cannot_read_away(
    place: str, box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    text = b"cat\nfor n in 1 2\ndo\n  echo $n\ndone\ncat <<END\nlast\nEND\nexit 9\necho no\n"
    (tmp_path / "script").write_bytes(text)
    file, stdin = (str(tmp_path / "script"), None) if place == "file" else ("-", text)
    done = dpty(sessions, "script", name_of(box), file, stdin=stdin)
    assert seen(done) == (9, b"1\n2\nlast\n", b"")


def test_user_directory_and_variables_are_those_of_the_line(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    (tmp_path / "variables").write_text("A=file\nB=file\n")
    flags = ["-u", "1:2", "-w", "/tmp", "--env-file", str(tmp_path / "variables"), "-e", "A=line"]
    done = dpty(sessions, "script", *flags, "-c", "id -u; pwd; echo $A $B", name_of(box))
    assert seen(done) == (0, b"1\n/tmp\nline file\n", b"")


def test_each_result_is_one_object(box: Container, sessions: Sessions) -> None:
    commands = texts("echo out; echo err >&2", "sleep 600", "printf '\\377'; (exit 4)")
    done = dpty(sessions, "script", "-k", "--json", "--timeout", "1", *commands, name_of(box))
    assert done.returncode == 124
    first, second, third = (json.loads(line) for line in done.stdout.splitlines())
    assert {key: first[key] for key in ("container", "command", "exit_code", "stdout", "stderr")} == {
        "container": box.id,
        "command": ["echo out; echo err >&2"],
        "exit_code": 0,
        "stdout": "out\n",
        "stderr": "err\n",
    }
    assert (second["exit_code"], second["reason"], second["timed_out"]) == (None, "timeout", True)
    assert (third["exit_code"], third["stdout_b64"], third["session_lost"]) == (4, "/w==", False)
    assert len(first["exec"]) == 64
    assert first["exec"] == third["exec"]


@pytest.mark.parametrize("flags", [[], ["-t"]], ids=["streams", "terminal"])
def test_a_time_limit_is_124_leaves_nothing_running_and_keeps_the_state(
    flags: list[str], box: Container, bench: Bench, sessions: Sessions, mark: str
) -> None:
    commands = texts("A=5", f"sleep {mark}", "echo $A")
    done = dpty(sessions, "script", "-k", *flags, "--timeout", "1", *commands, name_of(box))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (124, b"5")
    said = f"dpty: cannot go on with 'sleep {mark}' in {name_of(box)}: it took longer than 1 s\n"
    assert done.stderr == said.encode()
    expect_gone(bench, box, mark)


def test_the_budget_is_for_all_of_them(box: Container, bench: Bench, sessions: Sessions, mark: str) -> None:
    commands = texts("echo one", f"sleep {mark}", "echo three")
    done = dpty(sessions, "script", "-k", "--budget", "1", *commands, name_of(box))
    assert (done.returncode, done.stdout) == (124, b"one\n")
    assert done.stderr.endswith(b"the 1 s of --budget are over: one command was not run\n")
    expect_gone(bench, box, mark)


@pytest.mark.parametrize("flags", [[], ["-t"]], ids=["streams", "terminal"])
def test_ctrl_c_interrupts_the_command_inside_and_is_a_death_by_sigint(
    flags: list[str], box: Container, bench: Bench, sessions: Sessions, mark: str
) -> None:
    commands = texts(f"echo began; sleep {mark}", "echo no")
    terminal = typed(sessions, "script", *flags, *commands, name_of(box))
    terminal.expect("began")
    bench.wait_for(lambda: is_there(bench, box, mark), 10, "its begin")
    terminal.send(b"\x03")
    assert terminal.wait(20) == -signal.SIGINT
    expect_gone(bench, box, mark)
    assert b"Traceback" not in terminal.output
    assert b"no\r\n" not in terminal.output


def test_a_signal_that_ends_us_ends_the_command_inside(
    box: Container, bench: Bench, sessions: Sessions, mark: str
) -> None:
    terminal = typed(sessions, "script", "-c", f"echo began; sleep {mark}", name_of(box), stdin=PIPE)
    terminal.expect("began")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait(20) == -signal.SIGTERM
    expect_gone(bench, box, mark)


def test_a_reader_that_goes_ends_it_by_sigpipe_and_leaves_nothing(
    box: Container, bench: Bench, sessions: Sessions
) -> None:
    line = f"(dpty script -c 'yes 5150' {name_of(box)}; echo $? >&2) | head -1"
    done = shell(sessions, line)
    assert (done.stdout, done.stderr.splitlines()[-1]) == (b"5150\n", b"141")
    expect_gone(bench, box, "5150")


def test_a_reader_that_goes_is_noticed_while_nothing_is_written(
    box: Container, bench: Bench, sessions: Sessions, mark: str
) -> None:
    line = f"(dpty script -c 'echo one; sleep {mark}' -c 'echo no' {name_of(box)}; echo $? >&2) | head -1"
    done = shell(sessions, line)
    assert (done.stdout, done.stderr) == (b"one\n", b"141\n")
    expect_gone(bench, box, mark)


def test_a_terminal_is_there_with_t_only(box: Container, sessions: Sessions) -> None:
    ask = "test -t 0 && test -t 1 && echo there; echo err >&2"
    assert seen(dpty(sessions, "script", "-c", ask, name_of(box))) == (0, b"", b"err\n")
    assert seen(dpty(sessions, "script", "-t", "-c", ask, name_of(box))) == (0, b"there\nerr\n", b"")


@pytest.mark.parametrize("flags", [[], ["-t"]], ids=["streams", "terminal"])
def test_an_answer_may_be_a_variable_and_is_shown_nowhere(
    flags: list[str], box: Container, sessions: Sessions
) -> None:
    ask = "test -t 0 && stty -echo; printf 'Password: '; read -r it; echo; echo ${#it}"
    argv = ["script", "-x", *flags, "--answer", "assword: =env:SECRET", "-c", ask, name_of(box)]
    done = dpty(sessions, *argv, SECRET="hunter22")
    assert (done.returncode, done.stdout) == (0, b"Password: \n8\n")
    assert b"hunter22" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--shell", "no-such-shell"], 127, b"no-such-shell"),
        (["--shell", "fish"], 127, b"fish"),
        (["-u", "nobody-here"], 125, b"unable to find user"),
        (["-w", "/no/such/directory"], 127, b"/no/such/directory"),
    ],
)
def test_a_shell_that_cannot_be_had_is_said(
    flags: list[str], code: int, words: bytes, box: Container, sessions: Sessions
) -> None:
    done = dpty(sessions, "script", *flags, "-c", "true", name_of(box))
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.startswith(b"dpty: cannot open a session ")
    assert words in done.stderr
    assert (b"need no shell" in done.stderr) is ("--shell" in flags)
    assert b"oneshot" not in done.stderr


def test_an_image_without_a_shell_is_127(bare: Callable[..., Container], sessions: Sessions) -> None:
    done = dpty(sessions, "script", "-c", "true", name_of(bare()))
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"dpty exec and dpty cp need no shell" in done.stderr


@pytest.mark.parametrize("word", ["no-such-container", "compose://no-such/service"])
def test_a_container_that_is_not_there_is_125(word: str, sessions: Sessions) -> None:
    done = dpty(sessions, "script", "-c", "true", word)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"dpty: cannot find ")
    assert done.stderr.count(b"\n") == 1


def test_one_that_has_ended_is_started_when_that_is_asked_for(bench: Bench, sessions: Sessions) -> None:
    container = bench.container()
    refused = dpty(sessions, "script", "-c", "echo there", name_of(container))
    assert (refused.returncode, refused.stdout) == (125, b"")
    assert refused.stderr.endswith(b"it was never started; start it first, or use --start\n")
    assert seen(dpty(sessions, "script", "--start", "-c", "echo there", name_of(container))) == (
        0,
        b"there\n",
        b"",
    )


def test_a_container_that_is_killed_meanwhile_is_said(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    terminal = typed(
        sessions, "script", *texts("echo began; sleep 600", "echo no"), name_of(container), stdout=PIPE
    )
    terminal.expect_stdout("began")
    container.kill()
    assert terminal.wait(20) == 137
    assert terminal.stdout == b"began\n"
    assert b"the container stopped" in terminal.output


def test_a_name_by_labels_is_taken_as_everywhere(bench: Bench, sessions: Sessions) -> None:
    project = f"shop{os.getpid()}"
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "api"}
    bench.container(labels=labels, hostname="first", start=True)
    done = dpty(sessions, "script", "-c", "hostname", f"compose://{project}/api")
    assert seen(done) == (0, b"first\n", b"")
