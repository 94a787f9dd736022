"""Many at once: threads of one process, processes side by side, and terminals that share a container."""

from __future__ import annotations

import subprocess

import pytest

from tests.bed.engine import Bench, id_of
from tests.bed.terminal import Terminal
from tests.engine.command import DETACH, DPTY, environment
from tests.engine.conftest import Sessions

COUNT = 50

IN_THREADS = """
import dockerpty, gc, hashlib, io, os, sys, threading
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
from tests.bed.waiting import wait_for
client = from_env()
def descriptors():
    client.close()
    return len(os.listdir("/proc/self/fd"))
def given(data, number):
    if number % 2:
        return io.BytesIO(data), None
    reading, writing = os.pipe()
    def write():
        with open(writing, "wb") as pipe:
            pipe.write(data)
    thread = threading.Thread(target=write)
    thread.start()
    return open(reading, "rb"), thread
def session(number):
    data = os.urandom(100_000)
    source, writer = given(data, number)
    out, err = io.BytesIO(), io.BytesIO()
    command = ["sh", "-c", f"cat; echo {number} >&2; exit {number + 1}"]
    # One client for all, and one of its own, in turn.
    mine = client if number % 3 else from_env()
    begin.wait()
    try:
        code = dockerpty.exec_command(mine, sys.argv[1], command, True, out, err, source)
        same = hashlib.sha256(out.getvalue()).digest() == hashlib.sha256(data).digest()
        found[number] = (code == number + 1, same, err.getvalue() == b"%d\\n" % number)
    except BaseException as error:
        found[number] = repr(error)
    finally:
        source.close()
        if writer is not None:
            writer.join()
        if mine is not client:
            mine.close()
found, count = {}, int(sys.argv[2])
begin = threading.Barrier(count)
before = descriptors()
threads = [threading.Thread(target=session, args=(number,)) for number in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.collect()
wait_for(lambda: threading.active_count() == 1, 5, "threads to end")
wrong = {number: each for number, each in found.items() if each != (True, True, True)}
report("over", count=len(found), wrong=wrong, left=descriptors() - before)
"""


@pytest.mark.own_socket
def test_fifty_threads_of_one_process_do_not_disturb_each_other(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    terminal = sessions.python(IN_THREADS, id_of(container), str(COUNT))
    over = terminal.report("over", 100)
    assert over == {"event": "over", "count": COUNT, "wrong": {}, "left": 0}
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert bench.processes(container) == ["tail -f /dev/null"]


STARTED_IN_THREADS = """
import dockerpty, io, os, sys, threading
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client = from_env()
def session(number, container):
    data = os.urandom(100_000)
    out = io.BytesIO()
    code = dockerpty.start(client, container, True, out, out, io.BytesIO(data))
    found[number] = (code, out.getvalue() == data)
found = {}
threads = [threading.Thread(target=session, args=each) for each in enumerate(sys.argv[1:])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
report("over", found=[found.get(number) for number in range(len(threads))])
"""


def test_ten_containers_are_started_at_once_in_threads(bench: Bench, sessions: Sessions) -> None:
    made = [bench.container(f"cat; exit {number}", stdin_open=True) for number in range(10)]
    over = sessions.python(STARTED_IN_THREADS, *map(id_of, made)).report("over", 60)
    assert over["found"] == [[number, True] for number in range(10)]


def test_fifty_commands_started_together_are_all_right(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    argv = [*DPTY, "exec", "-i", id_of(container), "sh", "-c"]
    running = [
        subprocess.Popen(
            [*argv, f"cat; echo {number} >&2; exit {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(sessions),
        )
        for number in range(COUNT)
    ]
    try:
        for number, process in enumerate(running):
            data = b"%d\n" % number * 3000
            out, err = process.communicate(data, timeout=100)
            assert (process.returncode, err) == (number, b"%d\n" % number)
            assert out == data
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert bench.processes(container) == ["tail -f /dev/null"]


def on_both(first: Terminal, second: Terminal, text: str) -> None:
    first.expect(text)
    second.expect(text)


def test_two_terminals_at_one_container_see_the_same_and_each_can_leave(
    bench: Bench, sessions: Sessions
) -> None:
    command = "while read line; do echo got $line; [ $line != end ] || exit 9; done"
    container = bench.container(command, tty=True, stdin_open=True, start=True)
    first, second = (sessions.start(container, logs=False) for _ in range(2))
    for terminal in (first, second):
        terminal.wait_until(terminal.is_raw, what="raw mode")
    first.send("one\r")
    on_both(first, second, "got one\r\n")
    second.send("two\r")
    on_both(first, second, "got two\r\n")
    first.send(DETACH)
    assert first.report("returned")["value"] is None
    assert first.wait() == 0
    assert first.is_as_before()
    second.send("three\r")
    second.expect("got three\r\n")
    third = sessions.start(container, logs=False)
    third.wait_until(third.is_raw, what="raw mode")
    third.send("end\r")
    on_both(second, third, "got end\r\n")
    for terminal in (second, third):
        assert terminal.report("returned")["value"] == 9
        assert terminal.wait() == 0
        assert terminal.is_as_before()
    assert b"three" not in first.output


def test_two_terminals_of_different_size_at_one_container_have_the_last_one_set(
    bench: Bench, sessions: Sessions
) -> None:
    command = "while read line; do stty size; done"
    container = bench.container(command, tty=True, stdin_open=True, start=True)

    def answers(terminal: Terminal, size: str) -> bool:
        terminal.send("\r")
        return size.encode() in terminal.read_for(0.1)

    first = sessions.start(container, logs=False, term_rows=20, term_cols=70)
    first.wait_until(lambda: answers(first, "20 70"), what="the size of the first")
    second = sessions.start(container, logs=False, term_rows=30, term_cols=90)
    second.wait_until(lambda: answers(second, "30 90"), what="the size of the second")
    first.set_winsize(25, 75)
    second.wait_until(lambda: answers(second, "25 75"), what="the new size of the first")
