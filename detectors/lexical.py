"""Detector `lexical`: a calibrated linear model over the words and word pairs of a text.

It knows which words go with misuse, not what a text means: cheap enough to see everything,
too weak to decide alone. Its card (`models/lexical/card.md`) says how weak.
"""

import logging
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf
from pathlib import Path
from typing import Any

from detectors import artefacts, explaining, native
from detectors.api import Category, Part, Reason, Sample
from detectors.curve import Curve
from detectors.decoding import Revealing, reveal
from detectors.plain import GrowingMargin, PlainWeights, WordWeights
from detectors.slices import MAX_CHARS, spans

NAME = "lexical"
MODEL_FOLDER = Path(__file__).parent / "models" / NAME

SCORING = 3
"""Counted up whenever the same model files would give other scores: part of `version`."""

WORDLESS = 0.01
"""The probability given to a text without a word, such as the empty one: nothing speaks for it."""

PYTHON, NATIVE = "python", "native"
"""The engines: plain Python, and what was compiled when the package was installed."""

_ANY = Category.ANY
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """A linear model for one part: probability = logistic(slope * margin + offset).

    A text's margin is that of its words, see `plain.WordWeights`, plus `intercept`.
    """

    words: WordWeights
    intercept: float
    slope: float
    offset: float
    curve: Curve | None = None
    """In place of slope and offset, where `watchgate detectors calibrate` had rows enough."""

    def margin(self, text: str) -> float:
        """Return the uncalibrated score of a text, or of what it hides; without words -inf."""
        margin = self.words.margin(text)
        if self.words.may_hide(text):
            margin = max(margin, self.words.margin(revealed(text)))
        return margin + self.intercept

    def read(self, text: str) -> str:
        """Return the text, or what it hides where that has the higher margin."""
        hidden = revealed(text) if self.words.may_hide(text) else ""
        return hidden if self.words.margin(hidden) > self.words.margin(text) else text

    def score(self, text: str) -> float:
        """Return the calibrated probability of a text."""
        return self.probability(self.margin(text))

    def probability(self, margin: float) -> float:
        """Return the calibrated probability of a margin."""
        if margin == -inf:
            return WORDLESS
        logit = self.curve.at(margin) if self.curve else self.slope * margin + self.offset
        if logit > 0:
            return 1 / (1 + exp(-logit))
        odds = exp(logit)
        return odds / (1 + odds)


def revealed(text: str) -> str:
    """Return what a text hides; of one that is sampled, what its spans hide."""
    return "".join(map(reveal, spans(text)))


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
        return {_ANY: scores[_ANY] * asked}

    def score_text(self, text: str, part: Part) -> dict[Category, float]:
        """Return the probability of misuse of one text; of an exchange, whose prompt is unknown."""
        return {_ANY: self.heads[part].score(text)}

    def reasons(self, sample: Sample) -> list[Reason]:
        """Return the words and pairs of a text that weigh most; of an exchange, of its answer."""
        head = self.heads[sample.part]
        return explaining.of_words(head.words, head.slope, head.read(sample.text))

    def growing(self, part: Part) -> "Growing":
        """Return an empty text that can be added to."""
        return Growing(self.heads[part])


class Growing:
    """A text that grows, and what it hides, which grows as well."""

    __slots__ = ("_head", "_hidden", "_margin_of_hidden", "_revealing", "_words")

    def __init__(self, head: Head) -> None:
        self._head = head
        self._words: GrowingMargin = head.words.growing()
        self._revealing = Revealing()
        self._hidden: GrowingMargin | None = None  # few texts hide anything
        self._margin_of_hidden = -inf

    def add(self, text: str) -> dict[Category, float]:
        """Append `text`, and return the scores of all text so far."""
        margin = self._words.add(text)
        if hidden := self._revealing.add(text):
            self._hidden = self._hidden or self._head.words.growing()
            self._margin_of_hidden = self._hidden.add(hidden)
        margin = max(margin, self._margin_of_hidden)
        return {_ANY: self._head.probability(margin + self._head.intercept)}


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
    heads = {Part(part): _head(numbers, library) for part, numbers in artefact.content.items()}
    engine = NATIVE if library else PYTHON
    return Lexical(heads, f"{artefact.version}.{SCORING}", engine, name)


def _head(numbers: Mapping[str, Any], library: native.Library | None) -> Head:
    weights, shift = array("h", numbers["weights"].astype("int16").tobytes()), numbers["shift"]
    words = (
        native.NativeWeights(library, weights, shift) if library else PlainWeights(weights, shift)
    )
    slope, curve = numbers["slope"], numbers.get("curve")
    bent = None if curve is None else Curve(tuple(map(tuple, curve.tolist())), slope)
    return Head(words, numbers["intercept"], slope, numbers["offset"], bent)
