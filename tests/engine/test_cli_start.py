"""`dpty start` on a real engine: one, several, attached, and what goes wrong with some of them."""

from __future__ import annotations

import signal

import pytest
from docker.models.containers import Container

from tests.bed.engine import Bench
from tests.bed.proxy import Proxy
from tests.engine.command import DETACH, Done, docker, dpty, only, shell, typed
from tests.engine.conftest import Sessions


def seen(done: Done) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


def name_of(container: Container) -> str:
    return str(container.name)


def test_several_are_started_and_each_is_named_as_docker_names_it(bench: Bench, sessions: Sessions) -> None:
    for command in (dpty, docker):
        made = [bench.container() for _ in range(3)]
        words = [name_of(made[0]), made[1].id or "", made[2].short_id]
        done = command(sessions, "start", *words)
        assert seen(done) == (0, "".join(f"{word}\n" for word in words).encode(), b"")
        assert all(bench.is_running(each) for each in made)


def test_one_that_runs_already_is_no_error(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(start=True)
    for command in (dpty, docker):
        assert seen(command(sessions, "start", name_of(container))) == (
            0,
            f"{container.name}\n".encode(),
            b"",
        )


def test_one_that_cannot_be_started_does_not_keep_the_others(bench: Bench, sessions: Sessions) -> None:
    first, last = bench.container(), bench.container()
    broken = bench.container(("no-such-program",))
    done = dpty(sessions, "start", name_of(first), "no-such-container", name_of(broken), name_of(last))
    assert (done.returncode, done.stdout) == (125, f"{first.name}\n{last.name}\n".encode())
    told = done.stderr.decode().splitlines()
    assert len(told) == 2
    assert told[0].startswith("dpty: cannot start no-such-container: no such container")
    assert told[1].startswith(f"dpty: cannot start {broken.name}: ")
    assert bench.is_running(last)
    theirs = docker(sessions, "start", "no-such-container", name_of(last))
    assert (theirs.returncode, theirs.stdout) == (1, f"{last.name}\n".encode())


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/tmp", 126)])
def test_what_all_have_in_common_is_the_code(
    program: str, code: int, bench: Bench, sessions: Sessions
) -> None:
    broken = [name_of(bench.container((program,))) for _ in range(2)]
    assert dpty(sessions, "start", *broken).returncode == code


@pytest.mark.parametrize("flags", ["-ai", "-i"])
def test_attached_with_i_input_is_passed_on_and_the_code_is_the_processs(
    flags: str, bench: Bench, sessions: Sessions
) -> None:
    for command in (dpty, docker):
        container = bench.container("echo out; echo err >&2; cat; exit 7", stdin_open=True)
        done = command(sessions, "start", flags, name_of(container), stdin=b"given\n")
        assert seen(done) == (7, b"out\ngiven\n", b"err\n")


def test_attached_without_i_input_is_not_read(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("echo out; echo err >&2; exit 7", stdin_open=True)
    done = shell(sessions, f"printf left | (dpty start -a {name_of(container)}; echo =$?=; cat)")
    assert seen(done) == (0, b"out\n=7=\nleft", b"err\n")


def test_without_input_it_is_not_read_whatever_i_says(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("echo out; exit 7", stdin_open=True)
    done = shell(sessions, f"printf left | (dpty start -ai -n {name_of(container)}; echo =$?=; cat)")
    assert seen(done) == (0, b"out\n=7=\nleft", b"")


def test_an_idle_limit_leaves_the_container_as_it_is(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("for i in 1 2 3; do echo $i; sleep 0.3; done; exec sleep 60")
    done = dpty(sessions, "start", "-a", "--idle-timeout", "1.5", name_of(container))
    said = f"dpty: cannot go on with {name_of(container)}: nothing moved for 1.5 s\n"
    assert seen(done) == (124, b"1\n2\n3\n", said.encode())
    assert bench.is_running(container)


def test_the_first_bytes_of_a_short_life_are_seen(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("seq 20000; exit 6")
    expected = b"".join(b"%d\n" % number for number in range(1, 20001))
    for _ in range(5):
        assert seen(dpty(sessions, "start", "-a", name_of(container))) == (6, expected, b"")


def test_a_person_starts_a_shell_and_leaves_it_running(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(("sh",), tty=True, stdin_open=True)
    terminal = typed(sessions, "start", "-ai", name_of(container), rows=33, cols=99)
    terminal.expect("# ")
    assert terminal.is_raw()
    terminal.send("until [ \"$(stty size)\" = '33 99' ]; do sleep 0.05; done; echo END''MARK\r")
    terminal.expect("ENDMARK")
    terminal.send(DETACH)
    assert terminal.wait() == 0
    assert terminal.is_as_before()
    assert bench.is_running(container)
    # A second start of what runs is an attach.
    again = typed(sessions, "start", "-ai", name_of(container))
    again.wait_until(again.is_raw, 10, "the raw terminal")
    again.send("exit 5\r")
    assert again.wait() == 5


def test_signals_are_passed_on(bench: Bench, sessions: Sessions) -> None:
    container = bench.container("trap 'exit 44' TERM; echo up; while :; do sleep 0.1; done")
    terminal = typed(sessions, "start", "-a", name_of(container))
    terminal.expect("up")
    terminal.signal(signal.SIGTERM)
    assert terminal.wait() == 44


@pytest.mark.parametrize("tty", [False, True])
def test_a_time_limit_leaves_the_container_as_it_is(tty: bool, bench: Bench, sessions: Sessions) -> None:
    container = bench.container("echo up; while :; do sleep 0.1; done", tty=tty, stdin_open=tty)
    terminal = typed(sessions, "start", "-ai", "--timeout", "1.5", name_of(container))
    terminal.expect("up")
    assert terminal.wait() == 124
    assert b"it took longer than 1.5 s" in terminal.output
    assert terminal.is_as_before()
    assert bench.is_running(container)


def test_the_newest_is_started_whether_it_ran_or_not(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    newest = bench.container("echo newest; exit 3")
    asked = only(proxy, newest)
    assert seen(dpty(sessions, "start", "-al")) == (3, b"newest\n", b"")
    assert asked.applied == 1
    assert proxy.seen("GET", "/containers/json")[0].path.endswith("?all=1&limit=1")


@pytest.mark.parametrize("flags", ["-a", "-i", "-ai"])
def test_only_one_can_be_attached_to(flags: str, bench: Bench, sessions: Sessions) -> None:
    made = [bench.container(), bench.container()]
    done = dpty(sessions, "start", flags, *map(name_of, made))
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"only one container at once can be attached to" in done.stderr
    assert not any(bench.is_running(each) for each in made)


@pytest.mark.parametrize("flag", ["--timeout=3", "--reconnect", "--record=file"])
def test_what_only_a_session_can_keep_is_refused_without_one(
    flag: str, bench: Bench, sessions: Sessions
) -> None:
    container = bench.container()
    done = dpty(sessions, "start", flag, name_of(container))
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"nobody is there to keep it without -a or -i" in done.stderr
    assert not bench.is_running(container)
