"""`dpty exec` on a real engine: exit codes, what goes where, what is left running."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker import errors as docker_errors
from docker.models.containers import Container

import dockerpty
from tests.bed.engine import Bench
from tests.bed.proxy import Proxy
from tests.bed.terminal import CLOSED, NULL, PIPE, TTY
from tests.bed.transports import Transport
from tests.engine.command import DETACH, DPTY, Done, docker, dpty, environment, shell, typed
from tests.engine.conftest import Sessions


def seen(done: Done) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


def name_of(container: Container) -> str:
    return str(container.name)


def is_there(bench: Bench, box: Container, mark: str) -> bool:
    return any(mark in line for line in bench.processes(box))


def expect_gone(bench: Bench, box: Container, mark: str) -> None:
    bench.wait_for(lambda: not is_there(bench, box, mark), 10, f"the end of {mark}")


_numbers = itertools.count(1)


@pytest.fixture
def mark() -> str:
    """A number for `sleep` that no other test uses: how its process is found again."""
    return f"{os.getpid()}{next(_numbers):03d}"


# Where docker has a behaviour, it is ours: same code, same stdout.


@pytest.mark.parametrize(
    ("flags", "command", "stdin"),
    [
        ("", "echo shown", None),
        ("", "exit 7", None),
        ("", "exit 255", None),
        ("", "kill -9 $$", None),
        ("", "kill -TERM $$", None),
        ("", "cat", b"not read\n"),
        ("-i", "cat", b"some\ninput without an end"),
        ("-i", "wc -c", b"x" * 300_000),
        ("-i", "cat", b""),
        ("-i", "wc -c", None),
        ("-w /tmp", "pwd", None),
        ("-u 1:2", "id -u; id -g", None),
        ("-e A=1 -e B= -e LC_ALL", "echo $A-$B-$LC_ALL", None),
        ("-e HOME_NOT_SET -e PATH=/bin", "echo ${HOME_NOT_SET-unset} $PATH", None),
        ("-t", "test -t 0 && test -t 1 && echo shown", None),
        ("-t", "exit 3", None),
        ("--interactive=false -t=false", "tty", None),
    ],
)
def test_what_docker_does_with_it_dpty_does(
    flags: str, command: str, stdin: bytes | None, box: Container, transport: Transport, sessions: Sessions
) -> None:
    if transport.name == "podman" and "NOT_SET" in flags:
        pytest.skip("Podman refuses to run anything with a variable that has no value")
    argv = ["exec", *flags.split(), name_of(box), "sh", "-c", command]
    ours, theirs = dpty(sessions, *argv, stdin=stdin), docker(sessions, *argv, stdin=stdin)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert ours.stderr == b""


def test_stdout_and_stderr_stay_apart(box: Container, sessions: Sessions) -> None:
    done = dpty(sessions, "exec", name_of(box), "sh", "-c", "echo out; echo err >&2; exit 5")
    assert seen(done) == (5, b"out\n", b"err\n")


def test_variables_come_from_a_file_and_those_given_count_more(
    box: Container, sessions: Sessions, tmp_path: Path
) -> None:
    file = tmp_path / "variables"
    file.write_text("# comment\nA=file\nB=file here\nLC_ALL\n")
    argv = ["exec", "--env-file", str(file), "-e", "A=line", name_of(box), "sh", "-c", "echo $A $B $LC_ALL"]
    assert seen(dpty(sessions, *argv)) == (0, b"line file here C.UTF-8\n", b"")
    assert docker(sessions, *argv).stdout == b"line file here C.UTF-8\n"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["no-such-program"], 127, b"executable file not found"),
        (["/no/such/program"], 127, b"no such file"),
        (["/tmp"], 126, b"permission denied"),
        (["-u", "nobody-here", "true"], 126, b"unable to find user"),
    ],
)
def test_a_command_that_cannot_start_has_its_code_and_says_why_on_stderr(
    command: list[str], code: int, words: bytes, box: Container, sessions: Sessions
) -> None:
    flags, command = (command[:2], command[2:]) if command[0] == "-u" else ([], command)
    done = dpty(sessions, "exec", *flags, name_of(box), *command)
    assert (done.returncode, done.stdout) == (code, b"")
    assert words in done.stderr


def test_a_container_that_is_not_there_is_125(sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "no-such-container", "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"dpty: cannot exec in no-such-container: no such container; ")


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        ("created", "start it first"),
        ("exited", "start it first"),
        ("paused", "unpause it first"),
        ("restarting", "wait until it runs"),
    ],
)
@pytest.mark.parametrize(
    ("verb", "action"),
    [("exec", "exec in"), ("shell", "exec in"), ("shell --toolbox busybox", "open a shell in")],
)
def test_a_container_in_another_state_is_125_and_names_it(
    verb: str, action: str, state: str, hint: str, bench: Bench, sessions: Sessions
) -> None:
    if state == "restarting":
        bench.needs_pauses_between_restarts()
        container = bench.container("exit 1", host={"restart_policy": {"Name": "always"}}, start=True)
        bench.wait_for(lambda: bench.state(container)["Restarting"], 20, "a restart")
    else:
        container = bench.container("exit 0" if state == "exited" else ("tail", "-f", "/dev/null"))
        if state != "created":
            container.start()
        if state == "exited":
            bench.wait_for_exit(container)
        if state == "paused":
            container.pause()
    argv = [*verb.split(), name_of(container), *(["true"] if verb == "exec" else [])]
    line = f"dpty: cannot {action} {name_of(container)}: it is {state}; {hint}\n"
    if state == "restarting":
        # The engine waits ever longer between two restarts: the next moment is one of waiting.
        bench.wait_for(lambda: seen(dpty(sessions, *argv)) == (125, b"", line.encode()), 20, "a refusal")
    else:
        assert seen(dpty(sessions, *argv)) == (125, b"", line.encode())
    if state == "paused":
        container.unpause()


def test_what_state_it_is_in_is_asked_only_of_one_that_does_not_run(
    bench: Bench, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    assert seen(dpty(sessions, "exec", name_of(box), "true")) == (0, b"", b"")
    assert proxy.count("GET", "/containers/") == 0
    exited = bench.container()
    assert dpty(sessions, "exec", name_of(exited), "true").returncode == 125
    assert proxy.count("GET", "/containers/") == 1


def test_the_engines_own_words_are_kept_for_programs(bench: Bench) -> None:
    container = bench.container()
    with pytest.raises(docker_errors.APIError) as caught:
        dockerpty.exec_create(bench.client, container, "true")
    assert str(caught.value) == f"cannot exec in {container.name}: it is created; start it first"
    words, code = ("container state improper", 500) if bench.is_podman else ("is not running", 409)
    assert words in (caught.value.explanation or "")
    assert caught.value.status_code == code


def test_privileges_are_asked_for(box: Container, proxy: Proxy, sessions: Sessions) -> None:
    # Asked for only: an engine inside a container cannot give them.
    for flags in ([], ["--privileged"]):
        dpty(sessions, "exec", *flags, name_of(box), "true")
    asked = [
        json.loads(request.body).get("Privileged", False)
        for request in proxy.seen("POST", "/containers/.*/exec$")
    ]
    assert asked == [False, True]


def test_the_engine_can_be_named_on_the_line(box: Container, sessions: Sessions) -> None:
    host = sessions.env["DOCKER_HOST"]
    assert host is not None
    done = dpty(sessions, "-H", host, "exec", name_of(box), "echo", "there", DOCKER_HOST="unix:///no/such")
    assert seen(done) == (0, b"there\n", b"")


# Input


def test_without_i_a_loops_input_is_left_to_the_loop(box: Container, sessions: Sessions) -> None:
    script = f"printf 'a\\nb\\nc\\n' | while read line; do dpty exec FLAG {name_of(box)} echo $line; done"
    for flag in ("", "-n", "-in"):
        assert shell(sessions, script.replace("FLAG", flag)).stdout == b"a\nb\nc\n"


def test_closed_input_is_no_input(box: Container, sessions: Sessions) -> None:
    done = shell(sessions, f"dpty exec -i {name_of(box)} wc -c <&-")
    assert seen(done) == (0, b"0\n", b"")


def test_closed_stderr_takes_nothing_from_stdout(box: Container, sessions: Sessions) -> None:
    done = shell(sessions, f"dpty exec {name_of(box)} sh -c 'echo error >&2; echo output' 2>&-")
    assert seen(done) == (0, b"output\n", b"")


# Terminals


def test_auto_takes_a_terminal_only_with_one_on_both_sides(box: Container, sessions: Sessions) -> None:
    argv = ("exec", "-i", "--tty=auto", name_of(box), "sh", "-c", "tty; exit 4")
    for stdin, stdout in ((TTY, PIPE), (NULL, TTY), (CLOSED, TTY)):
        without = typed(sessions, *argv, stdin=stdin, stdout=stdout)
        assert without.wait() == 4
        assert b"not a tty" in without.output + (without.stdout if stdout == PIPE else b"")
    with_both = typed(sessions, *argv)
    assert with_both.wait() == 4
    assert b"/dev/pts/" in with_both.output
    assert with_both.is_as_before()


def test_a_terminal_where_stdin_is_none_is_refused_before_anything_is_created(
    bench: Bench, box: Container, sessions: Sessions
) -> None:
    before = len(bench.execs(box))
    done = dpty(sessions, "exec", "-it", name_of(box), "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"the input device is not a TTY; use --tty=auto" in done.stderr
    assert len(bench.execs(box)) == before


def test_a_person_works_in_a_shell_and_leaves_with_its_code(box: Container, sessions: Sessions) -> None:
    terminal = typed(sessions, "exec", "-it", name_of(box), "sh", rows=31, cols=97, env={"TERM": "screen"})
    terminal.expect("# ")
    assert terminal.is_raw()
    # An engine before API 1.42 gives the process its size a moment after its start.
    terminal.send("until [ \"$(stty size)\" = '31 97' ]; do sleep 0.05; done 2>&-; echo $TERM END''MARK\r")
    terminal.expect("screen ENDMARK")
    terminal.send("exit 9\r")
    assert terminal.wait() == 9
    assert terminal.is_as_before()


@pytest.mark.parametrize(
    ("term", "flags", "shown"),
    [
        ("screen", [], b"screen"),
        ("screen", ["-e", "TERM=vt52"], b"vt52"),
        ("dumb", [], b"dumb"),
        (None, [], b"xterm"),
    ],
)
def test_the_process_is_told_which_terminal_it_has(
    term: str | None, flags: list[str], shown: bytes, box: Container, sessions: Sessions
) -> None:
    terminal = typed(
        sessions, "exec", "-t", *flags, name_of(box), "sh", "-c", "echo =$TERM=", env={"TERM": term}
    )
    assert terminal.wait() == 0
    assert b"=" + shown + b"=" in terminal.output


# Detaching


def detached_from(box: Container) -> bytes:
    return b"dpty: detached from " + name_of(box).encode()


@pytest.mark.parametrize("keys", [None, "ctrl-a,d", "ctrl-^"])
def test_the_detach_keys_leave_the_process_running(
    keys: str | None, bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    typed_keys = {None: DETACH, "ctrl-a,d": b"\x01d", "ctrl-^": b"\x1e"}[keys]
    flags = [] if keys is None else ["--detach-keys", keys]
    terminal = typed(sessions, "exec", "-it", *flags, name_of(box), "sh", "-c", f"echo up; exec sleep {mark}")
    terminal.expect("up")
    terminal.send(typed_keys)
    terminal.expect(detached_from(box) + b"\r\n")
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert is_there(bench, box, mark)
    bench.run_inside(box, f"pkill -f 'sleep {mark}'")


def test_the_detach_keys_of_dockers_configuration_are_used(
    bench: Bench, box: Container, sessions: Sessions, tmp_path: Path, mark: str
) -> None:
    (tmp_path / "config.json").write_text('{"detachKeys": "ctrl-x,x"}')
    command = ("sh", "-c", f"echo up; exec sleep {mark}")
    terminal = typed(sessions, "exec", "-it", name_of(box), *command, env={"DOCKER_CONFIG": str(tmp_path)})
    terminal.expect("up")
    terminal.send(b"\x18x")
    terminal.expect(detached_from(box))
    assert terminal.wait() == 0
    bench.run_inside(box, f"pkill -f 'sleep {mark}'")


def test_without_detach_keys_they_are_keys_like_any_other(box: Container, sessions: Sessions) -> None:
    command = ("sh", "-c", "stty raw -echo; echo up; head -c 3 | od -An -tx1")
    terminal = typed(sessions, "exec", "-it", "--detach-keys", "none", name_of(box), *command)
    terminal.expect("up")
    terminal.send(DETACH + b"z")
    terminal.expect("10 11 7a")
    assert terminal.wait() == 0


# In the background


def test_a_detached_exec_prints_nothing_and_runs(
    bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    assert seen(dpty(sessions, "exec", "-d", name_of(box), "sleep", mark)) == (0, b"", b"")
    bench.wait_for(lambda: is_there(bench, box, mark), 10, "the process")
    bench.run_inside(box, f"pkill -f 'sleep {mark}'")


def test_a_detached_exec_needs_no_terminal_here(box: Container, sessions: Sessions) -> None:
    assert seen(dpty(sessions, "exec", "-itd", name_of(box), "true")) == (0, b"", b"")


# Ends that are not the process's own


@pytest.mark.parametrize("flags", [["-i"], ["-t"], []])
def test_past_its_time_limit_the_process_is_ended_and_the_code_is_124(
    flags: list[str], bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    done = dpty(sessions, "exec", *flags, "--timeout", "0.5", name_of(box), "sleep", mark)
    assert (done.returncode, done.stdout) == (124, b"")
    assert done.stderr == f"dpty: cannot go on with {name_of(box)}: it took longer than 0.5 s\n".encode()
    expect_gone(bench, box, mark)


def test_past_its_time_limit_a_process_that_ignores_the_signal_is_killed(
    bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    command = ("sh", "-c", f'trap "" TERM; while :; do sleep {mark} & wait; done')
    done = dpty(sessions, "exec", "--timeout", "1", name_of(box), *command)
    assert done.returncode == 124
    expect_gone(bench, box, mark)


def test_past_its_idle_limit_the_process_is_ended_and_the_code_is_124(
    bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    command = ("sh", "-c", f"for i in 1 2 3; do echo $i; sleep 0.2; done; exec sleep {mark}")
    done = dpty(sessions, "exec", "--idle-timeout", "1.5", name_of(box), *command)
    assert (done.returncode, done.stdout) == (124, b"1\n2\n3\n")
    assert b"nothing moved for 1.5 s" in done.stderr
    expect_gone(bench, box, mark)


IDLE_BEYOND_SILENCE = """
import dockerpty, sys, time
from dockerpty.exec import ExecOperation
from tests.bed.scripts.clients import from_env
ExecOperation._silence_s = 0.2
began = time.monotonic()
try:
    dockerpty.exec_command(from_env(), sys.argv[1], ["sleep", "15"], interactive=False, idle_timeout=1)
except dockerpty.SessionTimeout:
    print("over after", int(time.monotonic() - began))
"""


def test_an_idle_limit_above_the_time_after_which_silence_is_looked_into_is_kept(
    box: Container, sessions: Sessions
) -> None:
    terminal = sessions.python(IDLE_BEYOND_SILENCE, name_of(box))
    terminal.expect(re.compile(rb"over after [123]\r"), 12)


SILENCE = """
import dockerpty, sys
from dockerpty.exec import ExecOperation
from tests.bed.scripts.clients import from_env
ExecOperation._silence_s = 0.1
command = ["sh", "-c", "echo up; read line; echo $line; exit 6"]
code = dockerpty.exec_command(from_env(), sys.argv[1], command, tty=False)
print("code", code, file=sys.stderr)
"""


def test_a_session_goes_on_where_no_other_connection_can_be_made_to_ask_why_it_is_silent(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    terminal = sessions.python(SILENCE, name_of(box), stdin=PIPE, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    proxy.refuse_connections()
    # Idle for several times as long as it takes to be asked.
    assert terminal.read_for(0.5) == b""
    terminal.feed(b"there\n", end=True)
    terminal.expect_stdout("there")
    assert terminal.wait() == 0, terminal.stderr
    assert terminal.stderr == b"code 6\n"


def test_a_reader_that_has_gone_ends_both_by_sigpipe(
    bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    command = ("sh", "-c", f"while echo {mark}; do sleep 0.05; done")
    terminal = typed(sessions, "exec", name_of(box), *command, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout(mark)
    terminal.stop_reading("stdout")
    assert terminal.wait() == -signal.SIGPIPE
    assert terminal.stderr == b""
    expect_gone(bench, box, mark)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"])
def test_a_signal_ends_the_process_and_then_us(
    name: str, bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    number = getattr(signal, name)
    # A shell that is interrupted ends its sleep; one in the background would ignore INT and QUIT.
    command = (
        "sh",
        "-c",
        f"trap 'exit 3' HUP INT QUIT TERM; echo up; while true; do sleep 0.1; done; : {mark}",
    )
    terminal = typed(sessions, "exec", name_of(box), *command, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    terminal.signal(number)
    assert terminal.wait() == -number
    assert terminal.stderr == b""
    expect_gone(bench, box, mark)


def may_still_run(container: Container) -> bytes:
    return b"dpty: the process in %s may still run: " % name_of(container).encode()


def test_where_there_is_no_sh_the_process_stays_and_one_line_says_so(
    bare: Callable[..., Container], bench: Bench, sessions: Sessions, mark: str
) -> None:
    target = bare()
    line = ("/bin/sleep", mark)
    terminal = typed(sessions, "exec", name_of(target), *line, stdout=PIPE, stderr=PIPE)
    bench.wait_for(lambda: " ".join(line) in bench.processes(target), 10, "the process")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == -signal.SIGTERM
    why = rb'OCI runtime [ -~]*"sh": executable file not found in \$PATH[ -~]*'
    if bench.is_podman:
        # As its runtime says it, by that one's name.
        why = (
            rb"Error: (runc|crun): [ -~]*executable file [ -~]*not found in \$PATH(?![ -~]*unixpacket)[ -~]*"
        )
    assert re.fullmatch(may_still_run(target) + why + rb"\n", terminal.stderr), terminal.stderr
    assert " ".join(line) in bench.processes(target)


@pytest.mark.parametrize("which", ["create", "start", "answer"])
def test_the_search_for_the_process_has_two_seconds(
    which: str, bench: Bench, box: Container, proxy: Proxy, sessions: Sessions, mark: str
) -> None:
    terminal = typed(
        sessions, "exec", name_of(box), "sh", "-c", f"echo up; sleep {mark}", stdout=PIPE, stderr=PIPE
    )
    terminal.expect_stdout("up")
    never = threading.Event()
    if which == "create":
        proxy.on("POST", "/containers/.*/exec$", hold_answer=never)
    elif which == "start":
        proxy.on("POST", "/exec/.*/start", hold_answer=never)
    else:
        proxy.on("POST", "/exec/.*/start", cut_down=0, cut="swallow")
    began = time.monotonic()
    terminal.signal(signal.SIGTERM)
    assert terminal.wait(20) == -signal.SIGTERM
    assert 1.5 < time.monotonic() - began < 8
    why = rb"([ -~]*the engine at [ -~]*: it did not answer in time[ -~]*|no answer within 2 s)"
    assert re.fullmatch(may_still_run(box) + why + rb"\n", terminal.stderr), terminal.stderr
    bench.run_inside(box, f"pkill -f 'sleep {mark}'")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    "flags",
    [
        ["--sig-proxy=false"],
        ["--no-reap"],
        ["--sig-proxy=false", "--timeout=60"],
        ["--sig-proxy=false", "--idle-timeout=60"],
    ],
    ids=" ".join,
)
def test_a_signal_ends_only_us_where_the_process_is_to_be_left(
    flags: list[str], number: int, bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    command = ("sh", "-c", f"echo up; sleep {mark}")
    terminal = typed(sessions, "exec", *flags, name_of(box), *command, stdout=PIPE)
    terminal.expect_stdout("up")
    # By then a guardian is there, if one is to be.
    terminal.read_for(0.3)
    terminal.signal(number)
    assert terminal.wait() == -number
    # The guardian takes some moments.
    terminal.read_for(1 if number == signal.SIGKILL else 0)
    assert is_there(bench, box, mark)
    bench.run_inside(box, f"pkill -f 'sleep {mark}'")


def test_the_third_ctrl_c_ends_us_while_an_engine_that_is_stuck_starts_nothing(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    rule = proxy.on("POST", "/exec/.*/start", times=1, hold_request=threading.Event())
    terminal = typed(sessions, "exec", name_of(box), "true", stderr=PIPE)
    terminal.wait_until(lambda: rule.applied > 0)
    for _ in range(3):
        assert terminal.process.poll() is None
        terminal.send("\x03")
        # Two that come at once are one.
        assert terminal.read_for(0.2) == b"^C"
    assert terminal.wait() == -signal.SIGINT
    assert terminal.stderr == b""
    assert terminal.is_as_before()


def test_ctrl_c_that_is_not_the_remotes_is_a_death_by_sigint(
    bench: Bench, box: Container, sessions: Sessions, mark: str
) -> None:
    terminal = typed(sessions, "exec", name_of(box), "sh", "-c", f"echo up; sleep {mark}")
    terminal.expect("up")
    terminal.send(b"\x03")
    assert terminal.wait() == -signal.SIGINT
    assert b"Traceback" not in terminal.output
    expect_gone(bench, box, mark)


def test_ctrl_c_in_a_terminal_is_the_remotes(box: Container, sessions: Sessions) -> None:
    command = ("sh", "-c", "trap 'exit 33' INT; echo up; while true; do sleep 0.1; done")
    terminal = typed(sessions, "exec", "-it", name_of(box), *command)
    terminal.expect("up")
    terminal.send(b"\x03")
    assert terminal.wait() == 33


def test_a_lost_session_is_255_and_says_so(
    box: Container, proxy: Proxy, sessions: Sessions, mark: str
) -> None:
    terminal = typed(
        sessions, "exec", name_of(box), "sh", "-c", f"echo up; sleep {mark}", stdout=PIPE, stderr=PIPE
    )
    terminal.expect_stdout("up")
    proxy.refuse_connections()
    proxy.drop_connections()
    assert terminal.wait(30) == 255, terminal.stderr
    assert terminal.stderr.startswith(b"dpty: cannot "), terminal.stderr
    assert terminal.stderr.count(b"\n") == 1
    box.exec_run(["pkill", "-f", f"sleep {mark}"])


def test_a_container_removed_in_the_middle_is_137(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    terminal = typed(sessions, "exec", name_of(container), "sh", "-c", "echo up; sleep 1000", stdout=PIPE)
    terminal.expect_stdout("up")
    container.remove(force=True)
    assert terminal.wait(30) == 137


def test_it_is_removed_also_where_another_has_its_name_by_then(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    removed = threading.Event()
    # Asked a moment earlier, the engine still knows that it was killed.
    proxy.on("GET", "/exec/.*/json", hold_request=removed)
    container = bench.container(start=True)
    name = name_of(container)
    terminal = typed(sessions, "exec", name, "sh", "-c", "echo up; sleep 1000", stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    container.rename(f"{name}-renamed")
    # The engine tells its time in whole seconds.
    terminal.read_for(2.1)
    other = bench.container(name=name, start=True)
    container.remove(force=True)
    removed.set()
    assert (terminal.wait(30), terminal.stderr) == (137, b"")
    assert bench.is_running(other)


def test_an_exec_that_the_engine_has_forgotten_is_lost_where_its_container_is_still_there(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    # As after a restart of the engine.
    proxy.on("GET", "/exec/.*/json", answer=(404, b'{"message":"No such exec instance: 4ad"}'))
    done = dpty(sessions, "exec", name_of(box), "sh", "-c", "echo shown; exit 3")
    assert seen(done) == (
        255,
        b"shown\n",
        b"dpty: cannot learn the exit code of %s: the engine no longer knows it;"
        b" its process may still run: look before you start it again\n" % name_of(box).encode(),
    )
    assert proxy.count("GET", "/containers/.*/json") == 1


def test_an_engine_that_is_gone_when_the_exit_code_is_asked_for_is_told_from_one_that_has_forgotten_it(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    terminal = typed(
        sessions, "exec", name_of(box), "sh", "-c", "echo up; exec sleep 1000", stdout=PIPE, stderr=PIPE
    )
    terminal.expect_stdout("up")
    proxy.refuse_connections()
    proxy.drop_connections()
    assert terminal.wait(30) == 255
    words = b"dpty: cannot learn the exit code of %s: cannot reach the engine " % name_of(box).encode()
    assert terminal.stderr.startswith(words)
    assert len(terminal.stderr.splitlines()) == 1


@pytest.mark.parametrize("status", ["removing", "dead", "exited"])
def test_a_container_that_is_being_removed_is_as_good_as_removed(
    status: str, bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    # One that has ended is about to be removed if it removes itself.
    container = bench.container(start=True, host={"auto_remove": status == "exited"})
    terminal = typed(
        sessions, "exec", name_of(container), "sh", "-c", "echo up; sleep 1000", stdout=PIPE, stderr=PIPE
    )
    terminal.expect_stdout("up")
    # For a moment the engine has forgotten the exec and still knows the container.
    container.reload()
    going = {**container.attrs, "State": {**container.attrs["State"], "Status": status, "Running": False}}
    proxy.on("GET", "/exec/.*/json", answer=(404, b'{"message": "No such exec instance"}'))
    inspected = proxy.on(
        "GET", f"/containers/{container.name}/json", answer=(200, json.dumps(going).encode())
    )
    container.remove(force=True)
    assert terminal.wait(30) == 137
    assert terminal.stderr in (b"", f"dpty: {container.name} was removed\n".encode())
    assert inspected.applied == 1


def test_a_full_stdout_is_125_and_says_so(box: Container, sessions: Sessions) -> None:
    done = shell(sessions, f"dpty exec {name_of(box)} echo shown > /dev/full")
    assert (done.returncode, done.stderr) == (125, b"dpty: cannot write to stdout: No space left on device\n")


def test_twenty_at_once_do_not_disturb_each_other(box: Container, sessions: Sessions) -> None:
    argv = [*DPTY, "exec", "-i", name_of(box), "sh", "-c"]
    running = [
        subprocess.Popen(
            [*argv, f"cat; exit {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(sessions),
        )
        for number in range(20)
    ]
    for number, process in enumerate(running):
        out, err = process.communicate(b"%d\n" % number * 1000, timeout=60)
        assert (process.returncode, out, err) == (number, b"%d\n" % number * 1000, b"")
