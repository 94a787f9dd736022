"""`--reconnect` on a real engine that goes away: behind a proxy, which cuts and comes back."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from docker.models.containers import Container

from dockerpty.container.ending import CONTAINER_LOOKS
from tests.bed.engine import Bench
from tests.bed.proxy import Proxy
from tests.bed.transports import Transport
from tests.engine.command import dpty, typed
from tests.engine.conftest import Sessions

ECHOES = "while read line; do echo got $line; [ $line = end ] && exit 7; done"


def name_of(container: Container) -> str:
    return str(container.name)


def test_an_attach_goes_on_after_the_connection_was_cut(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container(ECHOES, tty=True, stdin_open=True, start=True)
    terminal = typed(sessions, "attach", "--reconnect", name_of(container))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    for word in ("one", "two"):
        terminal.send(f"{word}\r")
        terminal.expect(f"got {word}")
        before = proxy.count("POST", "/attach")
        proxy.drop_connections()
        proxy.wait_for_request("POST", "/attach", before + 2)
        terminal.wait_until(terminal.is_raw, 10, "the raw terminal again")
    terminal.send("end\r")
    terminal.expect("got end")
    assert terminal.wait() == 7
    assert terminal.output.count(b"dpty: lost ") == 2
    assert terminal.is_as_before()


def test_an_engine_that_is_away_for_a_while_is_waited_for(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    container = bench.container(ECHOES, tty=True, stdin_open=True, start=True)
    terminal = typed(sessions, "attach", "--reconnect", name_of(container))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("one\r")
    terminal.expect("got one")
    # Of the next questions none has an answer that an engine gives.
    away = proxy.on("GET", "/json", answer=(502, b"bad gateway"), times=3)
    proxy.drop_connections()
    terminal.wait_until(lambda: away.applied == 3 and terminal.is_raw(), 20, "the engine to be back")
    terminal.send("end\r")
    assert terminal.wait() == 7


def test_what_has_ended_meanwhile_gives_its_code(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    container = bench.container("trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done", start=True)
    bench.wait_for_log(container, b"up")
    terminal = typed(sessions, "attach", "--reconnect", name_of(container))
    proxy.wait_for_request("POST", "/attach")
    terminal.read_for(0.5)
    ended = threading.Event()
    # The first questions are for the exit code; the answer to the next decides whether to attach again.
    proxy.on("GET", "/containers/.*/json", skip=CONTAINER_LOOKS, times=1, hold_request=ended)
    proxy.drop_connections()
    terminal.expect("dpty: lost")
    container.kill("TERM")
    bench.wait_for_exit(container)
    ended.set()
    assert terminal.wait(20) == 5
    assert proxy.count("POST", "/attach") == 1


def test_the_wait_for_the_engine_can_be_broken_off(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    container = bench.container(ECHOES, tty=True, stdin_open=True, start=True)
    terminal = typed(sessions, "attach", "--reconnect", name_of(container))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("one\r")
    terminal.expect("got one")
    proxy.refuse_connections()
    proxy.drop_connections()
    terminal.expect("attaching again when the engine is back")
    terminal.wait_until(terminal.is_as_before, 10, "the terminal as it was")
    terminal.send("\x03")
    assert terminal.wait() == -signal.SIGINT


def test_a_limit_is_kept(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    container = bench.container(ECHOES, tty=True, stdin_open=True, start=True)
    terminal = typed(sessions, "attach", "--reconnect=1", "--quiet", name_of(container))
    for count in (1, 2):
        terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
        terminal.send(f"{count}\r")
        terminal.expect(f"got {count}")
        proxy.drop_connections()
        if count == 1:
            proxy.wait_for_request("POST", "/attach", 3)
    assert terminal.wait(20) == 255
    assert terminal.output.count(b"dpty: ") == 1  # the error; all else is quiet


@pytest.mark.parametrize("command", ["run", "start"])
def test_what_was_started_by_us_is_followed_and_not_started_again(
    command: str, bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    script = f"echo once; {ECHOES}"
    if command == "start":
        container = bench.container(script, tty=True, stdin_open=True)
        name = name_of(container)
        argv = ["start", "-ai", "--reconnect", name]
    else:
        name = bench.name()
        argv = [
            "run",
            "-it",
            "--reconnect",
            "--network",
            "none",
            "--name",
            name,
            "busybox",
            "sh",
            "-c",
            script,
        ]
    terminal = typed(sessions, *argv)
    terminal.expect("once")
    if command == "run":
        bench.adopt(name)
    proxy.drop_connections()
    terminal.expect("dpty: lost")
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal again")
    terminal.send("end\r")
    assert terminal.wait() == 7
    assert proxy.count("POST", "/start$") == 1


def life_s(transport: Transport) -> int:
    """How long a container has to live to be asked about and attached to before it ends."""
    return 5 if transport.is_slow else 1


def test_a_container_that_its_policy_starts_again_is_followed(
    bench: Bench, transport: Transport, sessions: Sessions
) -> None:
    script = (
        f"touch /file; echo x >>/file; sleep {life_s(transport)};"
        " n=$(wc -l </file); echo life $n; [ $n = 3 ] && exit 0; exit 9"
    )
    policy = {"restart_policy": {"Name": "on-failure"}}
    followed = dpty(sessions, "start", "-a", "--reconnect", name_of(bench.container(script, host=policy)))
    assert followed.returncode == 0
    assert followed.stdout == b"life 1\nlife 2\nlife 3\n"
    assert followed.stderr.count(b"is started again: following it") == 2
    without = dpty(sessions, "start", "-a", name_of(bench.container(script, host=policy)))
    assert (without.returncode, without.stdout) == (9, b"life 1\n")


def test_an_engine_that_is_stopped_and_starts_its_containers_again_is_waited_for(
    bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    script = "trap 'exit 3' TERM; while :; do echo tick; sleep 0.1; done"
    policy = {"restart_policy": {"Name": "always"}}
    container = bench.container(script, start=True, host=policy)
    terminal = typed(sessions, "attach", "--reconnect", name_of(container))
    terminal.expect("tick")
    # As Engine 20.10 ends: it takes no connection any more, ends its containers, and says so on those that it has.
    proxy.refuse_connections()
    container.stop()
    terminal.expect("has ended with exit code 3 and is started again: following it")
    container.start()
    here = str(sessions.env["DOCKER_HOST"]).removeprefix("unix://")
    os.rename(proxy.unix().removeprefix("unix://"), here)
    terminal.expect("tick")
    container.stop()
    assert terminal.wait(20) == 3


def test_a_watch_goes_on_too(bench: Bench, proxy: Proxy, sessions: Sessions) -> None:
    container = bench.container("i=0; while sleep 0.1; do i=$((i+1)); echo tick $i; done", start=True)
    terminal = typed(sessions, "watch", "--reconnect", name_of(container))
    terminal.expect("tick")
    proxy.drop_connections()
    terminal.expect("dpty: lost")
    terminal.expect("tick")
    terminal.send("\x03")
    assert terminal.wait() == 0


def test_an_exec_is_never_attached_to_again(sessions: Sessions) -> None:
    done = dpty(sessions, "exec", "--reconnect", "web", "true")
    assert done.returncode == 125
    assert b"dpty exec has no such flag" in done.stderr


def test_the_time_limit_is_that_of_all_lives_together(
    bench: Bench, transport: Transport, sessions: Sessions
) -> None:
    policy = {"restart_policy": {"Name": "always"}}
    container = bench.container(f"sleep {life_s(transport)}", start=True, host=policy)
    limit = f"{2.5 * life_s(transport):g}"
    ended = dpty(sessions, "attach", "--reconnect", "--timeout", limit, name_of(container))
    assert ended.returncode == 124
    assert ended.stderr.endswith(f"it took longer than {limit} s\n".encode())


@pytest.mark.parametrize("heeds", [True, False], ids=["heeds-TERM", "ignores-TERM"])
def test_what_was_started_by_us_ends_by_a_time_limit_that_passes_while_nobody_is_attached(
    heeds: bool, bench: Bench, proxy: Proxy, sessions: Sessions
) -> None:
    trap = "trap 'echo ended; exit 0' TERM" if heeds else "trap '' TERM"
    flags = ["--reconnect", "--timeout", "4", "--stop-timeout", "1", "--network", "none"]
    name = bench.name()
    script = f"{trap}; while :; do echo tick; sleep 0.1; done"
    terminal = typed(sessions, "run", *flags, "--name", name, "busybox", "sh", "-c", script)
    terminal.expect("tick")
    container = bench.adopt(name)
    # What is asked about the container has no answer until the limit has passed; what is told to it goes through.
    back = threading.Event()
    proxy.on("GET", "/containers/.*/json", answer=(502, b"bad gateway"))
    proxy.on("POST", "signal=TERM", hold_answer=back)
    proxy.drop_connections()
    terminal.expect("dpty: lost")
    proxy.wait_for_request("POST", "signal=TERM")
    proxy.rules.clear()
    back.set()
    assert terminal.wait(20) == 124
    state = bench.state(container)
    assert (state["Running"], state["ExitCode"]) == (False, 0 if heeds else 137)
