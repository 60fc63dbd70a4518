"""The seam between the service and its detectors; imports no machine-learning library.

A detector gives scores, never decisions: each score is a calibrated probability that a text
belongs to one category. Operating points (threshold + action) decide, elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Part(StrEnum):
    """What of an exchange is scored."""

    PROMPT = "prompt"
    ANSWER = "answer"
    EXCHANGE = "exchange"
    """The answer in the light of its prompt: one that refuses is not misuse, whatever was asked."""


class Category(StrEnum):
    """What a score speaks of. `ANY` is the probability of misuse of whatever kind."""

    ANY = "any"
    BIO = "bio"
    CHEM = "chem"
    CYBER = "cyber"
    JAILBREAK = "jailbreak"
    PROMPT_INJECTION = "prompt_injection"
    VIOLENCE = "violence"
    SELF_HARM = "self_harm"
    SEXUAL = "sexual"
    HATE = "hate"
    FRAUD = "fraud"
    PRIVACY = "privacy"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sample:
    """One text to score, of any length (the empty text included)."""

    text: str
    """Of an exchange the answer."""
    part: Part
    prompt: str = ""
    """What an exchange's answer answers; the other parts have none."""


class Detector(Protocol):
    """Scores samples in batches.

    Implementations are deterministic, leave their input untouched, score a batch as they
    would score each sample alone, and accept empty and very long texts.
    """

    @property
    def name(self) -> str:
        """The registry's name for it, a closed set: used as a metric label."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever a score could: part of each verdict's identity."""
        ...

    @property
    def parts(self) -> frozenset[Part]:
        """The parts of an exchange that this detector was made to score."""
        ...

    def score(self, samples: Sequence[Sample]) -> Sequence[Mapping[Category, float]]:
        """Return one mapping a sample, in order: category → calibrated probability in [0, 1]."""
        ...


class GrowingText(Protocol):
    """A text that comes piece by piece, such as an answer as it streams."""

    def add(self, text: str) -> Mapping[Category, float]:
        """Append `text`, and return the scores of all text so far.

        They are what `score_text` gives for the pieces put together, wherever they were cut, but
        for texts above `max_chars`: here every character counts, however many there are. A last
        word that is still growing counts as a word, as it does in the text so far.

        Takes time in proportion to `text` and the open word, and memory that does not grow.
        """
        ...


@runtime_checkable
class InlineDetector(Detector, Protocol):
    """A detector that is cheap enough for an event loop: microseconds for a text."""

    @property
    def engine(self) -> str:
        """What runs it on this machine, such as `native` or `python`: the speed, not the scores."""
        ...

    @property
    def max_chars(self) -> int:
        """Up to here `score_text` and `score` see every character; beyond, they sample."""
        ...

    def score_text(self, text: str, part: Part) -> Mapping[Category, float]:
        """Return exactly what `score([Sample(text, part)])[0]` gives."""
        ...

    def growing(self, part: Part) -> GrowingText:
        """Return an empty text that can be added to."""
        ...
