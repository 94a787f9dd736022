"""The same script on two libraries: ours, and dockerpty 0.4.1 in an environment of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.benches.out import zeros
from benchmarks.contenders import CLIENTS, DPTY, OLD, Contender
from benchmarks.figures import Cell
from benchmarks.measure import Run, take_turns
from benchmarks.stage import MIB, Stage


def cells(stage: Stage) -> Iterator[Cell]:
    ours = Contender(DPTY, (sys.executable, str(CLIENTS / "old.py")), frozenset())
    clients = [*stage.only(OLD), ours]
    if len(clients) == 1:
        stage.tell("library: is left out: dockerpty 0.4.1 is not installed")
        return
    n = stage.size(256, 8) * MIB

    def all_came(run: Run) -> bool:
        return run.code == 0 and run.count == n

    yield take_turns(
        Cell("library", "start_exec, framed, to a pipe", "MB/s", n, 1e-6, unit_is=OLD),
        stage.runs(clients, ["exec", stage.container, *zeros(n)], sink="pipe", is_right=all_came),
        stage.rounds,
        tell=stage.tell,
    )
    yield take_turns(
        Cell("library", "start_exec of true", "ms", scale=1000, unit_is=OLD),
        stage.runs(clients, ["exec", stage.container, "true"], is_right=lambda run: run.code == 0),
        stage.size(11, 1),
        pause_s=0.15,
        tell=stage.tell,
    )
