"""What each figure of ours should reach: docs/performance.md says why it can be had."""

from __future__ import annotations

from typing import Literal, NamedTuple

from benchmarks.contenders import DPTY
from benchmarks.figures import Cell, Measure


class Goal(NamedTuple):
    """A bound for one measure of one contender in the cells whose name begins so."""

    bench: str
    cell: str
    measure: Measure
    relation: Literal[">=", "<="]
    bound: float
    contender: str = DPTY

    def is_reached(self, figure: float | None) -> bool:
        """Say whether a figure keeps to the bound; one that there is not does not."""
        if figure is None:
            return False
        return figure >= self.bound if self.relation == ">=" else figure <= self.bound

    def is_for(self, cell: Cell) -> bool:
        """Say whether it is a goal for something in this cell."""
        return self.bench == cell.bench and cell.name.startswith(self.cell)


GOALS = (
    Goal("out", "exec, framed", "ratio", ">=", 1.0),
    Goal("out", "exec, framed", "limit", ">=", 0.90),
    Goal("out", "exec, framed", "cpu", "<=", 0.75),
    Goal("out", "exec, framed", "rss", "<=", 0.75),
    Goal("out", "run, framed", "ratio", ">=", 1.0),
    Goal("out", "exec -it", "ratio", ">=", 0.97),
    Goal("out", "exec -it", "cpu", "<=", 0.65),
    Goal("in", "exec -i", "ratio", ">=", 1.0),
    Goal("in", "exec -i", "cpu", "<=", 0.85),
    Goal("wire", "frames of 32 KiB", "ratio", ">=", 1.0),
    Goal("wire", "frames of 64 bytes", "ratio", ">=", 2.0),
    Goal("wire", "a terminal's stream", "ratio", ">=", 1.5),
    Goal("start", "exec C true", "ratio", "<=", 1.25),
    Goal("start", "exec -it C true", "ratio", "<=", 1.25),
    Goal("start", "run --rm I true", "ratio", "<=", 1.05),
    Goal("start", "without an engine", "ratio", "<=", 1.3, "import dockerpty"),
    Goal("start", "without an engine", "ratio", "<=", 5.0, "dpty --help"),
    Goal("start", "without an engine", "ratio", "<=", 2.0, "dpty --version"),
    Goal("echo", "a key there and back, median", "ratio", "<=", 1.05),
    Goal("echo", "a key there and back, 90th", "ratio", "<=", 1.10),
    Goal("rate", "exec C true", "ratio", ">=", 1.6),
    Goal("scale", "resident set per added session", "value", "<=", 32.0),
    Goal("scale", "CPU per line, N = 100", "ratio", "<=", 0.45),
    Goal("scale", "threads, N = 100", "value", "<=", 8.0),
    Goal("library", "start_exec, framed", "ratio", ">=", 1.15),
    Goal("library", "start_exec, framed", "cpu", "<=", 0.6),
    Goal("library", "start_exec of true", "ratio", "<=", 1.0),
    Goal("host", "a command", "ratio", ">=", 80, "run"),
    Goal("host", "a command", "ratio", ">=", 60, "run, terminal"),
    Goal("host", "a command", "ratio", ">=", 1.0, "oneshot"),
    Goal("host", "the first command", "ratio", "<=", 1.5, "run"),
    Goal("host", "the first command", "ratio", "<=", 1.5, "run, terminal"),
    Goal("host", "output of one command", "ratio", ">=", 0.7, "run"),
    Goal("host", "output of one command", "ratio", ">=", 0.7, "run, on a loop"),
    Goal("host", "put of a large file", "ratio", ">=", 1.0, "run"),
    Goal("host", "get of a large file", "ratio", ">=", 1.0, "run"),
    Goal("host", "put of 2000 small files", "ratio", "<=", 1.3, "run"),
    Goal("host", "greatest resident set", "value", "<=", 80.0, "run"),
    Goal("host", "greatest resident set, through SSH", "value", "<=", 80.0, "ssh, run"),
    Goal("host", "through SSH, a command", "ratio", ">=", 40, "ssh, run, terminal"),
    Goal("host", "through SSH, a command", "ratio", ">=", 0.3, "ssh, oneshot"),
    Goal("growth", "greatest resident set", "value", "<=", 1024.0),
)


def goals_of(cell: Cell, contender: str) -> list[tuple[Goal, float | None]]:
    """Return the goals for a contender in a cell, with what was measured."""
    return [
        (goal, cell.measured(contender, goal.measure))
        for goal in GOALS
        if goal.is_for(cell) and goal.contender == contender
    ]


def unmeasured(cells: list[Cell]) -> list[Goal]:
    """Return the goals of the benches that ran which are for nothing that was measured."""
    benches = {cell.bench for cell in cells}
    return [
        goal
        for goal in GOALS
        if goal.bench in benches
        and not any(goal.is_for(cell) and goal.contender in cell.contenders() for cell in cells)
    ]
