"""Training of the lexical detector: rows in, model out; the same rows give the same model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Part
from detectors.data import Row, cap_sources
from detectors.errors import DataError
from detectors.features import BUCKETS, buckets
from detectors.metrics import Scores
from detectors.slices import SLICE_CHARS
from detectors.validation import Labelled, Quality, leave_families_out, mean_over_sources

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried and what is fixed. `inverse_regularisations` are scikit-learn's C."""

    rows_per_source: int = 1_000
    inverse_regularisations: tuple[float, ...] = (3.0, 10.0, 30.0)
    source_power: float = 0.5
    prose_sources: frozenset[str] = frozenset(
        {
            "c4_demo",
            "medquad",
            "mmlu_questions",
            "owasp_wstg",
            "purplellama_autocomplete",
            "xquad_multilingual",
        }
    )
    prose_chars: int = 150


@dataclass(frozen=True, slots=True)
class Trained:
    """One part's head as numbers, with the quality that selected it."""

    weights: NDArray[np.float16]
    intercept: float
    slope: float
    offset: float
    inverse_regularisation: float
    quality: Mapping[float, Quality] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        names = ("weights", "intercept", "slope", "offset")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Problem:
    """One part's training set: features of shape (n, BUCKETS), scaled by rarity, and n labels."""

    features: sparse.csr_matrix
    rarity: NDArray[np.float64]
    rows: Labelled


def train(rows: Sequence[Row], plan: Plan, progress: Progress) -> dict[Part, Trained]:
    """Train one head a part, on one thread: threads add up in another order, and so differ."""
    with threadpool_limits(1):
        return _train(rows, plan, progress)


def _train(rows: Sequence[Row], plan: Plan, progress: Progress) -> dict[Part, Trained]:
    heads = {}
    for part, chosen in {
        Part.PROMPT: prompt_rows(rows),
        Part.ANSWER: answer_rows(rows, plan),
    }.items():
        capped = cap_sources(chosen, plan.rows_per_source)
        progress(f"{part}: {len(capped)} rows of {len({row.source for row in capped})} sources")
        heads[part] = train_head(problem(capped), plan, progress)
    return heads


def prompt_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose label speaks of the prompt."""
    return [row for row in rows if row.sample.part is Part.PROMPT]


def answer_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the labelled answers, and benign prose so that not all prose looks like compliance.

    The benign rows among labelled answers are refusals nearly all.
    """
    return [
        row
        for row in rows
        if row.sample.part is Part.ANSWER
        or (
            row.source in plan.prose_sources
            and row.label == 0
            and len(row.text) >= plan.prose_chars
        )
    ]


def problem(rows: Sequence[Row]) -> Problem:
    """Make features and labels of rows; of a long text the first slice."""
    label = np.array([row.label for row in rows], dtype=np.int64)
    if set(label.tolist()) != {0, 1}:
        raise DataError("training needs rows of both labels, 0 and 1, for each part")
    matrix = features([row.sample.text for row in rows])
    scale = rarity(matrix)
    labels = Labelled(label, np.array([row.source for row in rows]))
    return Problem((matrix @ sparse.diags(scale)).tocsr(), scale, labels)


def features(texts: Sequence[str]) -> sparse.csr_matrix:
    """Return a matrix of shape (n, BUCKETS): 1/sqrt(m) in each of a text's m buckets."""
    found = [sorted(buckets(text[:SLICE_CHARS])) for text in texts]
    sizes = np.array([len(row) for row in found], dtype=np.int64)
    values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    indices = np.fromiter((bucket for row in found for bucket in row), np.int64, sizes.sum())
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return sparse.csr_matrix((values, indices, starts), shape=(len(texts), BUCKETS))


def rarity(matrix: sparse.csr_matrix) -> NDArray[np.float64]:
    """Return a scale for each bucket: its inverse document frequency, of mean square 1 in use.

    Rare words so need less weight, and pay less for it. The scale is folded into the weights:
    scoring knows nothing of it.
    """
    used_by = np.bincount(matrix.indices, minlength=BUCKETS)
    scale = np.log((1 + matrix.shape[0]) / (1 + used_by)) + 1
    mean_square = (scale**2 * used_by).sum() / max(used_by.sum(), 1)
    normal: NDArray[np.float64] = scale / np.sqrt(mean_square)
    return normal


def train_head(data: Problem, plan: Plan, progress: Progress) -> Trained:
    """Choose the regularisation, calibrate on left-out families, and fit on everything."""
    margins, quality = {}, {}
    for value in plan.inverse_regularisations:
        margins[value] = left_out_margins(data, value, plan.source_power)
        quality[value] = mean_over_sources(margins[value], data.rows)
        progress(f"  C={value:g}: {quality[value]}")
    best = max(quality, key=lambda value: quality[value].auroc)
    slope, offset = platt(margins[best], data.rows, plan.source_power)
    model = fit(data.features, data.rows, best, plan.source_power)
    weights = (model.coef_[0] * data.rarity).astype(np.float16)
    return Trained(weights, float(model.intercept_[0]), slope, offset, best, quality)


def fit(
    matrix: sparse.csr_matrix, rows: Labelled, inverse_regularisation: float, power: float
) -> LogisticRegression:
    """Fit a logistic regression with balanced labels and tempered sources."""
    model = LogisticRegression(C=inverse_regularisation, max_iter=200, tol=1e-3)
    return model.fit(matrix, rows.label, sample_weight=source_weights(rows, power))


def source_weights(rows: Labelled, power: float) -> NDArray[np.float64]:
    """Return row weights of mean 1 that balance labels and temper sources.

    Benign and misuse weigh the same in all; within each label a source weighs in proportion to
    its number of rows to the `power` (0: all sources the same; 1: all rows the same).
    """
    weights = np.zeros(len(rows.label))
    for label in (0, 1):
        for source in rows.sources_with(label):
            chosen = (rows.label == label) & (rows.source == source)
            weights[chosen] = float(chosen.sum()) ** (power - 1)
        chosen = rows.label == label
        weights[chosen] *= len(weights) / 2 / weights[chosen].sum()
    return weights


def left_out_margins(data: Problem, inverse_regularisation: float, power: float) -> Scores:
    """Return each row's margin under a model that saw nothing of its family."""
    margins = np.zeros(len(data.rows.label))
    for out in leave_families_out(data.rows.source):
        seen = Labelled(data.rows.label[~out], data.rows.source[~out])
        model = fit(data.features[~out], seen, inverse_regularisation, power)
        margins[out] = model.decision_function(data.features[out])
    return margins


def platt(margins: Scores, rows: Labelled, power: float) -> tuple[float, float]:
    """Return slope and offset of the logistic curve from margin to probability.

    Platt scaling on left-out margins, for a mixture of half benign and half misuse.
    """
    model = LogisticRegression(C=1e6)
    model.fit(margins.reshape(-1, 1), rows.label, sample_weight=source_weights(rows, power))
    return float(model.coef_[0, 0]), float(model.intercept_[0])
