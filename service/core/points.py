"""Operating points that administrators set: their life, their history, and what is wrong with one.

A point has versions. One is proposed, then promoted, and takes the place of the version that was
active; a rollback puts that one back. Two versions of a point are never active at a time. What
scores make of points is in `screening.py`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from detectors.api import Category, Part
from service.core.error_rates import ErrorRates
from service.core.screening import ACTIONS, BLOCK, Point, applies_to

POINT_ID_START: Final = "op_"
IGNORED: Final = "ignored"
_EFFECTS: Final = ("active", "expired", IGNORED)


class PointState(StrEnum):
    """How far a version of a point has come."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    RETIRED = "retired"


class PointSource(StrEnum):
    """Where a point was set: those of the settings are changed there alone."""

    SETTINGS = "settings"
    STORE = "store"


Count = Callable[[PointSource, str, Sequence[str]], None]
"""Is told the ids of the points of a source that are active, expired or ignored in a process."""


class PointStep(StrEnum):
    """What is done to a point."""

    PROPOSE = "propose"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class PointScope:
    """What a point is for; what is not given, or empty, is all."""

    tier: int | None = None
    models: frozenset[str] = frozenset()
    project: str | None = None
    surface: str | None = None


ALL: Final = PointScope()


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One version of a point. Times are Unix seconds."""

    id: str
    version: int
    """From 1 on; 0: it stands in the settings."""
    detector: str
    category: Category
    part: Part
    threshold: float
    action: str
    scope: PointScope = ALL
    owner: str = ""
    """Who answers for it."""
    reason: str = ""
    """Why it was proposed."""
    expires_at: float | None = None
    measured: ErrorRates | None = None
    """Its error rates when the threshold was set."""
    state: PointState = PointState.ACTIVE
    replaces: int | None = None
    """The version that was active before it; None: none was, or it was not promoted yet."""
    created_at: float | None = None
    created_by: str | None = None

    @property
    def source(self) -> PointSource:
        """Say where it was set."""
        return _source(self.version)

    @property
    def place(self) -> tuple[Any, ...]:
        """What no two active points share: but for the threshold they would be one."""
        return (self.detector, self.category, self.part, self.scope, self.action)

    def to_point(self) -> Point:
        """Return what scores are held to."""
        scope = self.scope
        return Point(
            name=self.id,
            detector=self.detector,
            category=self.category,
            part=self.part,
            threshold=self.threshold,
            action=self.action,
            models=scope.models,
            version=self.version,
            tier=scope.tier,
            project=scope.project,
            surface=scope.surface,
            expires_at=math.inf if self.expires_at is None else self.expires_at,
        )


@dataclass(frozen=True, slots=True)
class PointChange:
    """What was done to a point, by whom, when and why; `number` counts them from 1."""

    point: str
    number: int
    version: int
    step: PointStep
    at: float
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class KnownDetector:
    """What a point has to know of a detector."""

    categories: Collection[Category]
    parts: Collection[Part]
    is_inline: bool
    """It is fast enough to score what is on its way."""
    is_shadow: bool = False
    """Its scores are recorded, and nothing depends on them."""
    reads_probes: bool = False
    """It judges what probes in vLLM tell of an exchange, and no text."""


@dataclass(frozen=True, slots=True)
class PointModel:
    """What a point has to know of a model."""

    name: str
    tier: int
    can_cut_off: bool
    """Its answers are held back, or nothing follows from crossings anyway."""
    has_probes: bool = False
    """Its upstream's settings say where probes tell."""


@dataclass(frozen=True, slots=True)
class PointFacts:
    """What points are held to by whoever sets them."""

    detectors: Mapping[str, KnownDetector] = field(default_factory=dict)
    """By name; one may be loaded when it is looked up."""
    models: Sequence[PointModel] = ()
    fixed: Sequence[OperatingPoint] = ()
    """The points of the settings."""


class Flaw(NamedTuple):
    """What is wrong with a point: the field, and words that say what would be right."""

    field: str
    words: str


def flaws(point: OperatingPoint, facts: PointFacts, now: float) -> Iterator[Flaw]:
    """Yield what keeps a point from doing what it says; it would be crossed by nothing."""
    detectors, models = facts.detectors, facts.models
    if not 0 <= point.threshold <= 1:  # NaN too
        yield Flaw("threshold", "Expected a threshold from 0 to 1.")
    if point.action not in ACTIONS:
        yield Flaw("action", f"There is no such action; there are: {', '.join(ACTIONS)}.")
    if point.expires_at is not None and point.expires_at <= now:
        yield Flaw("expires_at", "It has expired.")
    named = ", ".join(sorted(it.name for it in models))
    if unknown := point.scope.models - {it.name for it in models}:
        yield Flaw("models", f"No model is named {min(unknown)!r}; there are: {named}.")
    elif not any(_concerns(point, it) for it in models):
        yield Flaw("tier", f"There is no such model of tier {point.scope.tier}.")
    detector = detectors.get(point.detector)
    if detector is None:
        there_are = ", ".join(sorted(detectors))
        yield Flaw("detector", f"No detector is named {point.detector!r}; there are: {there_are}.")
    else:
        yield from _flaws_for(point, detector)
        if point.action == BLOCK:
            yield from _flaws_of_block(point, detector, models)


def flaws_of_promotion(point: OperatingPoint, facts: PointFacts, now: float) -> Iterator[Flaw]:
    """Yield the same for one that is to apply: one on a shadow may be proposed, no more."""
    detector = facts.detectors.get(point.detector)
    if detector is not None and detector.is_shadow:
        yield Flaw("detector", f"{point.detector} is a shadow, scored and recorded alone.")
    yield from flaws(point, facts, now)


def _flaws_for(point: OperatingPoint, detector: KnownDetector) -> Iterator[Flaw]:
    if point.category not in detector.categories:
        scored = ", ".join(sorted(detector.categories))
        words = f"{point.detector} gives no score for {point.category}; it does for: {scored}."
        yield Flaw("category", words)
    if point.part not in detector.parts:
        scored = ", ".join(sorted(detector.parts))
        yield Flaw("part", f"{point.detector} does not score this part; it does score: {scored}.")


def _flaws_of_block(
    point: OperatingPoint, detector: KnownDetector, models: Collection[PointModel]
) -> Iterator[Flaw]:
    if words := _never_blocks(point, detector):
        yield Flaw("action", words)
    elif point.part is Part.ANSWER:
        for model in (it for it in models if _concerns(point, it)):
            its = f"those of the model {model.name!r}"
            or_else = "let the point page, or name the models that it is for."
            if not model.can_cut_off:
                words = f"A block on answers needs them held back, and {its} are observed: set"
                mode = "its screening.answer.mode to window or buffer"
                yield Flaw("action", f"{words} {mode}, {or_else}")
            if detector.reads_probes and not model.has_probes:
                words = f"{point.detector} cuts off by what probes in vLLM tell, and {its} tell"
                yield Flaw("action", f"{words} nothing: set its upstream's probes, {or_else}")


def _never_blocks(point: OperatingPoint, detector: KnownDetector) -> str:
    """Return why a point can block nothing whatever the model, else nothing."""
    if point.part is Part.EXCHANGE:
        return "An exchange is scored when it is over, so nothing is left to block: let it page."
    if detector.reads_probes and point.part is not Part.ANSWER:
        why = "it judges what probes read while the model is at work, and a prompt was let in by"
        return f"{point.detector} can cut off answers alone: {why} then; let it page."
    if not (detector.is_inline or detector.reads_probes):
        why = "it is too slow to score what is on its way"
        return f"{point.detector} cannot block: {why}; let it page."
    return ""


def _concerns(point: OperatingPoint, model: PointModel) -> bool:
    return applies_to(point.to_point(), model.name, model.tier)


def conflict(
    point: OperatingPoint, active: Iterable[OperatingPoint], now: float
) -> OperatingPoint | None:
    """Return the active point that says the same of the same, but for its threshold.

    Two such points would count what they find twice, and nobody knew which of them decides.
    """
    for other in active:
        if other.id != point.id and other.place == point.place and not has_expired(other, now):
            return other
    return None


def tally(
    points: Iterable[Point], now: float, can_apply: Callable[[Point], bool]
) -> list[tuple[PointSource, str, list[str]]]:
    """Return the points' ids by where they were set and what becomes of them in a process.

    `active` ones apply, of `expired` ones the time is over, `ignored` ones cannot apply here.
    """

    def state(point: Point) -> str:
        if now >= point.expires_at:
            return "expired"
        return "active" if can_apply(point) else IGNORED

    found: defaultdict[tuple[PointSource, str], list[str]] = defaultdict(list)
    for it in sorted(points, key=lambda it: it.name):
        found[_source(it.version), state(it)].append(it.name)
    return [(source, it, found[source, it]) for source in PointSource for it in _EFFECTS]


def _source(version: int) -> PointSource:
    return PointSource.STORE if version else PointSource.SETTINGS


def has_expired(point: OperatingPoint, now: float) -> bool:
    """Say whether a point applies no more. An expiry counts from its instant on."""
    return point.expires_at is not None and now >= point.expires_at
