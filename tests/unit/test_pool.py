"""What the processes of a loop share: how many threads there are, who uses which engine, and that nothing is left."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dockerpty.engine.calls import Call, Reply, ping
from dockerpty.engine.interface import Engine
from dockerpty.errors import EngineUnreachable
from dockerpty.pool import THREADS, Way, way_to
from tests.bed.waiting import wait_for


class Counted(Engine):
    """An engine that knows its copies, who uses it, and whether two ever did so at once."""

    def __init__(self, original: Counted | None = None, *, copies: bool = True) -> None:
        self.original = original or self
        self.may_be_copied = copies
        self.copies: list[Counted] = []
        self.users = self.most = self.calls = self.closed = 0
        self.hold: threading.Event | None = None
        self.lock = threading.Lock()

    def again(self) -> Engine | None:
        if not self.original.may_be_copied:
            return None
        copy = Counted(self.original)
        self.original.copies.append(copy)
        return copy

    def send(self, call: Call, *, subject: str = "", timeout: float = 0) -> Reply:
        with self.lock:
            self.users += 1
            self.calls += 1
            self.most = max(self.most, self.users)
        hold = self.original.hold
        if hold is None:
            time.sleep(0.001)
        else:
            assert hold.wait(20)
        with self.lock:
            self.users -= 1
        return Reply(200, {}, b"")

    def close(self) -> None:
        self.closed += 1


def ours() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("dockerpty-process")]


def run(main: Callable[[], Any]) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main(), 30)

    return asyncio.run(limited())


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_hundred_calls_at_once_take_four_threads_and_an_engine_for_each() -> None:
    engine = Counted()

    async def main() -> None:
        way = way_to(engine)
        await asyncio.gather(*[way.send(ping()) for _ in range(100)])
        assert len(ours()) == THREADS == 4
        assert sum(copy.calls for copy in engine.copies) == 100
        assert [copy.most for copy in engine.copies] == [1] * len(engine.copies)
        assert len(engine.copies) <= THREADS
        way.release()

    run(main)
    # The caller's own stays the caller's: another thread may be using it.
    assert (engine.calls, engine.closed) == (0, 0)
    wait_for(lambda: not ours(), what="the threads to end")
    assert [copy.closed for copy in engine.copies] == [1] * len(engine.copies)


def test_an_engine_that_cannot_be_had_twice_is_used_by_one_thread_at_a_time() -> None:
    engine = Counted(copies=False)

    async def main() -> None:
        way = way_to(engine)
        await asyncio.gather(*[way.send(ping()) for _ in range(30)])
        way.release()

    run(main)
    assert (engine.calls, engine.most, engine.closed) == (30, 1, 0)


def test_those_who_come_with_the_same_client_go_the_same_way_and_the_last_one_ends_it() -> None:
    engine, other = Counted(), Counted()

    async def main() -> None:
        first, second, third = way_to(engine), way_to(engine), way_to(other)
        assert first is second
        assert first is not third
        assert first.buffer is third.buffer
        for way in (first, third):
            await way.send(ping())
        first.release()
        assert engine.copies[0].closed == 0
        second.release()
        await until(lambda: engine.copies[0].closed)
        assert ours()
        third.release()
        await until(lambda: other.copies[0].closed and not ours())
        # ... and whoever comes then begins anew.
        again = way_to(engine)
        assert again is not first
        await again.send(ping())
        again.release()

    run(main)


def test_a_call_keeps_its_way_open_also_when_its_process_has_gone() -> None:
    engine = Counted()

    async def main() -> None:
        way = way_to(engine)
        way.release()
        await way.send(ping())
        await until(lambda: not ours())

    run(main)
    assert all(copy.closed for copy in engine.copies)


def test_each_loop_has_its_own() -> None:
    engine, ways = Counted(), []

    async def main() -> None:
        ways.append(way_to(engine))
        await ways[-1].send(ping())
        ways[-1].release()

    run(main)
    run(main)
    assert ways[0].buffer is not ways[1].buffer


def test_what_goes_wrong_comes_to_whoever_waits_and_leaves_the_engine_to_others() -> None:
    engine = Counted()

    def fail(engine: Engine) -> None:
        raise EngineUnreachable("reach", "the engine")

    async def main() -> None:
        way = way_to(engine)
        for _ in range(3):
            with pytest.raises(EngineUnreachable):
                await way.run(fail)
        await way.send(ping())
        way.release()

    run(main)
    assert len(engine.copies) == 1


def test_what_was_not_begun_when_it_was_cancelled_is_never_done() -> None:
    engine, undone = Counted(), []
    engine.hold = threading.Event()

    async def main() -> None:
        way = way_to(engine)
        busy = [asyncio.ensure_future(way.send(ping())) for _ in range(THREADS)]
        await until(lambda: sum(copy.users for copy in engine.copies) == THREADS)
        late = asyncio.ensure_future(way.run(lambda engine: engine.send(ping()), lambda *_: undone.append(1)))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        assert engine.hold is not None
        engine.hold.set()
        await asyncio.gather(*busy)
        way.release()

    run(main)
    assert sum(copy.calls for copy in engine.copies) == THREADS
    assert undone == []


@pytest.mark.parametrize("copies", [True, False])
def test_what_was_begun_when_it_was_cancelled_is_taken_back_though_the_loop_has_ended(copies: bool) -> None:
    engine, undone = Counted(copies=copies), []
    engine.hold = threading.Event()

    async def main() -> None:
        way = way_to(engine)

        def take_back(engine: Engine, reply: Reply) -> None:
            undone.append(reply.status)

        running = asyncio.ensure_future(way.run(lambda engine: engine.send(ping()), take_back))
        await until(lambda: engine.users + sum(copy.users for copy in engine.copies))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        way.release()

    run(main)
    assert undone == []
    engine.hold.set()
    wait_for(lambda: undone == [200], what="it to be taken back")
    wait_for(lambda: not ours(), what="the threads to end")


def test_what_failed_after_it_was_cancelled_has_nothing_to_be_taken_back() -> None:
    go, undone, over = threading.Event(), [], threading.Event()

    def fail(engine: Engine) -> None:
        go.wait(20)
        over.set()
        raise EngineUnreachable("reach", "the engine")

    async def main() -> None:
        way = way_to(Counted())
        running = asyncio.ensure_future(way.run(fail, lambda *_: undone.append(1)))
        await until(ours)
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        go.set()
        await until(over.is_set)
        way.release()
        await until(lambda: not ours())

    run(main)
    assert undone == []


def test_what_is_to_be_done_soon_is_done_though_nobody_waits_for_it_any_more() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(20)
        done.set()

    async def main() -> None:
        way = way_to(Counted())
        told = way.soon(work)
        waiting = asyncio.ensure_future(asyncio.shield(told))
        await asyncio.sleep(0)
        waiting.cancel()
        way.release()

    run(main)
    go.set()
    assert done.wait(20)
    wait_for(lambda: not ours(), what="the threads to end")


def test_a_plans_seconds_pass_without_a_thread() -> None:
    async def main() -> None:
        way = way_to(Counted())
        assert await way.answer(0.001) is None
        assert ours() == []
        reply = await way.answer(ping())
        assert reply is not None
        way.release()

    run(main)


def test_a_way_that_leads_nowhere_costs_no_thread() -> None:
    async def main() -> Way:
        way = way_to(Counted())
        way.release()
        return way

    run(main)
    assert ours() == []
