"""What scores mean: which operating points they cross, and what a verdict is called."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from detectors.api import Category, Part
from service.core.surfaces.media import MEDIA

UNREADABLE_CONTENT: Final = "unreadable"
ENCRYPTED: Final = "encrypted"
INTERRUPTED: Final = "interrupted"
DETECTOR_ERROR: Final = "detector_error"
OVER_BUDGET: Final = "over_budget"
"""The only stages that might have scored it had spent their budgets."""
NO_DETECTOR: Final = "no_detector"
NO_PROMPT: Final = "no_prompt"
"""Nobody remembers the prompt any more: the answer was scored by itself, not the exchange."""
NO_READING: Final = "no_reading"
"""Probes inside the model told nothing of the part, or too little; its text was scored by others,
or there is another reason beside this one."""
FAILED_SCANS: Final = frozenset(
    {UNREADABLE_CONTENT, ENCRYPTED, DETECTOR_ERROR, OVER_BUDGET, NO_DETECTOR}
)
"""Reasons that leave text unscored: a gap in the coverage. Other reasons name what is no text."""

NOT_SCANNED: Final = FAILED_SCANS | {INTERRUPTED, NO_PROMPT, NO_READING} | MEDIA
"""Every reason that a verdict gives for what was not scored."""
TOO_LATE: Final = "too_late"

NONE: Final = "none"
BLOCK: Final = "block"
PAGING: Final = frozenset({"page", BLOCK})
"""Actions that raise an alert."""
ACTIONS: Final = ("record", "case", "page", BLOCK)
"""What may follow from a crossing, the gravest last. A case raises no alert, and is kept to be
looked at."""
OUTCOMES: Final = (NONE, *ACTIONS)
"""What a verdict may come to."""


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point: a detector's threshold on a category, its scope and its action."""

    name: str
    detector: str
    category: Category
    part: Part
    threshold: float
    action: str
    models: frozenset[str]
    """Empty: all."""
    version: int = 0
    """0: it stands in the settings."""
    tier: int | None = None
    """None, here and below: all."""
    project: str | None = None
    surface: str | None = None
    expires_at: float = math.inf
    """Unix seconds; whoever keeps points leaves out those that have expired."""

    @property
    def blocks(self) -> bool:
        """Say whether the gateway refuses a prompt, or cuts off an answer, that crosses it."""
        return self.action == BLOCK

    @property
    def is_narrow(self) -> bool:
        """Say whether it is for a project or a surface alone, which only a request tells."""
        return self.project is not None or self.surface is not None


Found = tuple[Point, float]
"""A point that was crossed, and the score that crossed it."""


def crossed(  # noqa: PLR0913  (what was scored, and whose it is)
    points: Iterable[Point],
    *,
    detector: str,
    part: Part,
    model: str,
    scores: Mapping[Category, float],
    tier: int,
    project: str,
    surface: str,
) -> list[Found]:
    """Return the points that the scores reach, each with its score."""
    return [
        (point, scores[point.category])
        for point in points
        if point.detector == detector
        and point.part == part
        and applies_to(point, model, tier)
        and applies_within(point, project, surface)
        and scores.get(point.category, -1.0) >= point.threshold
    ]


def applies_to(point: Point, model: str, tier: int) -> bool:
    """Say whether a point is for a model; of a narrow one, for some of its exchanges."""
    return (not point.models or model in point.models) and point.tier in {None, tier}


def applies_within(point: Point, project: str, surface: str) -> bool:
    """Say whether a point is for a project's exchanges on a surface."""
    return point.project in {None, project} and point.surface in {None, surface}


def unexpired(points: Iterable[Point], now: float) -> tuple[tuple[Point, ...], float]:
    """Return the points that apply now, and when the first of them will no more."""
    left = tuple(point for point in points if now < point.expires_at)
    return left, min((point.expires_at for point in left), default=math.inf)


def gravest(actions: Iterable[str]) -> str:
    """Return the action that asks for most, "none" of no actions."""
    return max(actions, key=OUTCOMES.index, default=NONE)


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def verdict_id(exchange_id: str, part: Part, detector: str, version: str, digest: str) -> str:
    """Return the one id of a verdict: the same facts give the same id, however often."""
    facts = f"{exchange_id}\0{part}\0{detector}\0{version}\0{digest}"
    return "v-" + hashlib.sha256(facts.encode()).hexdigest()[:32]
