"""Holds what scores in production to what training judged: the same model, another way to compute.

Training sums over arrays of all texts (`detectors.corpus`), production over one text at a time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from detectors.api import Category, Part
from detectors.corpus import Corpus, combined, corpus
from detectors.data import Row
from detectors.decoding import reveal
from detectors.lexical import Head, Lexical
from detectors.metrics import Scores
from detectors.plain import ONE
from detectors.rotation import unrotate

TOLERANCE = 1e-6
PIECE_CHARS = 7
"""About a token: how growing texts are cut."""


def disagreements(detector: Lexical, content: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each part and way of scoring that differs by over `TOLERANCE`."""
    found = []
    for part, head in detector.heads.items():
        texts = [row.sample_of(part).text for row in rows if part in row.parts]
        if not texts:
            continue
        expected = as_in_training(head, content[part], texts)
        for name, score in _ways(detector, part).items():
            scores = np.array([score(text) for text in texts])
            worst = float(np.abs(scores - expected).max(initial=0))
            if worst > TOLERANCE:
                found.append(f"{part}: {name} is {worst:.2g} off what training gives")
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


def as_in_training(head: Head, numbers: Mapping[str, Any], texts: Sequence[str]) -> Scores:
    """Return the probability of each text, or of what it hides where that is higher."""
    hidden = (list(map(read, texts)) for read in (reveal, unrotate))
    margins = np.max([_margins(numbers, it) for it in (texts, *hidden)], axis=0)
    return np.array([head.probability(margin) for margin in margins.tolist()])


def _margins(numbers: Mapping[str, Any], texts: Sequence[str]) -> Scores:
    words = corpus(texts)
    of_kinds = [_log_odds(it, words, mean=numbers["mean"]) for it in numbers["kinds"].values()]
    found: Scores = np.logaddexp.reduce(of_kinds)
    return found


def _log_odds(kind: Mapping[str, Any], words: Corpus, *, mean: bool) -> Scores:
    weights = kind["weights"] / ONE
    margins = words.means(weights) if mean else combined(*words.margins(weights), kind["shift"])
    found: Scores = margins + kind["intercept"]
    return found
