"""Input into a container, counted there."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Cell
from benchmarks.measure import Run, take_turns
from benchmarks.stage import MIB, Stage


def cells(stage: Stage) -> Iterator[Cell]:
    n = stage.size(512, 16) * MIB
    file = stage.scratch / "zeros"
    with file.open("wb") as zeros:
        zeros.truncate(n)

    def all_came(run: Run) -> bool:
        return run.code == 0 and run.kept.strip() == str(n).encode()

    words = ["exec", "-i", stage.container, "wc", "-c"]
    for name, stdin in (("a pipe", f"zeros:{n}"), ("a file", str(file))):
        yield take_turns(
            Cell("in", f"exec -i from {name}", "MB/s", n, 1e-6),
            stage.runs(stage.that_do("exec -i"), words, stdin=stdin, sink="keep", is_right=all_came),
            stage.rounds,
            tell=stage.tell,
        )
    file.unlink()
