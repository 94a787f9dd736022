"""One plan, both drivers: the same requests, the same replies, the same way for errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

from dockerpty.plan import drive, drive_on_loop

Trial = Generator[str, int, str]


def on_loop(plan: Generator[Any, Any, Any], answer: Callable[[Any], Any]) -> Any:
    async def later(request: Any) -> Any:
        await asyncio.sleep(0)
        return answer(request)

    return asyncio.run(drive_on_loop(plan, later))


BOTH = pytest.mark.parametrize("run", [drive, on_loop])


@BOTH
def test_a_plan_is_sent_the_reply_to_each_request_and_returns_its_result(run: Any) -> None:
    def plan() -> Trial:
        first = yield "one"
        second = yield "two"
        return f"{first} {second}"

    asked: list[str] = []

    def answer(request: str) -> int:
        asked.append(request)
        return len(asked)

    assert run(plan(), answer) == "1 2"
    assert asked == ["one", "two"]


@BOTH
def test_a_plan_that_asks_nothing_returns_at_once(run: Any) -> None:
    def plan() -> Trial:
        yield from ()
        return "nothing"

    assert run(plan(), pytest.fail) == "nothing"


@BOTH
def test_an_error_is_raised_where_it_was_asked_for_and_the_plan_may_go_on(run: Any) -> None:
    def plan() -> Trial:
        try:
            yield "bad"
        except KeyError as error:
            yield f"after {error.args[0]}"
        return "done"

    asked = []

    def answer(request: str) -> int:
        asked.append(request)
        if request == "bad":
            raise KeyError(request)
        return 0

    assert run(plan(), answer) == "done"
    assert asked == ["bad", "after bad"]


@BOTH
def test_an_error_that_the_plan_does_not_take_comes_out_behind_its_clean_up(run: Any) -> None:
    cleaned = []

    def plan() -> Trial:
        try:
            yield "bad"
        finally:
            cleaned.append(True)
        return "never"

    def answer(request: str) -> int:
        raise KeyError(request)

    with pytest.raises(KeyError):
        run(plan(), answer)
    assert cleaned == [True]


def test_a_cancellation_is_raised_in_the_plan() -> None:
    seen: list[str] = []

    def plan() -> Trial:
        try:
            yield "slow"
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "never"

    async def main() -> None:
        async def answer(request: str) -> int:
            await asyncio.Event().wait()
            return 0

        task = asyncio.ensure_future(drive_on_loop(plan(), answer))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled"]
