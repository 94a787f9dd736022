"""`dpty prune`: remove what killed processes of ours have left behind on the engine."""

from __future__ import annotations

import sys

from dockerpty.cli.engine import engine_of
from dockerpty.cli.grammar import UsageError
from dockerpty.cli.outcome import ERROR, flush, say, show
from dockerpty.container.leftovers import find, remove
from dockerpty.errors import APIError
from dockerpty.tty import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockerpty.cli.grammar import Line
    from dockerpty.container.leftovers import Leftover
    from dockerpty.engine.interface import Engine


def command(line: Line) -> int:
    """Run the command line, and return its exit code."""
    dry = line.values["dry_run"]
    asks = not (dry or line.values["force"])
    if asks and not is_terminal(sys.stdin):
        # Also where there is nothing to remove: a script learns of it the first time, and not some night.
        raise UsageError(
            "ask", "whether to remove them", "stdin is no terminal", "say --force, or look with --dry-run"
        )
    engine = engine_of(line)
    try:
        leftovers = find(engine)
        if not leftovers:
            say("nothing was left behind")
            return 0
        if dry or asks:
            for leftover in leftovers:
                (show if dry else say)(f"would remove {leftover}: {leftover.reason}")
        if dry:
            return 0
        if asks and not _agreed(len(leftovers)):
            say("nothing was removed")
            return ERROR
        return _remove(engine, leftovers)
    finally:
        engine.close()


def _agreed(number: int) -> bool:
    if sys.stderr is not None:
        # Where a person looks, and not where the list of what was done goes.
        what = "this container" if number == 1 else f"these {number} containers"
        sys.stderr.write(f"dpty: remove {what}? [y/N] ")
        sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(engine: Engine, leftovers: list[Leftover]) -> int:
    code = 0
    for leftover in leftovers:
        try:
            removed = remove(engine, leftover)
        except APIError as error:
            say(str(error))
            code = ERROR
            continue
        show(f"removed {leftover}: {leftover.reason}" if removed else f"{leftover} had gone by itself")
        # A line when it is done: the next one may take its time.
        flush()
    return code
