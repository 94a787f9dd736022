from __future__ import annotations

from typing import Any

import pytest

from dockerpty.container.state import refusal


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
