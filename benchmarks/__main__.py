"""`bin/bench`: all benches, or those that are named, in one run."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from benchmarks import report
from benchmarks.contenders import contenders
from benchmarks.figures import Cell
from benchmarks.stage import Stage

BENCHES = ("start", "echo", "out", "in", "wire", "rate", "scale", "growth", "library", "ways", "host")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bin/bench", description="Ratios against docker and a raw socket, side by side."
    )
    parser.add_argument(
        "bench", nargs="*", metavar="BENCH", help=f"one of {' '.join(BENCHES)}; all by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run under a minute: its figures mean nothing"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all that was measured")
    parser.add_argument("--old", metavar="PYTHON", type=Path, help="Python with dockerpty 0.4.1")
    asked = parser.parse_args()
    if unknown := set(asked.bench) - set(BENCHES):
        parser.error(f"there is no bench {' '.join(sorted(unknown))}; there are {' '.join(BENCHES)}")
    about, began = report.machine(), time.monotonic()
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="dpty-bench-") as scratch:
        clients, missing = contenders(Path(scratch), asked.old)
        stage = Stage(clients, asked.quick, Path(scratch))
        # All of them now: what cannot be loaded is no surprise for the end of the run.
        benches = [
            import_module(f"benchmarks.benches.{'in_' if bench == 'in' else bench}")
            for bench in asked.bench or BENCHES
        ]
        try:
            with stage.container_running():
                for bench in benches:
                    for cell in bench.cells(stage):
                        cells.append(cell)
            stage.tell(f"done in {time.monotonic() - began:.0f} s")
        finally:
            # Also of a run that breaks off: half an hour is not to be lost.
            _report(asked, cells, about, missing)
    return 0 if all(cell.is_exact(name) for cell in cells for name in cell.contenders()) else 1


def _report(asked: argparse.Namespace, cells: list[Cell], about: dict[str, str], missing: list[str]) -> None:
    print("" if not sys.stderr.isatty() else "\r", end="")
    for line in (
        *(f"{key}: {value}" for key, value in about.items()),
        *(f"missing: {each}" for each in missing),
    ):
        print(line)
    if asked.quick:
        print("A smoke run: these figures say that the benches work, and nothing of speed.")
    print(f"\n{report.table(cells)}")
    if asked.json:
        document = {"quick": asked.quick, "missing": missing, **report.document(cells, about)}
        asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
