"""No byte lost, reordered or invented, in either direction; the end of input and of output."""

from __future__ import annotations

import os
import time

import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench, id_of
from tests.bed.proxy import Proxy, still_running
from tests.bed.terminal import NULL, PIPE, Terminal
from tests.bed.transports import Transport
from tests.engine.conftest import Sessions

SOAK = os.environ.get("DPTY_SOAK") == "1"
PIPES = {"term_stdin": PIPE, "term_stdout": PIPE, "term_stderr": PIPE}
NO_INPUT = {"term_stdin": NULL, "term_stdout": PIPE, "term_stderr": PIPE}


def code_of(terminal: Terminal, timeout: float = 20.0) -> int | None:
    """What the call returned, once the program has ended without an error."""
    value: int | None = terminal.report("returned", timeout)["value"]
    assert terminal.wait() == 0
    return value


# Bytes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_twenty_megabytes_through_cat_and_back_are_the_same(
    verb: str, bench: Bench, box: Container, sessions: Sessions
) -> None:
    data = os.urandom(20 << 20)
    command = "cat; sleep 0.5; echo late; exit 6"
    if verb == "start":
        terminal = sessions.start(bench.container(command, stdin_open=True), **PIPES)
    else:
        terminal = sessions.exec_command(box, command, **PIPES)
    terminal.feed(data, end=True)
    assert code_of(terminal, 60) == 6
    assert terminal.stdout[-5:] == b"late\n"
    assert terminal.stdout[:-5] == data


def test_both_output_streams_are_whole_and_apart(box: Container, sessions: Sessions) -> None:
    command = "for i in $(seq 3000); do echo out$i; echo err$i >&2; done"
    terminal = sessions.exec_command(box, command, **NO_INPUT)
    assert code_of(terminal) == 0
    assert terminal.stdout == b"".join(b"out%d\n" % i for i in range(1, 3001))
    assert terminal.stderr == b"".join(b"err%d\n" % i for i in range(1, 3001))


@pytest.mark.parametrize(
    ("verb", "rule"),
    [
        ("start", {"dribble": 300}),
        ("start", {"no_upgrade": True}),
        ("exec_command", {"joined": True}),
        ("exec_command", {"dribble": 300}),
        ("exec_command", {"no_upgrade": True}),
    ],
    ids=str,
)
def test_however_the_answer_and_the_first_data_arrive_nothing_is_lost(
    verb: str, rule: dict[str, object], bench: Bench, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/attach|/exec/.*/start", **rule)
    command = "echo one; echo two >&2; sleep 0.2; echo three; exit 6"
    if verb == "start":
        terminal = sessions.start(bench.container(command), **NO_INPUT)
    else:
        terminal = sessions.exec_command(box, command, **NO_INPUT)
    assert code_of(terminal) == 6
    assert terminal.stdout == b"one\nthree\n"
    assert terminal.stderr == b"two\n"


def test_all_output_of_a_short_process_comes_with_its_code(
    box: Container, transport: Transport, sessions: Sessions
) -> None:
    expected = b"".join(b"%d\n" % i for i in range(1, 200_001))
    for _ in range(100 if SOAK and not transport.is_slow else 3):
        terminal = sessions.exec_command(box, "seq 200000; exit 6", **NO_INPUT)
        assert code_of(terminal) == 6
        assert terminal.stdout == expected


@pytest.mark.parametrize("trial", range(20 if SOAK else 3))
def test_a_container_that_ends_at_once_shows_all_and_its_code(
    trial: int, bench: Bench, sessions: Sessions
) -> None:
    terminal = sessions.start(bench.container("echo all; exit 6"), **NO_INPUT)
    assert code_of(terminal) == 6
    assert terminal.stdout == b"all\n"


def test_a_reader_that_comes_late_gets_everything(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "head -c 8000000 /dev/zero | tr '\\0' x; exit 6", **NO_INPUT)
    terminal.blocked = frozenset({"stdout"})
    terminal.report("calling")
    terminal.read_for(15 if SOAK else 3)
    terminal.blocked = frozenset()
    assert code_of(terminal) == 6
    assert terminal.stdout == b"x" * 8_000_000


def test_a_terminal_shows_bytes_of_a_cut_character_as_they_come(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "printf '\\303'; sleep 0.3; printf '\\251'; sleep 0.1")
    terminal.expect(b"\xc3")
    terminal.expect(b"\xa9")
    assert terminal.wait() == 0
    assert terminal.output == b"\xc3\xa9"


def test_objects_without_a_descriptor_are_written_and_read(box: Container, sessions: Sessions) -> None:
    source = """
import dockerpty, io, sys
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
out, err, given = io.BytesIO(), io.StringIO(), io.BytesIO(b"in" * 100000)
command = ["sh", "-c", "cat; echo err >&2; exit 6"]
code = dockerpty.exec_command(from_env(), sys.argv[1], command, True, out, err, given)
report("over", code=code, out=out.getvalue() == b"in" * 100000, err=err.getvalue())
"""
    terminal = sessions.python(source, id_of(box))
    over = terminal.report("over")
    assert (over["code"], over["out"], over["err"]) == (6, True, "err\n")


# The end of input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "data", "expected"),
    [
        ("wc -c; sleep 0.5; echo late", b"x" * 100_000, b"100000\nlate\n"),
        ("sort", b"b\nc\na\n", b"a\nb\nc\n"),
        ("cat; echo end", b"", b"end\n"),
    ],
    ids=["wc", "sort", "empty"],
)
@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_the_end_of_input_reaches_the_process_and_output_goes_on(
    verb: str, command: str, data: bytes, expected: bytes, bench: Bench, box: Container, sessions: Sessions
) -> None:
    if verb == "start":
        terminal = sessions.start(bench.container(command, stdin_open=True), **PIPES)
    else:
        terminal = sessions.exec_command(box, command, **PIPES)
    terminal.feed(data, end=True)
    assert code_of(terminal) == 0
    assert terminal.stdout == expected


def test_where_input_stays_open_by_creation_its_end_does_not_end_the_output(
    bench: Bench, sessions: Sessions
) -> None:
    container = bench.container("head -n 1; sleep 1; echo late; exit 6", stdin_open=True, detach=True)
    terminal = sessions.start(container, **PIPES)
    terminal.feed(b"line\n", end=True)
    assert code_of(terminal) == 6
    assert terminal.stdout == b"line\nlate\n"


@pytest.mark.parametrize("data", [b"line\n", b"no newline"], ids=["newline", "none"])
@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_a_remote_terminal_gets_an_end_of_transmission(
    verb: str, data: bytes, bench: Bench, box: Container, sessions: Sessions
) -> None:
    command = "stty -echo; echo up; cat; sleep 0.3; echo late; exit 6"
    if verb == "start":
        terminal = sessions.start(bench.container(command, tty=True, stdin_open=True), **PIPES)
    else:
        terminal = sessions.exec_command(box, command, tty=True, **PIPES)
    terminal.expect_stdout("up")
    terminal.feed(data, end=True)
    assert code_of(terminal) == 6
    assert terminal.stdout == b"up\r\n" + data.replace(b"\n", b"\r\n") + b"late\r\n"


def test_a_process_that_closes_its_input_goes_on_printing(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "exec <&-; sleep 0.5; echo late; exit 6", **PIPES)
    terminal.feed(b"x" * 5_000_000, end=True)
    assert code_of(terminal) == 6
    assert terminal.stdout == b"late\n"


# The end of output ------------------------------------------------------------------------------------------------


def test_a_code_that_is_late_is_waited_for(box: Container, proxy: Proxy, sessions: Sessions) -> None:
    proxy.on("GET", "/exec/.*/json", edit=still_running, times=3)
    terminal = sessions.exec_command(box, "echo out; exit 6", **NO_INPUT)
    assert code_of(terminal) == 6
    assert proxy.count("GET", "/exec/.*/json") == 4


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_a_stream_that_is_never_closed_ends_some_time_after_the_process(
    verb: str, bench: Bench, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/attach|/exec/.*/start", never_close=True)
    if verb == "start":
        terminal = sessions.start(bench.container("echo out; exit 6"), **NO_INPUT)
    else:
        terminal = sessions.exec_command(box, "echo out; exit 6", **NO_INPUT)
    assert code_of(terminal, 30) == 6
    assert terminal.stdout == b"out\n"


def test_a_killed_container_is_137_and_a_removed_one_is_told(bench: Bench, sessions: Sessions) -> None:
    for end in ("kill", "remove"):
        container = bench.container("echo up; exec tail -f /dev/null")
        terminal = sessions.start(container, **NO_INPUT)
        terminal.expect_stdout("up\n")
        container.kill() if end == "kill" else container.remove(force=True)
        assert code_of(terminal) == 137


def test_an_exec_whose_container_is_removed_is_137(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    terminal = sessions.exec_command(container, "echo up; exec tail -f /dev/null", **NO_INPUT)
    terminal.expect_stdout("up\n")
    container.remove(force=True)
    assert code_of(terminal) == 137


# A broken stream --------------------------------------------------------------------------------------------------

PROTOCOL = {
    "an unknown type": b"\x09\0\0\0\0\0\0\x01x",
    "two gigabytes": b"\x01\0\0\0\x80\0\0\0",
}


def lost(terminal: Terminal) -> dict[str, object]:
    """What was raised for a session that broke."""
    raised = terminal.report("raised", 20)
    terminal.wait()
    assert "DockerptyError" in raised["kind"]
    assert "ConnectionError" in raised["kind"]
    assert not [report for report in terminal.reports if report["event"] == "returned"]
    return raised


@pytest.mark.parametrize("frame", PROTOCOL.values(), ids=PROTOCOL.keys())
def test_a_frame_that_cannot_be_is_an_error_and_no_allocation(
    frame: bytes, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/exec/.*/start", inject=(0, frame))
    terminal = sessions.exec_command(box, "echo out; sleep 20", **NO_INPUT)
    lost(terminal)


def test_an_error_of_the_engine_within_the_stream_is_shown_and_no_success(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/exec/.*/start", inject=(0, b"\x03\0\0\0\0\0\0\x05ouch\n"))
    terminal = sessions.exec_command(box, "echo out; sleep 20", **NO_INPUT)
    raised = lost(terminal)
    assert raised["reason"] == "lost"
    assert b"ouch" in terminal.stderr


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize(
    "place", [5, 12, 8 + 4], ids=["in a header", "at a boundary", "at the end of a payload"]
)
def test_a_connection_that_breaks_while_the_process_runs_is_lost(
    place: int, how: str, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/exec/.*/start", cut_down=place, cut=how)
    terminal = sessions.call(
        "exec_command",
        id_of(box),
        ["sh", "-c", "echo abc; sleep 20"],
        term_env={"DOCKER_HOST": proxy.tcp()},
        **NO_INPUT,
    )
    assert lost(terminal)["reason"] == "lost"


@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_an_engine_that_dies_loses_the_session_and_the_terminal_is_as_before(
    verb: str, bench: Bench, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    if verb == "start":
        terminal = sessions.start(bench.container("echo up; exec cat", tty=True, stdin_open=True))
    else:
        terminal = sessions.exec_command(box, "echo up; exec cat")
    terminal.expect("up")
    # The answer to the start of a container may come after its first output; a size is sent after both.
    proxy.wait_for_request("POST", "/resize")
    proxy.refuse_connections()
    proxy.drop_connections()
    raised = lost(terminal)
    assert raised["reason"] == "lost", raised
    assert terminal.is_as_before()


# What cannot begin ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_a_missing_container_is_not_found(verb: str, sessions: Sessions) -> None:
    arguments: list[object] = ["no-such-container"] + ([["true"]] if verb == "exec_command" else [])
    terminal = sessions.call(verb, *arguments)
    raised = terminal.report("raised")
    assert "NotFound" in raised["kind"]
    assert "DockerptyError" in raised["kind"]
    assert "HTTPError" in raised["kind"], "docker-py's own class is among them"
    assert "no-such-container" in raised["text"]


@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_a_paused_container_is_refused_with_what_to_do(verb: str, bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    container.pause()
    try:
        terminal = sessions.call(verb, container.id, *([["true"]] if verb == "exec_command" else []))
        raised = terminal.report("raised")
    finally:
        container.unpause()
    assert "APIError" in raised["kind"]
    assert "pause" in raised["text"]


def test_an_engine_that_is_not_there_is_said_to_be(sessions: Sessions) -> None:
    source = """
import docker, dockerpty, sys
from tests.bed.scripts.report import report
try:
    dockerpty.start(docker.APIClient(base_url="unix:///nowhere/engine.sock", version="1.41"), "some")
except dockerpty.DockerptyError as error:
    report("raised", kind=[each.__name__ for each in type(error).__mro__], text=str(error))
"""
    raised = sessions.python(source).report("raised")
    assert "EngineUnreachable" in raised["kind"]
    assert "/nowhere/engine.sock" in raised["text"]


def test_a_time_limit_ends_the_session_and_says_so(box: Container, sessions: Sessions) -> None:
    began = time.monotonic()
    terminal = sessions.exec_command(box, "echo up; exec sleep 30", timeout=0.5)
    raised = terminal.report("raised")
    assert "SessionTimeout" in raised["kind"]
    assert "TimeoutError" in raised["kind"]
    assert raised["reason"] == "timeout"
    assert time.monotonic() - began < 5
    terminal.wait()
    assert terminal.is_as_before()


# Many -------------------------------------------------------------------------------------------------------------


def test_sessions_in_a_row_in_one_process_leave_nothing_behind(
    bench: Bench, transport: Transport, sessions: Sessions
) -> None:
    # A container of its own: what other tests have left running in the common one is none of its business.
    container = bench.container(start=True)
    source = """
import dockerpty, io, os, sys, threading
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client = from_env()
def once():
    out = io.BytesIO()
    assert dockerpty.exec_command(client, sys.argv[1], ["echo", "x"], False, out, out) == 0
    assert out.getvalue() == b"x\\n"
once()
before = len(os.listdir("/proc/self/fd")), threading.active_count()
for _ in range(int(sys.argv[2])):
    once()
report("over", before=before, after=(len(os.listdir("/proc/self/fd")), threading.active_count()))
"""
    number = "50" if transport.is_slow else "1000"
    over = sessions.python(source, id_of(container), number).report("over", 280)
    assert over["before"] == over["after"]
    assert bench.processes(container) == ["tail -f /dev/null"]


def test_two_sessions_at_once_on_two_terminals_and_none_on_one(box: Container, sessions: Sessions) -> None:
    source = """
import dockerpty, os, pty, sys, threading
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
def session(fd, answer):
    try:
        code = dockerpty.exec_command(
            from_env(), sys.argv[1], ["sh", "-c", "echo up; read line; exit 6"], True, fd, fd, fd
        )
        report(answer, code=code)
    except dockerpty.DockerptyError as error:
        report(answer, text=str(error))
pairs = [pty.openpty(), pty.openpty()]
threads = [threading.Thread(target=session, args=(pair[1], f"thread {number}")) for number, pair in enumerate(pairs)]
for thread in threads:
    thread.start()
for pair in pairs:
    seen = b""
    while b"up" not in seen:
        seen += os.read(pair[0], 100)
session(pairs[0][1], "second on one")
for pair in pairs:
    os.write(pair[0], b"\\r")
for thread in threads:
    thread.join()
report("over")
"""
    terminal = sessions.python(source, id_of(box))
    assert "text" in terminal.report("second on one")
    assert terminal.report("thread 0")["code"] == 6
    assert terminal.report("thread 1")["code"] == 6
    terminal.report("over")


def test_output_of_a_container_that_ends_while_we_attach_is_not_lost(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    # The second inspection tells that it has ended: it is answered only after that.
    proxy.on("GET", "/containers/.*/json", skip=1, times=1, delay=1.5)
    container = bench.container("sleep 0.7; echo important; exit 4", start=True)
    terminal = sessions.start(container, interactive=False, logs=False, term_stdout=PIPE)
    assert terminal.report("returned", 20)["value"] == 4
    assert terminal.stdout == b"important\n"


def test_an_exec_is_not_started_twice(box: Container, sessions: Sessions) -> None:
    source = """
import docker, dockerpty, sys
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client = from_env()
created = dockerpty.exec_create(client, sys.argv[1], ["true"], False)
first = dockerpty.start_exec(client, created, False)
try:
    dockerpty.start_exec(client, created, False)
except docker.errors.APIError as error:
    report("over", first=first, text=str(error))
"""
    over = sessions.python(source, id_of(box)).report("over", 20)
    assert over["first"] == 0
    # In our words, or in Podman's, which refuses by itself.
    assert "has been started before" in over["text"] or "can only start created exec" in over["text"]


def test_what_is_left_of_a_line_is_counted(box: Container, sessions: Sessions) -> None:
    source = r"""
import dockerpty, io, sys
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client = from_env()
out, err = io.BytesIO(), io.BytesIO()
operation = dockerpty.ExecOperation.create(client, sys.argv[1], ["printf", "hi\\r\\n"], False, out, err)
terminal = dockerpty.PseudoTerminal(client, operation)
code = terminal.start()
report("over", code=code, out=terminal.result.bytes_out)
"""
    assert sessions.python(source, id_of(box)).report("over", 20) == {"event": "over", "code": 0, "out": 4}
