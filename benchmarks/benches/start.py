"""How long the shortest commands take, and what Python itself takes of that."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.contenders import DPTY, Contender
from benchmarks.figures import Cell
from benchmarks.measure import take_turns
from benchmarks.stage import IMAGE, Stage

#: The engine tidies up after an exec for some 20 ms.
_PAUSE_S = 0.15
PYTHON = "python -c pass"


def cells(stage: Stage) -> Iterator[Cell]:
    rounds = stage.size(11, 2)
    for name, word, words, sink in (
        ("exec C true", "exec", ["exec", stage.container, "true"], "null"),
        ("exec -it C true", "exec -t", ["exec", "-it", stage.container, "true"], "pty"),
        ("run --rm I true", "run", ["run", "--rm", "--network", "none", IMAGE, "true"], "null"),
    ):
        runs = stage.runs(stage.that_do(word), words, sink=sink, is_right=lambda run: run.code == 0)
        yield take_turns(
            Cell("start", name, "ms", scale=1000), runs, rounds, pause_s=_PAUSE_S, tell=stage.tell
        )
    yield _python(stage, rounds)


def _python(stage: Stage, rounds: int) -> Cell:
    (dpty,) = stage.only(DPTY)
    python = (sys.executable, "-c")
    runs = {
        name: stage.runs([Contender(name, command, frozenset())], words, is_right=lambda run: run.code == 0)[
            name
        ]
        for name, command, words in (
            (PYTHON, python, ["pass"]),
            ("import dockerpty", python, ["import dockerpty"]),
            ("dpty --version", dpty.command, ["--version"]),
            ("dpty --help", dpty.command, ["--help"]),
        )
    }
    cell = Cell("start", "without an engine", "ms", scale=1000, unit_is=PYTHON)
    return take_turns(cell, runs, rounds, pause_s=0.02, tell=stage.tell)
