"""What was measured, and the ratios made of it. Pure.

A ratio is taken within each round and its median is quoted, with the least and the greatest: machines are shared, and
two clients of one round have had the same neighbours. Ratios of two medians of different rounds are never formed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Literal, NamedTuple

#: The command that all are compared with, and its second self: how far that is from 1 is the error bar.
DOCKER, AGAIN = "docker", "docker (again)"
#: Who marks what is physically there.
LIMITS = ("C", "C splice")

Measure = Literal["ratio", "limit", "cpu", "rss", "value"]


class Sample(NamedTuple):
    """One run of one contender."""

    #: Seconds, or whatever the cell's unit says.
    wall: float
    #: Seconds of user and system time; 0 where it was not measured.
    cpu: float = 0.0
    #: The greatest resident set in KiB; 0 where it was not measured.
    rss: float = 0.0
    #: Whether every byte came, and the right exit code.
    exact: bool = True


class Spread(NamedTuple):
    """The median of the rounds, and how far they lay apart."""

    median: float
    least: float
    most: float


@dataclass
class Cell:
    """One thing measured, for all contenders, in rounds.

    Attributes:
        bench: as in `benches`.
        name: what is measured.
        unit: of a figure, `MB/s`, `ms`, `us`, `KiB`, `/s`.
        amount: what a sample's time is divided into for a rate (bytes, commands); 0 where the time is the figure.
        scale: what a figure is multiplied with to be in its unit.
        rounds: for each round, each contender's sample.
        unit_is: the contender whose figure is the unit of the ratios.
    """

    bench: str
    name: str
    unit: str
    amount: float = 0.0
    scale: float = 1.0
    rounds: list[dict[str, Sample]] = field(default_factory=list)
    unit_is: str = DOCKER

    @property
    def is_rate(self) -> bool:
        """Say whether more is better."""
        return bool(self.amount)

    def contenders(self) -> list[str]:
        """Name who took part, in the order of the first round."""
        return list(dict.fromkeys(name for round_ in self.rounds for name in round_))

    def samples(self, contender: str) -> list[Sample]:
        """Return all samples of one."""
        return [round_[contender] for round_ in self.rounds if contender in round_]

    def is_exact(self, contender: str) -> bool:
        """Say whether it never lost anything: who did has no speed."""
        return all(sample.exact for sample in self.samples(contender))

    def value(self, contender: str) -> float:
        """Return the median figure in the cell's unit."""
        figures = [self._figure(sample) for sample in self.samples(contender)]
        return median(figures) * self.scale

    def ratio(self, contender: str, to: str | None = None) -> Spread | None:
        """Return its figure over another's, within each round."""
        return self._spread(contender, to or self.unit_is, self._figure)

    def cpu(self, contender: str) -> Spread | None:
        """Return its CPU time over that of the unit."""
        return self._spread(contender, self.unit_is, lambda sample: sample.cpu)

    def rss(self, contender: str) -> Spread | None:
        """Return its greatest resident set over that of the unit."""
        return self._spread(contender, self.unit_is, lambda sample: sample.rss)

    def limit(self, contender: str) -> Spread | None:
        """Return its figure over that of the limit: the C client that is better by its median ratio."""
        ratios = {name: self.ratio(name) for name in LIMITS if self.is_exact(name)}
        there = {name: ratio.median for name, ratio in ratios.items() if ratio is not None}
        if not there or contender in LIMITS:
            return None
        return self.ratio(contender, (max if self.is_rate else min)(there, key=lambda name: there[name]))

    def measured(self, contender: str, measure: Measure) -> float | None:
        """Return what a goal is compared with; None where nothing was measured, or something was lost."""
        if not self.is_exact(contender) or not self.is_exact(self.unit_is):
            return None
        if measure == "value":
            return self.value(contender) if self.samples(contender) else None
        spread: Spread | None = getattr(self, measure)(contender)
        return None if spread is None else spread.median

    def _figure(self, sample: Sample) -> float:
        return self.amount / sample.wall if self.is_rate else sample.wall

    def _spread(self, contender: str, to: str, figure: object) -> Spread | None:
        assert callable(figure)
        ratios = [
            figure(round_[contender]) / figure(round_[to])
            for round_ in self.rounds
            if contender in round_ and to in round_ and figure(round_[to])
        ]
        if not ratios or not any(ratios):
            return None
        return Spread(median(ratios), min(ratios), max(ratios))
