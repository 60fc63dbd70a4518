"""What the rounds of a benchmark say together, and whether that is within the budgets."""

import itertools
import random
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

_RESAMPLES: Final = 4000
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Summary:
    """Median and range of one figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarises at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    @property
    def spread(self) -> float:
        """Range over median: 0.1 means that the rounds lie within 10 % of each other."""
        return (self.high - self.low) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A median of ratios, and where it lies with 95 % confidence."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], chance: random.Random) -> Self:
        """Bootstrap it: https://en.wikipedia.org/wiki/Bootstrapping_(statistics), percentiles."""
        medians = sorted(
            statistics.median(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES)
        )
        cut = round(_RESAMPLES * (1 - _CONFIDENCE) / 2)
        return cls(statistics.median(values), medians[cut], medians[-1 - cut])

    def __str__(self) -> str:
        """To three places."""
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def rise(values: Sequence[float]) -> float:
    """By how much the line through values at even distances rises, end to end.

    Its slope is Theil and Sen's: the median of the slopes between every two values. So a single
    step up or down, as when a file is mapped, is no trend, and a leak is one.
    """
    if len(values) < 2:
        return 0.0
    pairs = itertools.combinations(enumerate(values), 2)
    slope = statistics.median((late - early) / (j - i) for (i, early), (j, late) in pairs)
    return slope * (len(values) - 1)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a `figure` of a `system` may be: in its unit, or as a multiple of a reference's."""

    figure: str
    system: str
    at_most: float
    reference: str | None = None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Self:
        """Reads a table of `budgets.toml`; `at_least_times_less = 8` is a ratio of one eighth."""
        less = table.get("at_least_times_less")
        at_most = 1 / less if less else table["at_most"]
        return cls(table["figure"], table["system"], at_most, table.get("reference"))


def paired_ratios(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """One ratio a round: both sides of it were measured within seconds of each other.

    So a machine that is slower for a while slows both, and the ratio stays.
    """
    return [value / reference for value, reference in zip(values, references, strict=True)]


def read_budgets(path: Path) -> tuple[Budget, ...]:
    """Reads `budgets.toml`: a table `[[budget]]` for each."""
    return tuple(Budget.of(table) for table in tomllib.loads(path.read_text())["budget"])


def over_budget(
    budgets: Sequence[Budget], costs: Mapping[str, Mapping[str, Sequence[float]]]
) -> list[str]:
    """A sentence for each budget that is broken, or that could not be judged.

    Args:
        budgets: what is allowed.
        costs: figure → system → value in each round.
    """
    judged = (_judge(budget, costs.get(budget.figure, {})) for budget in budgets)
    return [said for said in judged if said]


def _judge(budget: Budget, costs: Mapping[str, Sequence[float]]) -> str | None:
    wanted = {budget.system, budget.reference} - {None}
    if absent := wanted - costs.keys():
        names = " and ".join(sorted(filter(None, absent)))
        return f"{budget.figure}: {names} not measured, budget not judged"
    values = costs[budget.system]
    if budget.reference is None:
        value, unit = Summary.of(values).median, ""
    else:
        value = Summary.of(paired_ratios(values, costs[budget.reference])).median
        unit = f" times {budget.reference}"
    if value <= budget.at_most:
        return None
    return (
        f"{budget.figure}: {budget.system} takes {value:.4g}{unit}, "
        f"the budget is {budget.at_most:.4g}"
    )
