"""A person's shell in tmux: what the terminal's own state is, as tmux keeps it, and what stands on its screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.bed.engine import short_directory
from tests.bed.waiting import wait_for
from tests.conftest import missing

PROMPT = "HOST$ "
MODES = (
    "alternate_on",
    "cursor_flag",
    "keypad_flag",
    "keypad_cursor_flag",
    "mouse_any_flag",
    "mouse_sgr_flag",
    "wrap_flag",
    "insert_flag",
)


class Tmux:
    """A tmux server of its own with one window, in which a shell waits at `PROMPT`.

    Args:
        functions: lines that the shell reads before its first prompt.
        env: the whole environment of the shell but for what tmux adds.
    """

    def __init__(
        self, functions: Sequence[str], env: Mapping[str, str], rows: int = 24, cols: int = 80
    ) -> None:
        program = shutil.which("tmux")
        if program is None:
            missing("no tmux here: a tour is made in it")
            raise FileNotFoundError("tmux")
        self._folder = short_directory()
        startup = f"{self._folder.name}/startup"
        with open(startup, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in functions)
        self._env = {**env, "TMUX_TMPDIR": self._folder.name, "ENV": startup, "PS1": PROMPT}
        self._env.pop("TMUX", None)
        # No configuration of the user's, and a terminal of a kind that every image knows.
        self._tmux = [program, "-L", "bed", "-f", "/dev/null"]
        kind = ("set", "-g", "default-terminal", "screen", ";")
        self._ask(
            *kind, "new-session", "-d", "-x", str(cols), "-y", str(rows), shutil.which("dash") or "sh", "-i"
        )
        self.wait_for(PROMPT.strip(), row=0)

    def __enter__(self) -> Tmux:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask("kill-server")
        self._folder.cleanup()

    def type(self, line: str) -> None:
        """Type a line, Enter included."""
        self._ask("send-keys", "-l", line)
        self._ask("send-keys", "Enter")

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self._ask("send-keys", *keys)

    def paste(self, text: str) -> None:
        """Paste as a terminal does: in brackets if the program has asked for them."""
        self._ask("set-buffer", text)
        self._ask("paste-buffer", "-p")

    def resize(self, rows: int, cols: int) -> None:
        """Change the window."""
        self._ask("resize-window", "-x", str(cols), "-y", str(rows))

    def modes(self) -> dict[str, str]:
        """What is switched on in the terminal now."""
        answer = self._ask("display", "-p", " ".join(f"#{{{name}}}" for name in MODES))
        return dict(zip(MODES, answer.split(), strict=True))

    def attributes(self) -> list[Any]:
        """What `tcgetattr` says of the terminal now."""
        fd = os.open(self._ask("display", "-p", "#{pane_tty}").strip(), os.O_RDWR | os.O_NOCTTY)
        try:
            return termios.tcgetattr(fd)
        finally:
            os.close(fd)

    def lines(self) -> list[str]:
        """The rows of the screen, without blanks at their ends."""
        rows = self._ask("capture-pane", "-p").split("\n")[:-1]
        return [row.rstrip() for row in rows]

    def wait_for(self, text: str, row: int | None = None, timeout: float = 10.0) -> None:
        """Wait until `text` stands in a row: any, or the one with this number (-1 is the last)."""

        def stands() -> bool:
            lines = self.lines()
            return any(text in line for line in (lines if row is None else [lines[row]]))

        self.wait_until(stands, f"{text!r} on the screen", timeout)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
        """Wait for a condition; the error shows the screen."""
        try:
            wait_for(condition, timeout, what, pause=0.03)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n" + "\n".join(self.lines())) from None

    def run(self, line: str, timeout: float = 20.0) -> list[str]:
        """Clear the screen, run a line of shell to its end, and return what it has left there; the code is last."""
        self.type("clear")
        self.wait_until(lambda: [row for row in self.lines() if row] == [PROMPT.strip()], "an empty screen")
        self.type(f"{line}; echo =$?=")
        self.wait_until(lambda: self._is_done(), f"the end of {line}", timeout)
        return [row for row in self.lines() if row][1:-1]

    def shows_prompt(self) -> bool:
        """Whether the last thing on the screen is the shell's prompt."""
        return [row for row in self.lines() if row][-1:] == [PROMPT.strip()]

    def terminate(self) -> None:
        """Send SIGTERM to the program that has the terminal."""
        shell = self._ask("display", "-p", "#{pane_pid}").strip()
        # The eighth column of its `stat` is the foreground group of its terminal.
        columns = Path(f"/proc/{shell}/stat").read_text().rpartition(")")[2].split()
        os.killpg(int(columns[5]), signal.SIGTERM)

    def _is_done(self) -> bool:
        rows = [row for row in self.lines() if row]
        return (
            len(rows) > 1 and rows[-1] == PROMPT.strip() and rows[-2].endswith("=") and "$?" not in rows[-2]
        )

    def _ask(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], env=self._env, capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 0, f"tmux {' '.join(words)}: {done.stderr}"
        return done.stdout
