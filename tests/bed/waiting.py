"""Waiting for a condition with a deadline that is an error: what tests do instead of sleeping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SLACK = float(os.environ.get("DPTY_TEST_SLACK", "1"))
"""Every deadline of the bed is multiplied by this: for machines slower than the one it was written on."""


def wait_for(condition: Callable[[], T], timeout: float = 10.0, what: str = "", pause: float = 0.01) -> T:
    """Call `condition` until its answer is true, and return that answer.

    Args:
        condition: asked again and again; must not block for long.
        timeout: seconds until AssertionError.
        what: what was waited for, for the error.
        pause: seconds between two questions.
    """
    deadline = time.monotonic() + timeout * SLACK
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout * SLACK:g} s in vain for {what or condition}")
        time.sleep(pause)
