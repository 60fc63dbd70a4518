"""The seam between the service and its detectors; imports no machine-learning library.

A detector gives scores, never decisions: each score is a calibrated probability that a text
belongs to one category. Operating points (threshold + action) decide, elsewhere.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeGuard, runtime_checkable


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


Scores = Mapping[Category, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """What probes inside the served model made of a part of an exchange as it was computed."""

    probes: str
    """Their digest."""
    tokens: int
    """That the part has as far as is known."""
    read: int
    """Of so many of them the probes saw the model's states."""
    log_odds: tuple[float, ...]
    """One for each probe, not calibrated."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One text to score, of any length (the empty text included)."""

    text: str
    """Of an exchange the answer."""
    part: Part
    prompt: str = ""
    """What an exchange's answer answers; the other parts have none."""
    reading: Reading | None = None
    """What probes inside the model made of it; None: there are none, or nothing was told."""


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


@runtime_checkable
class ReadingDetector(Detector, Protocol):
    """A detector that judges readings alone: of a text it says nothing, so `score` gives `{}`."""

    @property
    def probes(self) -> str:
        """The digest of the probes whose readings it understands."""

    @property
    def categories(self) -> frozenset[Category]:
        """What it gives scores for, of whichever part."""

    def categories_of(self, part: Part) -> frozenset[Category]:
        """What it gives scores for of a part."""

    def understands(self, reading: Reading | None) -> bool:
        """Say whether a reading is of its probes, and of enough of the tokens to be judged by."""

    def score_reading(self, reading: Reading, part: Part) -> Mapping[Category, float]:
        """Return the scores of a reading that it understands; `{}` for a part without any."""


def judges_readings(detector: object) -> TypeGuard[ReadingDetector]:
    """Say what `isinstance` says of a `ReadingDetector`, a thousand times as fast."""
    return hasattr(detector, "understands")


@runtime_checkable
class ClosingDetector(Detector, Protocol):
    """A detector that holds threads, connections or files: whoever made it closes it."""

    def close(self) -> None:
        """Let go of what it holds; it scores nothing any more."""
        ...


def close_all(detectors: Iterable[Detector]) -> None:
    """Close those that hold something, all of them even if one fails at it."""
    with ExitStack() as stack:
        for one in detectors:
            if isinstance(one, ClosingDetector):
                stack.callback(one.close)


@dataclass(frozen=True, slots=True)
class Reason:
    """Something in a text that a score rests on, for people who look at that text."""

    kind: str
    """`rule`, `word` or `pair`."""
    name: str
    """The rule's name, or the words as they stand in the text."""
    category: Category
    weight: float
    """Of a rule the score that it gives; of words what they add to the log odds, below 0 where
    they speak against misuse."""


@runtime_checkable
class ExplainingDetector(Detector, Protocol):
    """A detector that can say what its scores rest on."""

    def reasons(self, sample: Sample) -> Sequence[Reason]:
        """Return what the scores of a sample rest on most, what weighs most first."""
        ...


class LeftOut(StrEnum):
    """Why a stage of a detector has no scores for a text; the names are metric labels."""

    BAND = "band"
    """It was not asked: the stages before were sure enough."""
    BUDGET = "budget"
    """It was not asked: its budget was spent."""
    PART = "part"
    """It was not made for this part of an exchange."""
    FAILED = "failed"
    """It was asked, and failed."""
    READING = "no_reading"
    """It judges what probes read, and they told nothing of the part, or too little."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What came of one text that several detectors looked at in turn."""

    scores: Scores | None
    """Of all together; None: a stage that is required failed, or none had anything to say."""
    by_stage: Mapping[str, Scores]
    """What each stage said that was asked and answered, by the name of its detector."""
    left_out: Mapping[str, LeftOut]
    """Why the others said nothing."""


@runtime_checkable
class StagedDetector(Detector, Protocol):
    """A detector made of detectors, whose scores are told beside its own."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of its stages, by the names of their detectors."""

    @property
    def readers(self) -> Sequence[tuple[ReadingDetector, frozenset[Part]]]:
        """Those of its stages that judge what probes read, with the parts they are asked about."""

    def score_staged(self, samples: Sequence[Sample]) -> Sequence[Staged]:
        """Return what came of each sample, in order; fails on none of them."""

    def with_detector(self, new: Detector) -> "StagedDetector":
        """Return the same with another detector in the stage of its name, if there is one."""


OVERLAP_CHARS: Final = 400
"""Neighbouring chunks of a long text share this much, so that nothing hides on a border."""


def chunks(text: str, size_chars: int) -> Iterator[str]:
    """Cut a text into chunks that share `OVERLAP_CHARS` with their neighbours, at least one."""
    if len(text) <= size_chars:
        yield text
        return
    for start in range(0, len(text) - OVERLAP_CHARS, size_chars - OVERLAP_CHARS):
        yield text[start : start + size_chars]


def score_whole(detector: Detector, samples: Sequence[Sample]) -> Sequence[Scores]:
    """Score every character: what is longer than a detector sees at once goes in chunks.

    Of a text in chunks the highest score of each category counts.

    Raises:
        ValueError: what the detector gave are no scores.
    """
    size = detector.max_chars if isinstance(detector, InlineDetector) else sys.maxsize
    cut = [list(chunks(sample.text, size)) for sample in samples]
    pieces = [
        Sample(text, sample.part, sample.prompt, sample.reading)
        for sample, texts in zip(samples, cut, strict=True)
        for text in texts
    ]
    scored = detector.score(pieces)
    check_scores(scored, len(pieces))
    if len(pieces) == len(samples):
        return scored
    left = iter(scored)
    return [_highest([next(left) for _ in texts]) for texts in cut]


def _highest(scored: Sequence[Scores]) -> Scores:
    highest: dict[Category, float] = {}
    for scores in scored:  # a category may be told where there is something of it, and nowhere else
        highest |= {it: max(score, highest.get(it, 0.0)) for it, score in scores.items()}
    return highest


def check_scores(scored: Sequence[Scores], count: int) -> None:
    """Raise ValueError unless these are probabilities for so many samples: NaN crosses nothing."""
    if len(scored) != count:
        raise ValueError("a mapping of scores is needed for each sample")
    if not all(0.0 <= score <= 1.0 for scores in scored for score in scores.values()):
        raise ValueError("scores are probabilities, from 0 to 1")
