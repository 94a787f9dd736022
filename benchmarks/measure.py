"""One run of one contender by the launcher, and rounds of all of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Cell, Sample

_LAUNCHER = Path(__file__).with_name("launcher.py")
#: A client that hangs ends the whole run, after so many seconds.
_PATIENCE_S = 600


class Run:
    """What a client did.

    Attributes:
        sample: its figures; `exact` is left to who knows what should have come.
        count: bytes at the sink.
        code: its exit code.
        kept: the first bytes that came, where they are kept.
    """

    def __init__(self, line: str) -> None:
        wall, cpu, rss, count, code, *kept = line.split()
        self.sample = Sample(float(wall), float(cpu), float(rss))
        self.count, self.code = int(count), int(code)
        self.kept = bytes.fromhex(kept[0]) if kept else b""


def launch(
    command: Sequence[str],
    *,
    stdin: str = "null",
    sink: str = "null",
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a client to its end; `stdin` and `sink` as `launcher` takes them."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(_LAUNCHER), stdin, sink, *command],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode or not done.stdout:
        raise RuntimeError(f"{' '.join(command)} could not be measured: {done.stderr.strip()[-500:]}")
    return Run(done.stdout)


def take_turns(
    cell: Cell,
    contenders: Mapping[str, Callable[[], Sample]],
    rounds: int,
    *,
    pause_s: float = 0.0,
    tell: Callable[[str], None] = lambda text: None,
) -> Cell:
    """Fill a cell: all contenders one after the other, and that so many times.

    Args:
        cell: to be filled.
        contenders: by name, what runs one of them once.
        rounds: how many times.
        pause_s: between two of them; the engine tidies up after an exec for some 20 ms.
        tell: told how far it is.
    """
    names = list(contenders)
    for number in range(rounds):
        tell(f"{cell.bench}: {cell.name}, round {number + 1} of {rounds}")
        # Each begins in another place, so that none is always behind the same one.
        shift = number % len(names)
        round_ = {}
        for name in names[shift:] + names[:shift]:
            round_[name] = contenders[name]()
            time.sleep(pause_s)
        cell.rounds.append({name: round_[name] for name in names})
    return cell
