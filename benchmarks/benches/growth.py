"""Whether a long stream costs more memory than a short one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.benches.out import zeros
from benchmarks.contenders import DOCKER_PY, DPTY, OLD, RAW
from benchmarks.figures import AGAIN, DOCKER, Cell, Sample
from benchmarks.measure import Run, launch, take_turns
from benchmarks.stage import MIB, Stage


def cells(stage: Stage) -> Iterator[Cell]:
    short, long = stage.size(16, 1) * MIB, stage.size(4096, 32) * MIB

    def grows(line: list[str]) -> Callable[[], Sample]:
        def once() -> Sample:
            runs: list[Run] = []
            for n in (short, long):
                run = launch([*line, *zeros(n)], sink="pipe")
                runs.append(run)
            right = [run.code == 0 and run.count == n for run, n in zip(runs, (short, long), strict=True)]
            return Sample(runs[1].sample.rss - runs[0].sample.rss, exact=all(right))

        return once

    clients = stage.only(DOCKER, AGAIN, DPTY, RAW, DOCKER_PY, OLD)
    name = f"greatest resident set after {long // MIB} MiB less that after {short // MIB} MiB"
    yield take_turns(
        Cell("growth", name, "KiB"),
        {client.name: grows(client.line("exec", stage.container)) for client in clients},
        stage.size(2, 1),
        tell=stage.tell,
    )
