"""`dpty run` on a real engine: exit codes, what the container is like, and what is left of it."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from docker.models.containers import Container

from dockerpty.container.ownership import owner
from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.terminal import NULL, PIPE, Terminal
from tests.bed.transports import Transport
from tests.engine.command import DETACH, Done, dpty, shell, typed
from tests.engine.command import docker as docker_command
from tests.engine.conftest import Sessions

# The tests' containers have no network: an engine inside a container may have none to give.
RUN = ("run", "--network", "none")


def seen(done: Done) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def name(bench: Bench) -> Iterator[str]:
    """A container's name; what has it at the end of the test is removed."""
    name = bench.name()
    yield name
    # One of --rm may be on its way out.
    if left := found(bench, name):
        with suppress(docker.errors.NotFound):  # it is gone
            bench.adopt(str(left.id))


def found(bench: Bench, name: str) -> Container | None:
    try:
        return bench.client.containers.get(name)
    except docker.errors.NotFound:
        return None
    except docker.errors.APIError as error:
        # Podman's words for one that goes away while it is looked at.
        if "no such container" not in str(error):
            raise
        return None


def attributes(bench: Bench, name: str) -> dict[str, Any]:
    container = found(bench, name)
    assert container is not None
    return dict(container.attrs)


def expect_gone(bench: Bench, name: str) -> None:
    bench.wait_for(lambda: found(bench, name) is None, 20, f"the removal of {name}")


# Where docker has a behaviour, it is ours: same code, same stdout.


@pytest.mark.parametrize(
    ("flags", "command", "stdin"),
    [
        ("", "echo shown", None),
        ("", "exit 7", None),
        ("", "kill -9 $$; sleep 1; exit 5", None),
        ("", "cat", b"not read\n"),
        ("-i", "cat", b"some\ninput without an end"),
        ("-i", "wc -c", b"x" * 300_000),
        ("-i", "cat", b""),
        ("-i", "wc -c", None),
        ("-w /tmp", "pwd", None),
        ("-u 1:2", "id -u; id -g", None),
        ("-h box", "hostname", None),
        ("-e A=1 -e B= -e LC_ALL -e NOT_SET_HERE", "echo $A-$B-$LC_ALL-${NOT_SET_HERE-unset}", None),
        ("-v /own", "test -d /own && echo mounted", None),
        ("--entrypoint echo", "shown", None),
        ("-t", "test -t 0 && test -t 1 && echo shown", None),
        ("-l a=b", "exit 0", None),
    ],
)
def test_what_docker_does_with_it_dpty_does(
    flags: str, command: str, stdin: bytes | None, bench: Bench, transport: Transport, sessions: Sessions
) -> None:
    argv = [
        *RUN,
        "--rm",
        *flags.split(),
        IMAGE,
        *(["sh"] if "entrypoint" not in flags else []),
        "-c",
        command,
    ]
    ours, theirs = dpty(sessions, *argv, stdin=stdin), docker_command(sessions, *argv, stdin=stdin)
    assert ours.stdout == theirs.stdout
    # Docker's command waits for the removal, to which Podman answers 0 whatever the code was.
    if transport.name != "podman":
        assert ours.returncode == theirs.returncode
    assert ours.stderr == b""


def test_stdout_and_stderr_stay_apart(bench: Bench, sessions: Sessions) -> None:
    done = dpty(sessions, *RUN, "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 5")
    assert seen(done) == (5, b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("no-such-program", 127, b"executable file not found"),
        ("/no/such/program", 127, b"no such file"),
        ("/tmp", 126, b"permission denied"),
    ],
)
def test_a_command_that_cannot_start_has_dockers_code_and_says_why(
    command: str, code: int, words: bytes, bench: Bench, transport: Transport, sessions: Sessions, name: str
) -> None:
    done = dpty(sessions, *RUN, "--rm", "--name", name, IMAGE, command)
    assert (done.returncode, done.stdout) == (code, b"")
    # Podman prepares the process when it is attached to; docker's command takes that for a fault of its own.
    is_podman = transport.name == "podman"
    assert done.stderr.startswith(f"dpty: cannot {'attach to' if is_podman else 'start'} {name}: ".encode())
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert is_podman or docker_command(sessions, *RUN, "--rm", IMAGE, command).returncode == code
    expect_gone(bench, name)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--name", "in valid", IMAGE], b"[a-zA-Z0-9][a-zA-Z0-9_.-]"),
        (["-v", "relative/x:y", IMAGE], b"invalid"),
        (["-u", "nobody-here", IMAGE, "true"], b"unable to find user"),
        (["IN:VALID:", "true"], b"invalid reference format"),
    ],
)
def test_what_the_engine_refuses_is_125_in_one_line(
    argv: list[str], words: bytes, bench: Bench, sessions: Sessions
) -> None:
    done = dpty(sessions, *RUN, "--rm", *argv)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"dpty: cannot ")
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_name_that_is_taken_is_125(bench: Bench, sessions: Sessions) -> None:
    taken = str(bench.container().name)
    done = dpty(sessions, *RUN, "--name", taken, IMAGE, "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"is already in use" in done.stderr


# The image


def test_an_image_that_is_not_there_is_pulled_and_a_refusal_is_125(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    refusal = (
        b'{"status":"Pulling"}\r\n{"errorDetail":{"message":"no such place"},"error":"no such place"}\r\n'
    )
    proxy.on("POST", "/images/create", answer=(200, refusal))
    done = dpty(sessions, *RUN, "--rm", "no-such-image:there", "true")
    assert (done.returncode, done.stdout) == (125, b"")
    told = done.stderr.decode().splitlines()
    assert told == [
        "dpty: cannot find the image no-such-image:there on the engine: it is pulled",
        "Pulling",
        "dpty: cannot pull no-such-image:there: no such place; is its name right, and may you have it?",
    ]
    assert [request.path.partition("?")[2] for request in proxy.seen("POST", "/images/create")] == [
        "fromImage=no-such-image&tag=there"
    ]


def test_an_image_that_has_been_pulled_is_run(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    absent = b'{"message":"No such image: busybox:latest"}'
    proxy.on("POST", "/containers/create", answer=(404, absent), times=1)
    proxy.on("POST", "/images/create", answer=(200, b'{"status":"Pull complete"}\r\n'))
    done = dpty(sessions, *RUN, "--rm", IMAGE, "echo", "shown")
    assert (done.returncode, done.stdout) == (0, b"shown\n")
    told = f"dpty: cannot find the image {IMAGE} on the engine: it is pulled\nPull complete\n"
    assert done.stderr.decode() == told


# What is left


def test_with_rm_nothing_is_left_and_the_code_is_the_containers(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    assert dpty(sessions, *RUN, "--rm", "--name", name, IMAGE, "sh", "-c", "exit 6").returncode == 6
    expect_gone(bench, name)


def test_without_rm_the_container_is_left_with_our_labels_and_the_users(
    bench: Bench, transport: Transport, sessions: Sessions, name: str
) -> None:
    # Podman's init is a package of its own.
    init = [] if transport.name == "podman" else ["--init"]
    done = dpty(sessions, *RUN, "--name", name, "-l", "mine=1", *init, IMAGE, "sh", "-c", "exit 6")
    assert done.returncode == 6
    made = attributes(bench, name)
    assert made["State"]["ExitCode"] == 6
    labels = made["Config"]["Labels"]
    assert (labels["mine"], labels["dockerpty.layer"], labels["dockerpty.role"]) == ("1", "bridge", "run")
    assert labels["dockerpty.owner"].split("/")[:3] == owner().split("/")[:3]
    assert bool(made["HostConfig"].get("Init")) is bool(init)
    assert made["HostConfig"]["NetworkMode"] == "none"


def test_a_directory_here_is_mounted(bench: Bench, sessions: Sessions, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from here\n")
    script = f"cd {tmp_path} && dpty run --rm --network none -v ./file:/file:ro {IMAGE} cat /file"
    assert seen(shell(sessions, script)) == (0, b"from here\n", b"")


@pytest.mark.parametrize("flags", [[], ["--rm"], ["-i"], ["-it"]])
def test_in_the_background_only_its_id_is_printed(
    flags: list[str], bench: Bench, sessions: Sessions, name: str
) -> None:
    done = dpty(sessions, *RUN, "-d", *flags, "--name", name, IMAGE, "tail", "-f", "/dev/null")
    made = attributes(bench, name)
    assert seen(done) == (0, made["Id"].encode() + b"\n", b"")
    assert made["State"]["Running"]
    config = made["Config"]
    assert (config["AttachStdin"], config["AttachStdout"], config["StdinOnce"]) == (False, False, False)
    assert config["OpenStdin"] is bool({"-i", "-it"} & set(flags))
    assert config["Labels"]["dockerpty.role"] == "run"


def test_in_the_background_a_command_that_cannot_start_is_127(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    done = dpty(sessions, *RUN, "-d", "--name", name, IMAGE, "no-such-program")
    assert (done.returncode, done.stdout) == (127, b"")
    assert done.stderr.startswith(f"dpty: cannot start {name}: ".encode())


# At a terminal


def test_a_person_works_in_a_shell_and_leaves_with_its_code(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    terminal = typed(
        sessions, *RUN, "--rm", "-it", "--name", name, IMAGE, rows=31, cols=97, env={"TERM": "screen"}
    )
    terminal.expect("# ")
    assert terminal.is_raw()
    # An engine before API 1.42 gives the process its size a moment after its start.
    terminal.send("until [ \"$(stty size)\" = '31 97' ]; do sleep 0.05; done 2>&-; echo $TERM END''MARK\r")
    terminal.expect("screen ENDMARK")
    terminal.send("exit 9\r")
    assert terminal.wait() == 9
    assert terminal.is_as_before()
    expect_gone(bench, name)


def test_a_terminal_where_stdin_is_none_is_refused_before_anything_is_created(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    done = dpty(sessions, *RUN, "-it", "--name", name, IMAGE)
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"the input device is not a TTY; use --tty=auto" in done.stderr
    assert found(bench, name) is None


@pytest.mark.parametrize("named", [True, False])
def test_the_detach_keys_leave_the_container_running(
    named: bool, bench: Bench, sessions: Sessions, name: str
) -> None:
    flags = ["--name", name] if named else ["-l", f"test={name}"]
    terminal = typed(sessions, *RUN, "-it", *flags, IMAGE, "sh", "-c", "echo up; exec tail -f /dev/null")
    terminal.expect("up")
    sought: dict[str, Any] = {"name": name} if named else {"label": f"test={name}"}
    made = bench.client.containers.list(all=True, filters=sought)
    container = bench.adopt(str(made[0].id))
    terminal.send(DETACH)
    terminal.expect(f"dpty: detached from {name if named else id_of(container)[:12]}\r\n")
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert bench.is_running(container)


# Signals and other ends

CODES = {"SIGTERM": 44, "SIGINT": 45, "SIGUSR1": 46, "SIGHUP": 47, "SIGQUIT": 48, "SIGUSR2": 49}
TRAPS = "".join(f"trap 'exit {code}' {name.removeprefix('SIG')}; " for name, code in CODES.items())
TRAPS += "echo up; while true; do sleep 0.1; done"


@pytest.mark.parametrize(("signal_name", "code"), CODES.items())
@pytest.mark.parametrize("flags", [[], ["-t"]])
def test_a_signal_is_the_containers_and_its_code_is_ours(
    signal_name: str, code: int, flags: list[str], bench: Bench, sessions: Sessions
) -> None:
    terminal = typed(sessions, *RUN, "--rm", *flags, IMAGE, "sh", "-c", TRAPS, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    terminal.signal(getattr(signal, signal_name))
    assert terminal.wait() == code
    assert terminal.stderr == b""


@pytest.mark.parametrize("flags", [[], ["-it"]])
def test_a_signal_about_our_own_affairs_never_reaches_the_container(
    flags: list[str], bench: Bench, proxy: Proxy, sessions: Sessions, name: str
) -> None:
    created = threading.Event()
    proxy.on("POST", "/containers/create", hold_answer=created)

    def disturb(rows: int) -> None:
        terminal.set_winsize(rows, 90)
        for number in (signal.SIGWINCH, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG):
            terminal.signal(number)

    terminal = typed(sessions, *RUN, "--rm", *flags, "--name", name, IMAGE, "sh", "-c", TRAPS)
    proxy.wait_for_request("POST", "/containers/create")
    disturb(30)
    created.set()
    terminal.expect("up\r\n")
    for rows in (31, 32):
        disturb(rows)
        terminal.read_for(0.1)
    if flags:
        proxy.wait_for_request("POST", r"/resize\?h=32&w=90")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == 44
    (asked,) = proxy.seen("POST", "/kill")
    assert asked.path.endswith("?signal=TERM")
    expect_gone(bench, name)


def test_a_signal_that_is_not_passed_on_is_ours(bench: Bench, sessions: Sessions, name: str) -> None:
    argv = (*RUN, "--sig-proxy=false", "--name", name, IMAGE, "sh", "-c", TRAPS)
    terminal = typed(sessions, *argv, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == -signal.SIGTERM
    assert attributes(bench, name)["State"]["Running"]


def test_ctrl_c_reaches_a_container_without_a_terminal(bench: Bench, sessions: Sessions) -> None:
    terminal = typed(sessions, *RUN, "--rm", IMAGE, "sh", "-c", TRAPS)
    terminal.expect("up")
    terminal.send(b"\x03")
    assert terminal.wait() == 45


def test_a_signal_while_the_container_is_being_created_reaches_it_once_it_has_started(
    bench: Bench, proxy: Proxy, sessions: Sessions, name: str
) -> None:
    proxy.on("POST", "/containers/create", delay=0.7)
    # With an init: a first process that has not come to its trap yet would ignore the signal.
    argv = (*RUN, "--rm", "--init", "--name", name, IMAGE, "sleep", "1000")
    terminal = typed(sessions, *argv, stdout=PIPE, stderr=PIPE)
    proxy.wait_for_request("POST", "/containers/create")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == 143
    expect_gone(bench, name)


DEAF = "trap '' INT TERM; echo up; while true; do sleep 0.1; done"


def insist(number: int, terminal: Terminal, proxy: Proxy) -> None:
    """Send a signal twice, each when the one before has been passed on."""
    for count in (1, 2):
        terminal.signal(number)
        proxy.wait_for_request("POST", "/kill", count=count)


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_the_third_signal_ends_us_and_not_a_process_that_ignores_it(
    signal_name: str, bench: Bench, proxy: Proxy, sessions: Sessions, name: str
) -> None:
    number = getattr(signal, signal_name)
    terminal = typed(sessions, *RUN, "--name", name, IMAGE, "sh", "-c", DEAF, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    insist(number, terminal, proxy)
    line = terminal.expect_stderr(re.compile(rb"dpty: sent (\w+) twice: .*`docker stop`.*--init.*\n"))
    assert line[1] == signal_name.removeprefix("SIG").encode()
    assert terminal.process.poll() is None
    terminal.signal(number)
    assert terminal.wait() == -number
    assert terminal.stderr == line[0]
    assert proxy.count("POST", "/kill") == 2
    assert attributes(bench, name)["State"]["Running"]


@pytest.mark.parametrize("path", ["/containers/create", "/attach", "/wait"])
@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_the_third_signal_ends_us_also_while_an_engine_that_is_stuck_lets_us_wait(
    signal_name: str, path: str, bench: Bench, proxy: Proxy, sessions: Sessions, name: str, tmp_path: Path
) -> None:
    number = getattr(signal, signal_name)
    rule = proxy.on("POST", path, hold_request=threading.Event())
    argv = [*RUN, "--rm", "--name", name, "--cidfile", str(tmp_path / "id"), IMAGE, "true"]
    terminal = typed(sessions, *argv, stdout=PIPE, stderr=PIPE)
    for _ in range(2):
        terminal.wait_until(lambda: rule.applied > 0)
        terminal.signal(number)
        assert terminal.read_for(0.2) == b""
        assert terminal.process.poll() is None
    terminal.signal(number)
    assert terminal.wait() == -number
    assert terminal.stderr == b""
    expect_gone(bench, name)
    if number == signal.SIGINT and path == "/containers/create":
        assert not (tmp_path / "id").exists()


def test_a_start_of_which_nobody_knows_whether_it_was_done_is_lost_and_no_leftover(
    bench: Bench, proxy: Proxy, sessions: Sessions, name: str
) -> None:
    proxy.on("POST", "/start", hold_answer=threading.Event())
    argv = [*RUN, "--rm", "--json", "--name", name, IMAGE, "sleep", "1000"]
    terminal = typed(sessions, *argv, stdin=NULL, stdout=PIPE, stderr=PIPE)
    bench.wait_for(lambda: found(bench, name) is not None, 10, "the container")
    bench.wait_for(lambda: attributes(bench, name)["State"]["Running"], 10, "its start")
    proxy.drop_connections()
    assert terminal.wait() == 255
    result = json.loads(terminal.stdout)
    assert (result["reason"], result["exit_code"]) == ("lost", None)
    # Nor is it a leftover for others to remove: whoever lost it may come back.
    leftovers = dpty(sessions, "prune", "--dry-run", DOCKER_HOST=None)
    assert leftovers.returncode == 0
    assert name not in leftovers.stdout.decode()


def test_in_a_raw_terminal_nothing_is_said_of_it_before_that_is_given_back(
    bench: Bench, proxy: Proxy, sessions: Sessions, name: str
) -> None:
    terminal = typed(sessions, *RUN, "-it", "--name", name, IMAGE, "sh", "-c", DEAF)
    terminal.expect("up\r\n")
    insist(signal.SIGTERM, terminal, proxy)
    assert terminal.read_for(0.5) == b""
    assert terminal.is_raw()
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == -signal.SIGTERM
    assert terminal.is_as_before()
    said = terminal.output.partition(b"up\r\n")[2].splitlines()
    assert [line.startswith(b"dpty: sent TERM twice: ") for line in said if line] == [True]
    assert attributes(bench, name)["State"]["Running"]


def test_past_its_time_limit_the_container_is_ended_and_the_code_is_124(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    done = dpty(sessions, *RUN, "--rm", "--timeout", "3", "--name", name, IMAGE, "sh", "-c", TRAPS)
    assert (done.returncode, done.stdout) == (124, b"up\n")
    assert done.stderr == f"dpty: cannot go on with {name}: it took longer than 3 s\n".encode()
    expect_gone(bench, name)


@pytest.mark.parametrize(("stop_timeout", "at_least"), [("0", 1.0), ("4", 5.0)])
def test_past_its_time_limit_what_does_not_end_is_killed_after_its_stop_timeout(
    stop_timeout: str, at_least: float, bench: Bench, sessions: Sessions, name: str
) -> None:
    argv = (*RUN, "--timeout", "1", "--stop-timeout", stop_timeout, "--name", name, IMAGE, "sh", "-c", DEAF)
    began = time.monotonic()
    assert dpty(sessions, *argv).returncode == 124
    # Where nothing is said of it, it is ten seconds.
    assert at_least < time.monotonic() - began < 9
    state = attributes(bench, name)["State"]
    assert (state["Running"], state["ExitCode"]) == (False, 137)


@pytest.mark.parametrize("stop_timeout", ["3", "-1"])
def test_past_its_time_limit_a_process_has_the_time_to_end_that_it_was_given(
    stop_timeout: str, bench: Bench, sessions: Sessions, name: str
) -> None:
    # Below zero it is never killed, as with `docker stop`.
    script = "trap 'sleep 1; exit 44' TERM; while true; do sleep 0.1; done"
    argv = (
        *RUN,
        "--timeout",
        "1",
        f"--stop-timeout={stop_timeout}",
        "--name",
        name,
        IMAGE,
        "sh",
        "-c",
        script,
    )
    assert dpty(sessions, *argv).returncode == 124
    state = attributes(bench, name)["State"]
    assert (state["Running"], state["ExitCode"]) == (False, 44)


def test_a_reader_that_has_gone_ends_us_by_sigpipe_and_a_container_of_ours(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    command = ("sh", "-c", "while echo tick; do sleep 0.05; done")
    terminal = typed(sessions, *RUN, "--rm", "--name", name, IMAGE, *command, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("tick")
    terminal.stop_reading("stdout")
    assert terminal.wait() == -signal.SIGPIPE
    assert terminal.stderr == b""
    expect_gone(bench, name)


def test_a_container_removed_in_the_middle_is_137(bench: Bench, sessions: Sessions, name: str) -> None:
    argv = (*RUN, "--name", name, IMAGE, "sh", "-c", "echo up; sleep 1000")
    terminal = typed(sessions, *argv, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    container = found(bench, name)
    assert container is not None
    container.remove(force=True)
    assert terminal.wait(30) == 137


def test_a_lost_session_is_255_and_says_so(bench: Bench, proxy: Proxy, sessions: Sessions, name: str) -> None:
    # The second word comes when the start has long been answered: this is about what is lost after it.
    argv = (*RUN, "--name", name, IMAGE, "sh", "-c", "echo up; sleep 1; echo running; sleep 1000")
    terminal = typed(sessions, *argv, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("running")
    proxy.refuse_connections()
    proxy.drop_connections()
    assert terminal.wait(30) == 255, terminal.stderr
    assert terminal.stderr.startswith(b"dpty: cannot "), terminal.stderr
    assert terminal.stderr.count(b"\n") == 1


# What is attached


def test_only_the_chosen_stream_is_shown(bench: Bench, sessions: Sessions) -> None:
    argv = (IMAGE, "sh", "-c", "echo out; echo err >&2; exit 5")
    assert seen(dpty(sessions, *RUN, "--rm", "-a", "stdout", *argv)) == (5, b"out\n", b"")
    assert seen(dpty(sessions, *RUN, "--rm", "--attach=STDERR", *argv)) == (5, b"", b"err\n")


def test_with_input_alone_the_id_is_printed_and_the_container_works_on(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    script = "cat > /file; exec tail -f /dev/null"
    argv = (*RUN, "-q", "-i", "-a", "stdin", "--name", name, IMAGE, "sh", "-c", script)
    done = dpty(sessions, *argv, stdin=b"from here\n")
    made = attributes(bench, name)
    assert seen(done) == (0, made["Id"].encode() + b"\n", b"")
    container = found(bench, name)
    assert container is not None
    bench.wait_for(lambda: container.exec_run(["cat", "/file"]).output == b"from here\n", 10, "the input")
    assert attributes(bench, name)["State"]["Running"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["-d", "-a", "stdout"],
            b"cannot use --attach: nobody attaches with --detach; leave out one of them",
        ),
        (
            ["-a", "output"],
            b"cannot use --attach output: 'output' is none of stdin, stdout, stderr; see dpty run --help",
        ),
        (
            ["--disable-content-trust=false"],
            b"cannot use --disable-content-trust=false: signatures of images",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_created(
    flags: list[str], message: bytes, bench: Bench, sessions: Sessions, name: str
) -> None:
    done = dpty(sessions, *RUN, "--name", name, *flags, IMAGE, "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"dpty: " + message)
    assert found(bench, name) is None


# What is told of it


@pytest.mark.parametrize("flags", [["--rm"], ["-d"]])
def test_the_id_is_left_in_a_file_for_others(
    flags: list[str], bench: Bench, sessions: Sessions, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "id"
    done = dpty(sessions, *RUN, *flags, "--cidfile", str(path), "--name", name, IMAGE, "hostname")
    identity = path.read_text()
    assert (done.returncode, len(identity)) == (0, 64)
    assert done.stdout.strip() in (identity.encode(), identity[:12].encode())


def test_nobodys_id_is_written_over_and_without_a_container_there_is_no_file(
    bench: Bench, sessions: Sessions, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "id"
    path.write_text("somebody's")
    argv = (*RUN, "--cidfile", str(path), "--name", name)
    done = dpty(sessions, *argv, IMAGE, "true")
    assert (done.returncode, path.read_text()) == (125, "somebody's")
    assert done.stderr.startswith(f"dpty: cannot use --cidfile {path}: there is such a file already".encode())
    assert found(bench, name) is None
    path.unlink()
    assert dpty(sessions, *argv, "--pull", "never", "no-such-image", "true").returncode == 125
    assert not path.exists()


def test_what_cannot_leave_its_id_is_not_left_behind_in_the_background(
    bench: Bench, sessions: Sessions, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "id"
    line = " ".join(["dpty", *RUN, "-d", "--rm", "--cidfile", str(path), "--name", name, IMAGE, "true"])
    # No file may grow.
    done = shell(sessions, f"ulimit -f 0; {line}")
    assert seen(done) == (125, b"", f"dpty: cannot write --cidfile {path}: File too large\n".encode())
    assert not path.exists()
    expect_gone(bench, name)


@pytest.mark.parametrize("flags", [["-d", "--rm"], ["-d"]])
def test_ctrl_c_before_the_start_leaves_in_the_background_only_what_was_to_stay(
    flags: list[str], bench: Bench, proxy: Proxy, sessions: Sessions, name: str
) -> None:
    held = threading.Event()
    proxy.on("POST", "/start", hold_request=held)
    try:
        terminal = typed(sessions, *RUN, *flags, "--name", name, IMAGE, "sleep", "1000")
        terminal.wait_until(lambda: proxy.count("POST", "/start"), what="the request to start it")
        terminal.send("\x03")
        assert terminal.wait() == -signal.SIGINT
        container = found(bench, name)
        assert container is None if "--rm" in flags else container and container.status == "created"
    finally:
        held.set()


@pytest.mark.parametrize("flags", [[], ["-d"]])
def test_what_the_engine_warns_of_is_passed_on(
    flags: list[str], bench: Bench, proxy: Proxy, sessions: Sessions, name: str
) -> None:
    def with_a_warning(answer: bytes) -> bytes:
        return answer.replace(b'"Warnings":[]', b'"Warnings":["no swap here"]')

    proxy.on("POST", "/containers/create", edit=with_a_warning)
    done = dpty(sessions, *RUN, *flags, "--name", name, IMAGE, "true")
    assert (done.returncode, done.stderr) == (0, b"dpty: the engine warns: no swap here\n")


# When it is pulled


@pytest.mark.parametrize(("when", "pulls"), [("always", 1), ("missing", 0), ("never", 0)])
def test_an_image_that_is_there_is_pulled_only_when_it_is_asked_for(
    when: str, pulls: int, bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/images/create", answer=(200, b'{"status":"Image is up to date"}\r\n'))
    done = dpty(sessions, *RUN, "-q", "--rm", "--pull", when, IMAGE, "echo", "shown")
    assert seen(done) == (0, b"shown\n", b"")
    assert proxy.count("POST", "/images/create") == pulls


def test_an_image_that_must_not_be_pulled_is_missed(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    done = dpty(sessions, *RUN, "--rm", "--pull=never", "no-such-image:there", "true")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"No such image: no-such-image:there" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert proxy.count("POST", "/images/create") == 0


def test_an_image_for_another_platform_is_pulled_as_that_and_quietly(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    absent = b'{"message":"No such image: busybox:latest"}'
    proxy.on("POST", "/containers/create", answer=(404, absent), times=1)
    proxy.on("POST", "/images/create", answer=(200, b'{"status":"Pull complete"}\r\n'))
    done = dpty(sessions, *RUN, "--rm", "-q", "--platform", "linux/amd64", IMAGE, "echo", "shown")
    assert seen(done) == (0, b"shown\n", b"")
    wanted = "platform=linux%2Famd64"
    assert [wanted in each.path for each in proxy.seen("POST", "/(images|containers)/create")] == [True] * 3


def test_an_image_that_is_there_for_another_platform_is_pulled(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/images/create", answer=(200, b'{"status":"Pull complete"}\r\n'))
    done = dpty(sessions, *RUN, "--rm", "--platform", "linux/s390x", IMAGE, "true")
    # The engine's own words, before and after a pull that brought nothing.
    assert (done.returncode, done.stdout) == (125, b"")
    told = done.stderr.decode().splitlines()
    assert told[:2] == [
        f"dpty: cannot find the image {IMAGE} for linux/s390x on the engine: it is pulled",
        "Pull complete",
    ]
    assert "does not match the specified platform" in told[2]
    assert proxy.count("POST", "/images/create") == 1


def test_with_json_the_document_of_one_in_the_background_has_its_id(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    done = dpty(sessions, *RUN, "-d", "--json", "--name", name, IMAGE, "sleep", "1000")
    told = json.loads(done.stdout)
    assert (told["container"], told["command"]) == (attributes(bench, name)["Id"], ["sleep", "1000"])


def test_with_json_and_input_alone_there_is_one_document_and_nothing_beside_it(
    bench: Bench, sessions: Sessions, name: str
) -> None:
    argv = (
        *RUN,
        "--json",
        "-i",
        "-a",
        "stdin",
        "--name",
        name,
        IMAGE,
        "sh",
        "-c",
        "cat; exec tail -f /dev/null",
    )
    done = dpty(sessions, *argv, stdin=b"from here\n")
    assert done.returncode == 0
    assert json.loads(done.stdout)["container"] == attributes(bench, name)["Id"]
