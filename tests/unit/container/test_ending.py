"""How it is learned what became of a process: what is asked, and what the answers mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dockerpty.container import ending
from dockerpty.container.ending import Ending
from dockerpty.engine import calls
from dockerpty.engine.calls import Call, Reply
from dockerpty.errors import DockerptyError, EngineUnreachable, NotFound
from dockerpty.plan import drive
from dockerpty.unstarted import never_started

if TYPE_CHECKING:
    from dockerpty.container.ending import Asking

EXEC, CONTAINER = calls.inspect_exec("e"), calls.inspect_container("c")


def reply(**body: Any) -> Reply:
    return Reply(200, {}, json.dumps(body).encode())


def gone() -> NotFound:
    return NotFound("inspect", "it", status_code=404)


def away() -> EngineUnreachable:
    return EngineUnreachable("reach", "the engine")


def ended(asking: Asking, *answers: Reply | DockerptyError) -> tuple[Ending, list[Call], float]:
    """Run a plan on these answers, the last one again and again: its result, what it asked, how long it waited."""
    left, asked, waited = list(answers), [], 0.0

    def answer(request: Call | float) -> Reply | None:
        nonlocal waited
        if isinstance(request, float):
            waited += request
            return None
        asked.append(request)
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, DockerptyError):
            raise found
        return found

    return drive(asking, answer), asked, waited


def test_an_exec_that_has_ended_is_asked_for_its_code_once() -> None:
    info = {"Running": False, "ExitCode": 7, "Pid": 9}
    end, asked, waited = ended(ending.of_exec("e", "c"), reply(**info))
    assert (end.reason, end.code, end.info) == ("exited", 7, info)
    assert (asked, waited) == ([EXEC], 0)


def test_an_exec_has_its_code_a_moment_after_the_end_of_its_stream() -> None:
    running = reply(Running=True, ExitCode=None)
    end, asked, _ = ended(ending.of_exec("e", "c"), running, running, reply(Running=False, ExitCode=0))
    assert (end.reason, end.code, len(asked)) == ("exited", 0, 3)


@pytest.mark.parametrize("code", [None, 0])
def test_an_exec_that_runs_on_without_its_stream_is_lost_after_two_seconds(code: int | None) -> None:
    end, asked, waited = ended(ending.of_exec("e", "c"), reply(Running=True, ExitCode=code))
    assert (end.reason, end.code) == ("lost", None)
    assert 2 <= waited < 2.2
    assert len(asked) < 40


@pytest.mark.parametrize("code", [None, -1])
def test_an_exec_without_a_code_is_lost(code: int | None) -> None:
    end, _, _ = ended(ending.of_exec("e", "c"), reply(Running=False, ExitCode=code))
    assert (end.reason, end.code) == ("lost", None)


@pytest.mark.parametrize(
    ("info", "code", "started"),
    [
        ({"ExitCode": 0, "Pid": 9}, 0, True),
        ({"ExitCode": 127, "Pid": 9}, 127, True),
        # Podman has no number for what has ended.
        ({"ExitCode": 7}, 7, True),
        ({"ExitCode": 125}, 125, False),
        ({"ExitCode": 126, "Pid": 0}, 126, False),
        ({"ExitCode": 127, "Pid": 0}, 127, False),
        # ... and -1 for what it does not know.
        ({"ExitCode": -1}, None, True),
        ({"ExitCode": None}, None, True),
        ({"ExitCode": 3, "Pid": 9, "Running": None}, 3, True),
    ],
    ids=str,
)
def test_an_exec_has_ended_or_was_never_started_by_its_number_and_its_code(
    info: dict[str, Any], code: int | None, started: bool
) -> None:
    running = [reply(Running=True, ExitCode=None, Pid=9), reply(Running=True, ExitCode=0, Pid=9)]
    end, asked, _ = ended(ending.of_exec("e", "c"), *running, reply(**{"Running": False, **info}))
    assert (end.code, not never_started(end.info), len(asked)) == (code, started, 3)
    assert end.error is None


def test_an_exec_that_is_forgotten_went_with_its_container_or_with_the_engines_memory() -> None:
    end, asked, _ = ended(ending.of_exec("e", "c"), gone())
    assert (end.reason, end.code, asked) == ("removed", 137, [EXEC, CONTAINER])
    end, asked, _ = ended(ending.of_exec("e", "c"), gone(), reply(Id="c", Config={}, State={}))
    assert (end.reason, end.code, asked) == ("lost", None, [EXEC, CONTAINER])


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        # Of a container that it removes the engine forgets the execs first.
        ({"State": {"Status": "removing"}}, "removed"),
        ({"State": {"Status": "dead"}}, "removed"),
        # One that was made later only has the same name.
        ({"State": {"Status": "running"}, "Created": "2026-11-21T16:14:24Z"}, "removed"),
        ({"State": {"Status": "running"}, "Created": "2026-11-21T16:14:20Z"}, "lost"),
    ],
    ids=str,
)
def test_an_exec_is_gone_with_its_container_though_that_is_going_still_or_another_has_its_name(
    found: dict[str, Any], reason: str
) -> None:
    asking = ending.of_exec("e", "web", "Sat, 21 Nov 2026 16:14:22 GMT")
    end, _, _ = ended(asking, gone(), reply(**found))
    assert (end.reason, end.code) == (reason, 137 if reason == "removed" else None)
    assert isinstance(end.error, NotFound)
    assert not end.engine_is_away


def test_the_container_of_an_exec_is_known_by_an_earlier_answer() -> None:
    running = reply(Running=True, ExitCode=None, ContainerID="c")
    end, asked, _ = ended(ending.of_exec("e", ""), running, gone())
    assert (end.reason, end.code, asked) == ("removed", 137, [EXEC, EXEC, CONTAINER])


@pytest.mark.parametrize("answers", [[away()], [gone(), away()]])
def test_an_exec_whose_engine_is_away_is_lost(answers: list[DockerptyError]) -> None:
    end, _, _ = ended(ending.of_exec("e", "c"), *answers)
    assert (end.reason, end.code) == ("lost", None)
    assert end.error is answers[-1]
    assert end.engine_is_away


def container(
    waited: int | None,
    *,
    was_running: bool = True,
    removes_itself: bool = False,
    until_it_ends: bool = False,
) -> Asking:
    return ending.of_container(
        "c", waited, was_running=was_running, removes_itself=removes_itself, until_it_ends=until_it_ends
    )


def state(**state: Any) -> Reply:
    return reply(Id="c", Config={}, State=state)


def test_what_a_wait_has_told_is_not_asked_again() -> None:
    end, asked, _ = ended(container(7), away())
    assert (end.reason, end.code, asked) == ("exited", 7, [])


def test_a_container_that_was_killed_is_asked_whether_memory_was_why() -> None:
    end, asked, _ = ended(container(137), state(Running=False, OOMKilled=True))
    assert (end.reason, end.code, end.info["State"]["OOMKilled"]) == ("exited", 137, True)
    assert asked == [CONTAINER]
    assert ended(container(137), away())[0].code == 137


@pytest.mark.parametrize(
    ("removes_itself", "waited", "reason", "code"),
    [
        (False, 137, "removed", 137),
        (False, None, "removed", 137),
        (True, 137, "exited", 137),
        # It may have ended with any code.
        (True, None, "lost", None),
    ],
)
def test_a_container_that_is_gone_was_removed_unless_that_is_its_own_end_whose_code_only_a_wait_tells(
    removes_itself: bool, waited: int | None, reason: str, code: int | None
) -> None:
    end, _, _ = ended(container(waited, removes_itself=removes_itself), gone())
    assert (end.reason, end.code, end.engine_is_away) == (reason, code, False)


def test_without_a_wait_the_inspection_tells_the_code() -> None:
    end, asked, waited = ended(container(None), state(Running=False, ExitCode=3))
    assert (end.reason, end.code, len(asked), waited) == ("exited", 3, 1, 0)
    end, _, _ = ended(container(None), state(Running=False, ExitCode=-1))
    assert (end.reason, end.code) == ("lost", None)


def test_a_container_whose_engine_is_away_is_lost() -> None:
    error = away()
    end, _, _ = ended(container(None), error)
    assert (end.reason, end.code, end.error) == ("lost", None, error)
    assert end.engine_is_away


def test_a_container_that_runs_on_without_its_stream_is_lost_unless_nobody_could_wait() -> None:
    running = state(Running=True, ExitCode=0)
    end, _, waited = ended(container(None), running)
    assert (end.reason, end.code) == ("lost", None)
    assert waited == pytest.approx(0.5)
    end, asked, _ = ended(
        container(None, until_it_ends=True), running, running, state(Running=False, ExitCode=4)
    )
    assert (end.reason, end.code, len(asked)) == ("exited", 4, 3)


def test_a_container_that_nobody_waited_for_may_run_for_a_moment_after_the_end_of_its_stream() -> None:
    running = state(Running=True, ExitCode=0)
    end, asked, _ = ended(container(None), running, running, state(Running=False, ExitCode=4))
    assert (end.reason, end.code, len(asked)) == ("exited", 4, 3)


@pytest.mark.parametrize(("was_running", "code"), [(True, None), (False, 0)])
def test_one_that_podman_has_made_ready_for_another_start_has_no_code(
    was_running: bool, code: int | None
) -> None:
    end, _, _ = ended(
        container(None, was_running=was_running), state(Running=False, Status="created", ExitCode=0)
    )
    assert (end.reason, end.code) == ("lost" if code is None else "exited", code)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, None),
        (reply(StatusCode=7), 7),
        (reply(StatusCode=-1), None),
        (reply(StatusCode=7, Error=None), 7),
        # Podman's, of one that was removed.
        (reply(StatusCode=0, Error={"Message": "no such container"}), None),
    ],
)
def test_the_answer_to_a_wait_has_the_code_or_none(answer: Reply | None, code: int | None) -> None:
    assert ending.waited_code(answer) == code
