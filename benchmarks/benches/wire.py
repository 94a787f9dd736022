"""The client alone: in the engine's place stands one that streams from memory. Nothing else may use it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import stand_in
from benchmarks.figures import Cell
from benchmarks.measure import Run, take_turns
from benchmarks.stage import MIB, Stage


def cells(stage: Stage) -> Iterator[Cell]:
    path = stage.scratch / "stand-in.sock"
    engine = subprocess.Popen(
        [sys.executable, str(Path(stand_in.__file__)), str(path)], stdout=subprocess.PIPE
    )
    try:
        assert engine.stdout is not None
        engine.stdout.readline()
        for what, name, word, size in (
            ("frames of 32 KiB", "frames-32768", "exec", 1024),
            ("frames of 4 KiB", "frames-4096", "exec", 512),
            ("frames of 64 bytes", "frames-64", "exec", 64),
            ("a terminal's stream", "raw", "exec -t", 1024),
        ):
            yield _cell(stage, path, what, name, word, stage.size(size, 2) * MIB)
    finally:
        engine.kill()
        engine.wait()


def _cell(stage: Stage, path: Path, what: str, name: str, word: str, n: int) -> Cell:
    def all_came(run: Run) -> bool:
        return run.code == 0 and run.count == n

    # No terminal of ours is needed for one of the container's: `-t` without `-i`.
    words = ["exec", *(["-t"] if word == "exec -t" else []), name, str(n)]
    environment = {"DOCKER_HOST": f"unix://{path}"}
    clients = stage.that_do(word)
    runs = stage.runs(clients, words, sink="pipe", is_right=all_came, environment=environment)
    return take_turns(
        Cell("wire", f"{what}, to a pipe", "MB/s", n, 1e-6), runs, stage.rounds, tell=stage.tell
    )
