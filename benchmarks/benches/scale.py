"""Many sessions in one process, against as many `docker` processes: what each adds in memory, and CPU per line."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

from benchmarks.contenders import CLIENTS, DPTY, RAW
from benchmarks.figures import AGAIN, DOCKER, Cell, Sample
from benchmarks.measure import launch
from benchmarks.stage import Stage

_MODES = {DOCKER: "docker", AGAIN: "docker", DPTY: "ours", RAW: "raw"}


def cells(stage: Stage) -> Iterator[Cell]:
    modes = _MODES
    many = stage.size(100, 10)
    lines = {1: stage.size(2000, 50), 10: stage.size(400, 20), 100: stage.size(100, 0)}
    cpu = {n: Cell("scale", f"CPU per line, N = {n}", "us", scale=1e6) for n in (1, 10, 100) if n <= many}
    memory = Cell("scale", f"resident set per added session, N = {many}", "KiB")
    threads = Cell("scale", f"threads, N = {many}", "")
    for round_ in range(stage.size(5, 1)):
        figures: dict[int, dict[str, tuple[float, float, float]]] = {}
        for n, cell in cpu.items():
            stage.tell(f"scale: N = {n}, round {round_ + 1} of {stage.size(5, 1)}")
            order = random.Random(f"{n} {round_}").sample(list(modes), len(modes))
            figures[n] = {name: _run(stage, modes[name], n, lines[n]) for name in order}
            cell.rounds.append({name: Sample(figures[n][name][0] / (n * lines[n])) for name in modes})
        memory.rounds.append(
            {name: Sample((figures[many][name][1] - figures[1][name][1]) / (many - 1)) for name in modes}
        )
        threads.rounds.append({name: Sample(figures[many][name][2]) for name in modes})
    yield from cpu.values()
    yield memory
    yield threads


def _run(stage: Stage, mode: str, n: int, lines: int) -> tuple[float, float, float]:
    command = [sys.executable, str(CLIENTS / "many.py"), mode, str(n), str(lines), stage.container]
    done = launch(command, sink="keep")
    if done.code:
        raise RuntimeError(f"{n} sessions of {mode} ended with {done.code}")
    cpu, rss, threads = done.kept.decode().split()
    return float(cpu), float(rss), float(threads)
