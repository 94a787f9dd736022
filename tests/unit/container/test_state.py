from __future__ import annotations

from typing import Any

import pytest

from dockerpty.container.state import is_ready, is_younger, refusal


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Status": "paused", "Paused": True, "Running": True}, "it is paused; unpause it first"),
        ({"Status": "restarting", "Restarting": True}, "it is restarting; wait until it runs"),
        ({"Status": "dead", "Dead": True}, "it is dead; remove it"),
        ({"Status": "exited"}, "it is exited; start it first"),
        ({"Status": "configured"}, "it is created; start it first"),
        ({"Status": "stopped"}, "it is exited; start it first"),
        ({}, "it is not running; start it first"),
    ],
)
def test_a_refusal_names_the_state_and_the_way_out(state: dict[str, Any], words: str) -> None:
    error = refusal("attach to", "web", state)
    assert str(error) == f"cannot attach to web: {words}"
    assert error.status_code == 409


def test_a_refusal_says_how_long_was_waited() -> None:
    error = refusal("attach to", "web", {"Status": "exited"}, " after 3 s")
    assert str(error) == "cannot attach to web: it is exited after 3 s; start it first"


@pytest.mark.parametrize(
    ("state", "ready"),
    [
        ({"Running": True}, True),
        ({"Running": False}, False),
        ({}, False),
        ({"Running": True, "Paused": True}, False),
        ({"Running": True, "Restarting": True}, False),
        ({"Running": True, "Dead": True}, False),
    ],
)
def test_a_container_is_ready_that_runs_and_does_not_stand_still(state: dict[str, Any], ready: bool) -> None:
    assert is_ready(state) is ready


@pytest.mark.parametrize(
    ("created", "date", "younger"),
    [
        ("2026-11-21T16:14:20.123456789Z", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        # The same second tells nothing: of the date what is below it is not known.
        ("2026-11-21T16:14:22.999999999Z", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        ("2026-11-21T16:14:23Z", "Sat, 21 Nov 2026 16:14:22 GMT", True),
        ("2026-11-21T18:14:22+02:00", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        ("2026-11-21T18:14:23+02:00", "Sat, 21 Nov 2026 16:14:22 GMT", True),
        ("2026-11-21T16:14:23Z", "", False),
        ("some day", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        ("2026-11-21T16:14:23", "Sat, 21 Nov 2026 16:14:22 GMT", False),
        (None, "Sat, 21 Nov 2026 16:14:22 GMT", False),
    ],
)
def test_a_container_that_was_made_after_an_answer_is_not_the_one_that_was_asked_about(
    created: str | None, date: str, younger: bool
) -> None:
    assert is_younger({"Created": created}, date) is younger
