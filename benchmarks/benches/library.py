"""The same script on two libraries, in the same environment: dockerpty 0.4.1, and ours put before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dockerpty
from benchmarks.benches.out import zeros
from benchmarks.contenders import CLIENTS, DPTY, OLD, Contender, bare_python
from benchmarks.figures import Cell, Sample
from benchmarks.measure import Run, take_turns
from benchmarks.stage import MIB, Stage


def cells(stage: Stage) -> Iterator[Cell]:
    old = stage.only(OLD)
    if not old:
        stage.tell("library: is left out: dockerpty 0.4.1 is not installed")
        return
    n = stage.size(256, 8) * MIB

    def all_came(run: Run) -> bool:
        return run.code == 0 and run.count == n

    def runs(words: list[str], sink: str, is_right: Callable[[Run], bool]) -> dict[str, Callable[[], Sample]]:
        script = (bare_python(stage.clients), str(CLIENTS / "old.py"))
        first = {"PYTHONPATH": str(Path(dockerpty.__file__).parents[1])}
        line = ["exec", stage.container, *words]
        return {
            **stage.runs(old, line, sink=sink, is_right=is_right),
            **stage.runs(
                [Contender(DPTY, script, frozenset())],
                line,
                sink=sink,
                is_right=is_right,
                environment=first,
            ),
        }

    yield take_turns(
        Cell("library", "start_exec, framed, to a pipe", "MB/s", n, 1e-6, unit_is=OLD),
        runs(zeros(n), "pipe", all_came),
        stage.rounds,
        tell=stage.tell,
    )
    yield take_turns(
        Cell("library", "start_exec of true", "ms", scale=1000, unit_is=OLD),
        runs(["true"], "null", lambda run: run.code == 0),
        stage.size(11, 1),
        pause_s=0.15,
        tell=stage.tell,
    )
