"""What the report's plots are drawn from, thinned to a grid: no row can be read from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.figures import Scored
from detectors.metrics import Scores

HISTOGRAM_BINS = 25
_GRID = 101
FALSE_POSITIVE_RATES = tuple(np.round(np.logspace(-4, 0, _GRID), 6).tolist())
RECALLS = tuple(np.round(np.linspace(0, 1, _GRID), 6).tolist())


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves by misuse source, each against the benign rows that its figures are measured on.

    `recall` is that at each of `FALSE_POSITIVE_RATES` (the ROC curve), `precision` that at each of
    `RECALLS`. Histograms are shares of the benign and the misuse rows by probability.
    """

    recall: Mapping[str, tuple[float, ...]]
    precision: Mapping[str, tuple[float, ...]]
    benign: tuple[float, ...]
    misuse: tuple[float, ...]


def curves(scored: Scored) -> Curves:
    """Return the curves of all misuse sources; none where there are no benign rows."""
    sources = scored.rows.sources_with(1) if scored.benign.any() else []
    pairs = {
        source: (
            scored.scores[scored.compared_with(source)],
            scored.scores[scored.rows.misuse_of(source)],
        )
        for source in sources
    }
    return Curves(
        {source: roc(*pair) for source, pair in pairs.items()},
        {source: precision(*pair) for source, pair in pairs.items()},
        _histogram(scored.scores[scored.benign]),
        _histogram(scored.scores[~scored.benign]),
    )


def roc(benign: Scores, misuse: Scores) -> tuple[float, ...]:
    """Return the recall at each of `FALSE_POSITIVE_RATES`."""
    falling = np.sort(benign)[::-1]
    allowed = np.floor(np.array(FALSE_POSITIVE_RATES) * len(benign) + 1e-9).astype(np.int64)
    limits = falling[np.minimum(allowed, len(benign) - 1)]
    below = np.searchsorted(np.sort(misuse), limits, side="right")
    recall = np.where(allowed < len(benign), 1 - below / len(misuse), 1.0)
    return _rounded(recall)


def precision(benign: Scores, misuse: Scores) -> tuple[float, ...]:
    """Return the highest precision that is had at each of `RECALLS` or above."""
    limits = np.sort(misuse)[::-1]  # every recall there is, at the scores of misuse rows
    right = np.searchsorted(-limits, -limits, side="right")
    wrong = len(benign) - np.searchsorted(np.sort(benign), limits, side="left")
    best = np.maximum.accumulate((right / (right + wrong))[::-1])[::-1]
    needed = np.ceil(np.array(RECALLS) * len(misuse) - 1e-9).astype(np.int64)
    return _rounded(best[np.clip(needed - 1, 0, len(misuse) - 1)])


def _histogram(scores: Scores) -> tuple[float, ...]:
    found, _ = np.histogram(scores, bins=HISTOGRAM_BINS, range=(0, 1))
    return _rounded(found / max(len(scores), 1))


def _rounded(values: Scores) -> tuple[float, ...]:
    return tuple(np.round(values, 5).tolist())
