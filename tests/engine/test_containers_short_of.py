"""Where the container is short of something: memory, processes, a log."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import docker
import pytest
from docker.models.containers import Container

import dockerpty
from dockerpty.engine.client import from_environment
from dockerpty.pty import PseudoTerminal, RunOperation
from tests.bed.engine import IMAGE, Bench, id_of
from tests.bed.proxy import Proxy
from tests.bed.terminal import PIPE
from tests.conftest import missing
from tests.engine.command import dpty, typed
from tests.engine.conftest import Sessions

NO_LOG = {"log_config": docker.types.LogConfig(type="none")}
ECHOES = "while read line; do echo got $line; [ $line != end ] || exit 7; done"


def name_of(container: Container) -> str:
    return str(container.name)


def can_limit(bench: Bench, what: str) -> None:
    """Skip the test on an engine that cannot: there the container would take all that the machine has."""
    if not bench.api.info().get(what):
        missing(f"this engine has no {what}")


# Memory


@pytest.mark.parametrize("told", [False, True])
def test_a_container_that_takes_more_memory_than_it_may_is_137_and_the_result_says_what_the_engine_says(
    told: bool, bench: Bench, proxy: Proxy
) -> None:
    can_limit(bench, "MemoryLimit")
    # It keeps the last that it has read: more than it may, and less than any machine has.
    container = bench.container(["tail", "-c", "100000000", "/dev/zero"], host={"mem_limit": "8m"})
    if told:
        # An engine inside a container may not hear of it from the kernel.
        proxy.on(
            "GET",
            "/containers/.*/json",
            edit=lambda body: body.replace(b'"OOMKilled":false', b'"OOMKilled":true'),
        )
    client = docker.DockerClient(base_url=proxy.unix())
    try:
        operation = RunOperation(
            client, container, interactive=False, stdout=io.BytesIO(), stderr=io.BytesIO()
        )
        session = PseudoTerminal(client, operation)
        assert session.start() == 137
    finally:
        client.close()
    assert session.result is not None
    assert (session.result.reason, session.result.signal) == ("exited", 9)
    assert session.result.oom_killed is (told or bench.state(container)["OOMKilled"])


# Processes


FORK = "can't fork"


def not_started(bench: Bench) -> str:
    """How the engine's words for an exec that it could not start begin."""
    return "Error: (runc|crun): " if bench.is_podman else "OCI runtime exec failed: "


@pytest.fixture
def crowd(bench: Bench) -> Callable[[Container], None]:
    """Lets no process in a container start another one from now on."""
    can_limit(bench, "PidsLimit")

    def limit(container: Container) -> None:
        # docker-py has no word for this limit, and Podman 4.3 knows of it by its own way only.
        api: Any = bench.api
        limits: dict[str, Any] = {"PidsLimit": 1}
        root = f"{api.base_url}/v{api._version}"
        if bench.is_podman:
            root, limits = f"{api.base_url}/v4.0.0/libpod", {"pids": {"limit": 1}}
        api._raise_for_status(api._post_json(f"{root}/containers/{id_of(container)}/update", data=limits))

    return limit


def test_an_exec_where_nothing_can_be_started_runs_or_says_why_not(
    bench: Bench, crowd: Callable[[Container], None], sessions: Sessions
) -> None:
    box = bench.container(start=True)
    crowd(box)
    for _ in range(5):
        # The runtime needs some processes of its own, which are in time to get out of the way, or are not.
        done = dpty(sessions, "exec", name_of(box), "echo", "shown")
        said = done.stderr.decode()
        if done.returncode == 0:
            assert (done.stdout, said) == (b"shown\n", "")
        else:
            code = 125 if bench.is_podman else 126
            assert (done.returncode, done.stdout, said.count("\n")) == (code, b"", 1)
            assert re.match(not_started(bench), said)


def test_a_process_that_cannot_be_found_again_stays_and_that_is_said_in_plain_words(
    bench: Bench, crowd: Callable[[Container], None], sessions: Sessions
) -> None:
    box = bench.container(start=True)
    argv = ("exec", "--timeout", "2", name_of(box), "sh", "-c", "echo up; exec sleep 4321")
    terminal = typed(sessions, *argv, stdout=PIPE, stderr=PIPE)
    terminal.expect_stdout("up")
    crowd(box)
    assert terminal.wait() == 124
    first, second = terminal.stderr.decode().splitlines()
    assert re.fullmatch(
        rf"dpty: the process in {box.name} may still run: (sh: .*{FORK}|{not_started(bench)})[ -~]*",
        first,
    )
    assert "  " not in first
    assert second == f"dpty: cannot go on with {box.name}: it took longer than 2 s"
    assert any("sleep 4321" in line for line in bench.processes(box))


def test_a_person_in_a_shell_that_may_start_nothing_can_look_round_and_leave(
    bench: Bench, crowd: Callable[[Container], None], sessions: Sessions
) -> None:
    box = bench.container(start=True)
    terminal = typed(sessions, "exec", "-it", "-e", "PS1=in> ", name_of(box), "sh")
    terminal.expect("in> ")
    crowd(box)
    terminal.send("true | true\r")
    terminal.expect(FORK)
    terminal.expect("in> ")
    terminal.send("echo still he''re; exit 3\r")
    terminal.expect("still here")
    assert terminal.wait() == 3
    assert terminal.is_as_before()


def test_a_run_that_may_not_start_another_process_has_its_own_code(bench: Bench, sessions: Sessions) -> None:
    can_limit(bench, "PidsLimit")
    argv = ("run", "--rm", "--network", "none", "--pids-limit", "1", IMAGE, "sh", "-c")
    done = dpty(sessions, *argv, "echo out; true | true; echo never")
    assert (done.returncode, done.stdout) == (2, b"out\n")
    assert FORK in done.stderr.decode()


# No log


def test_a_run_without_a_log_shows_everything(sessions: Sessions) -> None:
    argv = ("run", "--rm", "--network", "none", "--log-driver", "none", IMAGE, "sh", "-c")
    done = dpty(sessions, *argv, "seq 20000; echo err >&2; exit 5")
    numbers = b"".join(b"%d\n" % number for number in range(1, 20_001))
    assert (done.returncode, done.stdout, done.stderr) == (5, numbers, b"err\n")


@pytest.mark.parametrize("verb", ["start", "attach"])
def test_who_joins_a_container_without_a_log_sees_what_comes_from_then_on(
    verb: str, bench: Bench, sessions: Sessions
) -> None:
    container = bench.container(ECHOES, tty=True, stdin_open=True, start=verb == "attach", host=NO_LOG)
    argv = ["start", "-ai"] if verb == "start" else ["attach"]
    terminal = typed(sessions, *argv, name_of(container))
    terminal.wait_until(terminal.is_raw, 10, "the raw terminal")
    terminal.send("end\r")
    terminal.expect("got end")
    assert terminal.wait() == 7
    assert terminal.is_as_before()


def test_who_asks_for_a_log_that_is_not_kept_gets_what_comes_from_then_on(bench: Bench) -> None:
    container = bench.container("sleep 1; echo later; exit 6", start=True, host=NO_LOG)
    client = from_environment()
    out = io.BytesIO()
    try:
        code = dockerpty.start(client, id_of(container), interactive=False, stdout=out, stderr=out, logs=True)
    finally:
        client.close()
    assert (code, out.getvalue()) == (6, b"later\n")
