"""Commands per second: one process that keeps its client, against a `docker` process for each command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

from benchmarks.contenders import CLIENTS, DOCKER_PY, DPTY, RAW, Contender, bare_python
from benchmarks.figures import AGAIN, DOCKER, Cell
from benchmarks.measure import take_turns
from benchmarks.stage import Stage


def cells(stage: Stage) -> Iterator[Cell]:
    n = stage.size(50, 5)
    words = [stage.container, "true"]
    lines: dict[str, list[str]] = {}
    for client in stage.only(DOCKER, AGAIN):
        loop = f"i=0; while [ $i -lt {n} ]; do {shlex.join(client.line('exec', *words))} || exit; i=$((i+1)); done"
        lines[client.name] = ["sh", "-c", loop]
    kept = str(CLIENTS / "kept.py")
    lines[DPTY] = [sys.executable, kept, "ours", str(n), *words]
    lines[DOCKER_PY] = [bare_python(stage.clients), kept, "docker-py", str(n), *words]
    for client in stage.only(RAW):
        lines[client.name] = client.line("kept", str(n), *words)
    runs = {
        name: stage.runs([Contender(name, tuple(line), frozenset())], [], is_right=lambda run: run.code == 0)[
            name
        ]
        for name, line in lines.items()
    }
    yield take_turns(Cell("rate", "exec C true, many times", "/s", n), runs, stage.rounds, tell=stage.tell)
