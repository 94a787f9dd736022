"""Plans: rules that ask, written once for programs that wait and for programs on a loop.

A plan is a generator. It yields requests, is sent the replies, and returns its result. What goes wrong with a request
is raised in it, so that its `try` and `finally` work in both colours. Who answers is one of the two drivers here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from typing import Any, TypeVar

    Request = TypeVar("Request")
    T = TypeVar("T")


def drive(plan: Generator[Request, Any, T], answer: Callable[[Request], Any]) -> T:
    """Run a plan to its end, with the replies that `answer` returns or the errors that it raises."""
    try:
        request = next(plan)
        while True:
            try:
                reply = answer(request)
            except BaseException as error:  # noqa: BLE001  # raised where it was asked for, and from there
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result


async def drive_on_loop(plan: Generator[Request, Any, T], answer: Callable[[Request], Awaitable[Any]]) -> T:
    """Do the same on a loop; a cancellation is raised in the plan like any error."""
    try:
        request = next(plan)
        while True:
            try:
                reply = await answer(request)
            except BaseException as error:  # noqa: BLE001  # raised where it was asked for, and from there
                request = plan.throw(error)
            else:
                request = plan.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result
