"""The newest container, and the wait until one runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.interface import TIMEOUT, Engine
from dockerpty.errors import APIError, DockerptyError, NotFound
from dockerpty.readiness import newest, until_running

RUNS = {"Running": True, "Status": "running"}
EXITED = {"Running": False, "Status": "exited"}
RESTARTS = {"Running": True, "Restarting": True, "Status": "restarting"}
PAUSED = {"Running": True, "Paused": True, "Status": "paused"}
DEAD = {"Running": False, "Dead": True, "Status": "dead"}


class Answers(Engine):
    """An engine that gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.calls: list[Call] = []
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def send(self, call: Call, *, subject: str = "", timeout: float = TIMEOUT) -> Reply:
        self.calls.append(call)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Reply(200, {}, json.dumps(answer).encode())


class Clock:
    """A time that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(seconds: float, *states: dict[str, Any] | Exception) -> float:
    """Wait for a container with these states; how long it took."""
    clock = Clock()
    answers = [each if isinstance(each, Exception) else {"State": each} for each in states]
    until_running(Answers(*answers), "web", seconds, sleep=clock.sleep, clock=clock)
    return clock.now - 1000.0


@pytest.mark.parametrize("before", [EXITED, RESTARTS, PAUSED, {"Status": "created"}])
def test_a_container_is_waited_for_until_it_runs(before: dict[str, Any]) -> None:
    assert wait(10, RUNS) == 0
    assert 0 < wait(10, before, before, RUNS) < 1


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (EXITED, "cannot attach to web: it is exited after 3 s; start it first"),
        (RESTARTS, "cannot attach to web: it is restarting after 3 s; wait until it runs"),
        (PAUSED, "cannot attach to web: it is paused after 3 s; unpause it first"),
        (
            {"Running": False, "Status": "configured"},
            "cannot attach to web: it is created after 3 s; start it first",
        ),
    ],
)
def test_the_wait_has_an_end_and_names_the_state(state: dict[str, Any], message: str) -> None:
    with pytest.raises(APIError) as caught:
        wait(3, state)
    assert str(caught.value) == message
    assert caught.value.status_code == 409


def test_what_will_never_run_is_not_waited_for() -> None:
    with pytest.raises(APIError, match="it is dead; remove it"):
        wait(1e9, DEAD)
    with pytest.raises(NotFound):
        wait(1e9, NotFound("inspect", "web"))


def test_the_last_question_is_asked_at_the_end_of_the_time() -> None:
    clock = Clock()
    engine = Answers({"State": EXITED})
    with pytest.raises(APIError):
        until_running(engine, "web", 2.0, sleep=clock.sleep, clock=clock)
    assert clock.now == pytest.approx(1002.0)
    assert len(engine.calls) < 12


def test_the_newest_is_the_one_that_was_created_last() -> None:
    engine = Answers(
        [
            {"Id": "1", "Names": ["/old"], "Created": 1},
            {"Id": "3", "Names": ["/x/db", "/newest"], "Created": 3},
            {"Id": "2", "Names": ["/middle"], "Created": 2},
        ]
    )
    assert newest(engine) == "newest"
    assert engine.calls[0].query == (("filters", '{"status": ["running"]}'),)


def test_the_newest_of_all_may_have_ended_and_have_no_name() -> None:
    engine = Answers([{"Id": "4ad", "Names": [], "Created": 1}])
    assert newest(engine, running=False) == "4ad"
    assert engine.calls[0].query == (("all", "1"), ("limit", "1"))


def test_where_none_runs_there_is_no_newest() -> None:
    with pytest.raises(DockerptyError, match="cannot find the newest running container: there is none"):
        newest(Answers([]))
