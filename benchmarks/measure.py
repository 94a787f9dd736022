"""One run of one contender by the launcher, and rounds of all of them."""

from __future__ import annotations

import os
import random
import signal
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
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LAUNCHER), stdin, sink, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    try:
        told, said = launcher.communicate(timeout=_PATIENCE_S)
    except BaseException:
        # With all that it started.
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.communicate()
        raise
    if launcher.returncode or not told:
        raise RuntimeError(f"{' '.join(command)} could not be measured: {said.strip()[-500:]}")
    return Run(told)


def take_turns(
    cell: Cell,
    contenders: Mapping[str, Callable[[], Sample]],
    rounds: int,
    *,
    pause_s: float = 0.05,
    tell: Callable[[str], None] = lambda text: None,
) -> Cell:
    """Fill a cell: all contenders one after the other, and that so many times, each time in another order.

    The orders are drawn, but the same in each run: no contender is always first, or always behind the same other one.

    Args:
        cell: to be filled.
        contenders: by name, what runs one of them once.
        rounds: how many times.
        pause_s: between two of them; the engine tidies up after an exec for some 20 ms.
        tell: told how far it is.
    """
    names = list(contenders)
    drawn = random.Random(cell.name)
    for number in range(rounds):
        tell(f"{cell.bench}: {cell.name}, round {number + 1} of {rounds}")
        round_ = {}
        for name in drawn.sample(names, len(names)):
            round_[name] = contenders[name]()
            time.sleep(pause_s)
        cell.rounds.append({name: round_[name] for name in names})
    return cell
