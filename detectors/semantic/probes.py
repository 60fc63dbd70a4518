"""Linear probes that weigh sources, not rows.

A probe is Fisher's linear discriminant w = (W + B + r I)⁻¹ (m₁ - m₀), with m₀ and m₁ the means of
the two labels, W the scatter within sources, and B the scatter of source means within a label:
ridge regression on the labels, but for a factor. Vectors are expected to have variances around 1,
for r to be in proportion. All is worked out from each source's mean and covariance, so that leaving
a family out is cheap.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.metrics import Scores
from detectors.validation import Labelled, family, leave_families_out

Matrix = NDArray[np.float64]
SOURCE_POWER: Final = 0.5
"""A source weighs in proportion to its number of rows to this power."""


@dataclass(frozen=True, slots=True)
class Probe:
    """margin = weights · vector + offset."""

    weights: Matrix
    offset: float

    def margins(self, vectors: Matrix) -> Scores:
        """Return the margin of each row of vectors, shape (n,)."""
        margins: Scores = vectors @ self.weights + self.offset
        return margins


@dataclass(frozen=True, slots=True)
class Moments:
    """Of g groups, each the rows of one source and label: counts, means, covariances."""

    label: NDArray[np.int64]
    family: NDArray[np.str_]
    count: Matrix
    mean: Matrix
    covariance: Matrix


def moments(vectors: Matrix, rows: Labelled) -> Moments:
    """Work out the moments of each group of rows; `vectors` of shape (n, width)."""
    groups = [(label, source) for label in (0, 1) for source in rows.sources_with(label)]
    chosen = [vectors[(rows.label == label) & (rows.source == source)] for label, source in groups]
    return Moments(
        np.array([label for label, _ in groups]),
        np.array([family(source) for _, source in groups]),
        np.array([len(it) for it in chosen], np.float64),
        np.stack([it.mean(axis=0) for it in chosen]),
        np.stack([np.cov(it.T, bias=True) for it in chosen]),
    )


def fit(found: Moments, keep: NDArray[np.bool_], ridge: float) -> Probe:
    """Fit a probe to the groups in `keep`, each label weighing the same in all."""
    weights = np.where(keep, found.count**SOURCE_POWER, 0.0)
    for label in (0, 1):
        weights[found.label == label] /= weights[found.label == label].sum()
    means = np.stack([weights[found.label == it] @ found.mean[found.label == it] for it in (0, 1)])
    within = np.tensordot(weights, found.covariance, axes=1) / 2
    apart = found.mean - means[found.label]
    between = (apart * weights[:, None]).T @ apart / 2
    scatter = within + between + ridge * np.eye(len(within))
    direction = np.linalg.solve(scatter, means[1] - means[0])
    return Probe(direction, float(-direction @ means.sum(axis=0) / 2))


def fit_all(found: Moments, ridge: float) -> Probe:
    """Fit a probe to all groups."""
    return fit(found, np.ones(len(found.label), np.bool_), ridge)


def left_out_margins(vectors: Matrix, rows: Labelled, found: Moments, ridge: float) -> Scores:
    """Return each row's margin under a probe that saw nothing of its family."""
    margins = np.zeros(len(vectors))
    for out in leave_families_out(rows.source):
        keep = found.family != family(str(rows.source[out][0]))
        margins[out] = fit(found, keep, ridge).margins(vectors[out])
    return margins


def highest(margins: Scores, text: NDArray[np.int64]) -> Scores:
    """Return each text's highest margin; `text` numbers the text of each window from 0."""
    found: Scores = np.full(text.max() + 1, -np.inf)
    np.maximum.at(found, text, margins)
    return found
