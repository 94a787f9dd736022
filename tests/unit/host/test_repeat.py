"""Commands that are run again and again, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dockerpty.host.errors import HostClosedError, HostNotRunningError
from dockerpty.host.repeat import Repeats, RepeatsSync
from dockerpty.host.results import CommandStatus, ShellCommand
from tests.bed.waiting import wait_for


class Bed:
    """A host whose time goes on as it is slept, and by what its commands take.

    Attributes:
        ran: the commands, with the time of each and its limit.
        takes: seconds of the next ones.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[tuple[float, str, float | None]] = []
        self.takes: list[float] = []
        self.fails: list[BaseException] = []
        self.repeats = Repeats(self.oneshot, host="here", clock=lambda: self.now, sleep=self.sleep)

    async def oneshot(self, cmd: str, timeout: float | None) -> CommandStatus:
        self.ran.append((self.now, cmd, timeout))
        if self.fails:
            raise self.fails.pop(0)
        self.now += self.takes.pop(0) if self.takes else 0
        return CommandStatus.of(cmd, 0, b"%d" % len(self.ran))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds

    @property
    def times(self) -> list[float]:
        return [each[0] for each in self.ran]

    def run(self, *arguments: Any, **options: Any) -> None:
        """Start a repeat called a, and wait for its end."""

        async def main() -> None:
            self.repeats.start("a", *arguments, **options)
            while self.repeats.is_active("a"):
                await asyncio.sleep(0)

        asyncio.run(asyncio.wait_for(main(), 20))


@pytest.fixture
def bed() -> Bed:
    return Bed()


def test_a_command_runs_at_once_and_then_at_each_tick(bed: Bed) -> None:
    bed.run("date", 5, times=3)
    assert bed.ran == [(0, "date", None), (5, "date", None), (10, "date", None)]


@pytest.mark.parametrize("interval", [5, 5.0, timedelta(seconds=5)])
def test_what_a_command_takes_does_not_move_the_ticks(interval: Any, bed: Bed) -> None:
    bed.takes = [2, 4.5]
    bed.run("date", interval, times=3)
    assert bed.times == [0, 5, 10]
    assert bed.repeats.dropped("a") == 0


def test_ticks_that_come_while_it_runs_are_dropped_and_counted(bed: Bed) -> None:
    bed.takes = [1, 12]
    bed.run("date", 5, times=3)
    assert bed.times == [0, 5, 20]
    assert bed.repeats.dropped("a") == 2


def test_of_several_commands_each_has_a_status_and_its_own_limit(bed: Bed) -> None:
    before = datetime.now(UTC)
    bed.run(["a", ShellCommand("b", timeout=3)], 5, times=1)
    assert bed.ran == [(0, "a", None), (0, "b", 3)]
    ((when, statuses),) = bed.repeats.results("a")
    assert before <= when <= datetime.now(UTC)
    assert [(each.command, each.output) for each in statuses] == [("a", "1"), ("b", "2")]


def test_the_last_results_are_kept(bed: Bed) -> None:
    bed.run("date", 5, times=7, max_history=3)
    assert [each[0].output for _, each in bed.repeats.results("a")] == ["5", "6", "7"]


@pytest.mark.parametrize("duration", [12, timedelta(seconds=12), 15])
def test_no_run_begins_when_the_duration_is_over(duration: Any, bed: Bed) -> None:
    bed.run("date", 5, duration=duration)
    assert bed.times == [0, 5, 10]
    # Nor is the tick waited for that will be none.
    assert bed.now == 10


@pytest.mark.parametrize("zone", [None, UTC])
def test_no_run_begins_later_than_a_moment(zone: Any, bed: Bed) -> None:
    bed.run("date", 5, until=datetime.now(zone) + timedelta(seconds=12))
    assert bed.times == [0, 5, 10]


def test_a_function_may_end_it(bed: Bed) -> None:
    bed.run("date", 5, until=lambda statuses: statuses[0].output == "2")
    assert bed.times == [0, 5]


def test_no_times_at_all_are_none(bed: Bed) -> None:
    bed.run("date", 5, times=0)
    assert bed.ran == []
    assert bed.repeats.results("a") == []


@pytest.mark.parametrize("waits", [False, True])
def test_each_runs_statuses_are_given_away(waits: bool, bed: Bed) -> None:
    given: list[Any] = []

    async def take(statuses: list[CommandStatus]) -> None:
        await asyncio.sleep(0)
        given.append(statuses)

    bed.run("date", 5, times=2, on_result=take if waits else given.append)
    assert [each[0].output for each in given] == ["1", "2"]


def test_who_takes_them_and_fails_ends_it_and_is_logged(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    def fail(statuses: object) -> None:
        raise LookupError("no such row")

    with caplog.at_level(logging.WARNING, "dockerpty.host.repeat"):
        bed.run("date", 5, on_result=fail)
    assert bed.times == [0]
    assert len(bed.repeats.results("a")) == 1
    assert "repeat failed: host=here name=a: LookupError: no such row" in caplog.text


def test_a_container_that_is_away_is_a_status_and_the_next_tick_comes(bed: Bed) -> None:
    bed.fails = [HostNotRunningError("use", "web", "it is not running")]
    bed.run("date", 5, times=2)
    first, second = (each[0] for _, each in bed.repeats.results("a"))
    assert (first.skipped, first.ok, first.error) == (True, False, "cannot use web: it is not running")
    assert second.ok


@pytest.mark.parametrize(("error", "told"), [(HostClosedError("use", "web"), 0), (LookupError("?"), 1)])
def test_any_other_error_ends_it(
    error: Exception, told: int, bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    bed.fails = [error]
    with caplog.at_level(logging.WARNING, "dockerpty.host.repeat"):
        bed.run("date", 5)
    assert bed.times == [0]
    assert len(caplog.records) == told


@pytest.mark.parametrize("interval", [0, -1, timedelta()])
def test_an_interval_of_nothing_is_refused(interval: Any, bed: Bed) -> None:
    with pytest.raises(ValueError, match="some time"):
        bed.run("date", interval)


# Stopped, on a loop


def in_a_loop(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main(), 20)

    asyncio.run(limited())


def test_one_that_is_stopped_is_over_when_that_returns_and_its_results_stay() -> None:
    bed = Bed()
    begun = asyncio.Event()
    cancelled = []

    async def hang(cmd: str, timeout: float | None) -> CommandStatus:
        if not begun.is_set():
            begun.set()
            return CommandStatus.of(cmd, 0)
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(cmd)
            raise
        raise AssertionError

    async def main() -> None:
        repeats = Repeats(hang, clock=lambda: bed.now, sleep=bed.sleep)
        repeats.start("a", "date", 5)
        repeats.start("b", "other", 5)
        while len(asyncio.all_tasks()) < 3 or not begun.is_set():
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        await repeats.stop("a")
        assert not repeats.is_active("a")
        assert repeats.is_active("b")
        await repeats.stop_all()
        await repeats.stop_all()
        assert not repeats.is_active("b")
        assert len(repeats.results("a")) + len(repeats.results("b")) == 1
        assert len(asyncio.all_tasks()) == 2  # this, and who limits it

    in_a_loop(main)
    assert sorted(cancelled) == ["date", "other"]


def test_one_may_stop_itself() -> None:
    bed = Bed()

    async def main() -> None:
        async def stop(statuses: object) -> None:
            await bed.repeats.stop("a")

        bed.repeats.start("a", "date", 5, on_result=stop)
        while bed.repeats.is_active("a"):
            await asyncio.sleep(0)

    in_a_loop(main)
    assert bed.times == [0]


def test_a_name_is_free_again_when_it_is_over(bed: Bed) -> None:
    async def main() -> None:
        bed.repeats.start("a", "date", 5)
        with pytest.raises(ValueError, match="called 'a' is under way"):
            bed.repeats.start("a", "other", 5)
        await bed.repeats.stop("a")
        bed.repeats.start("a", "other", 5)
        await bed.repeats.stop("a")
        await bed.repeats.stop("never there")
        with pytest.raises(KeyError):
            bed.repeats.results("never there")

    in_a_loop(main)


def test_what_was_on_a_loop_that_is_closed_is_over() -> None:
    bed = Bed()

    async def main() -> None:
        bed.repeats.start("a", "date", 5)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    # As a program that forgets: the task is still there.
    task = bed.repeats._tasks["a"]
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    assert not bed.repeats.is_active("a")
    asyncio.run(bed.repeats.stop_all())
    bed.run("date", 5, times=1)
    assert len(bed.repeats.results("a")) == 1


# For programs that wait


def test_both_faces_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(kind: type) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(kind, lambda each: inspect.isfunction(each) and each.__name__[0] != "_")
        return {name: inspect.signature(each) for name, each in found}

    assert methods(Repeats) == methods(RepeatsSync)


def test_a_thread_runs_it_and_ends_with_it() -> None:
    ran: list[str] = []

    def oneshot(cmd: str, timeout: float | None) -> CommandStatus:
        ran.append(threading.current_thread().name)
        return CommandStatus.of(cmd, 0)

    repeats = RepeatsSync(oneshot)
    repeats.start("a", "date", 0.01, times=3)
    wait_for(lambda: not repeats.is_active("a"), 10, "the end of the repeat")
    assert ran == ["dockerpty-repeat-a"] * 3
    assert len(repeats.results("a")) == 3


def test_a_thread_is_stopped_between_two_ticks_at_once() -> None:
    ran: list[str] = []

    def oneshot(cmd: str, timeout: float | None) -> CommandStatus:
        ran.append(cmd)
        return CommandStatus.of(cmd, 0)

    repeats = RepeatsSync(oneshot)
    for name in ("a", "b"):
        repeats.start(name, name, timedelta(hours=1))
    wait_for(lambda: len(ran) == 2, 10, "the first runs")
    with pytest.raises(ValueError, match="under way"):
        repeats.start("a", "a", 1)
    repeats.stop("a")
    assert not repeats.is_active("a")
    assert repeats.is_active("b")
    repeats.stop_all()
    assert not repeats.is_active("b")
    assert not [each for each in threading.enumerate() if each.name.startswith("dockerpty-repeat-")]


def test_a_thread_may_stop_its_own_repeat(caplog: pytest.LogCaptureFixture) -> None:
    repeats = RepeatsSync(lambda cmd, timeout: CommandStatus.of(cmd, 0))
    with caplog.at_level(logging.WARNING):
        repeats.start("a", "date", 0.01, on_result=lambda statuses: repeats.stop("a"))
        wait_for(lambda: not repeats.is_active("a"), 10, "the end of the repeat")
    assert len(repeats.results("a")) == 1
    assert caplog.records == []


def test_an_error_in_a_thread_is_logged_and_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    def fail(cmd: str, timeout: float | None) -> CommandStatus:
        raise LookupError("no such row")

    repeats = RepeatsSync(fail, host="here")
    with caplog.at_level(logging.WARNING, "dockerpty.host.repeat"):
        repeats.start("a", "date", 1)
        wait_for(lambda: not repeats.is_active("a"), 10, "the end of the repeat")
        assert "repeat failed: host=here name=a: LookupError: no such row" in caplog.text
