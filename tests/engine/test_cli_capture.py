"""`--json`, `--latest`, `--wait`, `--quiet` and `--term-env` of `dpty exec` on a real engine."""

from __future__ import annotations

import base64
import json
import signal
from typing import Any

import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench
from tests.bed.proxy import Proxy
from tests.engine.command import DETACH, Done, dpty, only, typed
from tests.engine.conftest import Sessions


def name_of(container: Container) -> str:
    return str(container.name)


def document_of(done: Done) -> dict[str, Any]:
    assert done.stdout.count(b"\n") == 1
    found: dict[str, Any] = json.loads(done.stdout)
    return found


KEYS = [
    *("container", "exec", "command", "exit_code", "reason", "signal"),
    *("stdout", "stderr", "truncated", "duration"),
]


def test_an_execs_result_is_one_object_and_dptys_code_the_processs(
    box: Container, sessions: Sessions
) -> None:
    words = ["sh", "-c", "echo out; echo err >&2; exit 7"]
    done = dpty(sessions, "exec", "--json", name_of(box), *words)
    assert (done.returncode, done.stderr) == (7, b"")
    found = document_of(done)
    assert list(found) == KEYS
    assert (found["container"], found["command"], found["exit_code"]) == (box.id, words, 7)
    assert (found["reason"], found["signal"], found["truncated"]) == ("exited", None, False)
    assert (found["stdout"], found["stderr"]) == ("out\n", "err\n")
    assert len(found["exec"]) == 64
    assert 0 < found["duration"] < 30


def test_a_runs_result_is_one_object_too(bench: Bench, sessions: Sessions) -> None:
    argv = [
        "run",
        "--rm",
        "--network",
        "none",
        "--json",
        IMAGE,
        "sh",
        "-c",
        "echo out; kill -9 $$; sleep 1; exit 3",
    ]
    done = dpty(sessions, *argv)
    assert done.returncode == 3
    found = document_of(done)
    assert (found["exec"], found["exit_code"], found["stdout"]) == (None, 3, "out\n")
    assert found["command"][0] == "sh"


def test_bytes_that_are_no_text_have_a_twin(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "--json", name_of(box), "printf", "\\377\\000")
    assert base64.b64decode(document_of(done)["stdout_b64"]) == b"\xff\x00"


def test_what_is_piped_in_is_read_and_a_signal_is_told(box: Container, sessions: Sessions) -> None:
    done = dpty(
        sessions, "exec", "-i", "--json", name_of(box), "sh", "-c", "wc -c; kill -9 $$", stdin=b"12345"
    )
    found = document_of(done)
    assert (done.returncode, found["stdout"], found["signal"]) == (137, "5\n", 9)


def test_what_is_too_much_is_cut_and_the_process_ends_all_the_same(
    box: Container, sessions: Sessions
) -> None:
    script = "head -c 9000000 /dev/zero | tr '\\0' x; exit 4"
    done = dpty(sessions, "exec", "--json", name_of(box), "sh", "-c", script)
    found = document_of(done)
    assert (done.returncode, found["truncated"]) == (4, True)
    assert len(found["stdout"]) == 8 * 1024 * 1024


def test_a_time_limit_has_a_document_and_its_error_on_stderr(box: Container, sessions: Sessions) -> None:
    argv = ["exec", "--json", "--timeout", "0.5", name_of(box), "sh", "-c", "echo begun; exec sleep 70"]
    done = dpty(sessions, *argv)
    found = document_of(done)
    assert (done.returncode, found["exit_code"], found["reason"]) == (124, None, "timeout")
    assert found["stdout"] == "begun\n"
    assert done.stderr.count(b"\n") == 1


def test_what_cannot_start_has_its_code_and_why_in_the_document(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "--json", name_of(box), "no-such-program")
    found = document_of(done)
    assert (done.returncode, found["exit_code"], found["stdout"]) == (127, 127, "")
    assert "executable file not found" in found["stderr"]


def test_what_never_began_has_no_document(sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "--json", "no-such-container", "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.count(b"\n") == 1


def test_a_terminal_is_refused(box: Container, sessions: Sessions) -> None:
    for argv in (["exec", "--json", "-t", name_of(box), "true"], ["run", "--json", "-t", IMAGE]):
        done = dpty(sessions, *argv)
        assert (done.returncode, done.stdout) == (125, b"")
        assert b"cannot use --json with -t" in done.stderr


def test_detached_the_id_of_the_exec_is_told(bench: Bench, box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "-d", "--json", name_of(box), "sleep", "1")
    found = document_of(done)
    assert (done.returncode, found["command"]) == (0, ["sleep", "1"])
    assert bench.exec_info(found["exec"])["ContainerID"] == box.id
    assert dpty(sessions, "exec", "-d", name_of(box), "true").stdout == b""


# Which one, and when


def test_detached_the_container_is_told_by_its_full_id_however_it_was_named(
    box: Container, sessions: Sessions
) -> None:
    for name in (name_of(box), str(box.id)[:12]):
        found = document_of(dpty(sessions, "exec", "-d", "--json", name, "true"))
        assert found["container"] == box.id


def test_the_newest_running_container_needs_no_name(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    older, newest, idle = bench.container(start=True), bench.container(start=True), bench.container()
    only(proxy, older, newest, idle)
    done = dpty(sessions, "exec", "-l", "hostname")
    assert (done.returncode, done.stdout) == (0, f"{newest.short_id}\n".encode())


def test_a_container_between_two_restarts_is_waited_for(bench: Bench, sessions: Sessions) -> None:
    bench.needs_pauses_between_restarts()
    script = "touch /file; echo x >>/file; [ $(wc -l </file) -ge 4 ] && exec sleep 60; exit 1"
    container = bench.container(script, host={"restart_policy": {"Name": "always"}}, start=True)
    bench.wait_for(lambda: bench.state(container)["Restarting"], 10, "a restart")
    bench.wait_for(
        lambda: (
            dpty(sessions, "exec", "--wait", "20", name_of(container), "echo", "there").stdout == b"there\n"
        ),
        30,
        "an exec between two restarts",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_wait_can_be_broken_off(number: int, bench: Bench, sessions: Sessions) -> None:
    terminal = typed(sessions, "exec", "--wait", "60", name_of(bench.container()), "true")
    terminal.read_for(0.5)
    terminal.signal(number)
    assert terminal.wait() == -number


def test_the_wait_has_an_end_and_names_the_state(bench: Bench, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "--wait", "0.3", name_of(bench.container()), "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"dpty: cannot exec in " in done.stderr
    assert b"it is created after 0.3 s; start it first" in done.stderr


def test_quiet_says_nothing_of_ours_but_errors(box: Container, sessions: Sessions) -> None:
    terminal = typed(sessions, "exec", "-it", "--quiet", name_of(box), "sh")
    terminal.expect("# ")
    terminal.send(DETACH)
    assert terminal.wait() == 0
    assert b"dpty:" not in terminal.output
    assert b"dpty: cannot" in dpty(sessions, "exec", "--quiet", "no-such-container", "true").stderr


def test_colours_are_passed_on_only_if_asked_for(box: Container, sessions: Sessions) -> None:
    colours: dict[str, Any] = {"COLORTERM": "truecolor", "NO_COLOR": "1"}
    script = "echo ${COLORTERM-none} ${NO_COLOR-none}"
    argv = [name_of(box), "sh", "-c", script]
    assert dpty(sessions, "exec", *argv, **colours).stdout == b"none none\n"
    assert dpty(sessions, "exec", "--term-env", *argv, **colours).stdout == b"truecolor 1\n"
    assert dpty(sessions, "exec", "--term-env", "-e", "NO_COLOR", *argv, **colours).stdout == b"truecolor 1\n"
