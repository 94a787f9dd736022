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

    def is_reached(self, figure: float) -> bool:
        """Say whether a figure, shown with two places, keeps to the bound."""
        figure = round(figure, 2)
        return figure >= self.bound if self.relation == ">=" else figure <= self.bound


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
    Goal("growth", "greatest resident set", "value", "<=", 1024.0),
)


def goals_of(cell: Cell, contender: str) -> list[tuple[Goal, float]]:
    """Return the goals for a contender in a cell, with what was measured."""
    return [
        (goal, figure)
        for goal in GOALS
        if goal.bench == cell.bench and cell.name.startswith(goal.cell) and goal.contender == contender
        if (figure := cell.measured(contender, goal.measure)) is not None
    ]
