"""A calibration that bends: straight lines between knots, from margin to logit."""

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """Knots (margin, logit), two or more, both rising; beyond the ends it goes on with `slope`."""

    knots: tuple[tuple[float, float], ...]
    slope: float

    def at(self, margin: float) -> float:
        """Return the logit of a margin."""
        knots = self.knots
        place = bisect_right(knots, (margin,))
        if place in (0, len(knots)):
            end, logit = knots[0 if place == 0 else -1]
            return logit + self.slope * (margin - end)
        (left, low), (right, high) = knots[place - 1], knots[place]
        return low + (high - low) * (margin - left) / (right - left)
