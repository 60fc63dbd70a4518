"""The gateway's own screens: texts in, the operating points that they cross out.

A screen is a detector that is cheap enough to run before anything is released, with the points
whose action is to block: it looks at a text, or at what probes read of an answer inside the model.
What the workers find later is in `screening.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.api import GrowingText, InlineDetector, Part, Reading, ReadingDetector
from service.core.policies import HOLDING, AnswerMode, Policy
from service.core.screening import Found, Point, applies_to


@dataclass(frozen=True, slots=True)
class Screen:
    """A detector, and the points of it that decide on one model's prompts or answers."""

    detector: InlineDetector
    points: tuple[Point, ...]

    def look(self, text: str, part: Part) -> tuple[Found, ...]:
        """Return the points that a text crosses, each with its score."""
        scores = self.detector.score_text(text, part)
        found: tuple[Found, ...] = ()
        for point in self.points:
            if (score := scores.get(point.category, -1.0)) >= point.threshold:
                found += ((point, score),)
        return found


class GrowingScreen:
    """A screen that looks at a text as it grows."""

    __slots__ = ("_points", "_text")

    def __init__(self, screen: Screen, part: Part) -> None:
        """Begin with the empty text."""
        self._text: GrowingText = screen.detector.growing(part)
        self._points = screen.points

    def add(self, text: str) -> Found | None:
        """Add text; return the first point that all text so far crosses."""
        scores = self._text.add(text)
        for point in self._points:
            if (score := scores.get(point.category, -1.0)) >= point.threshold:
                return point, score
        return None


@dataclass(frozen=True, slots=True)
class ReadingScreen:
    """A detector of readings, and the points of it that decide on one model's answers."""

    detector: ReadingDetector
    points: tuple[Point, ...]

    def look(self, reading: Reading) -> Found | None:
        """Return the first point that a reading of answers crosses.

        One that the detector does not understand crosses none: it says nothing.
        """
        if not self.detector.understands(reading):
            return None
        scores = self.detector.score_reading(reading, Part.ANSWER)
        for point in self.points:
            if (score := scores.get(point.category, -1.0)) >= point.threshold:
                return point, score
        return None


@dataclass(frozen=True, slots=True)
class ModelScreens:
    """What stands between one model and its callers."""

    policy: Policy
    prompt: tuple[Screen, ...] = ()
    answer: tuple[Screen, ...] = ()
    observe_only: bool = False
    """Crossings are recorded and nothing follows from them."""
    readings: tuple[ReadingScreen, ...] = ()
    """They look at answers beside those of `answer`, by what probes tell meanwhile."""

    @property
    def holds_answers(self) -> bool:
        """Say whether answers are screened before they are released."""
        return bool(self.answer or self.readings) and self.policy.answer_mode in HOLDING

    @property
    def answer_mode(self) -> AnswerMode:
        """When text of answers is released: without a point that blocks, at once."""
        return self.policy.answer_mode if self.holds_answers else AnswerMode.OBSERVE

    @property
    def window_chars(self) -> int | None:
        """How much text of a choice stays back while it grows; None: not in this mode."""
        return self.policy.window_chars if self.answer_mode is AnswerMode.WINDOW else None

    @property
    def max_unscanned_chars(self) -> int | None:
        """How much text of an answer may be released unscreened; None: all of it.

        Readings alone bound nothing: of an answer that nothing is told of all text is released.
        """
        holds = bool(self.answer) and self.holds_answers and not self.observe_only
        return self.policy.max_unscanned_chars if holds else None

    def look_at_answer(self, text: str) -> Found | None:
        """Return the first point that a whole answer crosses."""
        for screen in self.answer:
            if len(text) > screen.detector.max_chars:
                found = GrowingScreen(screen, Part.ANSWER).add(text)
            else:
                found = next(iter(screen.look(text, Part.ANSWER)), None)
            if found is not None:
                return found
        return None

    def look_at_reading(self, reading: Reading) -> Found | None:
        """Return the first point that a reading of an answer crosses."""
        looked = (screen.look(reading) for screen in self.readings)
        return next((found for found in looked if found is not None), None)

    def growing(self) -> list[GrowingScreen]:
        """Begin to screen one text of an answer."""
        return [GrowingScreen(screen, Part.ANSWER) for screen in self.answer]


def screens_of(
    points: Sequence[Point], detectors: Sequence[InlineDetector], model: str, tier: int, part: Part
) -> tuple[Screen, ...]:
    """Return the screens of a model's prompts or answers: those whose points block."""
    found = ((it, _blocking(points, it.name, model, tier, part)) for it in detectors)
    return tuple(Screen(detector, mine) for detector, mine in found if mine)


def reading_screens_of(
    points: Sequence[Point], detectors: Sequence[ReadingDetector], model: str, tier: int
) -> tuple[ReadingScreen, ...]:
    """Return the screens of a model's answers that look at readings: those whose points block."""
    found = ((it, _blocking(points, it.name, model, tier, Part.ANSWER)) for it in detectors)
    return tuple(ReadingScreen(detector, mine) for detector, mine in found if mine)


def _blocking(
    points: Sequence[Point], detector: str, model: str, tier: int, part: Part
) -> tuple[Point, ...]:
    return tuple(
        point
        for point in points
        if point.blocks
        and point.detector == detector
        and point.part == part
        and applies_to(point, model, tier)
    )
