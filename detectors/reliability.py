"""Does a probability mean what it says? Reliability by bins, calibration error, Brier score.

Detectors are calibrated for a mixture of half benign and half misuse. So here both labels weigh
the same in all, however many rows they have: a row's weight is 1 / (2 * rows of its label).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.metrics import Scores, clopper_pearson
from detectors.resampling import Drawn, Rounds

BINS = 15
"""Of equal width, as Guo et al. (2017) have it; the first holds 0, the last 1."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose probability lies in one bin.

    `said` is the mean of their probabilities, `misuse` the share that is misuse, with its exact
    95% interval; all for the mixture of half and half.
    """

    rows: int
    said: float
    misuse: float
    low: float
    high: float


def calibration(scores: Scores, label: NDArray[np.int64], drawn: Drawn) -> dict[str, Rounds]:
    """Return in each round the expected calibration error and the Brier score.

    The error is the sum over bins of |weight of misuse - sum of weighted probabilities|, which is
    |share of misuse - mean probability| times the bin's weight: Naeini et al. (2015).
    """
    weights = _weights(label, drawn)
    inside = (_bin_of(scores)[:, None] == np.arange(BINS)).astype(np.float64)
    gaps = weights @ (inside * (label - scores)[:, None])
    return {"ece": np.abs(gaps).sum(axis=1), "brier": weights @ (label - scores) ** 2}


def reliability(scores: Scores, label: NDArray[np.int64]) -> tuple[Bin, ...]:
    """Return the bins that hold rows, lowest first."""
    place = _bin_of(scores)
    weight = 1 / np.maximum(np.bincount(label, minlength=2), 1)
    return tuple(
        _bin(scores[place == number], label[place == number], weight)
        for number in range(BINS)
        if (place == number).any()
    )


def _bin(scores: Scores, label: NDArray[np.int64], weight: NDArray[np.float64]) -> Bin:
    count, rows = int(label.sum()), len(label)
    shares = (count / rows, *clopper_pearson(count, rows))
    misuse, low, high = (_mixed(share, weight) for share in shares)
    said = float(np.average(scores, weights=weight[label]))
    return Bin(rows, said, misuse, low, high)


def _mixed(share: float, weight: NDArray[np.float64]) -> float:
    """Turn a share among the rows into one of the mixture; it rises with the share."""
    misuse, benign = share * weight[1], (1 - share) * weight[0]
    return float(misuse / (misuse + benign))


def _weights(label: NDArray[np.int64], drawn: Drawn) -> NDArray[np.float64]:
    weights = drawn.astype(np.float64)
    for value in (0, 1):
        chosen = label == value
        weights[:, chosen] /= 2 * np.maximum(weights[:, chosen].sum(axis=1, keepdims=True), 1)
    return weights


def _bin_of(scores: Scores) -> NDArray[np.int64]:
    return np.clip((scores * BINS).astype(np.int64), 0, BINS - 1)
