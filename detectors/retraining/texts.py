"""Rows as a head sees them: words, features, labels, and how much each row counts."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.api import Part
from detectors.corpus import corpus
from detectors.data import Row
from detectors.lexical import LIKELY, revealed
from detectors.problem import TEXT_CHARS, is_mean
from detectors.retraining.adapting import Texts

Asked = Callable[[str], float]
"""Gives the probability that a prompt asks for misuse."""


@dataclass(frozen=True, slots=True)
class OwnTexts:
    """The texts of one part, in an order that is not the files', and the rows that they are of.

    `wordless` rows are left out: no word of theirs can be learnt from.
    """

    part: Part
    rows: tuple[Row, ...]
    texts: Texts
    wordless: int

    @property
    def disputed(self) -> int:
        """Return how many different texts have both labels."""
        groups = [set(self.texts.group[self.texts.label == label].tolist()) for label in (0, 1)]
        return len(groups[0] & groups[1])


def texts_of(rows: Sequence[Row], part: Part, asked: Asked) -> OwnTexts:
    """Return the rows whose label speaks of a part, as texts."""
    chosen = sorted((row for row in rows if part in row.parts), key=_order)
    texts = [row.sample_of(part).text[:TEXT_CHARS] for row in chosen]
    plain = corpus(texts)
    has_words = (plain.sizes() > 0).tolist()
    kept = [row for row, it in zip(chosen, has_words, strict=True) if it]
    texts = [text for text, it in zip(texts, has_words, strict=True) if it]
    plain = plain if all(has_words) else corpus(texts)
    ceiling = [
        min(asked(row.text) / LIKELY, 1.0) if part is Part.EXCHANGE and row.text else 1.0
        for row in kept
    ]
    found = Texts(
        shown=(plain, *(corpus(it) for it in zip(*map(revealed, texts), strict=True))),
        features=plain.features(mean=is_mean(part)),
        label=np.array([row.label for row in kept], np.int64),
        ceiling=np.array(ceiling, np.float64),
        group=np.array([_digest(text) for text in texts], np.str_),
    )
    return OwnTexts(part, tuple(kept), found, len(chosen) - len(kept))


def _order(row: Row) -> tuple[str, int, str]:
    return (_digest(f"{row.text}\0{row.response}"), row.label, row.id)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
