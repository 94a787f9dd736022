"""`dpty completion`: print the completion script of a shell. What the scripts ask is answered in `complete`."""

from __future__ import annotations

import os

from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line

# Named as the shells want to find them.
SCRIPTS = {"bash": "dpty", "zsh": "_dpty", "fish": "dpty.fish"}
FOLDER = os.path.join(os.path.dirname(__file__), "scripts")


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    (shell,) = line.words
    if shell not in SCRIPTS:
        raise UsageError(
            "complete",
            f"the lines of {shell}",
            "there is a script for bash, zsh and fish only",
            line.command.see,
        )
    with open(os.path.join(FOLDER, SCRIPTS[shell]), encoding="utf-8") as file:
        show(file.read().rstrip("\n"))
    return 0
