"""Which container a host is just now, on a real engine: labels as compose gives them, and all that may befall one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from docker.models.containers import Container

from dockerpty.engine import calls
from dockerpty.engine.interface import Engine
from dockerpty.errors import APIError
from dockerpty.host.errors import HostError, HostNotRunningError, HostPausedError, is_away
from dockerpty.host.reference import Reference, of_service, of_text
from dockerpty.host.requests import Ask, Request
from dockerpty.host.resolve import (
    Resolved,
    State,
    again,
    current,
    find,
    is_running,
    refresh,
    wait_healthy,
    wait_running,
)
from dockerpty.host.send import Blocking, OnLoop
from dockerpty.plan import drive, drive_on_loop
from tests.bed.engine import Bench, id_of
from tests.engine.host.conftest import Colour
from tests.unit.host.containers import service

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan

Drive = Callable[["Plan[Any]"], Any]


@pytest.fixture
def drives(colour: Colour) -> Drive:
    """Runs a plan, in either colour."""
    return colour.drive


@pytest.fixture
def asks(client: Engine) -> Drive:
    return lambda plan: drive(plan, Blocking(client).answer)


@pytest.fixture
def project(bench: Bench) -> str:
    """A project's name that nobody else uses."""
    return bench.name()


def state_of(container: Container | str, **options: Any) -> State:
    return State(of_text(container if isinstance(container, str) else str(container.name)), **options)


# Found


def test_a_container_is_found_by_name_id_and_the_beginning_of_its_id(bench: Bench, drives: Drive) -> None:
    container = bench.container(start=True)
    for text in (str(container.name), id_of(container), id_of(container)[:20]):
        found = drives(find(of_text(text)))
        assert (found.id, found.name, found.state, found.ready) == (
            *(id_of(container), container.name),
            *("running", True),
        )


def test_what_a_host_and_its_transfers_need_is_read_off_a_real_inspection(bench: Bench, asks: Drive) -> None:
    container = bench.container(
        start=True,
        user="daemon",
        working_dir="/srv",
        labels={"tier": "web"},
        volumes=["/data"],
        host={"tmpfs": {"/scratch": ""}},
    )
    found: Resolved = asks(find(of_text(id_of(container))))
    assert (found.user, found.workdir, found.labels["tier"]) == ("daemon", "/srv", "web")
    assert found.tmpfs == ("/scratch",)
    assert "/data" in found.mounts
    assert found.image
    assert found.started.startswith("20")


def test_a_service_is_found_by_the_labels_that_compose_gives(
    bench: Bench, project: str, drives: Drive
) -> None:
    made = {
        number: bench.container(start=True, labels=service(project, "api", number)) for number in (3, 1, 2)
    }
    one_off = bench.container(start=True, labels=service(project, "api", 1, one_off=True))
    assert drives(find(of_service(project, "api"))).id == made[1].id
    assert drives(find(of_text(f"compose://{project}/api/3"))).id == made[3].id
    made[1].stop(timeout=0)
    assert drives(find(of_service(project, "api"))).id == made[2].id
    for number in (2, 3):
        made[number].stop(timeout=0)
    assert drives(find(of_service(project, "api"))).id == made[1].id
    for container in made.values():
        container.remove()
    with pytest.raises(HostNotRunningError, match="no such container"):
        drives(find(of_service(project, "api")))
    assert bench.is_running(one_off)


def test_of_several_with_a_label_the_one_that_runs_is_found_and_two_are_listed(
    bench: Bench, project: str, asks: Drive
) -> None:
    labels = {"tier": project}
    bench.container(labels=labels)
    live = bench.container(labels=labels, start=True)
    wanted = of_text(f"label:tier={project}")
    assert asks(find(wanted)).id == live.id
    other = bench.container(labels=labels, start=True)
    with pytest.raises(HostError, match="2 containers fit") as caught:
        asks(find(wanted))
    assert f"{live.name} (running)" in caught.value.reason
    assert f"{other.name} (running)" in caught.value.reason


def test_an_id_that_several_begin_with_is_refused_with_their_names(bench: Bench, asks: Drive) -> None:
    made: dict[str, Container] = {}
    while True:
        container = bench.container()
        first = id_of(container)[0]
        if first in made:
            break
        made[first] = container
    with pytest.raises(HostError, match="containers fit") as caught:
        asks(find(of_text(first)))
    for each in (container, made[first]):
        assert f"{each.name} (created)" in caught.value.reason


def test_for_one_that_is_not_there_the_nearest_names_are_told(
    bench: Bench, project: str, drives: Drive
) -> None:
    container = bench.container(name=f"{project}-web", labels=service(project, "api"))
    with pytest.raises(HostNotRunningError) as caught:
        drives(find(of_text(f"{project}-wbe")))
    assert str(container.name) in caught.value.hint
    with pytest.raises(HostNotRunningError) as caught:
        drives(find(of_text(f"compose://{project}/apis")))
    assert f"compose://{project}/api" in caught.value.hint


# Replaced, stopped, started again


@pytest.mark.parametrize("kind", ["name", "compose", "label"])
def test_a_container_that_compose_made_anew_is_found_again(
    kind: str, bench: Bench, project: str, drives: Drive
) -> None:
    labels = {**service(project, "api"), "tier": project}
    text = {
        "name": f"{project}-api-1",
        "compose": f"compose://{project}/api",
        "label": f"label:tier={project}",
    }[kind]
    old = bench.container(name=f"{project}-api-1", labels=labels, start=True)
    state = state_of(text)
    before = drives(current(state))
    old.remove(force=True)
    new = bench.container(name=f"{project}-api-1", labels=labels, start=True)
    assert drives(current(state)) is before
    after = drives(again(state))
    assert (before.id, after.id) == (old.id, new.id)
    assert before.life != after.life


@pytest.mark.parametrize("length", [64, 20])
def test_an_id_never_becomes_another_container(length: int, bench: Bench, drives: Drive) -> None:
    old = bench.container(start=True)
    state = state_of(id_of(old)[:length])
    drives(current(state))
    old.remove(force=True)
    # It would be found by the same text.
    bench.container(name=id_of(old)[:length], start=True)
    with pytest.raises(HostNotRunningError, match="no such container"):
        drives(again(state))


def test_one_that_was_stopped_is_an_error_with_its_state_and_code(bench: Bench, drives: Drive) -> None:
    container = bench.container("exit 7", start=True)
    bench.wait_for_exit(container)
    with pytest.raises(HostNotRunningError, match="it is not running: it ended with 7") as caught:
        drives(current(state_of(container)))
    assert caught.value.state == "exited"
    with pytest.raises(HostNotRunningError, match="it was never started"):
        drives(current(state_of(bench.container())))


def test_one_that_is_paused_is_an_error_of_its_own_and_is_found_when_it_goes_on(
    bench: Bench, drives: Drive
) -> None:
    container = bench.container(start=True)
    state = state_of(container, start=True)
    before = drives(current(state))
    container.pause()
    try:
        with pytest.raises(HostPausedError, match="unpause it first"):
            drives(again(state))
        assert drives(is_running(state)) is False
        assert bench.state(container)["Paused"]
    finally:
        container.unpause()
    assert drives(current(state)).life == before.life


def test_one_that_is_started_again_has_another_life(bench: Bench, drives: Drive) -> None:
    container = bench.container(start=True)
    state = state_of(container)
    before = drives(current(state))
    container.restart(timeout=0)
    after = drives(again(state))
    assert after.id == before.id
    assert after.life != before.life
    assert drives(again(state)).life == after.life


def test_one_between_two_restarts_is_waited_for(bench: Bench, drives: Drive) -> None:
    bench.needs_pauses_between_restarts()
    # Its first lives are short, and the engine waits ever longer between them.
    script = "echo >>/lives; [ $(wc -l </lives) -lt 6 ] || exec tail -f /dev/null; exit 1"
    container = bench.container(script, host={"restart_policy": {"Name": "always"}})
    state = state_of(container)
    container.start()
    bench.wait_for(lambda: bench.state(container)["Restarting"], 10, "a restart")
    found = drives(again(state))
    assert found.ready
    assert found.id == container.id


# Brought up


@pytest.mark.parametrize("runs_before", [False, True])
def test_one_that_does_not_run_is_started_where_that_was_asked_for(
    runs_before: bool, bench: Bench, drives: Drive
) -> None:
    container = bench.container(start=runs_before)
    if runs_before:
        container.stop(timeout=0)
    state = state_of(container, start=True)
    assert drives(current(state)).ready
    assert bench.is_running(container)


def test_one_that_cannot_be_started_is_an_error_with_the_engines_words(bench: Bench, drives: Drive) -> None:
    container = bench.container(["/no/such/program"])
    with pytest.raises(HostNotRunningError, match=r"could not be started: .*no such"):
        drives(current(state_of(container, start=True)))


def test_one_that_ends_at_once_is_an_error(bench: Bench, client: Engine) -> None:
    container = bench.container("exit 3")
    state = state_of(container, start=True)
    answer = Blocking(client).answer

    def patient(request: Request) -> Any:
        given = answer(request)
        if isinstance(request, Ask) and request.call.name == "start":
            # Nobody is to see it in its short life.
            bench.wait_for_exit(container)
        return given

    with pytest.raises(HostNotRunningError, match="it was started, and ended with 3"):
        drive(current(state), patient)


def test_a_function_of_the_programs_brings_it_up(bench: Bench, project: str, drives: Drive) -> None:
    made = []

    def up() -> str:
        made.append(bench.container(labels=service(project, "api"), start=True))
        return id_of(made[-1])

    state = State(of_service(project, "api"), start=up)
    assert drives(current(state)).id == made[0].id
    made[0].remove(force=True)
    assert drives(again(state)).id == made[1].id
    assert len(made) == 2


def test_a_coroutine_function_of_the_programs_brings_up_a_host_without_a_container(
    bench: Bench, client: Engine
) -> None:
    async def up() -> str:
        return id_of(await asyncio.to_thread(bench.container, start=True))

    async def main() -> None:
        executor = OnLoop(client)
        state = State(Reference(), start=up)
        try:
            found = await drive_on_loop(current(state), executor.answer)
            assert found.ready
            assert (await drive_on_loop(again(state), executor.answer)).id == found.id
        finally:
            executor.release()

    asyncio.run(asyncio.wait_for(main(), 60))


# Waited for


def test_one_that_is_made_and_started_meanwhile_is_waited_for(bench: Bench, drives: Drive) -> None:
    name = bench.name()
    maker = threading.Timer(0.3, lambda: bench.container(name=name, start=True))
    maker.start()
    try:
        assert drives(wait_running(state_of(name), 30)).ready
    finally:
        maker.join()


def test_one_that_does_not_run_in_time_is_an_error(bench: Bench, drives: Drive) -> None:
    with pytest.raises(HostNotRunningError, match=r"it was never started, after 0\.2 s"):
        drives(wait_running(state_of(bench.container()), 0.2))


def check_health(bench: Bench, container: Container) -> None:
    """Have Podman make a container's own check until that is content."""
    url = f"{bench.api.base_url}/v4.0.0/libpod/containers/{container.id}/healthcheck"
    bench.wait_for(lambda: bench.api.get(url).json()["Status"] == "healthy", 30, "health")


def test_one_is_waited_for_until_its_own_check_is_content(bench: Bench, drives: Drive) -> None:
    check = {"test": ["CMD-SHELL", "test -e /ready"], "interval": 200_000_000, "retries": 1000}
    container = bench.container("sleep 0.5; touch /ready; tail -f /dev/null", healthcheck=check, start=True)
    state = state_of(container)
    with ThreadPoolExecutor(1) as threads:
        if bench.is_podman:
            # It leaves the interval to systemd, which does not run everywhere: somebody has to ask.
            threads.submit(check_health, bench, container)
        assert drives(wait_healthy(state, 30)).health == "healthy"
    with pytest.raises(HostError, match="no check of its health"):
        drives(wait_healthy(state_of(bench.container(start=True)), 30))


# What an engine refuses


@pytest.mark.parametrize("how", ["gone", "stopped", "created", "paused"])
def test_the_refusal_of_an_exec_says_that_the_container_is_away(
    how: str, bench: Bench, client: Engine
) -> None:
    container = bench.container(start=how != "created")
    if how == "gone":
        container.remove(force=True)
    elif how == "stopped":
        container.stop(timeout=0)
    elif how == "paused":
        container.pause()
    try:
        with pytest.raises(APIError) as caught:
            client.send(calls.create_exec(id_of(container), {"Cmd": ["true"], "AttachStdout": True}))
    finally:
        if how == "paused":
            container.unpause()
    assert is_away(caught.value)


def test_another_refusal_of_an_exec_does_not(bench: Bench, client: Engine) -> None:
    container = bench.container(start=True)
    with pytest.raises(APIError) as caught:
        client.send(calls.create_exec(id_of(container), {"Cmd": [], "AttachStdout": True}))
    assert not is_away(caught.value)


# Faults that must not come back


def test_host_f13_a_container_that_was_stopped_or_replaced_is_known_to_be(
    bench: Bench, project: str, drives: Drive
) -> None:
    labels = service(project, "api")
    old = bench.container(labels=labels, start=True)
    state = State(of_service(project, "api"))
    drives(current(state))
    assert drives(is_running(state)) is True
    old.stop(timeout=0)
    assert drives(is_running(state)) is False
    # As `compose up --force-recreate` does.
    old.remove()
    assert drives(is_running(state)) is False
    new = bench.container(labels=labels, start=True)
    assert drives(is_running(state)) is True
    assert drives(current(state)).id == new.id


def test_host_f14_the_call_after_a_restart_finds_the_container_and_knows_that_its_life_is_new(
    bench: Bench, drives: Drive
) -> None:
    container = bench.container(start=True)
    state = state_of(container)
    before = drives(current(state))
    container.restart(timeout=0)
    # What ends with the container's first life sends its host here.
    after = drives(again(state))
    assert after.ready
    assert (after.id == before.id, after.life == before.life) == (True, False)
    assert drives(current(state)) is after


@pytest.mark.parametrize("text", ["{}; touch /x", "{}/../{}", "{}?x=", "{}%2e", " {}", "{}\n"])
def test_host_f22_an_id_from_outside_finds_nobody_else(text: str, bench: Bench, drives: Drive) -> None:
    container = bench.container(start=True)
    with pytest.raises(HostNotRunningError):
        drives(current(state_of(text.format(container.name, container.name))))


def test_host_f24_to_look_at_a_service_that_is_down_starts_nothing(
    bench: Bench, project: str, drives: Drive
) -> None:
    stopped = bench.container(labels=service(project, "api"), start=True)
    stopped.stop(timeout=0)
    other = bench.container(labels=service(project, "db"))
    state = State(of_service(project, "api"))
    for plan in (current, again):
        with pytest.raises(HostNotRunningError):
            drives(plan(state))
    assert drives(refresh(state)).state == "exited"
    assert drives(is_running(state)) is False
    assert not bench.is_running(stopped)
    assert bench.state(other)["Status"] == "created"
