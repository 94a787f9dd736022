"""Which container a host is just now: found, brought up, found again. On an engine of nothing but containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dockerpty.errors import APIError, EngineUnreachable, NotFound
from dockerpty.host.errors import HostError, HostNotRunningError, HostPausedError, is_away
from dockerpty.host.reference import Reference, of_service, of_text
from dockerpty.host.requests import Ask
from dockerpty.host.resolve import (
    RESTARTING_S,
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
from dockerpty.plan import drive
from tests.unit.host.containers import Containers, service


@pytest.fixture
def engine() -> Containers:
    return Containers()


@pytest.fixture
def host(engine: Containers) -> Callable[..., State]:
    def make(reference: str | Reference, **options: Any) -> State:
        wanted = of_text(reference) if isinstance(reference, str) else reference
        return State(wanted, host="here", clock=engine.clock, **options)

    return make


Host = Callable[..., State]


def full(start: str) -> str:
    return start.ljust(64, "0")


# What an inspection says


def test_what_is_needed_of_an_inspection_is_read() -> None:
    info = {
        "Id": full("c0"),
        "Name": "/web",
        "Config": {"Labels": {"a": "b"}, "Image": "busybox:1", "User": "app", "WorkingDir": "/srv"},
        "State": {
            "Status": "running",
            "Running": True,
            "StartedAt": "2026-01-01T00:00:00Z",
            "Health": {"Status": "starting"},
        },
        "HostConfig": {"Tmpfs": {"/run": "", "/tmp": "size=1m"}},
        "Mounts": [
            {"Type": "volume", "Destination": "/data"},
            {"Type": "tmpfs", "Destination": "/tmp"},
            {"Type": "bind", "Destination": "/etc/hosts"},
        ],
    }
    found = Resolved.of(info)
    assert found == Resolved(
        full("c0"),
        "2026-01-01T00:00:00Z",
        name="web",
        labels={"a": "b"},
        image="busybox:1",
        state="running",
        ready=True,
        health="starting",
        user="app",
        workdir="/srv",
        tmpfs=("/run", "/tmp"),
        mounts=("/data", "/etc/hosts"),
    )
    assert found.life == (full("c0"), "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("state", "word", "code"),
    [
        ({"Status": "exited", "Running": False, "ExitCode": 3}, "exited", 3),
        ({"Status": "stopped", "Running": False, "ExitCode": 3}, "exited", 3),
        ({"Status": "configured", "Running": False, "ExitCode": 0}, "created", None),
        ({"Status": "running", "Running": True, "Paused": True, "ExitCode": 0}, "paused", None),
        ({"Status": "restarting", "Running": True, "Restarting": True, "ExitCode": 1}, "restarting", None),
    ],
)
def test_a_state_has_dockers_word(state: dict[str, Any], word: str, code: int | None) -> None:
    found = Resolved.of({"Id": full("c"), "Config": {}, "State": state})
    assert (found.state, found.ready, found.exit_code) == (word, False, code)


# Found


@pytest.mark.parametrize("text", ["web", "/web", "c0ff", full("c0ffee")])
def test_a_container_is_found_by_name_and_by_id(text: str, engine: Containers) -> None:
    engine.add("web", "c0ffee")
    assert engine.drive(find(of_text(text))).id == full("c0ffee")


def test_a_container_is_found_by_the_labels_of_its_service(engine: Containers) -> None:
    for number in (2, 1):
        engine.add(f"shop-api-{number}", labels=service("shop", "api", number))
    engine.add("shop-api-run", labels=service("shop", "api", 1, one_off=True))
    assert engine.drive(find(of_service("shop", "api"))).name == "shop-api-1"
    assert engine.drive(find(of_text("compose://shop/api/2"))).name == "shop-api-2"


def test_several_that_fit_are_listed_in_the_error(engine: Containers) -> None:
    for name in ("b", "a"):
        engine.add(name, labels={"tier": "web"})
    with pytest.raises(
        HostError, match=r"cannot find label:tier=web: 2 containers fit: a \(running\), b \(running\)"
    ):
        engine.drive(find(of_text("label:tier=web")))


def test_an_id_that_several_begin_with_is_an_error_that_lists_them(engine: Containers) -> None:
    engine.add("a", "c01")
    engine.add("b", "c02", status="exited")
    with pytest.raises(HostError, match=r"2 containers fit: a \(running\), b \(exited\)") as caught:
        engine.drive(find(of_text("c0")))
    assert not isinstance(caught.value, HostNotRunningError)
    assert isinstance(caught.value.__cause__, APIError)


@pytest.mark.parametrize(
    ("text", "near"),
    [("wbe", "is it web?"), ("compose://shop/ap", "is it compose://shop/api?"), ("zzz", "dpty ps -a")],
)
def test_for_one_that_is_not_there_the_nearest_are_named(text: str, near: str, engine: Containers) -> None:
    engine.add("web", labels=service("shop", "api"))
    with pytest.raises(HostNotRunningError) as caught:
        engine.drive(find(of_text(text), host="here"))
    error = caught.value
    assert f"cannot find {text}: it is not running: there is no such container" in str(error)
    assert near in error.hint
    assert (error.state, error.host) == ("", "here")


def test_that_the_nearest_cannot_be_asked_for_hides_nothing(engine: Containers) -> None:
    def answer(request: Any) -> Any:
        if request.call.name == "containers":
            raise EngineUnreachable("reach", "the engine")
        return engine.answer(request)

    with pytest.raises(HostNotRunningError, match="there is no such container"):
        drive(find(of_text("web")), answer)


def test_a_container_that_goes_between_its_list_and_its_inspection_is_looked_up_again(
    engine: Containers,
) -> None:
    old = engine.add("old", labels={"tier": "web"})
    engine.add("new", labels={"tier": "web"}, status="created")
    answer = engine.answer

    def lose_the_old(request: Any) -> Any:
        if isinstance(request, Ask) and request.call.name == "inspect_container" and old in engine.made:
            engine.remove(old)
        return answer(request)

    assert drive(find(of_text("label:tier=web")), lose_the_old).name == "new"


def test_a_refusal_that_says_something_else_stays_what_it_is() -> None:
    def answer(request: Any) -> Any:
        raise APIError("inspect", "web", "out of order", status_code=500, explanation="out of order")

    with pytest.raises(APIError, match="out of order"):
        drive(find(of_text("web")), answer)


def test_podmans_words_for_one_that_is_not_there_are_known() -> None:
    def answer(request: Any) -> Any:
        words = "no such container web"
        raise APIError("inspect", "web", words, status_code=500, explanation=words)

    with pytest.raises(HostNotRunningError, match="there is no such container"):
        drive(find(of_text("web")), answer)


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (NotFound("exec in", "web", status_code=404), True),
        (APIError("exec in", "web", status_code=409, explanation="Container x is not running"), True),
        (APIError("exec in", "web", status_code=409, explanation="Container x is paused"), True),
        (
            APIError("", status_code=500, explanation="can only create exec sessions on running containers"),
            True,
        ),
        (APIError("", status_code=500, explanation="container c is currently in state paused"), True),
        (APIError("", status_code=500, explanation="no space left on device"), False),
        (APIError("", status_code=400, explanation="no command"), False),
        (EngineUnreachable("reach", "the engine"), False),
        (OSError(), False),
    ],
)
def test_a_refusal_for_want_of_a_running_container_is_told_from_others(error: Exception, away: bool) -> None:
    assert is_away(error) is away


# Kept


def test_what_was_found_running_is_not_asked_for_again(engine: Containers, host: Host) -> None:
    engine.add("web")
    state = host("web")
    first = engine.drive(current(state))
    asked = list(engine.asked)
    assert engine.drive(current(state)) is first is state.known
    assert engine.asked == asked == ["GET /containers/web/json"]


def test_what_was_found_stopped_is_asked_for_again(engine: Containers, host: Host) -> None:
    info = engine.add("web", status="exited")
    state = host("web")
    assert engine.drive(refresh(state)).state == "exited"
    engine.change(info, "running")
    assert engine.drive(current(state)).ready


def test_an_engine_that_is_away_takes_nothing_of_what_is_known(engine: Containers, host: Host) -> None:
    engine.add("web")
    state = host("web")
    known = engine.drive(current(state))

    def answer(request: Any) -> Any:
        raise EngineUnreachable("reach", "the engine")

    with pytest.raises(EngineUnreachable):
        drive(again(state), answer)
    assert state.known is known


# Found again


@pytest.mark.parametrize("text", ["web", "compose://shop/api", "label:tier=web"])
def test_a_container_that_was_made_anew_is_found_by_its_name_and_its_labels(
    text: str, engine: Containers, host: Host
) -> None:
    labels = {**service("shop", "api"), "tier": "web"}
    old = engine.add("web", "aa", labels=labels)
    state = host(text)
    before = engine.drive(current(state))
    engine.remove(old)
    engine.add("web", "bb", labels=labels)
    after = engine.drive(again(state))
    assert (before.id, after.id) == (full("aa"), full("bb"))
    assert before.life != after.life
    assert engine.drive(current(state)) is after


@pytest.mark.parametrize("text", [full("aa"), "aa"])
def test_an_id_never_becomes_another_container(text: str, engine: Containers, host: Host) -> None:
    old = engine.add("web", "aa")
    state = host(text)
    engine.drive(current(state))
    engine.remove(old)
    engine.add("web", "aabb")
    engine.add(text, "cc")
    with pytest.raises(HostNotRunningError, match="no such container"):
        engine.drive(again(state))
    assert state.known is None
    assert engine.drive(is_running(state)) is False


def test_a_name_that_is_gone_never_becomes_the_beginning_of_an_id(engine: Containers, host: Host) -> None:
    old = engine.add("cafe", "aa")
    state = host("cafe")
    engine.drive(current(state))
    engine.remove(old)
    engine.add("other", "cafe")
    for _ in range(2):
        with pytest.raises(HostNotRunningError, match="no such container"):
            engine.drive(again(state))
    engine.add("cafe", "bb")
    assert engine.drive(again(state)).id == full("bb")


def test_a_container_that_was_started_again_has_another_life_and_the_same_id(
    engine: Containers, host: Host
) -> None:
    info = engine.add("web")
    state = host("web")
    before = engine.drive(current(state))
    engine.change(info, "running")
    after = engine.drive(again(state))
    assert after.id == before.id
    assert after.life != before.life


def test_a_container_that_ran_on_has_the_same_life(engine: Containers, host: Host) -> None:
    info = engine.add("web")
    state = host("web")
    before = engine.drive(current(state))
    engine.change(info, "paused")
    assert engine.drive(refresh(state)).life == before.life


# Not running


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("exited", "it is not running: it ended with 137; start it first"),
        ("created", "it is not running: it was never started; start it first"),
        ("removing", "it is not running: it is removing"),
        ("dead", "it is not running: it is dead; remove it"),
    ],
)
def test_one_that_does_not_run_is_an_error_at_once_and_is_not_started(
    status: str, why: str, engine: Containers, host: Host
) -> None:
    engine.change(engine.add("web"), status, 137)
    with pytest.raises(HostNotRunningError, match=f"cannot use web: {why}") as caught:
        engine.drive(current(host("web")))
    assert caught.value.state == status
    assert caught.value.host == "here"
    assert engine.now == 1000
    assert {each.split()[0] for each in engine.asked} == {"GET"}


@pytest.mark.parametrize("start", [False, True])
def test_one_that_is_paused_is_an_error_of_its_own_and_is_left_so(
    start: bool, engine: Containers, host: Host
) -> None:
    engine.add("web", status="paused")
    with pytest.raises(
        HostPausedError, match="cannot use web: it is not running: it is paused; unpause it first"
    ):
        engine.drive(current(host("web", start=start)))
    assert {each.split()[0] for each in engine.asked} == {"GET"}


def test_one_between_two_restarts_is_waited_for(engine: Containers, host: Host) -> None:
    info = engine.add("web", status="restarting")
    engine.after(3, lambda: engine.change(info, "running"))
    assert engine.drive(current(host("web"))).ready
    assert 3 <= engine.now - 1000 < 4


def test_one_that_restarts_again_and_again_is_waited_for_no_longer_than_ten_seconds(
    engine: Containers, host: Host
) -> None:
    engine.add("web", status="restarting")
    with pytest.raises(HostNotRunningError, match="it is restarting, again and again") as caught:
        engine.drive(current(host("web")))
    assert engine.now - 1000 == RESTARTING_S == 10
    assert caught.value.state == "restarting"


def test_one_that_is_removed_between_two_restarts_is_an_error(engine: Containers, host: Host) -> None:
    info = engine.add("web", status="restarting")
    engine.after(1, lambda: engine.remove(info))
    with pytest.raises(HostNotRunningError, match="no such container"):
        engine.drive(current(host("web")))


# Brought up


@pytest.mark.parametrize("status", ["created", "exited"])
def test_one_that_does_not_run_is_started_where_that_was_asked_for(
    status: str, engine: Containers, host: Host
) -> None:
    engine.add("web", "c0ffee", status=status)
    state = host("web", start=True)
    assert engine.drive(current(state)).ready
    engine.drive(current(state))
    assert engine.asked.count(f"POST /containers/{full('c0ffee')}/start") == 1


def test_one_that_ends_as_soon_as_it_was_started_is_an_error_and_is_not_started_for_ever(
    engine: Containers, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.add("web", status="created")
    monkeypatch.setattr(engine, "starts", lambda info: engine.change(info, "exited", 1))
    with pytest.raises(HostNotRunningError, match="it was started, and ended with 1; see its logs"):
        engine.drive(current(host("web", start=True)))
    assert sum("start" in each for each in engine.asked) == 1


def test_one_that_cannot_be_started_is_an_error_with_the_engines_words(
    engine: Containers, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(info: Any) -> None:
        raise APIError("start", "web", "port is taken", status_code=500, explanation="port is taken")

    engine.add("web", status="created")
    monkeypatch.setattr(engine, "starts", refuse)
    with pytest.raises(HostNotRunningError, match="could not be started: port is taken") as caught:
        engine.drive(current(host("web", start=True)))
    assert isinstance(caught.value.__cause__, APIError)


def test_one_that_is_not_there_cannot_be_started(engine: Containers, host: Host) -> None:
    with pytest.raises(HostNotRunningError, match="no such container"):
        engine.drive(current(host("web", start=True)))


def test_the_program_is_asked_to_bring_up_one_that_is_not_there(engine: Containers, host: Host) -> None:
    calls = []

    def up() -> str:
        calls.append(engine.add("shop-api-1", labels=service("shop", "api")))
        return str(calls[-1]["Id"])

    state = host("compose://shop/api", start=up)
    found = engine.drive(current(state))
    assert found.id == calls[0]["Id"]
    engine.drive(current(state))
    assert len(calls) == 1


def test_the_program_may_leave_it_to_us_to_find_what_it_has_brought_up(
    engine: Containers, host: Host
) -> None:
    info = engine.add("web", status="exited")
    found = engine.drive(current(host("web", start=lambda: engine.change(info, "running"))))
    assert found.id == info["Id"]


@pytest.mark.parametrize("text", ["", "aa"])
def test_the_id_that_the_program_gives_is_the_one_from_then_on(
    text: str, engine: Containers, host: Host
) -> None:
    state = host(Reference(text, text), start=lambda: engine.add("made", "bb")["Id"])
    assert engine.drive(current(state)).id == full("bb")
    assert engine.drive(again(state)).id == full("bb")
    assert engine.drive(is_running(state)) is True
    assert len(engine.made) == 1


def test_what_the_program_brought_up_must_run(engine: Containers, host: Host) -> None:
    info = engine.add("web", status="exited")
    with pytest.raises(HostNotRunningError, match="it was started, and ended with 0"):
        engine.drive(current(host("web", start=lambda: info["Id"])))
    with pytest.raises(HostNotRunningError, match="no such container"):
        engine.drive(current(host("api", start=lambda: "")))


def test_what_the_program_gives_must_be_an_id(engine: Containers, host: Host) -> None:
    with pytest.raises(TypeError, match="start= gave a int and no container's id"):
        engine.drive(current(host("web", start=lambda: 7)))


def test_what_the_programs_function_raises_is_what_the_caller_gets(engine: Containers, host: Host) -> None:
    def up() -> str:
        raise LookupError("no stack")

    with pytest.raises(LookupError, match="no stack"):
        engine.drive(current(host("web", start=up)))


def test_a_program_is_not_asked_for_what_runs(engine: Containers, host: Host) -> None:
    engine.add("web")
    assert engine.drive(current(host("web", start=lambda: pytest.fail("asked")))).ready


def test_a_host_without_a_container_says_so(engine: Containers, host: Host) -> None:
    with pytest.raises(HostNotRunningError, match="not running: no container was named"):
        engine.drive(current(host(Reference())))
    assert engine.asked == []


# Asked


@pytest.mark.parametrize(
    ("status", "runs"),
    [("running", True), ("paused", False), ("restarting", False), ("exited", False), ("created", False)],
)
def test_whether_it_runs_is_asked_now_and_starts_nothing(
    status: str, runs: bool, engine: Containers, host: Host
) -> None:
    info = engine.add("web")
    state = host("web", start=True)
    assert engine.drive(is_running(state)) is True
    engine.change(info, status)
    assert engine.drive(is_running(state)) is runs
    assert {each.split()[0] for each in engine.asked} == {"GET"}


def test_one_that_is_not_there_does_not_run(engine: Containers, host: Host) -> None:
    assert engine.drive(is_running(host("web", start=lambda: pytest.fail("asked")))) is False
    assert engine.drive(is_running(host(Reference()))) is False


def test_one_that_is_not_there_yet_is_waited_for(engine: Containers, host: Host) -> None:
    engine.after(2, lambda: engine.add("web", status="created"))
    engine.after(4, lambda: engine.change(engine.made[0], "running"))
    assert engine.drive(wait_running(host("web"), 9)).ready
    assert 4 <= engine.now - 1000 < 5


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("", "no such container, after 2.5 s"),
        ("exited", "it ended with 0, after 2.5 s"),
        ("paused", "it is paused"),
    ],
)
def test_one_that_does_not_run_in_time_is_an_error(
    status: str, why: str, engine: Containers, host: Host
) -> None:
    if status:
        engine.add("web", status=status)
    with pytest.raises(HostNotRunningError, match=f"cannot wait for web to run: .*{why}") as caught:
        engine.drive(wait_running(host("web"), 2.5))
    assert engine.now == 1002.5
    assert caught.value.state == status


def test_one_is_healthy_when_its_own_check_says_so(engine: Containers, host: Host) -> None:
    info = engine.add("web")
    info["State"]["Health"] = {"Status": "starting"}
    engine.after(5, lambda: info["State"]["Health"].update(Status="healthy"))
    assert engine.drive(wait_healthy(host("web"))).health == "healthy"
    info["State"]["Health"] = {"Status": "unhealthy"}
    with pytest.raises(
        HostNotRunningError, match="cannot wait for web to be healthy: it is unhealthy, after 1 s"
    ):
        engine.drive(wait_healthy(host("web"), 1))


def test_one_without_a_check_of_its_health_is_not_waited_for(engine: Containers, host: Host) -> None:
    engine.add("web")
    with pytest.raises(HostError, match="it has no check of its health"):
        engine.drive(wait_healthy(host("web"), 60))
    assert engine.now == 1000


# Faults that must not come back


def test_host_f13_a_container_that_was_stopped_or_replaced_is_known_to_be(
    engine: Containers, host: Host
) -> None:
    old = engine.add("web", "aa")
    state = host("web")
    engine.drive(current(state))
    engine.change(old, "exited")
    assert engine.drive(is_running(state)) is False
    engine.remove(old)
    assert engine.drive(is_running(state)) is False
    engine.add("web", "bb")
    assert engine.drive(is_running(state)) is True
    assert engine.drive(current(state)).id == full("bb")


def test_host_f14_after_a_restart_the_next_call_finds_the_container_and_knows_that_its_life_is_new(
    engine: Containers, host: Host
) -> None:
    info = engine.add("web")
    state = host("web")
    before = engine.drive(current(state))
    engine.change(info, "exited", 137)
    engine.change(info, "running")
    after = engine.drive(again(state))
    assert after.ready
    assert after.life != before.life
    assert engine.drive(current(state)).life == after.life


@pytest.mark.parametrize(
    "text",
    ["web; touch /x", "$(id)", "`id`", "a b", "../../etc", "..", "web/../db", "web\nid", "web'", "web?x=1"],
)
def test_host_f22_what_can_be_no_id_and_no_name_is_asked_for_nowhere(
    text: str, engine: Containers, host: Host
) -> None:
    engine.add("web")
    with pytest.raises(HostNotRunningError, match="no such container"):
        engine.drive(current(host(text)))
    # For the names that are nearly it.
    assert engine.asked == ["GET /containers/json"]


@pytest.mark.parametrize("plan", [current, again, refresh, is_running])
def test_host_f24_to_look_at_a_host_that_is_down_starts_nothing(
    plan: Any, engine: Containers, host: Host
) -> None:
    engine.add("shop-api-1", labels=service("shop", "api"), status="exited")
    try:
        engine.drive(plan(host(of_service("shop", "api"))))
    except HostNotRunningError:
        pass  # only what was asked counts here
    assert engine.asked
    assert {each.split()[0] for each in engine.asked} == {"GET"}
