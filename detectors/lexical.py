"""Detector `lexical`: a calibrated linear model over the words and word pairs of a text.

It knows which words go with misuse, not what a text means: cheap enough to see everything,
too weak to decide alone. Its card (`models/lexical/card.md`) says how weak.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, sqrt
from pathlib import Path
from typing import Any

from detectors import artefacts
from detectors.api import Category, Part, Sample
from detectors.features import buckets

NAME = "lexical"
MODEL_FOLDER = Path(__file__).parent / "models" / NAME

SLICE_CHARS = 2_000
"""Texts are scored in slices of this many characters; the highest slice speaks for the text."""

OVERLAP_CHARS = 200
"""Neighbouring slices share this much, so that a phrase on a border is seen whole by one."""

MAX_SLICES = 300
"""Work is bounded: above `MAX_CHARS`, this many slices are spread evenly over the text."""

MAX_CHARS = OVERLAP_CHARS + MAX_SLICES * (SLICE_CHARS - OVERLAP_CHARS)
"""Up to here (540,200 characters) every character is scored; beyond, the text is sampled."""

WORDLESS = 0.01
"""The probability given to a text without a word, such as the empty one: nothing speaks for it."""


@dataclass(frozen=True, slots=True)
class Head:
    """A linear model for one part: probability = logistic(slope * margin + offset).

    `weights` has one number a bucket. A text's margin is the sum of the weights of its buckets
    over the square root of their number, plus `intercept`.
    """

    weights: Sequence[float]
    intercept: float
    slope: float
    offset: float

    def margin(self, text: str) -> float:
        """Return the uncalibrated score of one slice; of a slice without words -inf."""
        found = buckets(text)
        if not found:
            return -inf
        return sum(map(self.weights.__getitem__, found)) / sqrt(len(found)) + self.intercept

    def probability(self, margin: float) -> float:
        """Return the calibrated probability of a margin."""
        if margin == -inf:
            return WORDLESS
        logit = self.slope * margin + self.offset
        return 1 / (1 + exp(-logit)) if logit > 0 else exp(logit) / (1 + exp(logit))


@dataclass(frozen=True, slots=True)
class Lexical:
    """Scores `Category.ANY` for prompts and answers, each with a head of its own."""

    heads: Mapping[Part, Head]
    version: str

    @property
    def name(self) -> str:
        """The registry's name."""
        return NAME

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that it has a head for."""
        return frozenset(self.heads)

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return the probability of misuse of each sample, in order."""
        return [{Category.ANY: self._probability(sample)} for sample in samples]

    def _probability(self, sample: Sample) -> float:
        head = self.heads[sample.part]
        return head.probability(max(map(head.margin, slices(sample.text))))


def slices(text: str) -> Iterator[str]:
    """Cut a text into overlapping slices: at least one, at most `MAX_SLICES`, first and last in."""
    step = SLICE_CHARS - OVERLAP_CHARS
    last = max(0, len(text) - SLICE_CHARS)
    wanted = 1 + -(-last // step)
    count = min(wanted, MAX_SLICES)
    for number in range(count):
        start = last * number // (count - 1) if count > 1 else 0
        yield text[start : start + SLICE_CHARS]


def load(folder: Path = MODEL_FOLDER) -> Lexical:
    """Load the model in `folder`; raises `ArtefactError` where it is not to be trusted."""
    artefact = artefacts.load(folder, NAME)
    heads = {Part(part): _head(numbers) for part, numbers in artefact.content.items()}
    return Lexical(heads, artefact.version)


def _head(numbers: Mapping[str, Any]) -> Head:
    weights = numbers["weights"].astype("float64").tolist()
    return Head(weights, numbers["intercept"], numbers["slope"], numbers["offset"])
