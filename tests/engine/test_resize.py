"""The size of the window: right from the start, right after a storm, and never in the way."""

from __future__ import annotations

import json
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench
from tests.bed.proxy import Proxy
from tests.bed.terminal import NULL, PIPE, Terminal
from tests.bed.transports import Transport
from tests.engine.command import dpty, typed
from tests.engine.conftest import Sessions

ASK = "echo up; while read line; do stty size; done"


def wait_for_size(terminal: Terminal, size: str) -> None:
    """Ask the far side for its size until it is the one."""

    def answers() -> bool:
        terminal.send("\r")
        return size.encode() in terminal.read_for(0.1)

    terminal.wait_until(answers, 5, f"the size {size} at the far side")


def sizes(proxy: Proxy) -> list[tuple[int, int]]:
    """Rows and columns of all resize requests."""
    queries = [parse_qs(urlsplit(each.path).query) for each in proxy.seen("POST", "/resize")]
    return [(int(query["h"][0]), int(query["w"][0])) for query in queries]


@pytest.mark.parametrize("verb", ["start", "exec_command"])
def test_a_program_sees_the_size_from_its_second_moment(
    verb: str, bench: Bench, box: Container, transport: Transport, sessions: Sessions
) -> None:
    command = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do stty size 2>&1; usleep 50000; done"
    if verb == "start":
        terminal = sessions.start(
            bench.container(command, tty=True, stdin_open=True), term_rows=31, term_cols=97
        )
    else:
        terminal = sessions.exec_command(box, command, term_rows=31, term_cols=97)
    assert terminal.wait() == 0
    lines = terminal.output.split(b"\r\n")
    # Where another connection takes its time, so does the first size.
    assert set(lines[8 if transport.is_slow else 2 : 12]) == {b"31 97"}


# An engine before API 1.42 gives the size a moment after the start: until then there is none, and never another one.
SAYS_ITS_SIZE = (
    'until size=$(stty size 2>&-); [ "${size:-0 0}" != "0 0" ]; do usleep 10000; done; echo =$size=; exec cat'
)


@pytest.mark.parametrize("verb", ["run", "start", "exec"])
def test_the_first_size_that_a_process_has_is_the_right_one_and_was_sent_with_its_creation(
    verb: str, bench: Bench, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    name = bench.name()
    command = ["sh", "-c", SAYS_ITS_SIZE]
    if verb == "run":
        argv = ["run", "-it", "--network", "none", "--name", name, IMAGE, *command]
    elif verb == "start":
        argv = ["start", "-ai", str(bench.container(command, tty=True, stdin_open=True).name)]
    else:
        argv = ["exec", "-it", str(box.name), *command]
    terminal = typed(sessions, *argv, rows=31, cols=97)
    try:
        terminal.expect("=31 97=\r\n")
    finally:
        if verb == "run":
            bench.adopt(name)
    assert terminal.output.startswith(b"=31 97=\r\n")
    bodies = [json.loads(each.body) for each in proxy.seen("POST", "/create|/exec") if each.body]
    sent = [body.get("HostConfig", body).get("ConsoleSize") for body in bodies]
    assert sent == {"run": [[31, 97]], "start": [], "exec": [[31, 97]] * 2}[verb]


ENDS_WITH_ITS_SIZE = SAYS_ITS_SIZE.replace("exec cat", "")


@pytest.mark.parametrize("verb", ["run", "start", "exec", "shell"])
def test_a_size_that_is_asked_for_is_the_processs_where_there_is_no_window(
    verb: str, bench: Bench, box: Container, sessions: Sessions
) -> None:
    command = ["sh", "-c", ENDS_WITH_ITS_SIZE]
    stdin = b""
    if verb == "run":
        argv = ["run", "--rm", "-t", "--network", "none", "--size", "31x97", IMAGE, *command]
    elif verb == "start":
        argv = ["start", "-a", "--size", "31x97", str(bench.container(command, tty=True).name)]
    elif verb == "exec":
        argv = ["exec", "-t", "--size=31x97", str(box.name), *command]
    else:
        # No window, and no terminal: nothing has a size, and the flag does no harm.
        argv, stdin = ["shell", "--size=31x97", str(box.name)], b"stty size; echo =31 97=\r\n"
    done = dpty(sessions, *argv, stdin=stdin)
    assert (done.returncode, done.stdout.rstrip()) == (0, b"=31 97=")


def test_a_size_that_is_asked_for_stays_whatever_becomes_of_the_window(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    terminal = typed(
        sessions, "exec", "-it", "--size", "31x97", str(box.name), "sh", "-c", ASK, rows=24, cols=80
    )
    terminal.expect("up")
    wait_for_size(terminal, "31 97")
    terminal.set_winsize(20, 70)
    terminal.send("\r")
    terminal.expect("31 97")
    assert set(sizes(proxy)) == {(31, 97)}


@pytest.mark.parametrize("resize", [True, False])
def test_a_script_gives_its_process_a_size(resize: bool, box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, ASK, size=(31, 97), resize=resize, term_rows=24, term_cols=80)
    terminal.expect("up")
    wait_for_size(terminal, "31 97")


def test_five_thousand_window_changes_end_with_the_right_size_and_few_requests(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    terminal = sessions.exec_command(box, ASK)
    terminal.expect("up")
    began = time.monotonic()
    for step in range(4999):
        terminal.set_winsize(20 + step % 30, 70 + step % 50)
        while time.monotonic() < began + 3 * step / 5000:
            terminal.read_for(0.001)
    terminal.set_winsize(33, 99)
    wait_for_size(terminal, "33 99")
    assert len(sizes(proxy)) < 100
    assert sizes(proxy)[-1] == (33, 99)


def test_a_storm_straight_at_the_engine_ends_with_the_right_size(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, ASK)
    terminal.expect("up")
    for step in range(1000):
        terminal.set_winsize(20 + step % 30, 70 + step % 50)
        terminal.read_for(0.001)
    terminal.set_winsize(33, 99)
    wait_for_size(terminal, "33 99")


def test_an_engine_that_is_slow_to_resize_does_not_delay_a_key(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    gate = threading.Event()
    terminal = sessions.exec_command(box, "stty raw -echo; echo up; exec cat")
    terminal.expect("up")
    proxy.on("POST", "/resize", hold_answer=gate, times=1)
    before = len(sizes(proxy))
    terminal.set_winsize(40, 100)
    proxy.wait_for_request("POST", "/resize", count=before + 1)
    terminal.set_winsize(41, 101)
    terminal.set_winsize(42, 102)
    for key in "abcdefgh":
        began = time.monotonic()
        terminal.send(key)
        terminal.expect(key)
        assert time.monotonic() - began < 0.5
    assert len(sizes(proxy)) == before + 1
    gate.set()
    terminal.wait_until(lambda: sizes(proxy)[-1] == (42, 102), 5, "the last size")


def test_a_size_that_is_never_answered_keeps_the_next_one_waiting_for_two_seconds_on_this_machine(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    terminal = sessions.exec_command(box, "stty raw -echo; echo up; exec cat")
    terminal.expect("up")
    proxy.on("POST", r"/resize\?h=40&w=100", hold_answer=threading.Event())
    terminal.set_winsize(40, 100)
    proxy.wait_for_request("POST", r"/resize\?h=40&w=100")
    terminal.set_winsize(41, 101)
    terminal.wait_until(lambda: sizes(proxy)[-1] == (41, 101), 6, "the next size")
    terminal.send("x")
    terminal.expect("x")


def test_the_first_size_is_tried_again_when_it_is_refused(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/resize", answer=(500, b'{"message":"not running yet"}'), times=4)
    terminal = sessions.exec_command(box, ASK, term_rows=31, term_cols=97)
    terminal.expect("up")
    wait_for_size(terminal, "31 97")
    assert sizes(proxy) == [(31, 97)] * 5


def test_an_engine_that_never_resizes_is_left_alone_after_a_while(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    proxy.on("POST", "/resize", answer=(409, b'{"message":"never"}'))
    terminal = sessions.exec_command(box, "echo up; read line; exit 4")
    terminal.expect("up")
    proxy.wait_for_request("POST", "/resize", count=11)
    terminal.send("\r")
    assert terminal.report("returned")["value"] == 4
    assert len(sizes(proxy)) == 11
    assert b"never" not in terminal.drain()


def test_no_exec_is_resized_before_its_start_was_answered(
    box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    gate = threading.Event()
    proxy.on("POST", "/exec/.*/start", hold_answer=gate)
    terminal = sessions.exec_command(box, ASK)
    proxy.wait_for_request("POST", "/exec/.*/start")
    terminal.read_for(0.3)
    assert sizes(proxy) == []
    gate.set()
    terminal.expect("up")
    wait_for_size(terminal, "24 80")


def test_attaching_to_a_running_terminal_makes_it_redraw(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("exec cat", tty=True, stdin_open=True, start=True)
    sessions.start(container, term_rows=31, term_cols=97)
    proxy.wait_for_request("POST", "/resize", count=2)
    assert sizes(proxy)[:2] == [(32, 98), (31, 97)]


@pytest.mark.parametrize("how", ["size unknown", "no terminal"])
def test_without_a_size_none_is_sent(how: str, box: Container, proxy: Proxy, sessions: Sessions) -> None:
    streams = {"term_stdin": NULL, "term_stdout": PIPE, "term_stderr": PIPE} if how == "no terminal" else {}
    terminal = sessions.exec_command(box, "exit 4", tty=True, term_rows=0, term_cols=0, **streams)
    assert terminal.report("returned")["value"] == 4
    assert sizes(proxy) == []


def test_in_a_thread_the_size_follows_without_a_signal(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, ASK, script_in_thread=True)
    terminal.expect("up")
    terminal.set_winsize(33, 99)
    wait_for_size(terminal, "33 99")


def test_a_size_of_one_by_one_is_a_size(box: Container, proxy: Proxy, sessions: Sessions) -> None:
    sessions.exec_command(box, ASK, term_rows=1, term_cols=1)
    proxy.wait_for_request("POST", "/resize")
    assert sizes(proxy) == [(1, 1)]


def test_a_terminal_that_gets_its_first_size_later_passes_it_on(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(
        box, "echo up; while read line; do stty size; done", term_rows=0, term_cols=0
    )
    terminal.expect("up")
    terminal.set_winsize(31, 91)

    def passed_on() -> bool:
        terminal.send("go\r")
        return b"31 91" in terminal.read_for(0.1)

    terminal.wait_until(passed_on, 5, "the first size at the far side")
