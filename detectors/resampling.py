"""The bootstrap, all rounds at once: how often each round drew each row, and what follows.

A round draws as many rows as there are, with replacement, within each source and label. Figures
are worked out from counts, so a round costs no sorting: `drawn` has the shape (rounds, n), and one
round that draws every row once gives the figure of the rows themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.metrics import Scores

Drawn = NDArray[np.int16]
Counts = NDArray[np.float64]
Rounds = NDArray[np.float64]
"""One figure in each round, of shape (rounds,)."""


def once(rows: int) -> Drawn:
    """Return one round that draws each row once."""
    return np.ones((1, rows), np.int16)


def draw(
    strata: Sequence[NDArray[np.int64]], rows: int, rounds: int, random: np.random.Generator
) -> Drawn:
    """Draw from each stratum, given as row numbers, as many rows as it has."""
    drawn = np.zeros((rounds, rows), np.int16)
    for stratum in strata:
        size = len(stratum)
        picked = random.integers(size, size=(rounds, size)) + size * np.arange(rounds)[:, None]
        counts = np.bincount(picked.ravel(), minlength=rounds * size)
        drawn[:, stratum] = counts.reshape(rounds, size)
    return drawn


def compare(
    benign: tuple[Scores, Drawn], misuse: tuple[Scores, Drawn], rates: Mapping[str, float]
) -> dict[str, Rounds]:
    """Return AUROC, average precision and the recall at each false-positive rate.

    AUROC counts ties half, as `metrics.auroc`; average precision is the sum over distinct scores
    of the gain in recall times the precision there, as scikit-learn's; a recall is the share of
    misuse above the threshold that `metrics.threshold_at` gives.
    """
    scores, place = np.unique(np.concatenate([benign[0], misuse[0]]), return_inverse=True)
    place = len(scores) - 1 - place  # the highest first
    wrong = _spread(benign[1], place[: len(benign[0])], len(scores))
    right = _spread(misuse[1], place[len(benign[0]) :], len(scores))
    above_wrong, above_right = np.cumsum(wrong, axis=1), np.cumsum(right, axis=1)
    total_wrong, total_right = above_wrong[:, -1], np.maximum(above_right[:, -1], 1)
    below = total_wrong[:, None] - above_wrong + wrong / 2
    flagged = np.maximum(above_right + above_wrong, 1)
    return {
        "auroc": _over(right * below, total_wrong * total_right),
        "average_precision": _over(right * above_right / flagged, total_right),
    } | {
        f"recall_at_{name}": _recall(above_wrong, above_right - right, rate) / total_right
        for name, rate in rates.items()
    }


def thresholds(benign: Scores, drawn: Drawn, rate: float) -> Rounds:
    """Return each round's threshold, as `metrics.threshold_at`."""
    falling = np.argsort(-benign, kind="stable")
    above = np.cumsum(drawn[:, falling], axis=1, dtype=np.float64)
    return benign[falling[_first_above(above, rate)]]


def shares_above(scores: Scores, drawn: Drawn, limits: Rounds) -> Rounds:
    """Return the share of rows above each round's threshold."""
    flagged = (scores[None, :] > limits[:, None]) * drawn
    return _over(flagged, np.maximum(drawn.sum(axis=1), 1))


def interval(values: Rounds) -> tuple[float, float]:
    """Return the 2.5% and 97.5% quantiles: the percentile bootstrap."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _spread(drawn: Drawn, place: NDArray[np.int64], size: int) -> Counts:
    """Return how often each round drew a row of each place, of shape (rounds, size)."""
    order = np.argsort(place, kind="stable")
    present, starts = np.unique(place[order], return_index=True)
    counts = np.zeros((len(drawn), size))
    counts[:, present] = np.add.reduceat(drawn[:, order], starts, axis=1, dtype=np.float64)
    return counts


def _recall(above_wrong: Counts, above_right: Counts, rate: float) -> Rounds:
    first = _first_above(above_wrong, rate)
    found: Rounds = np.take_along_axis(above_right, first[:, None], axis=1)[:, 0]
    return found


def _first_above(above: Counts, rate: float) -> NDArray[np.intp]:
    """Return where the number of benign rows first passes what the rate allows."""
    allowed = np.floor(rate * above[:, -1] + 1e-9)
    first: NDArray[np.intp] = (above > allowed[:, None]).argmax(axis=1)
    return first


def _over(terms: NDArray[Any], totals: NDArray[Any]) -> Rounds:
    share: Rounds = terms.sum(axis=1) / totals
    return share
