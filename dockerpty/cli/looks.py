"""What a person at a terminal gets to see: who draws, what fits, which colours. `rich` is loaded here, by who draws.

In a pipe, and on a terminal that can do nothing, everything is plain text. Colours are left out where NO_COLOR is set.
"""

from __future__ import annotations

import os

from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from rich.console import Console

# Of a container, by the first word of its status or state.
_COLOURS = {
    "up": "green",
    "running": "green",
    "restarting": "yellow",
    "paused": "yellow",
    "created": "cyan",
    "exited": "bright_black",
    "removal": "bright_black",
    "removing": "bright_black",
    "dead": "red",
}


def can_draw(stream: IO[str] | None) -> bool:
    """Say whether there is a terminal that knows more than lines of text."""
    return is_terminal(stream) and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def console(stream: IO[str]) -> Console:
    """Give what draws on a terminal. It never hides the cursor: nobody would show it again if we were killed."""
    from rich.console import Console

    class Ours(Console):
        def show_cursor(self, show: bool = True) -> bool:
            return False

    return Ours(file=stream, highlight=False, markup=False, emoji=False, force_terminal=True)


def clean(text: str) -> str:
    """Give a text without what would command the terminal: others wrote it."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def colour_of(status: str) -> str:
    """Give the colour for a container's status or state; an end with an exit code is told from a good one."""
    first = status.partition(" ")[0].lower()
    if "(unhealthy)" in status or (
        first == "exited" and "(" in status and not status.startswith("Exited (0)")
    ):
        return "red"
    if "(Paused)" in status or "(health: starting)" in status:
        return "yellow"
    return _COLOURS.get(first, "")
