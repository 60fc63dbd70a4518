"""The line from a margin to the probability of misuse, as a detector uses it."""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, log


@dataclass(frozen=True, slots=True)
class Curve:
    """Margins, which rise, and the log-odds there, which rise too; two at least.

    It is straight between them, and beyond them it goes on as it begins and ends.
    """

    margins: tuple[float, ...]
    log_odds: tuple[float, ...]

    def probability(self, margin: float) -> float:
        """Return the probability at a margin, from 0 to 1."""
        at = min(max(bisect(self.margins, margin), 1), len(self.margins) - 1)
        left, right = self.margins[at - 1], self.margins[at]
        low, high = self.log_odds[at - 1], self.log_odds[at]
        return _logistic(low + (high - low) * ((margin - left) / (right - left)))


def added(log_odds: Sequence[float]) -> float:
    """Return the log of the sum of odds: that one of several kinds is there, of which few are."""
    highest = max(log_odds)
    if len(log_odds) == 1 or highest == -inf:
        return highest
    return highest + log(sum(exp(it - highest) for it in log_odds))


def curve_of(margins: Sequence[float], log_odds: Sequence[float]) -> Curve:
    """Return the curve through these places; `ValueError` where it is none."""
    curve = Curve(tuple(map(float, margins)), tuple(map(float, log_odds)))
    rise = all(low < high for values in (margins, log_odds) for low, high in pairwise(values))
    if not rise or not len(margins) == len(log_odds) > 1:
        raise ValueError("a curve has margins and log-odds, as many, two at least, which rise")
    return curve


def straight(slope: float, offset: float) -> Curve:
    """Return the curve without a bend: logistic(slope * margin + offset)."""
    return Curve((-1.0, 1.0), (offset - slope, offset + slope))


def _logistic(logit: float) -> float:
    if logit > 0:
        return 1 / (1 + exp(-logit))
    odds = exp(logit)
    return odds / (1 + odds)
