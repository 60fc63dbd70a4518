"""How often a threshold is wrong: counts of scored rows, and what they prove of the rate.

Bounds are those of Clopper and Pearson (Biometrika 26, 1934): exact for a binomial count, whatever
the rate; the true rate is outside of them in at most 5 % of all samples, half on each side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CONFIDENCE: Final = 0.95
_TAIL: Final = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, slots=True)
class Rate:
    """A share that was counted: `count` of `total` rows, and its bounds at 95 % confidence."""

    count: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The share that was seen."""
        return self.count / self.total


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """What a point did on labelled rows when its threshold was set."""

    flagged: Rate
    """Benign rows that crossed it."""
    recall: Rate | None = None
    """Misuse rows that crossed it; None: there were none to look at."""
    detector_version: str | None = None
    """Whose scores these were: another version may give others."""


class NoThreshold(ValueError):
    """These scores have no threshold that keeps the share; the message says what would."""


def rate(count: int, total: int) -> Rate:
    """Return a share with its bounds.

    Raises:
        ValueError: it is no count of so many rows, or there are none.
    """
    from scipy.special import betaincinv  # noqa: PLC0415  (0.1 s, where a rate is new)

    if not 0 <= count <= total or total < 1:
        raise ValueError(f"expected a count of at least one row, and not {count} of {total}")
    low = betaincinv(count, total - count + 1, _TAIL) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - _TAIL) if count < total else 1.0
    return Rate(count, total, float(low), float(high))


def crossing(scores: Sequence[float], threshold: float) -> Rate:
    """Return how many of the scores reach a threshold: these cross it."""
    return rate(sum(score >= threshold for score in scores), len(scores))


def rows_needed(share: float) -> int:
    """Return how many benign rows can carry a rate: with none of them flagged, its bound is met.

    Of fewer rows even a threshold that flags none proves no more than a higher rate.
    """
    return math.ceil(math.log(_TAIL) / math.log1p(-share))


def threshold_at(scores: Sequence[float], share: float) -> float:
    """Return the smallest threshold that at most this share of benign rows reach.

    Raises:
        NoThreshold: there are too few rows to carry the rate, or too many that score 1.
    """
    needed = rows_needed(share)
    if len(scores) < needed:
        raise NoThreshold(
            f"{len(scores)} benign rows are too few to carry a rate of {share:g}: {needed} are "
            f"needed, since of fewer not even none flagged proves it at {CONFIDENCE:.0%}"
        )
    allowed = int(share * len(scores) + 1e-9)
    above = sorted(scores, reverse=True)[allowed]
    threshold = math.nextafter(above, math.inf)
    if threshold > 1:
        most = sum(score >= 1 for score in scores)
        raise NoThreshold(
            f"{most} of {len(scores)} benign rows score 1, so no threshold keeps a rate of "
            f"{share:g}: ask for more, or look at these rows"
        )
    return threshold
