"""Plans about one process, with processes of this machine: its code, its death, and that its channel is closed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dockerpty.engine.calls import Call, Reply
from dockerpty.errors import EngineUnreachable, NotFound
from dockerpty.host.processes import closing, ending_of, exit_code, kill, killing_on_error
from dockerpty.host.requests import Ask, Close, Open, Wait
from dockerpty.signals import marker
from tests.bed.waiting import wait_for
from tests.unit.host.channels import CONTAINER, SILENCE, Here, Scripted, reply

if TYPE_CHECKING:
    from dockerpty.host.channel import Channel
    from dockerpty.host.requests import Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture
def here() -> Iterator[Here]:
    with Here() as here:
        yield here


def opened(command: str, mark: str = "") -> Plan[Channel]:
    channel: Channel = yield Open(CONTAINER, ("sh", "-c", command), mark=mark)
    return channel


def read(channel: Any, enough: bytes | None = None) -> Plan[bytes]:
    """Read to the end, or until it ends with so much."""
    said = b""
    while not channel.ended and (enough is None or not said.endswith(enough)):
        for _, data in channel.read():
            said += data
        if not channel.ended and not said.endswith(enough or b"\0"):
            yield Wait((channel,), None)
    return said


def pids(mark: str) -> list[int]:
    """Who has a mark in its environment, on this machine."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue  # it has ended
    return found


# Its code -------------------------------------------------------------------------------------------------------------


def test_the_code_is_known_after_the_end_of_the_streams(here: Here) -> None:
    def plan() -> Plan[int | None]:
        channel = yield from opened("echo over; exec >&- 2>&-; sleep 0.2; exit 7")
        yield from read(channel)
        return (yield from exit_code(channel))

    assert here.drive(plan()) == 7


def test_one_that_the_engine_forgot_went_with_its_container() -> None:
    def gone(call: Call) -> Reply:
        raise NotFound("ask for", "it", "it is gone")

    ended = Here(asks=gone).drive(ending_of(Scripted([])))  # type: ignore[arg-type]  # a channel that is played
    assert (ended.reason, ended.code) == ("removed", 137)


def test_an_engine_that_is_away_is_no_exception() -> None:
    def away(call: Call) -> Reply:
        raise EngineUnreachable("reach", "the engine")

    ended = Here(asks=away).drive(ending_of(Scripted([])))  # type: ignore[arg-type]  # a channel that is played
    assert (ended.reason, ended.code, ended.engine_is_away) == ("lost", None, True)


# Its death ------------------------------------------------------------------------------------------------------------

FAMILY = (
    "sleep 300 & "  # a child
    "env -i PATH=$PATH sleep 300 & "  # one without the mark
    "(trap '' INT TERM HUP; while :; do sleep 0.01; done) & "  # one that has children all the time
    "echo up; wait"
)


def test_its_children_and_its_group_die_with_it_and_are_gone_when_that_is_said(here: Here) -> None:
    mark = marker()

    def plan() -> Plan[tuple[str, int]]:
        channel = yield from opened(FAMILY, mark)
        assert (yield from read(channel, b"up\n")) == b"up\n"
        problem = yield from kill(channel)
        assert pids(mark) == []
        # All that had its streams open.
        yield from read(channel)
        code = yield from exit_code(channel)
        assert code is not None
        return problem, code

    assert here.drive(plan()) == ("", 137)


def test_one_that_is_not_marked_is_left_alone(here: Here) -> None:
    mark = marker()

    def plan() -> Plan[None]:
        other = yield from opened("echo up; exec sleep 300", marker())
        yield from read(other, b"up\n")
        channel = yield from opened("echo up; exec sleep 300", mark)
        yield from read(channel, b"up\n")
        assert (yield from kill(channel)) == ""
        assert other.mark
        assert len(pids(other.mark)) == 1

    here.drive(plan())


def test_one_that_has_ended_by_itself_is_not_looked_for(here: Here) -> None:
    def plan() -> Plan[str]:
        channel = yield from opened("true", marker())
        yield from read(channel)
        yield from exit_code(channel)
        return (yield from kill(channel))

    assert here.drive(plan()) == ""
    assert len(here.opened) == 1


def test_children_that_outlive_it_are_looked_for(here: Here) -> None:
    mark = marker()

    def plan() -> Plan[str]:
        channel = yield from opened("sleep 300 & echo up", mark)
        yield from read(channel, b"up\n")
        wait_for(lambda: here.opened[0].process.poll() is not None, what="the shell to end")
        return (yield from kill(channel))

    assert here.drive(plan()) == ""
    assert pids(mark) == []


def test_one_that_is_not_seen_to_run_yet_is_waited_for() -> None:
    infos = [{"Running": False, "ExitCode": None, "Pid": 0}] * 3
    infos.append({"Running": True, "ExitCode": None, "Pid": 4711})
    here = Here(opens=lambda _: Scripted([b"done\n"]), asks=lambda _: reply(infos.pop(0)))
    assert here.drive(kill(Scripted([], mark="DPTY_EXEC=1"))) == ""  # type: ignore[arg-type]  # a channel that is played
    assert [type(each) for each in here.requests] == [Ask, Wait, Ask, Wait, Ask, Wait, Ask, Open, Close]


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([(1, b"left\n")], "some of it does not end"),
        ([(2, b"sh: tr: not\n found\n")], "sh: tr: not found"),
        ([], "the search for it ended early"),
        ([SILENCE], "the search for it took too long"),
        ([EngineUnreachable("reach", "it")], "cannot reach it"),
    ],
    ids=["immortal", "no tools", "no word", "silence", "lost"],
)
def test_what_keeps_it_from_being_killed_is_told(steps: list[Any], problem: str) -> None:
    runs = reply({"Running": True, "ExitCode": None, "Pid": 1})
    here = Here(opens=lambda _: Scripted(steps), asks=lambda _: runs)
    assert here.drive(kill(Scripted([], mark="DPTY_EXEC=1"), within=0.2)) == problem  # type: ignore[arg-type]  # a channel that is played
    assert here.closed == here.opened


# What is closed -------------------------------------------------------------------------------------------------------


class Stopped(BaseException):
    """What a cancellation or a Ctrl-C is."""


def asks_once(channel: Any) -> Plan[str]:
    yield Wait((channel,), time.monotonic())
    return "came through"


def test_a_channel_is_closed_whatever_comes_of_the_work() -> None:
    channel: Any = Scripted([])
    assert Here().drive(closing(channel, asks_once(channel))) == "came through"
    assert channel.closed

    channel = Scripted([])
    plan = closing(channel, asks_once(channel))
    next(plan)
    assert plan.throw(Stopped()) == Close(channel)
    with pytest.raises(Stopped):
        plan.send(None)


def test_a_plan_that_is_dropped_closes_its_channel_itself() -> None:
    channel: Any = Scripted([])
    plan = closing(channel, killing_on_error(channel, asks_once(channel)))
    next(plan)
    plan.close()
    assert channel.closed


def test_what_stops_the_work_kills_the_process_first(here: Here) -> None:
    mark = marker()

    def work() -> Plan[None]:
        channel = yield from opened("echo up; exec sleep 300", mark)

        def stopped() -> Plan[None]:
            yield from read(channel, b"up\n")
            raise Stopped

        yield from closing(channel, killing_on_error(channel, stopped()))

    with pytest.raises(Stopped):
        here.drive(work())
    assert pids(mark) == []
    assert here.closed[-1] is here.opened[0]
