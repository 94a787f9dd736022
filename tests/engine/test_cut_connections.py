"""A session with a container has three connections: output, input and the wait for its end. Each may break alone."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from docker.models.containers import Container

from dockerpty import attach, process
from dockerpty.engine.client import from_environment
from dockerpty.errors import SessionLost
from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.terminal import PIPE, ROOT, Terminal
from tests.engine.command import dpty
from tests.engine.conftest import Sessions

Way = Literal["end", "reset"]
WAIT, OUTPUT, INPUT = "/wait", "/attach.*stdout=1", "/attach.*stdin=1"

LOOK = ("GET", "/containers/.*/json")


def cut(proxy: Proxy, which: str, how: Way = "end") -> None:
    """End the one connection that was opened for this, as a middlebox with a table of its own does."""
    (request,) = proxy.seen("POST", which)
    proxy.drop_connection(request, how)


def is_lost(terminal: Terminal, why: str) -> bool:
    """Whether the session ends as lost for this reason, and the terminal is given back."""
    raised = terminal.report("raised", 20)
    assert (raised["kind"][0], raised["reason"], raised["code"]) == ("SessionLost", "lost", None)
    assert raised["text"].endswith(why)
    terminal.wait()
    return terminal.is_as_before()


@pytest.mark.parametrize("how", ["end", "reset"])
def test_without_the_wait_a_session_goes_on_and_its_end_is_asked_for(
    how: Way, bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("echo up; read line; echo got $line; exit 7", tty=True, stdin_open=True)
    terminal = sessions.start(container)
    terminal.expect("up")
    looked = proxy.count(*LOOK)
    cut(proxy, WAIT, how)
    # The silence after which one that is known to have ended is left.
    terminal.wait_until(lambda: proxy.count(*LOOK) > looked, 20, "a look at the container")
    terminal.send("it\r")
    terminal.expect("got it")
    assert terminal.report("returned")["value"] == 7


def test_without_the_wait_the_end_of_the_output_is_the_end(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("echo up; read line; exit 6", stdin_open=True)
    terminal = sessions.start(container, term_stdin=PIPE, term_stdout=PIPE)
    terminal.expect_stdout("up")
    cut(proxy, WAIT)
    terminal.feed(b"it\n", end=True)
    assert terminal.report("returned")["value"] == 6


@pytest.mark.parametrize("connections", [[OUTPUT], [WAIT, OUTPUT]], ids=["output", "wait-and-output"])
def test_a_session_whose_output_was_cut_is_lost(
    connections: list[str], bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("echo up; exec cat", tty=True, stdin_open=True)
    terminal = sessions.start(container)
    terminal.expect("up")
    assert terminal.is_raw()
    for each in connections:
        cut(proxy, each)
    assert is_lost(terminal, "its output has ended, and it still runs; attach to it again")
    assert bench.is_running(container)


def test_a_session_at_a_terminal_whose_input_was_cut_is_lost(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("echo up; exec cat", tty=True, stdin_open=True)
    terminal = sessions.start(container)
    terminal.expect("up")
    cut(proxy, INPUT)
    terminal.send("typed\r")
    terminal.read_for(0.2)
    terminal.send("more\r")
    assert is_lost(terminal, "its input has ended, and it still runs; attach to it again")
    assert bench.is_running(container)


def test_what_was_typed_too_late_for_a_process_does_not_hide_its_exit_code(
    bench: Bench, sessions: Sessions
) -> None:
    container = bench.container("echo up; sleep 0.5; exit 5", tty=True, stdin_open=True)
    terminal = sessions.start(container)
    terminal.expect("up")
    for _ in range(20):
        terminal.send("late\r")
        terminal.read_for(0.05)
    assert terminal.report("returned")["value"] == 5


def test_a_process_that_closes_its_output_is_waited_for(bench: Bench, sessions: Sessions) -> None:
    seconds = attach._END_FOLLOWS_S + 1
    container = bench.container(f"exec >&- 2>&-; sleep {seconds:g}; exit 4")
    assert sessions.start(container).report("returned", 20)["value"] == 4


# A program's attached process ----------------------------------------------------------------------------------------


def told(proxy: Proxy, container: Container, which: str) -> int | None:
    """How a process ends, one of whose connections was cut, and which is then told to end; None if it is lost."""

    async def main() -> int | None:
        engine = from_environment(proxy.unix())
        try:
            async with await process.attach(engine, container, stdin=True) as attached:
                await asyncio.to_thread(container.start)
                assert await attached.stdout.readline() == b"up\n"
                cut(proxy, which)
                assert attached.stdin is not None
                if which == WAIT:
                    await asyncio.sleep(3 * process._SILENCE_S)
                    attached.stdin.write(b"it\n")
                return await attached.wait()
        except SessionLost:
            return None
        finally:
            engine.close()

    return asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize(("which", "code"), [(WAIT, 3), (OUTPUT, None)])
def test_a_programs_process_ends_with_its_own_code_or_is_lost(
    which: str, code: int | None, bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SILENCE_S", 0.1)
    container = bench.container("echo up; read line; exit 3", stdin_open=True)
    assert told(proxy, container, which) == code


# Who tells the code of a container that removes itself ----------------------------------------------------------------

METHODS_ALONE = """
import dockerpty, sys
from dockerpty.engine.foreign import ForeignEngine
from tests.bed.scripts.clients import from_env
from tests.bed.scripts.report import report
client = ForeignEngine(from_env().api)
report("returned", value=dockerpty.start(client, sys.argv[1]))
"""


def test_a_client_of_whom_we_know_the_methods_alone_tells_the_code_of_what_removes_itself(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("echo up; exit 7", host={"auto_remove": True})
    # Gone before anybody could look.
    proxy.on("GET", "/containers/.*/json", skip=1, answer=(404, b'{"message":"No such container"}'))
    terminal = sessions.python(METHODS_ALONE, id_of(container), env={"PYTHONPATH": str(ROOT)})
    terminal.expect("up")
    assert terminal.report("returned")["value"] == 7


def test_a_container_that_removes_itself_is_lost_where_its_wait_was_cut(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container("echo up; read line", stdin_open=True, host={"auto_remove": True})
    terminal = sessions.start(container, term_stdin=PIPE, term_stdout=PIPE)
    terminal.expect_stdout("up")
    gone = proxy.on("GET", "/containers/.*/json", answer=(404, b'{"message":"No such container"}'))
    cut(proxy, WAIT)
    terminal.feed(b"it\n", end=True)
    assert is_lost(
        terminal, "the engine no longer knows it; it may still run: if it does, attach to it again"
    )
    assert gone.applied


@pytest.mark.parametrize("verb", ["run", "start", "attach"])
def test_an_engine_of_before_api_1_30_tells_the_code(verb: str, bench: Bench, sessions: Sessions) -> None:
    script = "sleep 1; exit 7"
    if verb == "run":
        argv = ["run", "--rm", "--network", "none", IMAGE, "sh", "-c", script]
    else:
        container = bench.container(script, start=verb == "attach")
        argv = [verb, *(["-a"] if verb == "start" else []), container.name or ""]
    assert dpty(sessions, *argv, DOCKER_API_VERSION="1.29").returncode == 7
