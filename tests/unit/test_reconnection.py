"""`--reconnect`: what is followed, what is not, and what is said about it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from dockerpty.bridge import Options
from dockerpty.errors import (
    APIError,
    EngineUnreachable,
    NotFound,
    ProtocolError,
    SessionLost,
    SessionTimeout,
)
from dockerpty.pty import Operation, PseudoTerminal
from dockerpty.reconnection import PersistentTerminal
from dockerpty.result import SessionResult
from tests.unit.test_readiness import EXITED, PAUSED, RESTARTS, RUNS, Answers

AWAY = EngineUnreachable("inspect", "web")


def lost(reason: str = "the engine no longer knows it") -> SessionLost:
    return SessionLost("go on with", "web", reason)


class Attached(Operation):
    """An operation whose sessions are a script: exit codes, and what is raised."""

    _reference = "4ad"

    def __init__(self, sessions: list[Any], states: list[Any], policy: str = "no") -> None:
        self.sessions = sessions
        self._engine = Answers(*(each if isinstance(each, Exception) else {"State": each} for each in states))
        self._policy = policy
        self.attached_again = 0
        self.abandoned: list[tuple[int, bool]] = []

    def _abandoned(self, sig: int, timed_out: bool = False) -> str:
        self.abandoned.append((sig, timed_out))
        return "it may still run"

    def describe(self) -> str:
        return "web"

    def again(self) -> None:
        self.attached_again += 1

    def _container_info(self) -> dict[str, Any]:
        return {"HostConfig": {"RestartPolicy": {"Name": self._policy}}}


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: PseudoTerminal, sockets: Any = None) -> int | None:
        self.result = SessionResult()
        end = self.operation.sessions.pop(0)
        if isinstance(end, Exception):
            self.result.reason = "lost"
            raise end
        self.result.reason = "detached" if end is None else "exited"
        self.result.exit_code = end
        return end  # type: ignore[no-any-return]  # what the test put there

    monkeypatch.setattr(PseudoTerminal, "start", start)


class Run:
    """A terminal whose sessions take no time, and whose clock goes on by what is slept."""

    def __init__(
        self,
        sessions: list[Any],
        *states: Any,
        limit: int | None = None,
        policy: str = "no",
        timeout: float | None = None,
    ) -> None:
        self.said: list[str] = []
        self.slept: list[float] = []
        self.operation = Attached(sessions, list(states), policy)
        self.operation._options = Options(timeout=timeout)
        self.terminal = PersistentTerminal(
            None,
            self.operation,
            limit=limit,
            notice=self.said.append,
            sleep=self.slept.append,
            clock=lambda: sum(self.slept),
        )

    def start(self) -> int | None:
        return self.terminal.start()


def test_a_lost_session_goes_on_when_the_engine_is_back() -> None:
    run = Run([lost("the connection broke"), 7], AWAY, AWAY, RUNS)
    assert run.start() == 7
    assert run.operation.attached_again == 1
    assert run.said == ["lost web: attaching again when the engine is back, Ctrl-C gives up"]
    assert run.operation.sessions == []


def test_the_engine_is_asked_ever_less_often() -> None:
    run = Run([lost(), 0], *[AWAY] * 8, RUNS)
    run.start()
    assert run.slept == [0.2, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_who_cuts_every_session_at_once_is_not_asked_without_a_pause() -> None:
    run = Run([*[lost()] * 7, 0], RUNS)
    assert run.start() == 0
    assert run.slept == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_session_that_lasted_is_attached_to_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run([lost(), lost(), 0], RUNS)
    at = iter(range(0, 1000, 10))
    monkeypatch.setattr(run.terminal, "_clock", lambda: float(next(at)))
    assert run.start() == 0
    assert run.slept == []


def test_the_time_limit_is_that_of_all_sessions_together() -> None:
    run = Run([lost(), lost(), 0], RUNS, timeout=10.0)
    assert run.start() == 0
    assert run.operation._until == 10.0
    assert Attached._until is None


@pytest.mark.parametrize("states", [[AWAY], [RESTARTS], [PAUSED]])
def test_nothing_is_waited_for_past_the_time_limit(states: list[Any]) -> None:
    run = Run([lost()], *states, timeout=3.0)
    with pytest.raises(SessionTimeout, match="it took longer than 3 s") as caught:
        run.start()
    assert sum(run.slept) == pytest.approx(3.0)
    assert caught.value.result is run.terminal.result
    assert caught.value.result is not None
    assert caught.value.result.reason == "timeout"
    # What we have started ends by the limit, with a session or without.
    assert run.operation.abandoned == [(signal.SIGTERM, True)]
    assert run.said[1:] == ["it may still run"]


def test_what_has_ended_meanwhile_gives_its_exit_code() -> None:
    run = Run([lost()], AWAY, {**EXITED, "ExitCode": 9})
    assert run.start() == 9
    assert run.operation.attached_again == 0
    assert run.terminal.result is not None
    assert (run.terminal.result.exit_code, run.terminal.result.reason) == (9, "exited")


def test_what_was_removed_meanwhile_was_killed() -> None:
    run = Run([lost()], NotFound("inspect", "web"))
    assert run.start() == 137
    assert run.terminal.result is not None
    assert run.terminal.result.reason == "removed"


def test_what_was_never_started_stays_lost() -> None:
    with pytest.raises(SessionLost):
        Run([lost()], {"Running": False, "Status": "created"}).start()


@pytest.mark.parametrize("between", [RESTARTS, PAUSED])
def test_a_container_between_two_states_is_waited_for(between: dict[str, Any]) -> None:
    run = Run([lost(), 3], between, between, RUNS)
    assert run.start() == 3


def test_an_engine_that_goes_away_again_is_waited_for_again_without_another_word() -> None:
    gone = NotFound("attach to", "web", status_code=404)
    run = Run([lost(), EngineUnreachable("attach to", "web"), gone, 4], RUNS, AWAY, RUNS, RUNS)
    assert run.start() == 4
    assert len(run.said) == 1


def test_who_stands_before_an_engine_that_is_away_says_so() -> None:
    away = APIError("inspect", "web", status_code=502)
    assert Run([lost(), 5], away, away, RUNS).start() == 5
    with pytest.raises(APIError):
        Run([lost()], APIError("inspect", "web", status_code=403)).start()


def test_an_engine_that_refuses_is_not_asked_for_ever() -> None:
    with pytest.raises(APIError):
        Run([lost(), APIError("attach to", "web", status_code=403)], RUNS).start()


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_engine_that_goes_away_before_the_attach_is_asked_ever_less_often(status: int) -> None:
    away = APIError("attach to", "web", status_code=status)
    run = Run([lost(), *[away] * 6, 4], RUNS)
    assert run.start() == 4
    assert run.slept == [0.2, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


def test_what_podman_will_not_be_attached_to_since_it_has_ended_gives_its_code() -> None:
    ended = APIError("attach to", "web", status_code=500)
    assert Run([lost(), ended], RUNS, {**EXITED, "ExitCode": 6}).start() == 6


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_is_kept(limit: int) -> None:
    run = Run([lost()] * 5, RUNS, limit=limit)
    with pytest.raises(SessionLost):
        run.start()
    assert run.operation.attached_again == limit


@pytest.mark.parametrize("end", [0, 1, None])
def test_an_ordinary_end_is_an_end(end: int | None) -> None:
    run = Run([end], RUNS)
    assert run.start() is end
    assert run.said == []
    assert run.operation._engine.calls == []


def test_a_time_limit_is_an_end() -> None:
    with pytest.raises(SessionTimeout):
        Run([SessionTimeout("go on with", "web")], RUNS).start()


def test_a_terminal_that_is_gone_does_not_come_back() -> None:
    error = lost("the terminal is gone")
    error.on_our_side = True
    run = Run([error], RUNS)
    with pytest.raises(SessionLost):
        run.start()
    assert run.operation.attached_again == 0


def test_a_container_that_is_started_again_by_its_policy_is_followed() -> None:
    run = Run([1, 0], RESTARTS, RESTARTS, RUNS, EXITED, policy="on-failure")
    assert run.start() == 0
    assert run.said == ["web has ended with exit code 1 and is started again: following it, Ctrl-C gives up"]


def test_a_container_that_was_stopped_for_good_is_not() -> None:
    assert Run([137], EXITED, policy="always").start() == 137


@pytest.mark.parametrize(
    "away", [AWAY, ProtocolError("inspect", "web"), APIError("inspect", "web", status_code=503)]
)
def test_an_engine_that_is_stopped_and_starts_its_containers_again_is_waited_for(away: Exception) -> None:
    run = Run([137, 0], away, away, RUNS, EXITED, policy="always")
    assert run.start() == 0
    assert run.said == [
        "web has ended with exit code 137 and is started again: following it, Ctrl-C gives up"
    ]
    assert run.operation.attached_again == 1


def test_what_an_engine_did_not_start_again_with_itself_has_ended() -> None:
    run = Run([137], AWAY, {**EXITED, "ExitCode": 137}, policy="on-failure")
    assert run.start() == 137
    assert run.operation.attached_again == 0


def test_without_a_policy_nobody_is_asked_about_the_end() -> None:
    run = Run([137], AWAY, policy="no")
    assert run.start() == 137
    assert run.operation._engine.calls == []


def test_each_question_has_a_connection_of_its_own() -> None:
    run = Run([137, 0], AWAY, AWAY, RUNS, EXITED, policy="always")
    run.start()
    assert run.operation._engine.closed == len(run.operation._engine.calls) == 4
