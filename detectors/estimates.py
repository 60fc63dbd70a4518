"""Figures with their intervals, and what it takes to have one at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RATES: Mapping[str, float] = MappingProxyType({"1pct": 0.01, "01pct": 0.001})
"""The false-positive rates that are reported, by the end of a figure's name."""

ROUNDS = 1_000
MEAN = "mean over sources"
WORST = "worst source"
OWN = "own_"
"""Before the name of a figure: by the category's own score, not by `any`."""

FEW = 10
"""A share with fewer rows than this on either side has an exact interval: there the bootstrap
is too narrow, and of no width at all for a share of nothing."""

Key = tuple[str, str, str]
"""A figure's place: kind, source, name. Kinds are those of `KINDS`; of a category the source is
its name, of the battery the transformation's, of calibration the score's, of beginnings how much of
an answer counts."""

KINDS = ("misuse", "benign", "category", "calibration", "robustness", "beginnings")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95% interval: percentile bootstrap over rows, within sources.

    An `exact` one is Clopper and Pearson's, the threshold taken as given, or the bootstrap's
    where that is wider.
    """

    value: float
    low: float
    high: float
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """How many rows a figure needs; with fewer it "cannot be measured", and is not shown."""

    rows: int = 50
    """Of the misuse in question, and of the benign rows that it is compared with."""
    above: int = 10
    """Benign rows that a threshold lets pass: 10 need 1,000 rows at 1%, and 10,000 at 0.1%."""

    def lacks(self, name: str, misuse: int | None, benign: int) -> str | None:
        """Return what a figure lacks, if anything; `misuse` is None where none is needed."""
        if misuse is not None and misuse < self.rows:
            return f"{misuse:,} misuse rows, but {self.rows:,} are needed"
        needed = max(self.rows if misuse is not None else 0, self._benign_needed(name))
        if benign < needed:
            return f"{benign:,} benign rows, but {needed:,} are needed"
        return None

    def _benign_needed(self, name: str) -> int:
        rate = RATES.get(name.rpartition("_at_")[2])
        return round(self.above / rate) if rate else 0


NEEDS = Needs()


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen about an evaluation."""

    needs: Needs = NEEDS
    battery_rows: int = 150
    """Rows of each source and label that are transformed; 0 leaves the battery out."""
    vetted: frozenset[str] = frozenset()
    """Sources whose categories people have vetted."""
    seed: int = 0


OPTIONS = Options()
