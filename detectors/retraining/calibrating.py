"""From margins to probabilities, fitted on rows that a model has not learnt from.

Detectors are calibrated for a mixture of half benign and half misuse, so both labels weigh the same
in all here. How much is fitted depends on how many rows there are: isotonic regression, tilted
a little, where they are many; slope and offset (Platt); or the offset alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from detectors.metrics import Scores

Labels = NDArray[np.int64]

ENOUGH_FOR_ISOTONIC: Final = 500
"""Misuse rows, and benign ones."""
ENOUGH_FOR_PLATT: Final = 100
ENOUGH_FOR_SHIFT: Final = 10
OUTSIDE: Final = 10.0
"""How far beyond the knots the curve that an artefact keeps goes on."""
TILT: Final = 0.02
"""Of the slope: how much the flat stretches of an isotonic curve rise."""


class Kind(StrEnum):
    """What of the calibration is fitted."""

    ISOTONIC = "isotonic"
    PLATT = "slope and offset"
    SHIFT = "offset alone"
    KEPT = "nothing"


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit = slope * margin + offset; or the curve between `knots` (margin, logit), in order.

    Beyond the first and the last knot the curve goes on with the slope.
    """

    kind: Kind
    slope: float
    offset: float
    knots: tuple[tuple[float, float], ...] = ()

    def logits(self, margins: Scores) -> Scores:
        """Return the logits of margins."""
        if not self.knots:
            return self.slope * margins + self.offset
        at, logit = np.array(self.knots).T
        over = np.maximum(margins - at[-1], 0) + np.minimum(margins - at[0], 0)
        found: Scores = np.interp(margins, at, logit) + self.slope * over
        return found

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps of it."""
        margins = np.array([at for at, _ in self.knots] or [0.0])
        margins = np.concatenate([[margins[0] - OUTSIDE], margins, [margins[-1] + OUTSIDE]])
        return {"margins": margins, "log_odds": self.logits(margins)}


def of_content(numbers: Mapping[str, Any]) -> Calibration:
    """Return the calibration of a head that an artefact keeps; its ends are of one slope."""
    margins, logits = numbers["margins"], numbers["log_odds"]
    slope = float((logits[1] - logits[0]) / (margins[1] - margins[0]))
    inner = slice(1, -1) if len(margins) > 2 else slice(0, 2)  # noqa: PLR2004 - both ends
    offset = float(np.mean(logits[inner] - slope * margins[inner]))
    knots = tuple(zip(margins[inner].tolist(), logits[inner].tolist(), strict=True))
    is_straight = np.allclose(logits, slope * margins + offset, rtol=0, atol=1e-9)
    return Calibration(Kind.KEPT, slope, offset, () if is_straight else knots)


def kind_for(label: Labels, *, isotonic: bool) -> Kind:
    """Return what so many rows allow."""
    fewer = int(min((label == 0).sum(), (label == 1).sum()))
    if isotonic and fewer >= ENOUGH_FOR_ISOTONIC:
        return Kind.ISOTONIC
    if fewer >= ENOUGH_FOR_PLATT:
        return Kind.PLATT
    return Kind.SHIFT if fewer >= ENOUGH_FOR_SHIFT else Kind.KEPT


def balanced(label: Labels, worth: Scores) -> Scores:
    """Return row weights of mean 1 by which both labels weigh the same in all."""
    weights = worth.astype(np.float64)
    for value in (0, 1):
        chosen = label == value
        weights[chosen] *= len(label) / 2 / max(float(weights[chosen].sum()), 1e-12)
    return weights


@dataclass(frozen=True, slots=True)
class Scored:
    """The margins of n rows that a head has not learnt from, and their labels.

    A row's probability is its `ceiling` times the head's: of an exchange that of its prompt, of
    other parts 1.
    """

    margins: Scores
    label: Labels
    ceiling: Scores

    @property
    def weights(self) -> Scores:
        """Return row weights by which both labels weigh the same in all."""
        return balanced(self.label, np.ones(len(self.label)))


def calibrate(rows: Scored, base: Calibration, kind: Kind) -> Calibration:
    """Fit `kind` to rows; what is not fitted is the base's.

    A slope that would turn the order around is not taken: then the offset alone is fitted. Under
    ceilings no isotonic regression is fitted, but slope and offset.
    """
    match kind:
        case Kind.KEPT:
            return base
        case Kind.SHIFT:
            return _shifted(rows, base)
    slope, offset = _platt(rows)
    if slope <= 0:
        return _shifted(rows, base)
    has_curve = kind is Kind.ISOTONIC and bool((rows.ceiling == 1).all())
    knots = _isotonic(rows, slope) if has_curve else ()
    if len(knots) < 2:  # noqa: PLR2004 - a curve has two ends
        return Calibration(Kind.PLATT, slope, offset)
    return Calibration(kind, slope, offset, knots)


def _shifted(rows: Scored, base: Calibration) -> Calibration:
    logits = base.logits(rows.margins)
    _, shift = _platt(replace(rows, margins=logits), is_slope_fixed=True)
    knots = tuple((at, logit + shift) for at, logit in base.knots)
    return Calibration(Kind.SHIFT, base.slope, base.offset + shift, knots)


def _platt(rows: Scored, *, is_slope_fixed: bool = False) -> tuple[float, float]:
    """Return slope and offset of the logistic curve: maximum likelihood, hardly regularised."""
    weights = rows.weights

    def loss(found: Scores) -> tuple[float, Scores]:
        slope = 1.0 if is_slope_fixed else found[1]
        losses, gaps = _under_ceilings(slope * rows.margins + found[0], rows.label, rows.ceiling)
        gaps = weights * gaps
        by = np.array([gaps.sum(), 0.0 if is_slope_fixed else gaps @ rows.margins])
        return float(weights @ losses + 1e-6 * (found @ found)), by + 2e-6 * found

    offset, slope = minimize(loss, np.array([0.0, 1.0]), jac=True, method="L-BFGS-B").x
    return (1.0 if is_slope_fixed else float(slope)), float(offset)


def _under_ceilings(logits: Scores, label: Labels, ceiling: Scores) -> tuple[Scores, Scores]:
    """Return each row's -log of the probability of its label, but for a constant; and its slope."""
    yes, no = sigmoid(logits), sigmoid(-logits)
    left = 1 - ceiling + ceiling * no  # of benign rows the probability of their label
    losses = np.where(label == 1, np.logaddexp(0, -logits), -np.log(left))
    return losses, np.where(label == 1, -no, ceiling * yes * no / left)


def _isotonic(rows: Scored, slope: float) -> tuple[tuple[float, float], ...]:
    """Return a knot for either end of each block of the isotonic regression.

    Within a block all would score the same, so everything is tilted a little: the order of texts
    stays. Blocks of one label alone are held half a row away from certainty.
    """
    margins, weights = rows.margins, rows.weights
    fitted = IsotonicRegression(out_of_bounds="clip").fit_transform(
        margins, rows.label, sample_weight=weights
    )
    least = 0.5 / len(margins)
    levels, block = np.unique(np.clip(fitted, least, 1 - least), return_inverse=True)
    first, last = np.full(len(levels), np.inf), np.full(len(levels), -np.inf)
    np.minimum.at(first, block, margins)
    np.maximum.at(last, block, margins)
    at = np.unique(np.concatenate([first, last]))
    logits = np.log(levels / (1 - levels))[np.searchsorted(last, at)]
    tilted = logits + TILT * slope * (at - np.average(margins, weights=weights))
    return tuple(zip(at.tolist(), tilted.tolist(), strict=True))


def sigmoid(logits: Scores) -> Scores:
    """Return the probabilities of logits."""
    found: Scores = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    return found


def cross_entropy(logits: Scores, label: Labels) -> Scores:
    """Return each row's -log of the probability of its label."""
    found: Scores = np.logaddexp(0, np.where(label == 1, -logits, logits))
    return found
