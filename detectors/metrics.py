"""The report's arithmetic: AUROC, thresholds, shares above them, exact intervals.

Scores are arrays of shape (n,); higher means more likely misuse.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, rankdata

Scores = NDArray[np.float64]


def auroc(benign: Scores, misuse: Scores) -> float:
    """Return the chance that a misuse row outscores a benign one, ties counted half.

    This is the Mann-Whitney U statistic over the number of pairs.
    """
    ranks = rankdata(np.concatenate([benign, misuse]))
    smallest = len(misuse) * (len(misuse) + 1) / 2
    return float((ranks[len(benign) :].sum() - smallest) / (len(benign) * len(misuse)))


def threshold_at(benign: Scores, rate: float) -> float:
    """Return the least benign score that at most a share `rate` of benign rows exceed.

    A row is flagged when its score is above the threshold.
    """
    allowed = int(rate * len(benign) + 1e-9)
    return float(np.sort(benign)[len(benign) - 1 - allowed])


def flagged(scores: Scores, threshold: float) -> float:
    """Return the share of scores above the threshold."""
    return float((scores > threshold).mean())


def recall_at(benign: Scores, misuse: Scores, rate: float) -> float:
    """Return the share of misuse rows above the threshold for a false-positive rate."""
    return flagged(misuse, threshold_at(benign, rate))


def clopper_pearson(count: int, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share, `count` of `rows`, which must be at least one.

    Clopper and Pearson, Biometrika 26 (1934): quantiles of beta distributions.
    """
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, count, rows - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, rows - count)) if count < rows else 1.0
    return low, high
