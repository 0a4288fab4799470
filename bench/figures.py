"""The few statistics that the benchmarks need: percentiles in a round, medians and spreads between rounds."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: the least value that `share` (0 to 1) of the values don't exceed.

    Raises `ValueError` without values.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError("a percentile needs values, and a share between 0 and 1")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What rounds amount to."""

    median: float
    least: float
    most: float
    rounds: int

    @property
    def spread(self) -> float:
        """How far the farthest round is from the median, as a share of the median; infinite around 0."""
        farthest = max(self.most - self.median, self.median - self.least)
        if farthest == 0:
            return 0.0
        return farthest / abs(self.median) if self.median else math.inf


def summary(rounds: Sequence[float]) -> Summary:
    """Sum rounds up. Raises `statistics.StatisticsError` without rounds."""
    middle = statistics.median(rounds)
    return Summary(median=middle, least=min(rounds), most=max(rounds), rounds=len(rounds))


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratio of each round: both were measured side by side, so a slow minute slows both."""
    return [a / b for a, b in zip(over, under, strict=True)]


@dataclass
class Series:
    """One figure, measured once a round. Units: ms, /s, MB, count, bytes."""

    unit: str
    rounds: list[float] = field(default_factory=list)


@dataclass
class Result:
    """What a scenario measured on one database: series by name, what was checked, what else is to be said.

    `incomplete` names what is missing when workflows, rows and mails don't add up: then nothing here counts.
    """

    scenario: str
    database: str
    series: dict[str, Series] = field(default_factory=dict)
    checked: dict[str, int] = field(default_factory=dict)
    incomplete: list[str] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)

    def add(self, name: str, unit: str, value: float) -> None:
        """Add a round's value to the series `name`."""
        series = self.series.setdefault(name, Series(unit))
        assert series.unit == unit, f"{name} is in {series.unit}"
        series.rounds.append(value)

    def add_times(self, name: str, seconds: Sequence[float]) -> None:
        """Add p50 and p99 of a round's times."""
        self.add(f"{name} p50", "ms", 1000 * percentile(seconds, 0.5))
        self.add(f"{name} p99", "ms", 1000 * percentile(seconds, 0.99))

    def add_steps(self, name: str, waits: Sequence[object], *steps: str) -> None:
        """Add p50 and p99 of each step, an attribute of `waits` in seconds, or None."""
        for step in steps:
            seconds = [taken for one in waits if (taken := getattr(one, step)) is not None]
            if seconds:
                self.add_times(f"{name}: {step}", seconds)

    def expect(self, what: str, found: int, wanted: int) -> None:
        """Check one count; a wrong one makes the result incomplete."""
        self.checked[what] = self.checked.get(what, 0) + found
        if found != wanted:
            self.incomplete.append(f"{what}: {found}, not {wanted}")
