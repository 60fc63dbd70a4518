"""Detector `lexical`: a calibrated linear model over the words and word pairs of a text.

It knows which words go with misuse, not what a text means: cheap enough to see everything,
too weak to decide alone. Its card (`models/lexical/card.md`) says how weak.
"""

import logging
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from detectors import artefacts, explaining, native
from detectors.api import Category, Part, Reason, Sample
from detectors.decoding import Revealing, reveal
from detectors.errors import ArtefactError
from detectors.log_odds import Curve, curve_of
from detectors.plain import GrowingMargin, OfKind, PlainWeights, WordWeights
from detectors.rotation import Unrotating, unrotate
from detectors.slices import MAX_CHARS, spans

NAME = "lexical"
MODEL_FOLDER = Path(__file__).parent / "models" / NAME

SCORING = 6
"""Counted up whenever the same model files would give other scores: part of `version`."""

WORDLESS = 0.01
"""The probability given to a text without a word, such as the empty one: nothing speaks for it."""

LIKELY = 0.5
"""From this probability of its prompt on, an exchange is as suspect as its answer."""

PYTHON, NATIVE = "python", "native"
"""The engines: plain Python, and what was compiled when the package was installed."""

_ANY = Category.ANY
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """What words weigh for one part, and the curve from a text's margin to its probability."""

    words: WordWeights
    curve: Curve

    def margin(self, text: str) -> float:
        """Return the uncalibrated score of a text, or of what it hides; without words -inf."""
        margin = self.words.margin(text)
        if self.words.may_hide(text):
            margin = max(margin, *map(self.words.margin, revealed(text)))
        return margin

    def read(self, text: str) -> str:
        """Return the text, or what it hides where that has the highest margin."""
        texts = [text, *revealed(text)] if self.words.may_hide(text) else [text]
        return max(texts, key=self.words.margin)

    def score(self, text: str) -> float:
        """Return the calibrated probability of a text."""
        return self.probability(self.margin(text))

    def probability(self, margin: float) -> float:
        """Return the calibrated probability of a margin."""
        return WORDLESS if margin == -inf else self.curve.probability(margin)


def revealed(text: str) -> tuple[str, str]:
    """Return what a text hides in encodings and in rot13; of a sampled one, what its spans hide."""
    return "".join(map(reveal, spans(text))), "".join(map(unrotate, spans(text)))


@dataclass(frozen=True, slots=True)
class Lexical:
    """Scores `Category.ANY` of prompts, answers and exchanges, each with a head of its own."""

    heads: Mapping[Part, Head]
    version: str
    engine: str
    name: str = NAME

    @property
    def max_chars(self) -> int:
        """Up to here each character is scored."""
        return MAX_CHARS

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that it has a head for."""
        return frozenset(self.heads)

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return the probability of misuse of each sample, in order."""
        return [self._score(sample) for sample in samples]

    def _score(self, sample: Sample) -> dict[Category, float]:
        scores = self.score_text(sample.text, sample.part)
        if sample.part is not Part.EXCHANGE or not sample.prompt:
            return scores
        asked = self.heads[Part.PROMPT].score(sample.prompt)
        return {_ANY: scores[_ANY] * min(asked / LIKELY, 1.0)}

    def score_text(self, text: str, part: Part) -> dict[Category, float]:
        """Return the probability of misuse of one text; of an exchange, whose prompt is unknown."""
        return {_ANY: self.heads[part].score(text)}

    def reasons(self, sample: Sample) -> list[Reason]:
        """Return the words and pairs of a text that weigh most; of an exchange, of its answer."""
        head = self.heads[sample.part]
        return explaining.of_words(head.words, head.read(sample.text))

    def growing(self, part: Part) -> "Growing":
        """Return an empty text that can be added to."""
        return Growing(self.heads[part])


class Growing:
    """A text that grows, and what it hides, which grows as well."""

    __slots__ = ("_encoded", "_head", "_rotated", "_words")

    def __init__(self, head: Head) -> None:
        self._head = head
        self._words: GrowingMargin = head.words.growing()
        self._encoded = _Hidden(head.words, Revealing())
        self._rotated = _Hidden(head.words, Unrotating())

    def add(self, text: str) -> dict[Category, float]:
        """Append `text`, and return the scores of all text so far."""
        margin = max(self._words.add(text), self._encoded.add(text), self._rotated.add(text))
        return {_ANY: self._head.probability(margin)}


class _Hidden:
    """What a growing text hides in one way."""

    __slots__ = ("_margin", "_reader", "_text", "_words")

    def __init__(self, words: WordWeights, reader: Revealing | Unrotating) -> None:
        self._words = words
        self._reader = reader
        self._text: GrowingMargin | None = None  # few texts hide anything
        self._margin = -inf

    def add(self, text: str) -> float:
        """Append text, and return the margin of all that is hidden so far."""
        if hidden := self._reader.add(text):
            self._text = self._text or self._words.growing()
            self._margin = self._text.add(hidden)
        return self._margin


def load(folder: Path = MODEL_FOLDER, name: str = NAME) -> Lexical:
    """Load the model in `folder`, for C where that was compiled, else for plain Python.

    Raises:
        ArtefactError: the model is not to be trusted.
    """
    detector = load_with(native.load_library(), folder, name)
    _log.info("%s runs in: %s", name, detector.engine)
    return detector


def load_with(
    library: native.Library | None, folder: Path = MODEL_FOLDER, name: str = NAME
) -> Lexical:
    """Load the model for C by `library`, or for plain Python without one; see `load`."""
    artefact = artefacts.load(folder, NAME)
    try:
        heads = {Part(part): _head(numbers, library) for part, numbers in artefact.content.items()}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{folder} holds no heads as this version of Watchgate has them: train the model anew "
            f"({type(error).__name__})"
        ) from error
    engine = NATIVE if library else PYTHON
    return Lexical(heads, f"{artefact.version}.{SCORING}", engine, name)


def _head(numbers: Mapping[str, Any], library: native.Library | None) -> Head:
    kinds, mean = [_of_kind(it) for it in numbers["kinds"].values()], numbers["mean"]
    words = (
        native.NativeWeights(library, kinds, mean=mean)
        if library
        else PlainWeights(kinds, mean=mean)
    )
    return Head(words, curve_of(numbers["margins"].tolist(), numbers["log_odds"].tolist()))


def _of_kind(numbers: Mapping[str, Any]) -> OfKind:
    weights = array("h", numbers["weights"].astype("int16").tobytes())
    return OfKind(weights, numbers["shift"], numbers["intercept"])
