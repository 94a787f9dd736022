"""What is opened to attach to a container, in which order, and what is closed if that fails half-way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockerpty import keys
from dockerpty.container.attachment import at_end_of_input, attach, wait_late
from dockerpty.engine.calls import Call, Reply
from dockerpty.engine.interface import Control, Engine, Pending
from dockerpty.engine.transport import Transport
from dockerpty.errors import DockerptyError, EngineUnreachable


class Open(Transport):
    """A connection that knows for what it was opened, and whether it is open still."""

    __slots__ = ("call", "closed")

    def __init__(self, call: Call) -> None:
        super().__init__("here")
        self.call, self.closed = call, False

    def close(self) -> None:
        self.closed = True


class InLine(Control):
    """A control with one call, whose answer comes when `answer` is set."""

    def __init__(self) -> None:
        self.answer: Reply | DockerptyError | None = None
        self.closed = False

    def submit(self, call: Call, done: Any, timeout: float) -> None:
        self.call, self._done, self._timeout = call, done, timeout

    def interest(self) -> list[tuple[int, int]]:
        return [(7, 1)]

    def deadline(self) -> float | None:
        return self._timeout

    def serve(self) -> None:
        if self.answer is not None:
            self._done(self.answer)

    def close(self) -> None:
        self.closed = True


class Waiting(Pending):
    closed = False

    def close(self) -> None:
        self.closed = True


class Attached(Engine):
    """An engine that opens what it is asked to, up to the request that it refuses."""

    def __init__(self, *, podman: bool = False, running_then: bool = True, refuses: int = 99) -> None:
        self.is_podman = podman
        self.running_then, self.refuses = running_then, refuses
        self.asked: list[str] = []
        self.opened: list[Any] = []

    def _ask(self, call: Call) -> None:
        if len(self.asked) == self.refuses:
            raise EngineUnreachable("reach", "the engine")
        self.asked.append(call.name)

    def begin(self, call: Call, *, subject: str = "", timeout: float = 0) -> Pending:
        self._ask(call)
        self.condition = dict(call.query)["condition"]
        self.opened.append(made := Waiting())
        return made

    def hijack(self, call: Call, *, subject: str = "", timeout: float = 0) -> Transport:
        self._ask(call)
        self.opened.append(made := Open(call))
        return made

    def control(self, *, connects: bool = True) -> Control:
        if self.refuses == 0:
            raise EngineUnreachable("reach", "the engine")
        self.opened.append(made := InLine())
        return made

    def send(self, call: Call, *, subject: str = "", timeout: float = 0) -> Reply:
        self._ask(call)
        return Reply(200, {}, json.dumps({"State": {"Running": self.running_then}}).encode())


def info(*, tty: bool = False, running: bool = True, once: bool = True) -> dict[str, Any]:
    return {"Id": "c", "Config": {"Tty": tty, "StdinOnce": once}, "State": {"Running": running}}


def wish(connection: Any) -> dict[str, str]:
    return dict(connection.call.query)


def test_the_end_is_waited_for_before_anything_is_attached_and_input_has_a_connection_of_its_own() -> None:
    engine = Attached()
    made = attach(engine, info(), subject="web", stdin=True)
    assert engine.asked == ["wait", "attach_socket", "attach_socket", "inspect_container"]
    assert engine.condition == "not-running"
    assert [wish(made.output)[name] for name in ("stdin", "stdout", "stderr", "logs")] == ["0", "1", "1", "0"]
    assert [wish(made.input)[name] for name in ("stdin", "stdout", "stderr")] == ["1", "0", "0"]
    assert wish(made.output)["detachKeys"] == wish(made.input)["detachKeys"] == keys.NEUTRAL
    assert not made.has_ended


def test_one_that_does_not_run_yet_is_waited_for_at_its_next_end() -> None:
    engine = Attached()
    made = attach(engine, info(running=False), subject="web", stdin=False)
    assert (engine.asked, engine.condition) == (["wait", "attach_socket"], "next-exit")
    assert (made.input, made.has_ended) == (None, False)


def test_an_engine_that_knows_no_next_end_is_waited_for_when_there_is_one_to_come() -> None:
    engine = Attached()
    engine.api_version = (1, 29)
    assert attach(engine, info(running=False), subject="web", stdin=False).wait is None
    assert engine.asked == ["attach_socket"]
    made = attach(engine, info(), subject="web", stdin=False)
    # Nor does it give the head of its answer before the end.
    assert engine.opened[1].call.target("") == "/containers/c/wait"
    made.close()
    assert [each.closed for each in engine.opened[1:]] == [True, True]


@pytest.mark.parametrize("answer", [Reply(200, {}, b"{}"), EngineUnreachable("reach", "the engine")])
def test_a_wait_that_began_late_has_its_answer_in_the_end(answer: Reply | DockerptyError) -> None:
    engine = Attached()
    engine.api_version = (1, 29)
    wait = wait_late(engine, "c")
    assert wait is not None
    wait.serve()
    assert (wait.done, wait.interest(), wait.deadline()) == (False, [(7, 1)], None)
    engine.opened[0].answer = answer
    wait.serve()
    assert (wait.done, wait.interest(), wait.deadline()) == (True, [], None)
    assert (wait.reply or wait.error) is answer
    assert engine.opened[0].closed


def test_no_wait_begins_late_where_one_has_begun_or_the_engine_is_away() -> None:
    assert wait_late(Attached(), "c") is None
    away = Attached(refuses=0)
    away.api_version = (1, 29)
    assert wait_late(away, "c") is None


def test_one_that_ended_meanwhile_is_known_by_a_second_look() -> None:
    assert attach(Attached(running_then=False), info(), subject="web", stdin=False).has_ended


def test_podman_is_waited_for_at_the_next_end_though_it_runs_which_may_have_been_the_last() -> None:
    for running_then in (True, False):
        engine = Attached(podman=True, running_then=running_then)
        made = attach(engine, info(), subject="web", stdin=False)
        assert engine.condition == "next-exit"
        assert made.wait is not None
        assert (made.has_ended, engine.opened[0].closed) == (not running_then, not running_then)
    docker = Attached(running_then=False)
    attach(docker, info(), subject="web", stdin=False)
    assert not docker.opened[0].closed


def test_a_terminal_of_podmans_has_both_directions_on_one_connection() -> None:
    made = attach(
        Attached(podman=True), info(tty=True), subject="web", stdin=True, stdout=False, stderr=False
    )
    assert made.input is made.output
    assert wish(made.output)["stdin"] == "1"
    made = attach(Attached(podman=True), info(), subject="web", stdin=True)
    assert made.input is not made.output


def test_a_backlog_is_asked_for_but_of_podman() -> None:
    for podman, logs in ((False, "1"), (True, "0")):
        made = attach(Attached(podman=podman), info(), subject="web", stdin=False, logs=True)
        assert wish(made.output)["logs"] == logs


def test_a_backlog_is_not_asked_for_where_none_is_kept() -> None:
    for kind, logs in (("json-file", "1"), ("none", "0")):
        found = {**info(), "HostConfig": {"LogConfig": {"Type": kind}}}
        made = attach(Attached(), found, subject="web", stdin=False, logs=True)
        assert wish(made.output)["logs"] == logs


def test_nothing_is_attached_of_what_nobody_wants() -> None:
    engine = Attached()
    made = attach(engine, info(), subject="web", stdin=False, stdout=False, stderr=False)
    assert (made.output, made.input) == (None, None)


@pytest.mark.parametrize("step", range(4))
def test_a_failure_at_any_step_closes_what_was_opened_before(step: int) -> None:
    engine = Attached(refuses=step)
    with pytest.raises(EngineUnreachable):
        attach(engine, info(), subject="web", stdin=True)
    assert [each.closed for each in engine.opened] == [True] * min(step, 3)


def test_all_connections_close_together() -> None:
    engine = Attached()
    attach(engine, info(), subject="web", stdin=True).close()
    assert [each.closed for each in engine.opened] == [True, True, True]


@pytest.mark.parametrize(
    ("tty", "once", "podman", "can", "means"),
    [
        (True, True, False, True, "eot"),
        (True, False, True, False, "eot"),
        (False, True, False, True, "half-close"),
        (False, True, False, False, "close"),
        (False, False, False, True, "keep"),
        (False, False, True, True, "half-close"),
    ],
)
def test_how_a_container_is_told_that_its_input_has_ended(
    tty: bool, once: bool, podman: bool, can: bool, means: str
) -> None:
    assert at_end_of_input(info(tty=tty, once=once), Attached(podman=podman), can) == means
