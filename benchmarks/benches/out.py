"""Output of a container: framed, of a terminal, of a container of its own."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Cell
from benchmarks.measure import Run, take_turns
from benchmarks.stage import IMAGE, MIB, Stage

_LINE = "x" * 63


def zeros(n: int) -> list[str]:
    """Return a command that writes n bytes, a multiple of a mebibyte."""
    return ["dd", "if=/dev/zero", "bs=1048576", f"count={n // MIB}", "status=none"]


def cells(stage: Stage) -> Iterator[Cell]:
    n = stage.size(1024, 16) * MIB

    def all_came(run: Run) -> bool:
        return run.code == 0 and run.count == n

    for sink in ("null", "pipe"):
        cell = Cell("out", f"exec, framed, to {'a pipe' if sink == 'pipe' else '/dev/null'}", "MB/s", n, 1e-6)
        words = ["exec", stage.container, *zeros(n)]
        clients = stage.that_do("exec")
        # What goes to /dev/null cannot be counted; that all of it comes is seen at the pipe.
        right = all_came if sink == "pipe" else lambda run: run.code == 0
        yield take_turns(
            cell, stage.runs(clients, words, sink=sink, is_right=right), stage.rounds, tell=stage.tell
        )
    words = ["run", "--rm", "--network", "none", IMAGE, *zeros(n)]
    cell = Cell("out", "run, framed, to a pipe", "MB/s", n, 1e-6)
    yield take_turns(
        cell,
        stage.runs(stage.that_do("run"), words, sink="pipe", is_right=all_came),
        stage.rounds,
        tell=stage.tell,
    )
    yield _terminal(stage)


def _terminal(stage: Stage) -> Cell:
    n = stage.size(64, 1) * 1_000_000 // 64 * 64
    # The terminal in the container makes two characters of each newline.
    shown = n + n // 64

    def all_came(run: Run) -> bool:
        return run.code == 0 and run.count == shown

    words = ["exec", "-it", stage.container, "sh", "-c", f"yes {_LINE} | head -c {n}"]
    return take_turns(
        Cell("out", "exec -it, lines of 64 bytes, to a terminal", "MB/s", shown, 1e-6),
        stage.runs(stage.that_do("exec -t"), words, sink="pty", is_right=all_came),
        stage.rounds,
        tell=stage.tell,
    )
