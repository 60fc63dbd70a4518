"""Detector `semantic`: linear heads on what a small language model makes of a text.

The lower layers of SmolLM2 read each window of a text as a turn of a conversation (`encoder`). A
head is a linear model on the vector that comes of it; a text's highest window speaks for it.
Milliseconds for a text: for the screener, behind a band and a budget, not for the event loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from detectors import artefacts
from detectors.api import Category, Part, Sample
from detectors.errors import ArtefactError
from detectors.semantic.gguf import Floats
from detectors.semantic.readable import readable, readings
from detectors.semantic.windows import MAX_WINDOWS, sampled

NAME: Final = "semantic"
MODEL_FOLDER: Final = Path(__file__).parents[1] / "models" / NAME
SCORING: Final = 2
"""Counted up whenever the same model files would give other scores: part of `version`."""
TOKENLESS: Final = 0.01
"""The probability given to a text without a token, such as the empty one: nothing speaks for it."""


class Reader(Protocol):
    """What turns texts into vectors: see `encoder.Encoder`."""

    def message(self, text: str, most: int) -> Sequence[Floats]:
        """Return a vector for each window of a request."""
        ...

    def answer(self, prompt: str, text: str, most: int) -> Sequence[Floats]:
        """Return a vector for each window of an answer."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """Logistic models, one for each category: log-odds = weights @ vector + offsets."""

    categories: tuple[Category, ...]
    weights: Floats
    """Of shape (categories, width of a vector)."""
    offsets: Floats

    def scores(self, vectors: Sequence[Floats]) -> dict[Category, float]:
        """Return each category's probability, which that of its highest window is."""
        if not vectors:
            return dict.fromkeys(self.categories, TOKENLESS)
        margins = np.max([self.weights @ it + self.offsets for it in vectors], axis=0)
        return {
            category: logistic(float(margin))
            for category, margin in zip(self.categories, margins, strict=True)
        }

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        names = [str(it) for it in self.categories]
        return {"categories": ",".join(names), "weights": self.weights, "offsets": self.offsets}


@dataclass(frozen=True, slots=True)
class Semantic:
    """Scores prompts, answers, and answers in the light of their prompts."""

    encoder: Reader
    heads: Mapping[Part, Head]
    version: str
    name: str = NAME

    @property
    def parts(self) -> frozenset[Part]:
        """Those that there are heads for."""
        return frozenset(self.heads)

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return the probabilities of each sample, in order; texts are encoded one by one."""
        return [self.heads[it.part].scores(vectors(self.encoder, it)) for it in samples]


def vectors(encoder: Reader, sample: Sample, most: int = MAX_WINDOWS) -> Sequence[Floats]:
    """Return the vectors of at most `most` windows of a sample.

    An answer by itself is read as a message, too: what asked for it is not there. What a text
    hides in an encoding has windows of its own.
    """
    found = [_read(encoder, sample, it, most) for it in readings(sampled(sample.text))]
    return [one for some in found for one in some]


def _read(encoder: Reader, sample: Sample, text: str, most: int) -> Sequence[Floats]:
    if sample.part is Part.EXCHANGE:
        return encoder.answer(readable(sampled(sample.prompt)), text, most)
    return encoder.message(text, most)


def logistic(margin: float) -> float:
    """Return the probability that log-odds stand for."""
    return 1 / (1 + exp(-min(max(margin, -30.0), 30.0)))


def load(folder: Path = MODEL_FOLDER, name: str = NAME) -> Semantic:
    """Load the heads in `folder`, and the encoder of the weights that are installed.

    Raises:
        ArtefactError: the heads are not to be trusted, or what runs the encoder is not installed.
    """
    from detectors.semantic import encoder  # noqa: PLC0415 - numpy alone is enough to read heads

    artefact = artefacts.load(folder, NAME)
    heads = read_heads(artefact.content, folder)
    return Semantic(encoder.load(), heads, f"{artefact.version}.{SCORING}", name)


def read_heads(content: Mapping[str, Any], folder: Path) -> dict[Part, Head]:
    """Return the heads of an artefact; `ArtefactError` where it holds none."""
    try:
        return {Part(part): _head(plain) for part, plain in content.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(f"{folder} does not hold heads ({type(error).__name__})") from error


def _head(plain: Mapping[str, Any]) -> Head:
    categories = tuple(Category(it) for it in plain["categories"].split(","))
    weights, offsets = (np.asarray(plain[it], np.float32) for it in ("weights", "offsets"))
    if weights.shape[:1] != (len(categories),) or offsets.shape != weights.shape[:1]:
        raise ValueError("a row of weights is needed for each category")
    return Head(categories, weights, offsets)
