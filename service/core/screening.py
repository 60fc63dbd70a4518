"""What scores mean: which operating points they cross, and what a verdict is called."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from detectors.api import Category, Part

UNREADABLE_CONTENT: Final = "unreadable"
ENCRYPTED: Final = "encrypted"
INTERRUPTED: Final = "interrupted"
DETECTOR_ERROR: Final = "detector_error"
NO_DETECTOR: Final = "no_detector"
NO_PROMPT: Final = "no_prompt"
"""Nobody remembers the prompt any more: the answer was scored by itself, not the exchange."""
FAILED_SCANS: Final = frozenset({UNREADABLE_CONTENT, ENCRYPTED, DETECTOR_ERROR, NO_DETECTOR})
"""Reasons that leave text unscored: a gap in the coverage. Other reasons name what is no text."""

TOO_LATE: Final = "too_late"

NONE: Final = "none"
BLOCK: Final = "block"
PAGING: Final = frozenset({"page", BLOCK})
"""Actions that raise an alert."""
_GRAVITY: Final = (NONE, "record", "page", BLOCK)


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

    @property
    def blocks(self) -> bool:
        """Say whether the gateway refuses a prompt, or cuts off an answer, that crosses it."""
        return self.action == BLOCK


Found = tuple[Point, float]
"""A point that was crossed, and the score that crossed it."""


def crossed(
    points: Iterable[Point],
    *,
    detector: str,
    part: Part,
    model: str,
    scores: Mapping[Category, float],
) -> list[Found]:
    """Return the points that the scores reach, each with its score."""
    return [
        (point, scores[point.category])
        for point in points
        if point.detector == detector
        and point.part == part
        and (not point.models or model in point.models)
        and scores.get(point.category, -1.0) >= point.threshold
    ]


def gravest(actions: Iterable[str]) -> str:
    """Return the action that asks for most, "none" of no actions."""
    return max(actions, key=_GRAVITY.index, default=NONE)


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def verdict_id(exchange_id: str, part: Part, detector: str, version: str, digest: str) -> str:
    """Return the one id of a verdict: the same facts give the same id, however often."""
    facts = f"{exchange_id}\0{part}\0{detector}\0{version}\0{digest}"
    return "v-" + hashlib.sha256(facts.encode()).hexdigest()[:32]
