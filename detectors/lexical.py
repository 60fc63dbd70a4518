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

from detectors import artefacts, native
from detectors.api import Category, Part, Sample
from detectors.plain import GrowingSlice, PlainWeights, WordWeights
from detectors.slices import MAX_CHARS, OVERLAP_CHARS, STEP_CHARS

NAME = "lexical"
MODEL_FOLDER = Path(__file__).parent / "models" / NAME

SCORING = 2
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

    A text's margin is the sum of the weights of its buckets over the square root of their number,
    plus `intercept`.
    """

    words: WordWeights
    intercept: float
    slope: float
    offset: float

    def margin(self, text: str) -> float:
        """Return the uncalibrated score of one slice; of a slice without words -inf."""
        return self.words.margin(text) + self.intercept

    def score(self, text: str) -> float:
        """Return the calibrated probability of a text, which that of its highest slice is."""
        return self.probability(self.words.highest(text) + self.intercept)

    def probability(self, margin: float) -> float:
        """Return the calibrated probability of a margin."""
        if margin == -inf:
            return WORDLESS
        logit = self.slope * margin + self.offset
        if logit > 0:
            return 1 / (1 + exp(-logit))
        odds = exp(logit)
        return odds / (1 + odds)


@dataclass(frozen=True, slots=True)
class Lexical:
    """Scores `Category.ANY` for prompts and answers, each with a head of its own."""

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
        return [self.score_text(sample.text, sample.part) for sample in samples]

    def score_text(self, text: str, part: Part) -> dict[Category, float]:
        """Return the probability of misuse of one text."""
        return {_ANY: self.heads[part].score(text)}

    def growing(self, part: Part) -> "Growing":
        """Return an empty text that can be added to."""
        return Growing(self.heads[part])


class Growing:
    """A text that grows, scored as `slices` would cut the whole: at most two slices are open.

    A slice is full just where the next one has text of its own, `OVERLAP_CHARS` after its start:
    until then the next is filled, but does not count.
    """

    __slots__ = ("_best", "_following", "_head", "_left", "_margin", "_slice")

    def __init__(self, head: Head) -> None:
        self._head = head
        self._slice: GrowingSlice = head.words.growing()
        self._following: GrowingSlice | None = None
        self._margin = -inf  # of the slice that counts
        self._best = -inf  # of those that are full
        self._left = STEP_CHARS  # characters until the following slice opens, or counts

    def add(self, text: str) -> dict[Category, float]:
        """Append `text`, and return the scores of all text so far."""
        if len(text) > self._left:
            text = self._fill_slices(text)
        margin, best = self._fill(text), self._best
        highest = margin if margin > best else best  # noqa: FURB136  (a call for each token)
        return {_ANY: self._head.probability(highest + self._head.intercept)}

    def _fill_slices(self, text: str) -> str:
        """Go on until no slice opens or becomes full; return the text that is left."""
        start = 0
        while len(text) - start > self._left:
            end = start + self._left
            self._fill(text[start:end])
            self._turn()
            start = end
        return text[start:]

    def _fill(self, text: str) -> float:
        self._left -= len(text)
        self._margin = margin = self._slice.add(text)
        if self._following is not None:
            self._following.add(text)
        return margin

    def _turn(self) -> None:
        if self._following is None:
            self._following = self._head.words.growing()
            self._left = OVERLAP_CHARS
        else:
            self._best = max(self._best, self._margin)
            self._slice, self._following = self._following, None
            self._left = STEP_CHARS - OVERLAP_CHARS


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
    weights = array("f", numbers["weights"].astype("float32").tobytes())  # exact: they have 16 bits
    words = native.NativeWeights(library, weights) if library else PlainWeights(weights.tolist())
    return Head(words, numbers["intercept"], numbers["slope"], numbers["offset"])
