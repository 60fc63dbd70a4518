"""Holds what scores in production to scikit-learn: the same model, another way to compute it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from detectors.api import Category, Part
from detectors.data import Row
from detectors.lexical import Head, Lexical
from detectors.metrics import Scores
from detectors.slices import slices
from detectors.training import features

TOLERANCE = 1e-6
PIECE_CHARS = 7
"""About a token: how growing texts are cut."""


def disagreements(detector: Lexical, content: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each part and way of scoring that differs by over `TOLERANCE`."""
    found = []
    for part, head in detector.heads.items():
        texts = [row.sample.text for row in rows if row.sample.part is part]
        if not texts:
            continue
        expected = by_scikit_learn(head, content[part], texts)
        for name, score in _ways(detector, part).items():
            scores = np.array([score(text) for text in texts])
            worst = float(np.abs(scores - expected).max(initial=0))
            if worst > TOLERANCE:
                found.append(f"{part}: {name} is {worst:.2g} off what scikit-learn gives")
    return found


def _ways(detector: Lexical, part: Part) -> Mapping[str, Callable[[str], float]]:
    def grown(text: str) -> float:
        growing = detector.growing(part)
        scores = growing.add("")
        for start in range(0, len(text), PIECE_CHARS):
            scores = growing.add(text[start : start + PIECE_CHARS])
        return scores[Category.ANY]

    return {
        "a text at once": lambda text: detector.score_text(text, part)[Category.ANY],
        "a growing text": grown,
    }


def by_scikit_learn(head: Head, numbers: Mapping[str, Any], texts: Sequence[str]) -> Scores:
    """Return the probability of each text, of the margins that scikit-learn gives its slices."""
    cut = [(number, it) for number, text in enumerate(texts) for it in slices(text)]
    margins = _margins(numbers, features([it for _, it in cut]))
    best = np.full(len(texts), -np.inf)
    np.maximum.at(best, [number for number, _ in cut], margins)
    return np.array([head.probability(margin) for margin in best.tolist()])


def _margins(numbers: Mapping[str, Any], matrix: sparse.csr_matrix) -> Scores:
    model = LogisticRegression()
    model.classes_ = np.array([0, 1])
    model.coef_ = numbers["weights"].astype(np.float64).reshape(1, -1)
    model.intercept_ = np.array([numbers["intercept"]])
    wordless = matrix.getnnz(axis=1) == 0
    margins: Scores = np.where(wordless, -np.inf, model.decision_function(matrix))
    return margins
