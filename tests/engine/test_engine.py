"""Our calls against a real engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from dockerpty.engine import calls
from dockerpty.engine.calls import Reply
from dockerpty.engine.client import Engine, engine_of, from_environment
from dockerpty.engine.connection import wait_for
from dockerpty.errors import APIError, NotFound
from tests.bed.engine import IMAGE, Bench
from tests.bed.transports import Transport


@pytest.fixture
def ours(transport: Transport) -> Iterator[Engine]:
    found = from_environment()
    yield found
    found.close()


def serve_until(watched: Any, done: Any) -> None:
    deadline = time.monotonic() + 20
    while not done():
        wait_for(watched.interest(), min(deadline, watched.deadline() or deadline))
        watched.serve()
        assert time.monotonic() < deadline


def test_the_version_is_that_of_the_first_answer(ours: Engine, judge: docker.DockerClient) -> None:
    assert ours.send(calls.ping()).status == 200
    known = judge.version()
    assert ours.api_version == tuple(int(part) for part in known["ApiVersion"].split("."))
    assert ours.is_podman is any("Podman" in part["Name"] for part in known["Components"])
    assert ours.send(calls.version()).json()["Version"] == known["Version"]


def test_a_container_is_made_started_waited_for_and_removed(ours: Engine, bench: Bench) -> None:
    config = {"Image": IMAGE, "Cmd": ["sh", "-c", "exit 7"], "HostConfig": {"NetworkMode": "none"}}
    name = bench.name()
    made = ours.send(calls.create_container(config, name)).json()["Id"]
    bench.adopt(made)
    pending = ours.begin(calls.wait_container(made, "next-exit"))
    assert pending is not None
    assert not pending.done
    assert ours.send(calls.start_container(made)).status == 204
    serve_until(pending, lambda: pending.done)
    assert pending.reply is not None
    assert pending.reply.json()["StatusCode"] == 7
    assert ours.send(calls.inspect_container(name)).json()["Id"] == made
    assert ours.send(calls.remove_container(made)).status == 204
    with pytest.raises(NotFound):
        ours.send(calls.inspect_container(made))


def test_calls_from_inside_a_loop_resize_and_kill(ours: Engine, bench: Bench) -> None:
    container = bench.container("trap 'exit 9' TERM; while :; do sleep 0.1; done", tty=True, start=True)
    assert container.id is not None
    control = ours.control()
    outcomes: list[Any] = []
    control.submit(calls.resize_container(container.id, 33, 101), outcomes.append, 10)
    control.submit(calls.inspect_container("no-such-container"), outcomes.append, 10)
    control.submit(calls.kill_container(container.id, "TERM"), outcomes.append, 10)
    serve_until(control, lambda: control.idle)
    control.close()
    assert isinstance(outcomes[0], Reply)
    assert isinstance(outcomes[1], NotFound)
    assert outcomes[2].status == 204
    assert bench.wait_for_exit(container) == 9


def test_a_container_that_is_not_there_says_where_to_look(ours: Engine) -> None:
    with pytest.raises(NotFound) as caught:
        ours.send(calls.create_exec("no-such-container", {"Cmd": ["true"]}), subject="web")
    assert str(caught.value) == (
        "cannot exec in web: no such container; `dpty ps -a` lists those that there are"
    )
    with pytest.raises(NotFound, match="cannot attach to no-such-container: no such container"):
        ours.hijack(calls.attach_container("no-such-container", stdout=True))


def test_a_container_that_is_paused_or_stopped_says_what_to_do_first(ours: Engine, bench: Bench) -> None:
    container = bench.container(start=True)
    assert container.id is not None
    container.pause()
    with pytest.raises(APIError, match="unpause") as caught:
        ours.send(calls.create_exec(container.id, {"Cmd": ["true"]}))
    assert caught.value.status_code == 409
    with pytest.raises(APIError, match="unpause"):
        ours.hijack(calls.attach_container(container.id, stdout=True))
    container.unpause()
    container.kill()
    bench.wait_for(lambda: not bench.is_running(container))
    with pytest.raises(APIError, match="start it first"):
        ours.send(calls.create_exec(container.id, {"Cmd": ["true"]}))


@pytest.mark.parametrize("name", ["a/b", "a b", "../_ping", "a\nb", "a?b", "ä"])
def test_no_name_reaches_another_place_of_the_engine(ours: Engine, name: str) -> None:
    with pytest.raises(APIError) as caught:
        ours.send(calls.inspect_container(name))
    assert caught.value.status_code in (301, 400, 404)


def test_the_same_error_comes_by_our_connection_and_by_docker_pys(
    judge: docker.DockerClient, box: Container
) -> None:
    config: dict[str, Any] = {"Image": "no-such-image"}
    ours = engine_of(judge)
    with pytest.raises(docker.errors.ImageNotFound) as by_us:
        ours.send(calls.create_container(config))
    ours.close()
    with pytest.raises(docker.errors.ImageNotFound) as by_docker_py:
        judge.api.create_container_from_config(config)  # type: ignore[no-untyped-call]  # docker-py's own has no types
    assert by_us.value.status_code == by_docker_py.value.status_code == 404
    assert by_us.value.explanation == by_docker_py.value.explanation
