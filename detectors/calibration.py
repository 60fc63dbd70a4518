"""From margin to probability: a straight line of log-odds (Platt), or one that bends.

Where both labels have many rows, isotonic regression on left-out margins says what share is misuse;
its steps become a line with a few bends, which always rises: no two margins get one probability.
"""

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from detectors.log_odds import Curve, straight
from detectors.metrics import Scores
from detectors.validation import Labelled

ENOUGH_ROWS = 500
"""So many rows of either label it takes to bend the line."""

LEAST_SLOPE = 0.01
"""Of a model that ranks left-out rows no better than chance: its probabilities hardly differ from
one half, but a higher margin is never less suspect."""

BENDS = 15
STRAIGHT = 0.1
"""The share of the straight line in one that bends, so that it rises everywhere."""
_OUTSIDE = 10.0


def calibrate(margins: Scores, rows: Labelled, of_rows: Scores) -> Curve:
    """Return the curve for a mixture of half benign and half misuse, as rows weigh."""
    slope, offset = rising(margins, rows, of_rows)
    if slope == LEAST_SLOPE or np.bincount(rows.label, minlength=2).min() < ENOUGH_ROWS:
        return straight(slope, offset)
    shares = IsotonicRegression(y_min=0.002, y_max=0.998, out_of_bounds="clip")
    shares.fit(margins, rows.label, sample_weight=of_rows)
    places = np.unique(_places(margins, of_rows))
    found = shares.predict(places)
    line = slope * places + offset
    bent = (1 - STRAIGHT) * np.log(found / (1 - found)) + STRAIGHT * line
    ends = bent[0] - slope * _OUTSIDE, bent[-1] + slope * _OUTSIDE
    outside = places[0] - _OUTSIDE, places[-1] + _OUTSIDE
    return Curve(
        (float(outside[0]), *places.tolist(), float(outside[1])),
        (float(ends[0]), *bent.tolist(), float(ends[1])),
    )


def platt(margins: Scores, rows: Labelled, of_rows: Scores) -> tuple[float, float]:
    """Return slope and offset of the straight line (Platt scaling)."""
    model = LogisticRegression(C=1e6)
    model.fit(margins.reshape(-1, 1), rows.label, sample_weight=of_rows)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def rising(margins: Scores, rows: Labelled, of_rows: Scores) -> tuple[float, float]:
    """Return slope and offset of that line, or of one that hardly rises where it would not."""
    slope, offset = platt(margins, rows, of_rows)
    return (slope, offset) if slope >= LEAST_SLOPE else (LEAST_SLOPE, 0.0)


def _places(margins: Scores, of_rows: Scores) -> Scores:
    """Return quantiles of the margins as rows weigh."""
    order = np.argsort(margins, kind="stable")
    share = np.cumsum(of_rows[order]) / of_rows.sum()
    at = np.searchsorted(share, (np.arange(BENDS) + 0.5) / BENDS)
    places: Scores = margins[order][np.minimum(at, len(order) - 1)]
    return places
