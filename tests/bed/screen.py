"""What a person sees: the screen that the bytes shown by a terminal draw."""

from __future__ import annotations

import pyte

from tests.bed.terminal import Terminal


class Screen:
    """An emulator that follows a terminal of the bed, its window size included.

    Args:
        terminal: whose output is drawn; everything since its beginning.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._drawn = 0
        self._screen = pyte.Screen(*reversed(terminal.winsize))
        self._stream = pyte.ByteStream(self._screen)

    def resize(self, rows: int, cols: int) -> None:
        """Change the window of both; a real emulator draws what comes after that at the new size."""
        self.lines()
        self._screen.resize(rows, cols)
        self._terminal.set_winsize(rows, cols)

    def lines(self) -> list[str]:
        """The rows of the screen as they are now, without blanks at their ends."""
        output = self._terminal.output
        self._stream.feed(output[self._drawn :])
        self._drawn = len(output)
        return [line.rstrip() for line in self._screen.display]

    def modes(self) -> set[int]:
        """The private modes (DECSET) that are on now; in a new terminal that is wrapping, 7, and the cursor, 25."""
        self.lines()
        return {mode >> 5 for mode in self._screen.mode if mode >= 1 << 5}

    def wait_for(self, text: str, row: int | None = None, timeout: float = 10.0) -> None:
        """Wait until `text` stands in a row: any, or the one with this number (-1 is the last)."""

        def stands() -> bool:
            lines = self.lines()
            return any(text in line for line in (lines if row is None else [lines[row]]))

        self._terminal.wait_until(stands, timeout, f"{text!r} on the screen")
