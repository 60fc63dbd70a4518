"""Several detectors as one: cheap ones look at everything, dear ones where it is worth it.

The stages are asked in order. A stage sees the texts whose score so far lies in its band, the
highest first, for as long as its budget lasts. What a stage says is combined with what the ones
before said; what it was not asked, or could not say, is told by name and never made up.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from detectors.api import (
    Category,
    Detector,
    LeftOut,
    Part,
    ReadingDetector,
    Sample,
    Scores,
    Staged,
    close_all,
    judges_readings,
    score_whole,
)
from detectors.budgets import Budget
from detectors.errors import DetectorError

_LEAST: Final = 1e-6
"""Probabilities are kept this far from 0 and 1 when they are combined: no stage is that sure."""

MOST_WEIGHT: Final = 1_000.0


class Combine(StrEnum):
    """How a stage's scores go into those of the cascade."""

    MEAN = "mean"
    """The mean of log odds, each stage by its weight: for detectors that weigh evidence."""
    MAX = "max"
    """The higher one counts: for detectors that find certain things and else know nothing."""
    SHADOW = "shadow"
    """Not at all: the scores are recorded alone."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A detector in its place."""

    detector: Detector
    combine: Combine = Combine.MEAN
    weight: float = 1.0
    """Over 0, and no more than `MOST_WEIGHT`."""
    band: tuple[float, float] = (0.0, 1.0)
    """It is asked where `any` so far is from the first to the second, both included."""
    budget: Budget | None = None
    """None: there is no bound."""
    required: bool = False
    """A text that it failed on has no scores at all; else those of the other stages stand."""
    only: frozenset[Part] | None = None
    """It is asked about these parts alone. None: about all that its detector was made for."""

    @property
    def parts(self) -> frozenset[Part]:
        """What it is asked about."""
        made_for = self.detector.parts
        return made_for if self.only is None else made_for & self.only


@dataclass(frozen=True, slots=True)
class StageUse:
    """What a stage was used for in one batch."""

    stage: str
    scored: int
    left_out: Mapping[LeftOut, int]
    chars: int
    """Of the texts that it scored."""
    seconds: float


Told = Callable[[StageUse], None]


class Cascade:
    """A detector made of detectors. One thread uses it at a time, as its budgets are counted."""

    def __init__(self, name: str, stages: Sequence[Stage], told: Told = lambda _use: None) -> None:
        """Put the stages together; after each batch `told` hears of each of them.

        Raises:
            DetectorError: there is none, two are of one name, a weight is no number that one can
                multiply by, or the first may not be asked always.
        """
        _check(name, stages)
        self.name = name
        self.stages = tuple(stages)
        self._told = told

    def with_detector(self, new: Detector) -> "Cascade":
        """Return the cascade with another detector in the stage of its name; budgets go on."""
        stages = [
            replace(it, detector=new) if it.detector.name == new.name else it for it in self.stages
        ]
        return Cascade(self.name, stages, self._told)

    @property
    def version(self) -> str:
        """Names the version of each stage, and how they are put together."""
        return "+".join(
            f"{it.detector.name}/{it.detector.version}/{it.combine}/{it.weight:g}{_limits(it)}"
            for it in self.stages
        )

    @property
    def versions(self) -> Mapping[str, str]:
        """Of its stages, by the names of their detectors."""
        return {it.detector.name: it.detector.version for it in self.stages}

    @property
    def readers(self) -> Sequence[tuple[ReadingDetector, frozenset[Part]]]:
        """Those of its stages that judge what probes read, with the parts they are asked about."""
        return [(it.detector, it.parts) for it in self.stages if judges_readings(it.detector)]

    @property
    def parts(self) -> frozenset[Part]:
        """What any stage that counts was made for."""
        counting = [it.parts for it in self.stages if it.combine is not Combine.SHADOW]
        return frozenset[Part]().union(*counting)

    def score(self, samples: Sequence[Sample]) -> list[Scores]:
        """Return the combined scores of each sample.

        Raises:
            DetectorError: one of them has none.
        """
        found = [it.scores for it in self.score_staged(samples)]
        if any(it is None for it in found):
            raise DetectorError(f"{self.name}: a stage that is needed gave no scores")
        return [it for it in found if it is not None]

    def score_staged(self, samples: Sequence[Sample]) -> list[Staged]:
        """Return what came of each sample, stage by stage."""
        texts = [_Text(sample) for sample in samples]
        for stage in self.stages:
            self._ask(stage, texts)
        return [it.staged() for it in texts]

    def close(self) -> None:
        """Close the detectors of the stages that hold something."""
        close_all(stage.detector for stage in self.stages)

    def _ask(self, stage: Stage, texts: Sequence["_Text"]) -> None:
        name, asked = stage.detector.name, self._chosen(stage, texts)
        started = time.perf_counter()
        scored = _scored(stage.detector, [it.sample for it in asked])
        seconds = time.perf_counter() - started
        for text, scores in zip(asked, scored, strict=True):
            if scores is None:
                text.fail(stage)
            else:
                text.take(stage, scores)
        answered = [it for it in asked if name in it.by_stage]
        left_out = Counter(it.left_out[name] for it in texts if name in it.left_out)
        chars = sum(it.chars for it in answered)
        self._told(StageUse(name, len(answered), left_out, chars, seconds))

    def _chosen(self, stage: Stage, texts: Sequence["_Text"]) -> list["_Text"]:
        """Return the texts that a stage is asked about, and note why it is not of the others."""
        name, (low, high), parts = stage.detector.name, stage.band, stage.parts
        if stage.budget is not None:
            stage.budget.saw(sum(it.sample.part in parts for it in texts))
        chosen = []
        for text in sorted(texts, key=lambda it: -it.any_so_far):
            if text.sample.part not in parts:
                text.left_out[name] = LeftOut.PART
            elif judges_readings(one := stage.detector) and not one.understands(
                text.sample.reading
            ):
                text.left_out[name] = LeftOut.READING
            elif not low <= text.any_so_far <= high:
                text.left_out[name] = LeftOut.BAND
            elif stage.budget and not stage.budget.allows(text.chars):
                text.left_out[name] = LeftOut.BUDGET
            else:
                chosen.append(text)
        return chosen


class _Text:
    """A sample on its way through the stages."""

    __slots__ = ("_highest", "_log_odds", "_weight", "by_stage", "failed", "left_out", "sample")

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.by_stage: dict[str, Scores] = {}
        self.left_out: dict[str, LeftOut] = {}
        self.failed = False
        self._log_odds: dict[Category, float] = {}
        self._weight: dict[Category, float] = {}
        self._highest: dict[Category, float] = {}

    @property
    def chars(self) -> int:
        """How much there is to read."""
        return len(self.sample.text) + len(self.sample.prompt)

    @property
    def any_so_far(self) -> float:
        """The score that decides who else is asked; in the middle while nobody has said a thing."""
        weight = self._weight.get(Category.ANY)
        mean = probability(self._log_odds[Category.ANY] / weight) if weight else None
        highest = self._highest.get(Category.ANY)
        known = [it for it in (mean, highest) if it is not None]
        return max(known, default=0.5)

    def take(self, stage: Stage, scores: Scores) -> None:
        self.by_stage[stage.detector.name] = scores
        for category, score in scores.items():
            if stage.combine is Combine.MAX:
                self._highest[category] = max(score, self._highest.get(category, 0.0))
            elif stage.combine is Combine.MEAN:
                before = self._log_odds.get(category, 0.0), self._weight.get(category, 0.0)
                self._log_odds[category] = before[0] + stage.weight * log_odds(score)
                self._weight[category] = before[1] + stage.weight

    def fail(self, stage: Stage) -> None:
        self.left_out[stage.detector.name] = LeftOut.FAILED
        self.failed = self.failed or stage.required

    def combined(self) -> dict[Category, float]:
        means = {
            category: probability(self._log_odds[category] / weight)
            for category, weight in self._weight.items()
        }
        both = means.keys() | self._highest.keys()
        return {it: max(means.get(it, 0.0), self._highest.get(it, 0.0)) for it in sorted(both)}

    def staged(self) -> Staged:
        combined = self.combined()
        useless = self.failed or not combined
        return Staged(None if useless else combined, self.by_stage, self.left_out)


def log_odds(score: float) -> float:
    """Return log(p / (1 - p)) of a probability, kept from being infinite."""
    kept = min(max(score, _LEAST), 1 - _LEAST)
    return math.log(kept / (1 - kept))


def probability(odds: float) -> float:
    """Return the probability of log odds, 1 / (1 + exp(-x))."""
    return 1 / (1 + math.exp(-odds))


def _scored(detector: Detector, samples: Sequence[Sample]) -> Sequence[Scores | None]:
    """Score a batch, or if that fails each sample alone; None: the detector failed on it."""
    if not samples:
        return []
    try:
        return score_whole(detector, samples)
    except Exception:  # noqa: BLE001  (a stage's failure is an outcome, told by name)
        if len(samples) == 1:
            return [None]
    return [scores for sample in samples for scores in _scored(detector, [sample])]


def _limits(stage: Stage) -> str:
    """Tell in a version what a stage is not asked about: its band and its parts, if it has them."""
    low, high = stage.band
    band = "" if stage.band == (0.0, 1.0) else f"/{low!r}-{high!r}"
    return band if stage.only is None else f"{band}/{','.join(sorted(stage.only))}"


def _check(name: str, stages: Sequence[Stage]) -> None:
    if not stages:
        raise DetectorError(f"the cascade {name!r} has no stages")
    names = [stage.detector.name for stage in stages]
    if len(set(names)) < len(names) or name in names:
        raise DetectorError(f"the cascade {name!r} needs a name of its own for each stage")
    if not all(0 < stage.weight <= MOST_WEIGHT for stage in stages):  # infinite: no mean
        raise DetectorError(f"the weights of {name!r} must be over 0, and at most {MOST_WEIGHT:g}")
    for it in stages:
        if not it.parts:
            raise DetectorError(
                f"{it.detector.name!r} in {name!r} would never be asked: it was made for "
                f"{', '.join(sorted(it.detector.parts))}"
            )
    first = stages[0]
    bounded = first.band != (0.0, 1.0) or first.budget is not None or first.only is not None
    if bounded or first.combine is Combine.SHADOW:
        raise DetectorError(
            f"the first stage of {name!r} sees everything and counts: it has no band, no budget, "
            "is asked about all parts, and is no shadow"
        )
