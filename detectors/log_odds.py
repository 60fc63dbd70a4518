"""The line from a margin to the probability of misuse, as a detector uses it."""

from bisect import bisect
from dataclasses import dataclass
from math import exp


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


def straight(slope: float, offset: float) -> Curve:
    """Return the curve without a bend: logistic(slope * margin + offset)."""
    return Curve((-1.0, 1.0), (offset - slope, offset + slope))


def _logistic(logit: float) -> float:
    if logit > 0:
        return 1 / (1 + exp(-logit))
    odds = exp(logit)
    return odds / (1 + odds)
