"""Where the host is short of something: descriptors, memory, disk, speed; and windows of unusual size."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.screen import Screen
from tests.bed.terminal import PIPE, Terminal
from tests.engine.command import DETACH, DPTY, Done, shell, typed
from tests.engine.conftest import Sessions

SOAK = os.environ.get("DPTY_SOAK") == "1"
RUN = ("run", "--network", "none")


def seen(done: Done) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


def limited(sessions: Sessions, limit: str, *argv: str, **options: Any) -> Terminal:
    """`dpty` at a terminal, with `ulimit LIMIT` before it."""
    words = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *DPTY, *argv]
    env = {**sessions.env, "DOCKER_CONFIG": None}
    return sessions.add(Terminal(words, env=env, **options))


def containers(bench: Bench, name: str) -> list[str]:
    # The low-level listing: docker-py's other one inspects each, which may be gone by then.
    return [each["Id"] for each in bench.api.containers(all=True, filters={"name": f"^/{name}$"})]


def expect_gone(bench: Bench, name: str) -> None:
    try:
        bench.wait_for(lambda: not containers(bench, name), 10, f"the removal of {name}")
    finally:
        for each in containers(bench, name):
            bench.adopt(each)


def is_one_sentence(said: bytes) -> bool:
    return said.startswith(b"dpty: cannot ") and said.count(b"\n") == 1 and b"Traceback" not in said


# Descriptors


@pytest.mark.parametrize("verb", ["exec", "run"])
def test_thirty_two_descriptors_are_enough_in_a_pipeline(
    verb: str, box: Container, sessions: Sessions
) -> None:
    where = f"exec -i {id_of(box)}" if verb == "exec" else f"{' '.join(RUN)} -i --rm {IMAGE}"
    data = b"%d\n" % 5 * 100_000
    done = shell(sessions, f"ulimit -n 32; dpty {where} sh -c 'cat; echo err >&2; exit 5'", input=data)
    assert seen(done) == (5, data, b"err\n")


@pytest.mark.parametrize("verb", ["exec", "run"])
def test_thirty_two_descriptors_are_enough_at_a_terminal(
    verb: str, box: Container, sessions: Sessions
) -> None:
    where = ("exec", "-it", id_of(box)) if verb == "exec" else (*RUN, "-it", "--rm", IMAGE)
    terminal = limited(sessions, "-n 32", *where, "sh", "-c", "echo up; read line; stty size; exit 5")
    terminal.expect("up")
    terminal.set_winsize(33, 99)
    terminal.send("x\r")
    assert terminal.wait() == 5
    assert terminal.is_as_before()


@pytest.mark.own_socket
@pytest.mark.parametrize("verb", ["exec", "run"])
def test_with_too_few_descriptors_it_works_or_says_so(verb: str, bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    refused = 0
    for number in range(6, 20):
        name = bench.name()
        where = ("exec", "-it", id_of(container)) if verb == "exec" else (*RUN, "-it", "--rm", "--name", name)
        image = (IMAGE,) if verb == "run" else ()
        # So long that all has been opened that a session opens late.
        command = ("sh", "-c", "sleep 0.3; echo shown; exit 5")
        terminal = limited(sessions, f"-n {number}", *where, *image, *command)
        code = terminal.wait(20)
        assert terminal.is_as_before(), f"with {number} descriptors"
        if code == 5:
            assert terminal.output == b"shown\r\n"
        else:
            refused += 1
            assert code in (125, 126), (number, code, terminal.output)
            assert is_one_sentence(terminal.output), (number, terminal.output)
            assert b"Too many open files" in terminal.output
            assert b"ulimit -n" in terminal.output
        terminal.close()
        expect_gone(bench, name)
    assert 0 < refused < 13
    assert bench.processes(container) == ["tail -f /dev/null"]


USED_UP = """
import dockerpty, os, resource, sys, termios
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client = from_env()
created = [dockerpty.exec_create(client, sys.argv[1], ["true"], tty=True) for _ in range(2)]
dockerpty.exec_command(client, sys.argv[1], ["true"])
client.close()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
before = termios.tcgetattr(0)
null = os.open("/dev/null", os.O_RDONLY)
found = []
for free in range(0, 16):
    taken = []
    try:
        while True:
            taken.append(os.dup(null))
    except OSError:
        pass
    for _ in range(free):
        os.close(taken.pop())
    def count():
        return sum(os.path.exists(f"/proc/self/fd/{n}") for n in range(64))
    open_before = count()
    kind, text = "", ""
    try:
        code = dockerpty.exec_command(client, sys.argv[1], ["true"])
    except (OSError, dockerpty.DockerptyError) as error:
        code, kind, text = None, type(error).__name__, str(error)
    left = count() - open_before
    for fd in taken:
        os.close(fd)
    found.append([free, code, kind, text, left, termios.tcgetattr(0) == before])
report("over", found=found)
"""


@pytest.mark.own_socket
def test_a_program_that_has_used_up_its_descriptors_gets_an_error_and_loses_none(
    box: Container, sessions: Sessions
) -> None:
    found = sessions.python(USED_UP, id_of(box)).report("over", 30)["found"]
    for free, code, kind, text, left, as_before in found:
        assert left == 0, (free, code, text)
        assert as_before
        assert code == 0 or "Too many open files" in text, (free, code, kind, text)
    assert found[0][1] is None
    assert found[-1][1] == 0


def test_descriptors_with_high_numbers_are_read_and_written(box: Container, sessions: Sessions) -> None:
    source = """
import dockerpty, os, resource, sys, tempfile
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
reading, writing = os.pipe()
os.write(writing, b"given")
os.close(writing)
files = [tempfile.TemporaryFile(), *(open("/dev/null") for _ in range(1100))]
source, out = os.dup2(reading, 1500), os.dup2(files[0].fileno(), 1501)
code = dockerpty.exec_command(from_env(), sys.argv[1], ["sh", "-c", "cat; exit 7"], True, out, 2, source)
report("over", code=code, out=os.pread(out, 100, 0).decode())
"""
    assert sessions.python(source, id_of(box)).report("over") == {"event": "over", "code": 7, "out": "given"}


def test_a_terminal_with_a_high_number_is_made_raw_and_given_back(box: Container, sessions: Sessions) -> None:
    source = """
import dockerpty, os, resource, sys
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
files = [open("/dev/null") for _ in range(1100)]
source, out = os.dup2(0, 1500), os.dup2(1, 1501)
code = dockerpty.exec_command(
    from_env(), sys.argv[1], ["sh", "-c", "echo up; read x; echo got $x; exit 7"], True, out, out, source
)
report("over", code=code)
"""
    terminal = sessions.python(source, id_of(box))
    terminal.expect("up")
    assert terminal.is_raw()
    terminal.send("it\r")
    terminal.expect("got it\r\n")
    assert terminal.report("over")["code"] == 7
    assert terminal.wait() == 0
    assert terminal.is_as_before()


# Memory


@pytest.mark.own_socket
@pytest.mark.parametrize("verb", ["exec", "run"])
def test_little_address_space_is_enough(verb: str, box: Container, sessions: Sessions) -> None:
    where = f"exec -i {id_of(box)}" if verb == "exec" else f"{' '.join(RUN)} -i --rm {IMAGE}"
    data = os.urandom(5 << 20)
    done = shell(sessions, f"ulimit -v 120000; dpty {where} sh -c 'cat; exit 5'", input=data)
    assert (done.returncode, done.stderr) == (5, b"")
    assert done.stdout == data


# Disk


def test_a_full_stdout_ends_a_run_and_removes_its_container(bench: Bench, sessions: Sessions) -> None:
    name = bench.name()
    line = f"dpty {' '.join(RUN)} --rm --name {name} {IMAGE} sh -c 'trap exit TERM; while echo shown; do :; done'"
    done = shell(sessions, f"{line} > /dev/full")
    assert (done.returncode, done.stderr) == (125, b"dpty: cannot write to stdout: No space left on device\n")
    expect_gone(bench, name)


def test_a_full_stdout_ends_an_exec_and_its_process(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    done = shell(
        sessions, f"dpty exec {id_of(container)} sh -c 'while echo shown; do sleep 0.01; done' > /dev/full"
    )
    assert (done.returncode, done.stderr) == (125, b"dpty: cannot write to stdout: No space left on device\n")
    bench.wait_for(lambda: bench.processes(container) == ["tail -f /dev/null"], 10, "the end of the process")


def test_a_full_stdout_leaves_the_terminal_as_it_was(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(
        box, "read line; echo shown", tty=True, term_stdout=os.open("/dev/full", os.O_WRONLY)
    )
    terminal.wait_until(terminal.is_raw, what="raw mode")
    terminal.send("x\r")
    raised = terminal.report("raised")
    assert "DockerptyError" in raised["kind"]
    assert raised["text"] == "cannot write to stdout: No space left on device"
    terminal.wait()
    assert terminal.is_as_before()


def test_a_full_stderr_is_125(box: Container, sessions: Sessions) -> None:
    done = shell(sessions, f"dpty exec {id_of(box)} sh -c 'echo error >&2; sleep 0.2; exit 5' 2>/dev/full")
    assert seen(done) == (125, b"", b"")


@pytest.mark.own_socket
def test_a_file_that_may_not_grow_is_125_and_has_what_fits(
    box: Container, sessions: Sessions, tmp_path: os.PathLike[str]
) -> None:
    # The limit is in blocks of 512 bytes.
    path = os.path.join(tmp_path, "out")
    done = shell(sessions, f"ulimit -f 4; dpty exec {id_of(box)} seq 100000 > {path}")
    assert (done.returncode, done.stderr) == (125, b"dpty: cannot write to stdout: File too large\n")
    with open(path, "rb") as file:
        assert file.read() == b"".join(b"%d\n" % i for i in range(1, 1000))[:2048]


# Closed from the start


@pytest.mark.parametrize("verb", ["exec", "run"])
@pytest.mark.parametrize(
    ("closed", "expected"),
    [
        ("<&-", (5, b"0\n", b"err\n")),
        ("2>&-", (5, b"0\n", b"")),
        ("<&- 2>&-", (5, b"0\n", b"")),
        (">&-", (125, b"", None)),
        ("<&- >&- 2>&-", (125, b"", b"")),
    ],
)
def test_what_is_closed_from_the_start_is_nothing(
    verb: str, closed: str, expected: tuple[int, bytes, bytes | None], box: Container, sessions: Sessions
) -> None:
    where = f"exec -i {id_of(box)}" if verb == "exec" else f"{' '.join(RUN)} -i --rm {IMAGE}"
    done = shell(sessions, f"dpty {where} sh -c 'wc -c; echo err >&2; exit 5' {closed}", stdin=-3)
    code, out, err = expected
    assert (done.returncode, done.stdout) == (code, out)
    if err is None:
        assert b"dpty: cannot write to stdout: it is closed" in done.stderr
        assert b"Traceback" not in done.stderr
    else:
        assert done.stderr == err


@pytest.mark.parametrize("verb", ["exec", "run"])
def test_who_prints_nothing_needs_no_stream_at_all(verb: str, box: Container, sessions: Sessions) -> None:
    where = f"exec {id_of(box)}" if verb == "exec" else f"{' '.join(RUN)} --rm {IMAGE}"
    assert shell(sessions, f"dpty {where} sh -c 'exit 5' <&- >&- 2>&-").returncode == 5


# A slow terminal


def read_slowly(terminal: Terminal, seconds: float) -> None:
    """Take a thousand bytes a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            terminal.transcript += os.read(terminal.master, 50)
        except BlockingIOError:
            pass  # nothing now
        time.sleep(0.05)


def at_a_slow_terminal(sessions: Sessions, box: Container, mark: str) -> Terminal:
    """A program that writes more than all buffers hold, at a terminal that takes a thousand bytes a second."""
    script = f"stty -opost noflsh; trap 'echo ended; exit 6' INT; echo up; seq 1 10000000; : {mark}"
    terminal = typed(sessions, "exec", "-it", id_of(box), "sh", "-c", script)
    terminal.expect("up\n")
    terminal.reading = False
    read_slowly(terminal, 1.5)
    return terminal


def test_a_slow_terminal_loses_nothing(box: Container, sessions: Sessions) -> None:
    terminal = typed(
        sessions, "exec", "-it", id_of(box), "sh", "-c", "stty -opost; echo up; seq 50000; exit 6"
    )
    terminal.expect("up\n")
    terminal.reading = False
    read_slowly(terminal, 15 if SOAK else 4)
    assert terminal.process.poll() is None
    terminal.reading = True
    assert terminal.wait(20) == 6
    assert terminal.output == b"up\n" + b"".join(b"%d\n" % i for i in range(1, 50_001))
    assert terminal.is_as_before()


def test_ctrl_c_at_a_slow_terminal_reaches_the_program(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    terminal = at_a_slow_terminal(sessions, container, "ctrl-c")
    terminal.send(b"\x03")
    until = time.monotonic() + 10
    while bench.processes(container) != ["tail -f /dev/null"]:
        # The shell writes behind what is there already, so only the end of what it ran is to be seen now.
        if not any("seq" in line for line in bench.processes(container) if not line.startswith("sh ")):
            break
        assert time.monotonic() < until, bench.processes(container)
        read_slowly(terminal, 0.1)
    terminal.reading = True
    assert terminal.wait(20) == 6
    assert terminal.output.endswith(b"ended\n")
    # The key is echoed wherever there is room for it, which may be nowhere.
    numbers = terminal.output.removeprefix(b"up\n").removesuffix(b"ended\n").replace(b"^C", b"")
    count = numbers.count(b"\n")
    assert count > 1000
    assert numbers == b"".join(b"%d\n" % i for i in range(1, count + 2))[: len(numbers)]
    assert terminal.is_as_before()


def test_detach_keys_at_a_slow_terminal_are_obeyed_at_once(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    terminal = at_a_slow_terminal(sessions, container, "detach")
    terminal.send(DETACH)
    until = time.monotonic() + 5
    while not terminal.is_as_before():
        assert time.monotonic() < until
        read_slowly(terminal, 0.1)
    # What is said about it waits behind what the terminal has not shown yet, as all that a program says there.
    terminal.reading = True
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert f"detached from {id_of(container)}".encode() in terminal.output


# Windows


@pytest.mark.parametrize("verb", ["exec", "run"])
@pytest.mark.parametrize(("rows", "cols"), [(24, 65535), (65535, 80), (65535, 65535), (1, 1)])
def test_a_window_of_unusual_size_is_passed_on(
    rows: int, cols: int, verb: str, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    where = ("exec", "-it", id_of(box)) if verb == "exec" else (*RUN, "-it", "--rm", IMAGE)
    terminal = typed(sessions, *where, "sh", "-c", "echo up; read x; echo got $x", rows=rows, cols=cols)
    terminal.expect("up")
    # To busybox a side above 30,000 is 80 or 24: the request is what can be seen.
    terminal.wait_until(
        lambda: f"h={rows}&w={cols}" in "".join(each.path for each in proxy.seen("POST", "/resize")),
        5,
        "the size on its way",
    )
    terminal.send("it\r")
    terminal.expect("got it\r\n")
    assert terminal.wait() == 0
    assert terminal.is_as_before()


@pytest.mark.parametrize("verb", ["exec", "run"])
def test_a_window_of_unknown_size_is_no_size_until_it_has_one(
    verb: str, box: Container, sessions: Sessions
) -> None:
    where = ("exec", "-it", id_of(box)) if verb == "exec" else (*RUN, "-it", "--rm", IMAGE)
    script = "echo up; read x; stty size 2>&1; while read x; do stty size; done"
    terminal = typed(sessions, *where, "sh", "-c", script, rows=0, cols=0)
    terminal.expect("up\r\n")
    terminal.send("\r")
    terminal.expect("stty: standard input")
    terminal.set_winsize(31, 91)

    def answered() -> bool:
        terminal.send("\r")
        return b"31 91\r\n" in terminal.read_for(0.1)

    terminal.wait_until(answered, 5, "the size at the far side")
    terminal.send(b"\x04")
    terminal.wait()
    assert terminal.is_as_before()


# Programs that draw the whole screen


@pytest.fixture
def book(bench: Bench) -> Container:
    """A container with a file of two hundred lines."""
    container = bench.container(start=True)
    bench.run_inside(container, "for i in $(seq 200); do echo line $i of the book; done > /book")
    return container


def test_a_pager_follows_the_window_and_gives_the_terminal_back(book: Container, sessions: Sessions) -> None:
    terminal = typed(sessions, "exec", "-it", id_of(book), "less", "/book", rows=24, cols=80)
    screen = Screen(terminal)
    screen.wait_for("line 1 of the book", row=0)
    screen.wait_for("line 23 of the book", row=22)
    terminal.send(" ")
    screen.wait_for("line 24 of the book", row=0)
    screen.resize(40, 100)
    terminal.expect("\x1b[40;0H")
    terminal.send("g")
    screen.wait_for("line 1 of the book", row=0)
    screen.wait_for("line 39 of the book", row=38)
    screen.resize(10, 40)
    terminal.expect("\x1b[10;0H")
    terminal.send("G")
    screen.wait_for("line 194 of the book", row=0)
    screen.wait_for("line 200 of the book", row=6)
    screen.wait_for("(END)", row=-1)
    terminal.send("q")
    assert terminal.wait() == 0
    assert terminal.is_as_before()


def test_an_editor_that_is_left_and_a_window_that_changed_do_no_harm(
    book: Container, bench: Bench, sessions: Sessions
) -> None:
    terminal = typed(sessions, "exec", "-it", id_of(book), "vi", "/book", rows=24, cols=80)
    screen = Screen(terminal)
    screen.wait_for("line 23 of the book", row=22)
    screen.wait_for("/book", row=-1)
    screen.resize(12, 60)
    screen.wait_for("line 11 of the book", row=10)
    screen.wait_for("/book", row=-1)
    screen.resize(36, 90)
    screen.wait_for("line 35 of the book", row=34)
    terminal.send("3GAnew words")
    screen.wait_for("line 3 of the booknew words", row=2)
    # An escape with something right behind it is another key.
    terminal.send("\x1b")
    screen.wait_for("- /book", row=-1)
    terminal.send(":w\r")
    bench.wait_for(
        lambda: b"line 3 of the booknew words\n" in bench.run_inside(book, "cat /book")[1], 10, "the file"
    )
    before = terminal.output
    terminal.send(DETACH)
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    last = terminal.output[len(before) :]
    if b"\x1b[?1049h" in before:
        assert b"\x1b[?1049l" in last
    assert f"detached from {id_of(book)}".encode() in last
    assert "vi /book" in bench.processes(book)


def test_an_editor_in_a_container_of_its_own_ends_with_it(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(["vi", "/etc/passwd"], tty=True, stdin_open=True)
    terminal = sessions.start(container, term_rows=15, term_cols=50, term_stdout=PIPE)
    terminal.expect_stdout("/etc/passwd")
    assert terminal.is_raw()
    terminal.send(":q!\r")
    assert terminal.report("returned")["value"] == 0
    assert terminal.wait() == 0
    assert terminal.is_as_before()
