"""Who drives plans: turns, what is done in the background, and what is left of what was given up."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dockerpty.engine.interface import Engine
from dockerpty.errors import APIError, DockerptyError, EngineUnreachable, NotFound, ProtocolError
from dockerpty.host.drivers import LoopDriver, ThreadDriver
from dockerpty.host.errors import (
    HostClosedError,
    HostConnectionError,
    HostError,
    HostNotRunningError,
    SessionBusyError,
)
from dockerpty.host.requests import Alone, Ask, Close, Invoke, Meanwhile, Wait

if TYPE_CHECKING:
    from dockerpty.host.requests import Plan


class Away(Engine):
    """An engine that is never there, or that refuses."""

    def __init__(self, error: DockerptyError | None = None) -> None:
        self.closed = 0
        self.error = error or EngineUnreachable("ask", "the engine", "it is away")

    def send(self, *_: Any, **__: Any) -> Any:
        raise self.error

    def again(self) -> Engine:
        return self

    def close(self) -> None:
        self.closed += 1


async def find() -> Engine:
    return Away()


def note(told: list[str], name: str, *, pauses: int = 2) -> Plan[str]:
    for _ in range(pauses):
        told.append(name)
        yield Invoke(lambda: asyncio.sleep(0))
    return name


def test_plans_of_one_key_are_driven_one_after_the_other_in_the_order_of_the_calls() -> None:
    told: list[str] = []

    async def work() -> list[str]:
        driver = LoopDriver(find)
        plans = (driver.alone("k", note(told, name)) for name in "abc")
        return list(await asyncio.gather(*plans))

    assert asyncio.run(work()) == ["a", "b", "c"]
    assert told == ["a", "a", "b", "b", "c", "c"]


def test_plans_of_other_keys_do_not_wait() -> None:
    told: list[str] = []

    async def work() -> None:
        driver = LoopDriver(find)
        await asyncio.gather(driver.alone("k", note(told, "a")), driver.alone("other", note(told, "b")))

    asyncio.run(work())
    assert told == ["a", "b", "a", "b"]


def test_a_plan_within_a_plan_has_its_turn_too() -> None:
    told: list[str] = []

    def outer(name: str) -> Plan[str]:
        inner: str = yield Alone("inner", note(told, name))
        return inner

    async def work() -> None:
        driver = LoopDriver(find)
        await asyncio.gather(driver.alone("1", outer("a")), driver.alone("2", outer("b")))

    asyncio.run(work())
    assert told == ["a", "a", "b", "b"]


def test_what_is_cancelled_is_tidied_up_in_the_background_before_the_next_has_its_turn() -> None:
    told: list[str] = []
    go_on = asyncio.Event()

    def slow() -> Plan[None]:
        try:
            yield Invoke(lambda: asyncio.sleep(3600))
        finally:
            told.append("thrown")

    def tidy() -> Plan[None]:
        yield Invoke(go_on.wait)
        told.append("tidied")

    async def work() -> None:
        driver = LoopDriver(find)
        first = asyncio.create_task(driver.alone("k", slow(), tidy))
        second = asyncio.create_task(driver.alone("k", note(told, "next", pauses=1)))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not second.done()
        go_on.set()
        await second
        await driver.settle()

    asyncio.run(work())
    assert told == ["thrown", "tidied", "next"]


def test_who_is_cancelled_before_his_turn_leaves_no_trace() -> None:
    told: list[str] = []

    async def work() -> None:
        driver = LoopDriver(find)
        tasks = [asyncio.create_task(driver.alone("k", note(told, name))) for name in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(tasks[0], tasks[2])

    asyncio.run(work())
    assert told == ["a", "a", "c", "c"]


def test_what_is_done_meanwhile_is_not_waited_for_on_a_loop_and_is_elsewhere() -> None:
    told: list[str] = []

    def plan(function: Any) -> Plan[None]:
        yield Meanwhile(aside(function))
        yield Meanwhile(aside(function), optional=True)
        told.append("plan")

    def aside(function: Any) -> Plan[None]:
        yield Invoke(function)
        told.append("aside")

    async def work() -> None:
        driver = LoopDriver(find)
        await driver.drive(plan(lambda: asyncio.sleep(0)))
        await driver.settle()

    asyncio.run(work())
    assert told == ["plan", "aside", "aside"]
    told.clear()
    ThreadDriver(Away).drive(plan(lambda: None))
    assert told == ["aside", "plan"]


def test_an_engine_that_is_away_is_an_error_of_the_host_and_is_looked_for_anew() -> None:
    found: list[Away] = []

    def ask() -> Plan[None]:
        yield Ask(None)  # type: ignore[arg-type]  # this engine looks at no call

    async def look() -> Engine:
        found.append(Away())
        return found[-1]

    async def work() -> None:
        driver = LoopDriver(look, "web")
        for _ in range(2):
            with pytest.raises(HostConnectionError) as error:
                await driver.drive(ask())
            assert error.value.host == "web"
        driver.drop()

    asyncio.run(work())
    assert len(found) == 2


@pytest.mark.parametrize(
    ("refusal", "kind", "hint"),
    [
        (APIError("start", "web", "no space left", status_code=500), HostError, "the engine's own log"),
        (APIError("start", "web", "not now", "wait a moment", status_code=503), HostError, "wait a moment"),
        (NotFound("start", "web", "no such container", status_code=404), HostNotRunningError, "try again"),
        (ProtocolError("read", "the answer", "it is none", "look there"), HostConnectionError, "look there"),
    ],
)
def test_what_an_engine_refuses_is_an_error_of_the_host_with_a_hint(
    refusal: DockerptyError, kind: type[HostError], hint: str
) -> None:
    def ask() -> Plan[None]:
        yield Ask(None)  # type: ignore[arg-type]  # whatever is asked, it is refused

    async def refusing() -> Engine:
        return Away(refusal)

    waiting = ThreadDriver(lambda: Away(refusal), "web")

    async def on_a_loop() -> list[BaseException]:
        driver = LoopDriver(refusing, "web")
        both = driver.drive(ask()), driver.alone("k", ask())
        told = await asyncio.gather(*both, return_exceptions=True)
        driver.drop()
        return [each for each in told if each is not None]

    told = asyncio.run(on_a_loop())
    for drives in (waiting.drive, lambda plan: waiting.alone("k", plan)):
        with pytest.raises(HostError) as raised:
            drives(ask())
        told.append(raised.value)
    assert len(told) == 4
    for error in told:
        assert isinstance(error, HostError)
        assert type(error) is kind
        assert (error.host, error.reason, error.__cause__) == ("web", refusal.reason, refusal)
        assert hint in error.hint


def test_what_needs_no_engine_is_done_also_when_its_owner_was_closed() -> None:
    closed: list[str] = []

    class Open:
        def close(self) -> None:
            closed.append("closed")

    def nowhere() -> Engine:
        raise HostClosedError("use", "the parent", "it was closed")

    async def nowhere_on_a_loop() -> Engine:
        return nowhere()

    def end() -> Plan[str]:
        yield Wait((), 0.0)
        yield Close(Open())  # type: ignore[arg-type]  # all of a channel that is used here
        return "done"

    assert ThreadDriver(nowhere).drive(end()) == "done"
    assert asyncio.run(LoopDriver(nowhere_on_a_loop).drive(end())) == "done"
    assert closed == ["closed", "closed"]


def test_a_driver_goes_on_to_the_next_loop_but_not_to_two_at_once() -> None:
    driver = LoopDriver(find)
    told: list[str] = []
    asyncio.run(driver.alone("k", note(told, "a")))
    asyncio.run(driver.alone("k", note(told, "b")))
    runs, ends = threading.Event(), threading.Event()

    async def stay() -> None:
        await driver.alone("k", note(told, "c"))
        runs.set()
        await asyncio.to_thread(ends.wait)

    thread = threading.Thread(target=asyncio.run, args=(stay(),))
    thread.start()
    runs.wait()
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(driver.alone("k", note(told, "d")))
    ends.set()
    thread.join()


def test_a_second_thread_is_told_that_the_session_is_in_use() -> None:
    driver = ThreadDriver(Away)
    runs, ends = threading.Event(), threading.Event()

    def stay() -> Plan[None]:
        runs.set()
        yield Invoke(ends.wait)

    thread = threading.Thread(target=driver.alone, args=("session one", stay()))
    thread.start()
    runs.wait()
    with pytest.raises(SessionBusyError, match="another thread"):
        driver.alone("session one", note([], "a"))
    ends.set()
    thread.join()
    assert driver.is_held("session one") is False


def test_a_ctrl_c_is_tidied_up_after_and_raised() -> None:
    told: list[str] = []

    def interrupted() -> Plan[None]:
        yield Wait((), 0.0)
        raise KeyboardInterrupt

    def tidy() -> Plan[None]:
        told.append("tidied")
        yield Wait((), 0.0)

    driver = ThreadDriver(Away)
    with pytest.raises(KeyboardInterrupt):
        driver.alone("k", interrupted(), tidy)
    assert told == ["tidied"]
    assert not driver.is_held("k")


def test_what_is_only_held_is_not_waited_for_at_the_end() -> None:
    driver = ThreadDriver(Away)
    release = driver.hold("k")
    driver.finish("k", note([], "a", pauses=0))
    release()
    release_again = driver.hold("k")
    release_again()
