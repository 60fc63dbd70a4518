"""What a candidate for an operating point would have done: counted beside what today's points do.

The verdicts that are counted come from the recorded stream, made anew with today's detectors; a
crossing counts once for an exchange and a part of it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from detectors.api import Part
from service.core.screening import PAGING, Point

_LEAST_S: Final = 3600.0
_DAY_S: Final = 86400.0


class Source(StrEnum):
    """Where the recorded stream is read."""

    JOURNAL = "journal"
    """The journals of this machine."""
    KAFKA = "kafka"
    """The topic of exchanges, of all machines."""


class Place(NamedTuple):
    """Where something fired."""

    day: str
    """Of UTC, as 2026-11-27."""
    model: str
    project: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A part of an exchange that was looked at, and the points that it crosses."""

    exchange_id: str
    part: Part
    at: float
    """Of the record, in Unix seconds."""
    model: str
    project: str
    crossed: Sequence[Point]
    again: bool = False
    """Its text was looked at before; this is what probes inside the model read of it."""

    @property
    def place(self) -> Place:
        """Where it was."""
        day = datetime.fromtimestamp(self.at, UTC).date().isoformat()
        return Place(day, self.model, self.project)


@dataclass(slots=True)
class Backtest:
    """Counts what a candidate would have fired on, in memory that does not grow with the stream.

    Against it stand today's points of the same part and of the same kind of action, one that raises
    alerts or one that does not: what both fire on is nothing new.
    """

    candidate: Point
    max_examples: int = 10
    looked: int = 0
    candidates: Counter[Place] = field(default_factory=Counter)
    todays: Counter[Place] = field(default_factory=Counter)
    new: Counter[Place] = field(default_factory=Counter)
    gone: Counter[Place] = field(default_factory=Counter)
    examples_of_new: list[str] = field(default_factory=list)
    examples_of_gone: list[str] = field(default_factory=list)
    first_at: float | None = None
    last_at: float | None = None

    def add(self, looked: Looked) -> None:
        """Count one part of an exchange."""
        self.looked += looked.part is self.candidate.part and not looked.again
        self.first_at = min(looked.at, self.first_at if self.first_at is not None else looked.at)
        self.last_at = max(looked.at, self.last_at if self.last_at is not None else looked.at)
        fires = self.candidate in looked.crossed
        fired = any(self._stands_against(point) for point in looked.crossed)
        place = looked.place
        self.candidates[place] += fires
        self.todays[place] += fired
        if fires and not fired:
            self.new[place] += 1
            self._show(self.examples_of_new, looked)
        if fired and not fires:
            self.gone[place] += 1
            self._show(self.examples_of_gone, looked)

    def _stands_against(self, point: Point) -> bool:
        return (
            point != self.candidate
            and point.part == self.candidate.part
            and (point.action in PAGING) == (self.candidate.action in PAGING)
        )

    def _show(self, examples: list[str], looked: Looked) -> None:
        if len(examples) < self.max_examples:
            examples.append(looked.exchange_id)

    def report(self) -> dict[str, Any]:
        """Return what was counted, as plain JSON values."""
        places = sorted(self.candidates.keys() | self.todays.keys())
        return {
            "candidate": _as_json(self.candidate),
            "from": self.first_at,
            "to": self.last_at,
            "looked_at": self.looked,
            "fires": self.candidates.total(),
            "todays": self.todays.total(),
            "new": self.new.total(),
            "gone": self.gone.total(),
            "per_day": per_day(self.candidates.total(), self.first_at, self.last_at),
            "places": [
                {
                    **place._asdict(),
                    "fires": self.candidates[place],
                    "todays": self.todays[place],
                    "new": self.new[place],
                    "gone": self.gone[place],
                }
                for place in places
                if self.candidates[place] or self.todays[place]
            ],
            "examples": {"new": self.examples_of_new, "gone": self.examples_of_gone},
        }


def per_day(count: int, first_at: float | None, last_at: float | None) -> float | None:
    """Return how many a day that is; None: the stream is shorter than an hour, which says nothing.

    A rate that is carried on from minutes to days would be believed.
    """
    if first_at is None or last_at is None or last_at - first_at < _LEAST_S:
        return None
    return count / ((last_at - first_at) / _DAY_S)


def threshold_for(scores: Sequence[float], most: float) -> float:
    """Return the least threshold that at most so many scores reach.

    Raises:
        ValueError: even the highest threshold is reached by more.
    """
    allowed = int(most)
    if len(scores) <= allowed:
        return 0.0
    threshold = math.nextafter(sorted(scores, reverse=True)[allowed], math.inf)
    if threshold > 1:
        raise ValueError("the highest score that there is is reached too often")
    return threshold


def _as_json(point: Point) -> dict[str, Any]:
    return {
        "point": point.name,
        "version": point.version,
        "detector": point.detector,
        "category": str(point.category),
        "part": str(point.part),
        "threshold": point.threshold,
        "action": point.action,
        "tier": point.tier,
        "models": sorted(point.models),
        "project": point.project,
        "surface": point.surface,
    }
