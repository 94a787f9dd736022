"""Leaving a session by keys: matched by us and never by the engine; every other byte arrives."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from docker.models.containers import Container

from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.terminal import PIPE, Terminal
from tests.engine.command import typed
from tests.engine.conftest import Sessions

P, Q = b"\x10", b"\x11"
ECHO = "stty raw -echo; echo up; exec cat"
NOBODY_TYPES = "ctrl-^,ctrl-],ctrl-^,ctrl-],ctrl-^,ctrl-],ctrl-^,ctrl-]"


@pytest.fixture
def echo(box: Container, sessions: Sessions) -> Terminal:
    """A session whose far side sends every byte back as it is."""
    terminal = sessions.exec_command(box, ECHO)
    terminal.expect("up\n")
    return terminal


def is_detached(terminal: Terminal) -> bool:
    """Whether the call returns None and everything is as before."""
    value = terminal.report("returned")["value"]
    return value is None and terminal.wait() == 0 and terminal.is_as_before()


@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_the_keys_detach_in_one_write_or_in_two(pause: float, echo: Terminal) -> None:
    if pause:
        echo.send(P)
        echo.read_for(pause)
        echo.send(Q)
    else:
        echo.send(P + Q)
    assert is_detached(echo)
    assert b"\x10" not in echo.output.partition(b"up\n")[2]


def test_a_first_key_alone_arrives_and_the_second_after_a_while_is_no_detach(echo: Terminal) -> None:
    echo.send(P)
    echo.expect(P, 2)
    echo.send(Q)
    echo.expect(Q)
    echo.send("alive")
    echo.expect("alive")


def test_a_first_key_and_another_arrive_at_once_and_in_order(echo: Terminal) -> None:
    echo.send(P + b"a")
    echo.expect(P + b"a", 0.4)


def test_twice_the_first_key_passes_one_of_them_and_detaches(echo: Terminal) -> None:
    echo.send(b"x" + P + P + Q)
    assert is_detached(echo)


def test_custom_keys_detach_and_the_default_ones_arrive(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, ECHO, detach_keys="ctrl-a,x")
    terminal.expect("up\n")
    terminal.send(P + Q)
    terminal.expect(P + Q, 0.4)
    terminal.send("\x01y")
    terminal.expect("\x01y")
    terminal.send("\x01x")
    assert is_detached(terminal)


@pytest.mark.parametrize("spelling", ["", "none"])
def test_without_keys_everything_arrives(spelling: str, box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, ECHO, detach_keys=spelling)
    terminal.expect("up\n")
    terminal.send(P + Q + b"alive")
    terminal.expect(P + Q + b"alive")


def test_the_keys_are_found_in_the_middle_of_a_long_paste(
    bench: Bench, box: Container, sessions: Sessions
) -> None:
    name = f"/tmp/{bench.name()}"
    terminal = sessions.exec_command(box, f"stty raw -echo; echo up; exec cat >{name}")
    terminal.expect("up\n")
    terminal.send(b"a" * 500_000 + P + Q + b"b" * 1000)
    assert terminal.report("returned", 20)["value"] is None

    def written() -> bytes:
        return bench.run_inside(box, f"wc -c <{name}")[1].strip()

    try:
        bench.wait_for(lambda: written() == b"500000", what="all that was pasted before the keys")
    except AssertionError as error:
        raise AssertionError(f"{error}; there are {written()!r}") from None
    assert bench.run_inside(box, f"tr -d a <{name} | wc -c; rm {name}")[1].strip() == b"0"


def test_piped_bytes_are_never_searched(box: Container, sessions: Sessions) -> None:
    terminal = sessions.exec_command(box, "cat", term_stdin=PIPE, term_stdout=PIPE)
    terminal.feed(b"a" + P + Q + b"b", end=True)
    assert terminal.report("returned")["value"] == 0
    terminal.wait()
    assert terminal.stdout == b"a" + P + Q + b"b"


def test_after_a_detach_the_container_can_be_attached_again(bench: Bench, sessions: Sessions) -> None:
    container = bench.container(
        "echo up; while read line; do echo got-$line; done", tty=True, stdin_open=True
    )
    first = sessions.start(container)
    first.expect("up")
    first.send(P + Q)
    assert is_detached(first)
    second = sessions.start(container)
    second.wait_until(second.is_raw, what="raw mode")
    second.send("again\r")
    second.expect("got-again")
    second.send(P + Q)
    assert is_detached(second)
    assert bench.is_running(container)


def test_an_exec_that_was_left_runs_on_and_is_not_marked_as_failed(
    bench: Bench, box: Container, sessions: Sessions
) -> None:
    created = bench.api.exec_create(id_of(box), ["sh", "-c", ECHO], stdin=True, tty=True)
    terminal = sessions.start_exec(created["Id"])
    terminal.expect("up\n")
    # It was created elsewhere: the engine itself watches for its own keys there, and must not see them whole.
    terminal.send(P + Q)
    assert is_detached(terminal)
    info = bench.exec_info(created["Id"])
    assert info["Running"] is True
    assert not info["ExitCode"]  # None, or Podman's 0


# The stream of a container's own process, where the engine watches for keys as well


def echo_of(verb: str, flags: list[str], bench: Bench, sessions: Sessions) -> Terminal:
    """A command line whose container sends every byte back as it is."""
    name = bench.name()
    if verb == "run":
        argv = ["run", "-it", "--network", "none", "--name", name, *flags, IMAGE, "sh", "-c", ECHO]
    else:
        container = bench.container(ECHO, tty=True, stdin_open=True, start=verb == "attach")
        argv = [verb, *(["-ai"] if verb == "start" else []), *flags, str(container.name)]
    terminal = typed(sessions, *argv)
    terminal.wait_until(terminal.is_raw, what="raw mode")
    if verb == "attach":
        bench.wait_for_log(container, b"up")  # it was said before anybody was there
    else:
        terminal.expect("up\n")
    if verb == "run":
        bench.adopt(name)
    return terminal


@pytest.mark.parametrize("verb", ["run", "start", "attach"])
def test_a_first_key_alone_arrives_at_a_containers_own_process(
    verb: str, bench: Bench, sessions: Sessions
) -> None:
    terminal = echo_of(verb, [], bench, sessions)
    terminal.send(P)
    # Half a second of ours; the engine would keep it until another key comes.
    terminal.expect(P, 2)
    terminal.send(P + Q)
    terminal.expect("dpty: detached from ")
    assert terminal.wait() == 0
    assert terminal.output.count(P) == 1


@pytest.mark.parametrize("verb", ["run", "start", "attach"])
def test_without_keys_they_arrive_at_a_containers_own_process_at_once(
    verb: str, bench: Bench, sessions: Sessions
) -> None:
    terminal = echo_of(verb, ["--detach-keys", "none"], bench, sessions)
    terminal.send(P)
    terminal.expect(P, 0.4)
    terminal.send(Q + P + Q)
    terminal.expect(Q + P + Q, 0.4)


@pytest.mark.parametrize("flags", [[], ["--detach-keys", "none"], ["--detach-keys", "ctrl-a,x"]])
def test_the_engine_is_told_of_keys_that_nobody_types_whatever_ours_are(
    flags: list[str], bench: Bench, box: Container, proxy: Proxy, sessions: Sessions
) -> None:
    for verb in ("run", "start", "attach"):
        echo_of(verb, flags, bench, sessions)
    asked = [parse_qs(urlsplit(each.path).query) for each in proxy.seen("POST", "/attach")]
    assert [query["detachKeys"] for query in asked] == [[NOBODY_TYPES]] * len(asked)
    assert sum(query["stdin"] == ["1"] for query in asked) == 3

    terminal = typed(sessions, "exec", "-it", *flags, str(box.name), "sh", "-c", ECHO)
    terminal.expect("up\n")
    (created,) = proxy.seen("POST", "/containers/[^/]*/exec$")
    assert json.loads(created.body)["DetachKeys"] == NOBODY_TYPES


def test_keys_that_nobody_can_type_are_refused_before_anything_is_touched(
    box: Container, sessions: Sessions
) -> None:
    terminal = sessions.exec_command(box, ECHO, detach_keys="ctrl-p,enter")
    raised = terminal.report("raised")
    assert "DetachKeysError" in raised["kind"]
    assert "ValueError" in raised["kind"]
    assert "enter" in raised["text"]
    terminal.wait()
    assert terminal.is_as_before()
