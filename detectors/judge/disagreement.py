"""Where two detectors disagree, counted: what to look at before a cheap one is trusted alone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from detectors.api import Category
from detectors.judge.families import Scores


class Direction(StrEnum):
    """Which of two detectors saw misuse where the other saw none."""

    FIRST = "first"
    SECOND = "second"


def disagreements(
    pairs: Iterable[tuple[Scores | None, Scores | None]], low: float, high: float
) -> Mapping[tuple[Category, Direction], int]:
    """Count, by category, how often one score is at least `high` and the other at most `low`.

    Scores in the band between speak of doubt, not of disagreement. Pairs of which one is None
    (not scanned) and categories that only one detector has are left out. Holds no text.

    Raises:
        ValueError: unless 0 <= low < high <= 1.
    """
    if not 0.0 <= low < high <= 1.0:
        raise ValueError(f"a band needs 0 <= low < high <= 1, not {low} and {high}")
    found: Counter[tuple[Category, Direction]] = Counter()
    for first, second in pairs:
        if first is None or second is None:
            continue
        for category in first.keys() & second.keys():
            if direction := _direction(first[category], second[category], low, high):
                found[category, direction] += 1
    return dict(found)


def _direction(first: float, second: float, low: float, high: float) -> Direction | None:
    if first >= high and second <= low:
        return Direction.FIRST
    if second >= high and first <= low:
        return Direction.SECOND
    return None
