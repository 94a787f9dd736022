"""`--expect` on a real engine: a script types, and how it ends is what the session ends with."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.models.containers import Container

import dockerpty
from dockerpty.engine.client import from_environment
from tests.bed.engine import Bench
from tests.engine.command import dpty, environment, shell, typed
from tests.engine.conftest import Sessions

LOGIN = """\
printf 'login: '; read user
stty -echo; printf 'Password: '; read password; stty echo; echo
test "$user-$password" = me-hunter2 || { echo denied; exit 9; }
exec sh
"""

_numbers = itertools.count(1)


def name_of(container: Container) -> str:
    return str(container.name)


def expect_gone(bench: Bench, box: Container, mark: str) -> None:
    def gone() -> bool:
        return not any(mark in line for line in bench.processes(box))

    bench.wait_for(gone, 10, f"the end of {mark}")


@pytest.fixture
def mark() -> str:
    """A number for `sleep` that no other test uses: how its process is found again."""
    return f"{os.getpid()}{next(_numbers):03d}"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "a.expect"
        path.write_text(text)
        return str(path)

    return write


def test_a_shell_is_led_from_prompt_to_prompt(
    box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script(
        "expect #\nsend echo A''B\\n\nexpect AB.*#\nsend cd /tmp && pwd\\n\nexpect /tmp\\s.*#\nsend exit 6\\n\n"
    )
    done = dpty(sessions, "exec", "-t", "--expect", path, name_of(box), "sh")
    assert (done.returncode, done.stderr) == (6, b"")
    assert b"\r\nAB\r\n" in done.stdout


@pytest.mark.parametrize(("password", "code"), [("hunter2", 0), ("wrong", 124)])
def test_a_login_is_typed_as_a_person_would(
    password: str, code: int, box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script(
        "expect login: $\nsend me\\n\nexpect word: $\nsend ${SECRET}\\n\nexpect [#$]\nsend exit 0\\n\n"
    )
    argv = ["exec", "-t", "--expect", path, name_of(box), "sh", "-c", LOGIN]
    done = dpty(sessions, *argv, SECRET=password)
    assert done.returncode == code
    assert password.encode() not in done.stdout + done.stderr
    if code:
        assert b"dpty: cannot find '[#$]' (line 5 of " in done.stderr
        assert b"the output ended without it; the last that came is '\\r\\ndenied\\r\\n'" in done.stderr


def test_what_does_not_come_in_time_is_124_and_the_process_is_ended(
    mark: str, bench: Bench, box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("expect up\nexpect more 1\n")
    command = f"echo up; echo nearly; sleep {mark}"
    done = dpty(sessions, "exec", "--expect", path, "--sig-proxy=false", name_of(box), "sh", "-c", command)
    assert (done.returncode, done.stdout) == (124, b"up\nnearly\n")
    assert done.stderr.decode() == (
        f"dpty: cannot find 'more' (line 2 of {path}): it did not come within 1 s;"
        " the last that came is '\\nnearly\\n'\n"
    )
    expect_gone(bench, box, mark)


def test_exit_ends_the_session_and_the_process_with_its_code(
    mark: str, bench: Bench, box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("expect up\nexit 7\n")
    done = dpty(sessions, "exec", "--expect", path, name_of(box), "sh", "-c", f"echo up; exec sleep {mark}")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"up\n", b"")
    expect_gone(bench, box, mark)


def test_what_came_before_the_end_is_shown_whole_to_a_reader_who_takes_his_time(
    mark: str, bench: Bench, box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("expect DONE\nexit 3\n")
    command = f"exec --expect {path} {name_of(box)} sh -c 'seq 20000; echo DONE; exec sleep {mark}'"
    # More than the pipe holds, and less than makes us wait: the script has its last word before anybody reads.
    line = f"dpty {command} | {{ sleep 2; wc -l; }}"
    assert shell(sessions, line).stdout == b"20001\n"
    expect_gone(bench, box, mark)


@pytest.mark.parametrize(
    ("text", "command", "code"),
    [
        ("expect HTTP\n", "printf 'HTTP/1.0 200\\r\\n'; exit 4", 4),
        ("expect HTTP\nexit 5\n", "printf 'HTTP/1.0 200\\r\\n'; exit 4", 5),
        ("expect HTTP\nexit 5\n", "printf 'HTTP/1.0 200\\r\\n'; exec sleep {mark}", 5),
        ("expect FTP\n", "printf 'HTTP/1.0 200\\r\\n'; exit 4", 124),
        ("expect FTP 0.1\n", "printf 'HTTP/1.0 200\\r\\n'; exec sleep {mark}", 124),
        ("exit 6\n", "printf 'HTTP/1.0 200\\r\\n'; exec sleep {mark}", 6),
    ],
)
def test_a_first_line_that_looks_like_the_text_of_a_failed_start_is_shown_and_found(
    text: str,
    command: str,
    code: int,
    mark: str,
    bench: Bench,
    box: Container,
    sessions: Sessions,
    script: Callable[[str], str],
) -> None:
    argv = ["exec", "--expect", script(text), name_of(box), "sh", "-c", command.format(mark=mark)]
    done = dpty(sessions, *argv)
    assert done.returncode == code, done.stderr
    assert done.stdout in ([b"HTTP/1.0 200\r\n"] if code != 6 else [b"HTTP/1.0 200\r\n", b""])
    expect_gone(bench, box, mark)


def test_what_cannot_be_started_is_no_fault_of_the_script(
    box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    done = dpty(sessions, "exec", "--expect", script("expect #\n"), name_of(box), "nosuch")
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"nosuch" in done.stderr
    assert b"cannot find" not in done.stderr


@pytest.mark.parametrize("flags", [[], ["-t"]])
def test_after_the_last_line_the_input_ends_and_the_process_has_the_last_word(
    flags: list[str], box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("send one\\n\nsend two\\n\n")
    command = "while read line; do echo got $line; done; echo end; exit 3"
    done = dpty(sessions, "exec", *flags, "--expect", path, name_of(box), "sh", "-c", command)
    assert (done.returncode, done.stderr) == (3, b"")
    assert done.stdout.replace(b"\r", b"").endswith(b"got one\ngot two\nend\n")


def test_eof_ends_the_input_in_the_middle(
    box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("send hello\neof\nexpect 5\nexit 0\n")
    done = dpty(sessions, "exec", "--expect", path, name_of(box), "sh", "-c", "wc -c; exec sleep 60")
    assert (done.returncode, done.stdout) == (0, b"5\n")


def test_a_script_that_makes_no_sense_is_125_before_anything_is_started(
    bench: Bench, sessions: Sessions, script: Callable[[str], str]
) -> None:
    name = bench.name()
    path = script("expect a\nsend ${NOT_SET_ANYWHERE}\n")
    argv = ["run", "--rm", "--network", "none", "--name", name, "--expect", path, "busybox", "true"]
    done = dpty(sessions, *argv)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.decode() == (
        f"dpty: cannot use {path}: line 2: the variable NOT_SET_ANYWHERE is not set\n"
    )
    assert not bench.client.containers.list(all=True, filters={"name": name})


@pytest.mark.parametrize(("text", "code"), [("expect #\nsend exit 4\\n\n", 4), ("expect #\nexit 5\n", 5)])
def test_run_is_led_too_and_what_was_to_be_removed_is(
    text: str, code: int, bench: Bench, sessions: Sessions, script: Callable[[str], str]
) -> None:
    name = bench.name()
    argv = [
        "run",
        "--rm",
        "-t",
        "--stop-timeout",
        "1",
        "--network",
        "none",
        "--name",
        name,
        "--expect",
        script(text),
        "busybox",
        "sh",
    ]
    assert dpty(sessions, *argv).returncode == code
    bench.wait_for(lambda: not bench.api.containers(all=True, filters={"name": name}), 15, "its removal")


def test_a_container_that_reads_no_input_is_not_typed_into(
    bench: Bench, sessions: Sessions, script: Callable[[str], str]
) -> None:
    deaf = bench.container("while :; do echo tick; sleep 0.2; done", start=True)
    done = dpty(sessions, "attach", "--expect", script("send a"), name_of(deaf))
    assert done.returncode == 125
    assert b"its stdin is closed; create it with -i" in done.stderr
    done = dpty(sessions, "attach", "--expect", script("expect tick\nexit 0"), name_of(deaf))
    assert done.returncode == 0
    assert bench.is_running(deaf)


def test_at_a_terminal_the_script_types_and_the_person_does_not(
    box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("expect up\nsend go\\n\n")
    command = "echo up; read line; echo got $line; sleep 0.5; stty size; exit 2"
    terminal = typed(sessions, "exec", "-it", "--expect", path, name_of(box), "sh", "-c", command)
    terminal.send("typed ahead\n")
    terminal.expect("got go")
    terminal.expect("24 80")
    assert terminal.wait() == 2
    assert terminal.is_as_before()


def test_it_goes_together_with_a_recording(
    box: Container, sessions: Sessions, script: Callable[[str], str], tmp_path: Path
) -> None:
    path = script("expect up\nsend go\\n\n")
    command = "echo up; read line; echo got $line"
    flags = ["--expect", path, "--record", str(tmp_path / "a.cast"), "--record-input"]
    assert dpty(sessions, "exec", *flags, name_of(box), "sh", "-c", command).returncode == 0
    text = (tmp_path / "a.cast").read_text()
    assert '"i", "go\\n"]' in text
    assert '"o", "got go\\r\\n"]' in text


def test_reconnecting_and_a_script_do_not_go_together(
    sessions: Sessions, script: Callable[[str], str]
) -> None:
    done = dpty(sessions, "attach", "--reconnect", "--expect", script("exit 0"), "web")
    assert done.returncode == 125
    assert b"cannot use --expect with --reconnect" in done.stderr


def test_the_library_takes_the_text_of_a_script(
    box: Container, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(sessions).items():
        monkeypatch.setenv(name, value)
    client = from_environment()
    try:
        command = ["sh", "-c", "echo up; read line; echo got $line; exit 2"]
        code = dockerpty.exec_command(client, box.id, command, expect="expect up\nsend go\\n\n")
        assert code == 2
        with pytest.raises(dockerpty.SessionTimeout, match="cannot find 'never'") as caught:
            dockerpty.exec_command(client, box.id, command, expect="expect never 0.2")
        assert caught.value.result is not None
        assert caught.value.result.reason == "timeout"
    finally:
        client.close()
    assert capfd.readouterr().out == "up\ngot go\nup\n"


@pytest.mark.parametrize("flags", ["-it", "-t"])
def test_why_it_ended_begins_a_line_of_its_own(
    flags: str, box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("expect middle\nexpect never 0.3")
    command = "printf 'in the middle'; exec sleep 60"
    terminal = typed(sessions, "exec", flags, "--expect", path, name_of(box), "sh", "-c", command)
    assert terminal.wait() == 124
    assert b"in the middle\r\ndpty: cannot find 'never'" in terminal.output
    assert terminal.is_as_before()


def test_without_a_failure_nothing_is_added_to_the_last_line(
    box: Container, sessions: Sessions, script: Callable[[str], str]
) -> None:
    path = script("expect middle")
    command = "printf 'in the middle'"
    terminal = typed(sessions, "exec", "-it", "--expect", path, name_of(box), "sh", "-c", command)
    assert terminal.wait() == 0
    assert terminal.output == b"in the middle"
