"""A table that a person reads, and a document for programs. Pure, but for `machine`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import Any

import dockerpty
from benchmarks.figures import Cell, Spread
from benchmarks.goals import Goal, goals_of, unmeasured

_HEAD = ("", "figure", "to docker", "to the limit", "CPU", "memory", "goal")


def table(cells: list[Cell]) -> str:
    """Return the report of all cells, as Markdown."""
    parts = []
    for bench in dict.fromkeys(cell.bench for cell in cells):
        parts.append(f"## {bench}\n")
        parts += [_cell(cell) for cell in cells if cell.bench == bench]
    return "\n".join([*parts, _shortfalls(cells)])


def _cell(cell: Cell) -> str:
    head = [*_HEAD[:2], f"to {cell.unit_is}", *_HEAD[3:]]
    rows = [head, *(_row(cell, name) for name in cell.contenders())]
    # Columns without a figure are left out.
    shown = [n for n in range(len(head)) if n < 3 or any(row[n] for row in rows[1:])]
    rows = [[row[n] for n in shown] for row in rows]
    widths = [max(len(row[n]) for row in rows) for n in range(len(shown))]
    rule = ["-" * width for width in widths]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in (rows[0], rule, *rows[1:])
    ]
    return f"**{cell.name}** ({_unit(cell)}, {_rounds(cell)})\n\n" + "\n".join(lines) + "\n"


def _row(cell: Cell, name: str) -> list[str]:
    if not cell.is_exact(name):
        return [name, "lost bytes or failed", "", "", "", "", "no speed"]
    rss = cell.rss(name)
    size = max(sample.rss for sample in cell.samples(name)) / 1024
    return [
        name,
        _number(cell.value(name)),
        _spread(cell.ratio(name)),
        _short(cell.limit(name)),
        _short(cell.cpu(name)),
        f"{size:.0f} MB, {rss.median:.2f}" if rss else "",
        "; ".join(_verdict(goal, figure) for goal, figure in goals_of(cell, name)),
    ]


def _verdict(goal: Goal, figure: float | None) -> str:
    what = {"ratio": "", "limit": "limit ", "cpu": "CPU ", "rss": "memory ", "value": ""}[goal.measure]
    fails = " not measured" if figure is None else " SHORT"
    return f"{what}{goal.relation} {goal.bound:g}" + ("" if goal.is_reached(figure) else fails)


def _shortfalls(cells: list[Cell]) -> str:
    judged = [
        (cell, name, goal, figure)
        for cell in cells
        for name in cell.contenders()
        for goal, figure in goals_of(cell, name)
    ]
    short = [each for each in judged if not each[2].is_reached(each[3])]
    absent = unmeasured(cells)
    lines = [f"{len(judged) - len(short)} of {len(judged) + len(absent)} goals are reached."]
    for cell, name, goal, figure in short:
        found = "was not measured" if figure is None else f"is {figure:.3g}"
        lines.append(
            f"- {cell.bench}, {cell.name}, {name}: {goal.measure} {found}, the goal {goal.relation} {goal.bound:g}"
        )
    lines += [f"- {goal.bench}, {goal.cell}, {goal.contender}: was not measured" for goal in absent]
    return "\n".join(lines)


def _unit(cell: Cell) -> str:
    return cell.unit or "count"


def _rounds(cell: Cell) -> str:
    return f"{len(cell.rounds)} round" + ("s" if len(cell.rounds) != 1 else "")


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _spread(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.2f} ({spread.least:.2f} to {spread.most:.2f})"


def _short(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.2f}"


def document(cells: list[Cell], about: dict[str, str]) -> dict[str, Any]:
    """Return everything that was measured, for programs: each sample of each round, and each goal."""
    return {
        "about": about,
        "cells": [
            {
                "bench": cell.bench,
                "name": cell.name,
                "unit": cell.unit,
                "amount": cell.amount,
                "scale": cell.scale,
                "unit_is": cell.unit_is,
                "rounds": [
                    {name: sample._asdict() for name, sample in round_.items()} for round_ in cell.rounds
                ],
                "goals": [
                    {**goal._asdict(), "figure": figure, "reached": goal.is_reached(figure)}
                    for name in cell.contenders()
                    for goal, figure in goals_of(cell, name)
                ],
            }
            for cell in cells
        ],
    }


def machine() -> dict[str, str]:
    """Say what this ran on, and what took part."""
    return {
        "cores": str(os.cpu_count()),
        "load average at the beginning": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "dockerpty": dockerpty.__version__,
        "docker": _said(
            ["docker", "version", "--format", "client {{.Client.Version}}, engine {{.Server.Version}}"]
        ),
        "docker-py": _said([sys.executable, "-c", "import docker; print(docker.__version__)"]),
        "C compiler": _said(["sh", "-c", "cc --version | head -n 1"]),
    }


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"
