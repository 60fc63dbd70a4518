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
from detectors.log_odds import Curve, curve_of
from detectors.semantic import DEEP, MODEL_FOLDER, NAME
from detectors.semantic.gguf import Floats
from detectors.semantic.readable import readable, readings
from detectors.semantic.windows import LEAST_WINDOWS, MAX_WINDOWS, evenly, paragraphs, sampled

SCORING: Final = 4
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
class Linear:
    """Linear models of a vector: log-odds = weights @ vector + offsets."""

    weights: Floats
    """Of shape (models, width of a vector)."""
    offsets: Floats

    def log_odds(self, vectors: Floats) -> Floats:
        """Return those of vectors of shape (n, width), of shape (n, models)."""
        found: Floats = vectors @ self.weights.T + self.offsets
        return found


@dataclass(frozen=True, slots=True)
class Head:
    """What is made of the vectors of one part; a text's highest window speaks for it.

    `any` is made of the odds of each kind of misuse, added up, by a curve; other categories have a
    logistic model each.
    """

    kinds: Linear
    any_curve: Curve
    categories: tuple[Category, ...]
    of_categories: Linear

    def scores(self, vectors: Sequence[Floats]) -> dict[Category, float]:
        """Return the probability of `any` and of each category."""
        if not vectors:
            return dict.fromkeys((Category.ANY, *self.categories), TOKENLESS)
        windows = np.stack(vectors)
        margin = float(np.logaddexp.reduce(self.kinds.log_odds(windows), axis=1).max())
        highest = self.of_categories.log_odds(windows).max(axis=0)
        found = {Category.ANY: self.any_curve.probability(margin)}
        return found | dict(zip(self.categories, map(logistic, highest.tolist()), strict=True))

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        return {
            "kinds": self.kinds.weights,
            "kind_offsets": self.kinds.offsets,
            "margins": np.array(self.any_curve.margins),
            "log_odds": np.array(self.any_curve.log_odds),
            "categories": ",".join(self.categories),
            "weights": self.of_categories.weights,
            "offsets": self.of_categories.offsets,
        }


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
        return [self.heads[it.part].scores(self._vectors(it)) for it in samples]

    def _vectors(self, sample: Sample) -> Sequence[Floats]:
        """Return what a sample is judged by: of a long prompt each paragraph by itself as well."""
        found = vectors(self.encoder, sample)
        if sample.part is not Part.PROMPT or len(found) <= 1:
            return found
        return [*found, *vectors_of_paragraphs(self.encoder, sample.text)]


def vectors(encoder: Reader, sample: Sample, most: int = MAX_WINDOWS) -> Sequence[Floats]:
    """Return the vectors of at most `most` windows of a sample, and as many of what it hides.

    An answer by itself is read as a message, too: what asked for it is not there. What a text
    hides in an encoding has windows of its own, which a share of as many windows is left for: a
    text full of encodings costs no more than two.
    """
    first, *others = readings(sampled(sample.text))
    share = max(most // max(len(others), 1), LEAST_WINDOWS)
    found = [_read(encoder, sample, first, most)]
    found += [_read(encoder, sample, it, share) for it in others]
    return [one for some in found for one in some]


def vectors_of_paragraphs(encoder: Reader, text: str, most: int = MAX_WINDOWS) -> Sequence[Floats]:
    """Return the vectors of at most `most` windows, none of which reaches beyond a paragraph.

    A request between pages of something else shares its windows with them; set apart by blank
    lines it is read as if it were alone. Of more paragraphs than `most` allows some are read that
    lie evenly.
    """
    found = paragraphs(next(readings(sampled(text))))
    if len(found) == 1:
        return []
    chosen = (found[number] for number in evenly(len(found), most // LEAST_WINDOWS))
    return [vector for it in chosen for vector in encoder.message(it, LEAST_WINDOWS)]


def _read(encoder: Reader, sample: Sample, text: str, most: int) -> Sequence[Floats]:
    if sample.part is Part.EXCHANGE:
        return encoder.answer(readable(sampled(sample.prompt)), text, most)
    return encoder.message(text, most)


def logistic(margin: float) -> float:
    """Return the probability that log-odds stand for."""
    return 1 / (1 + exp(-min(max(margin, -30.0), 30.0)))


def load(folder: Path = MODEL_FOLDER, name: str = NAME, layers: int = DEEP) -> Semantic:
    """Load as the package's `load` says."""
    from detectors.semantic import encoder  # noqa: PLC0415 - numpy alone is enough to read heads

    artefact = artefacts.load(folder, NAME)
    heads = read_heads(_of_depth(artefact.content, layers, folder), folder)
    version = f"{artefact.version}.{SCORING}.{layers}"
    return Semantic(encoder.load(layers), heads, version, name)


def _of_depth(content: Mapping[str, Any], layers: int, folder: Path) -> Mapping[str, Any]:
    if str(layers) not in content:
        there = " and ".join(sorted(content))
        raise ArtefactError(f"{folder} has heads for {there} layers, and none for {layers}")
    of_depth: Mapping[str, Any] = content[str(layers)]
    return of_depth


def read_heads(content: Mapping[str, Any], folder: Path) -> dict[Part, Head]:
    """Return the heads of an artefact; `ArtefactError` where it holds none."""
    try:
        return {Part(part): _head(plain) for part, plain in content.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(f"{folder} does not hold heads ({type(error).__name__})") from error


def _head(plain: Mapping[str, Any]) -> Head:
    categories = tuple(Category(it) for it in plain["categories"].split(",") if it)
    kinds = _linear(plain["kinds"], plain["kind_offsets"])
    curve = curve_of(plain["margins"].tolist(), plain["log_odds"].tolist())
    of_categories = _linear(plain["weights"], plain["offsets"])
    if len(of_categories.offsets) != len(categories):
        raise ValueError("a row of weights is needed for each category")
    return Head(kinds, curve, categories, of_categories)


def _linear(weights: object, offsets: object) -> Linear:
    found = Linear(np.asarray(weights, np.float32), np.asarray(offsets, np.float32))
    if found.weights.ndim != 2 or found.offsets.shape != found.weights.shape[:1]:  # noqa: PLR2004
        raise ValueError("weights and offsets do not fit each other")
    return found
