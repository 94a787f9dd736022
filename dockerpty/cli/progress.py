"""How a pull is shown on stderr: a line for each layer on a terminal, and elsewhere docker's plain lines."""

from __future__ import annotations

import sys
import time

from dockerpty.cli.looks import can_draw, clean, console
from dockerpty.cli.outcome import say
from dockerpty.cli.units import cut, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    Step = dict[str, Any]

# Often enough for an eye, and seldom enough for a terminal at the end of a slow line.
_BETWEEN_S = 0.1
_BAR_LONGEST = 50
_BAR_SHORTEST = 10
# Columns that stay free: a terminal echoes Ctrl-C as `^C`, and with its last one full it may begin a new line.
_ECHO = 3
_DONE = ("Pull complete", "Already exists", "Download complete")


def progress() -> PlainProgress | DrawnProgress:
    """Give what shows a pull where stderr goes. Its `take` is told the steps; `close` it when the pull is over."""
    return DrawnProgress() if can_draw(sys.stderr) else PlainProgress()


class PlainProgress:
    """Lines for a file or a program: what changes all the time is left out, as docker does it."""

    def take(self, step: Step) -> None:
        """Tell a step."""
        detail = step.get("progressDetail") or {}
        if "aux" in step or detail.get("current") or detail.get("total"):
            return
        say(clean(sentence(step)), prefix="")

    def close(self) -> None:
        """Nothing is left to do."""


class DrawnProgress:
    """A line for each layer, in its place.

    Args:
        clock: of `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0
        self._layers: dict[str, Step] = {}
        self._console: Console | None = None
        self._live: Live | None = None

    def take(self, step: Step) -> None:
        """Show a step."""
        if "aux" in step:
            return
        layer = str(step.get("id") or "")
        if not layer or "progressDetail" not in step:
            # It is about the whole image: the layers stay as they are, above it.
            self.close()
            say(clean(sentence(step)), prefix="")
            return
        before = self._layers.get(layer)
        self._layers[layer] = step
        turns = before is None or before.get("status") != step.get("status")
        if turns or self._clock() >= self._next:
            self._draw()
            self._next = self._clock() + _BETWEEN_S

    def close(self) -> None:
        """Leave on the screen what there is, and begin a new line below it."""
        if self._live is not None:
            live, self._live = self._live, None
            self._layers, layers = {}, self._layers
            live.update(self._lines(layers), refresh=False)
            live.stop()

    def _draw(self) -> None:
        if self._live is None:
            from rich.live import Live

            self._console = console(sys.stderr)
            # Drawn from here only: no thread of rich's is at work when a signal ends us. What the rest of the
            # process writes is no business of rich's.
            self._live = Live(
                console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        self._live.update(self._lines(self._layers), refresh=True)

    def _lines(self, layers: dict[str, Step]) -> Text:
        from rich.text import Text

        assert self._console is not None
        room = max(1, self._console.width - _ECHO)
        lines = [cut(layer_line(step, room), room) for step in layers.values()]
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        for number, (line, step) in enumerate(zip(lines, layers.values(), strict=True)):
            text.append("\n" if number else "").append(line, "green" if step.get("status") in _DONE else "")
        return text


def sentence(step: Step) -> str:
    """Give a step in docker's words: `latest: Pulling from library/busybox`."""
    if step.get("stream"):
        return str(step["stream"]).rstrip("\r\n")
    words = [f"{step['id']}:"] if step.get("id") else []
    return " ".join([*words, str(step.get("status") or "")])


def layer_line(step: Step, room: int) -> str:
    """Give a layer's line, with a bar where there is room for one."""
    detail = step.get("progressDetail") or {}
    head, numbers = clean(sentence(step)), counts(detail)
    if not numbers:
        return head
    total, current = detail.get("total") or 0, detail.get("current") or 0
    length = min(_BAR_LONGEST, room - len(head) - len(numbers) - len(" [] "))
    if total <= 0 or length < _BAR_SHORTEST:
        return f"{head} {numbers}"
    filled = min(length - 1, int(current / total * length))
    bar = "=" * filled + ">" + " " * (length - 1 - filled)
    return f"{head} [{bar}] {numbers}"


def counts(detail: Step) -> str:
    """Give how far a layer is: `1.2MB/3.4MB`, and without the whole where that is not known, or not true."""
    current, total = detail.get("current") or 0, detail.get("total") or 0
    unit = detail.get("units")
    if current <= 0 and total <= 0:
        return ""
    if unit:
        return f"{current}/{total} {unit}" if 0 < total >= current else f"{current} {unit}"
    now = size(current, 4)
    return f"{now:>8}/{size(total, 4)}" if 0 < total >= current else f"{now:>8}"
