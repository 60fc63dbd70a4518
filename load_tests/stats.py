"""What the rounds of a benchmark say together, and whether that is within the budgets."""

import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


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
class Budget:
    """`system` may cost at most `ratio` times what `reference` costs, for one `kind` of load."""

    kind: str
    system: str
    reference: str
    ratio: float


def paired_ratios(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """One ratio a round: both sides of it were measured within seconds of each other.

    So a machine that is slower for a while slows both, and the ratio stays.
    """
    return [value / reference for value, reference in zip(values, references, strict=True)]


def read_budgets(path: Path) -> tuple[Budget, ...]:
    """Reads `budgets.toml`: a table for each kind, holding `reference` and a ratio per system."""
    tables = tomllib.loads(path.read_text())
    return tuple(
        Budget(kind, system, table["reference"], ratio)
        for kind, table in tables.items()
        for system, ratio in table["at_most"].items()
    )


def over_budget(
    budgets: Sequence[Budget], costs: Mapping[str, Mapping[str, Sequence[float]]]
) -> list[str]:
    """A sentence for each budget that is broken, or that could not be judged.

    Args:
        budgets: what is allowed.
        costs: kind of load → system → CPU-µs in each round.
    """
    return [said for budget in budgets if (said := _judge(budget, costs[budget.kind]))]


def _judge(budget: Budget, costs: Mapping[str, Sequence[float]]) -> str | None:
    if absent := {budget.system, budget.reference} - costs.keys():
        return f"{budget.kind}: {' and '.join(sorted(absent))} not measured, budget not judged"
    ratio = Summary.of(paired_ratios(costs[budget.system], costs[budget.reference])).median
    if ratio <= budget.ratio:
        return None
    return (
        f"{budget.kind}: {budget.system} costs {ratio:.2f} times {budget.reference}, "
        f"the budget is {budget.ratio:g}"
    )
