"""What probes tell of an answer while it passes the gate, and what follows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from detectors import api
from detectors.api import Category, Part
from service.core.policies import AnswerMode, policy_of
from service.core.probed import ANSWER, LEAST_TOKENS, PROMPT, Probed, Reading, Told
from service.core.probed_gate import ProbedGate
from service.core.screening import Point
from service.core.screens import ModelScreens, ReadingScreen, Screen, reading_screens_of
from service.core.surfaces.answers import Piece
from tests.real_parts.phrase_detector import PHRASE, BrokenDetector, PhraseDetector
from tests.real_parts.reading_detector import LEAST_READ, NAME, PROBES, InsideDetector

WINDOW = 10
POINT = Point("inside", NAME, Category.ANY, Part.ANSWER, 0.9, "block", frozenset())
OF_TEXT = replace(POINT, name="phrase", detector="phrase")
LOW, HIGH = (-3.0,), (3.0,)


class CountingDetector(InsideDetector):
    """Counts how often it is asked, and fails where that is wanted."""

    asked = 0
    fails = False

    def score_reading(self, reading: api.Reading, part: Part) -> Mapping[Category, float]:
        type(self).asked += 1
        if self.fails:
            raise RuntimeError("this detector fails")
        return super().score_reading(reading, part)


class Passing:
    """An answer on its way through the gate, and what probes have told of it."""

    def __init__(
        self,
        detector: InsideDetector | None = None,
        text_screens: Sequence[Screen] = (),
        *,
        observe_only: bool = False,
    ) -> None:
        self.told = Told()
        self.screens = ModelScreens(
            replace(policy_of(2), window_chars=WINDOW),
            answer=tuple(text_screens),
            observe_only=observe_only,
            readings=(ReadingScreen(detector or InsideDetector(), (POINT,)),),
        )
        self.gate = ProbedGate(self.screens, self.told.grown)

    def tell(
        self,
        scores: tuple[float, ...],
        read: int = LEAST_READ,
        part: str = ANSWER,
        *,
        request: str = "r",
        probes: str = PROBES,
    ) -> None:
        self.told.take(probes, ("any",), request, part, Reading(read + 1, read, scores))

    def take(self, text: str) -> list[bytes]:
        """Bring an event, and return what leaves."""
        self.gate.take(text.encode(), [Piece(0, "text", text)])
        return [] if self.gate.crossed else self.gate.release()


def test_what_is_held_back_when_a_reading_crosses_never_leaves() -> None:
    passing = Passing()
    passing.tell(LOW)
    assert passing.take("1234567890") == []
    assert passing.take("abcdefghij") == [b"1234567890"]
    passing.tell(HIGH)
    assert passing.take("k") == []
    point, score = passing.gate.crossed or (None, 0.0)
    assert point is POINT
    assert score == pytest.approx(0.953, abs=0.001)
    assert passing.gate.released_chars == 10


def test_an_event_without_text_finds_what_was_told_last() -> None:
    passing = Passing()
    passing.tell(HIGH)
    passing.gate.take(b"", ())
    assert passing.gate.crossed is not None


@pytest.mark.parametrize(
    "told",
    [
        None,
        {"scores": HIGH, "read": LEAST_READ - 1},
        {"scores": HIGH, "probes": "b" * 64},
        {"scores": HIGH, "part": PROMPT},
        {"scores": LOW},
    ],
    ids=["nothing", "too few tokens", "other probes", "of the prompt", "low"],
)
def test_an_answer_passes_whole_unless_what_is_understood_crosses(
    told: dict[str, Any] | None,
) -> None:
    passing = Passing()
    if told is not None:
        passing.tell(**told)
    passing.take("x" * WINDOW)
    assert passing.take("y" * WINDOW) == [b"x" * WINDOW]
    passing.gate.take_whole([Piece(0, "text", "whole")])
    assert passing.gate.crossed is None


def test_of_several_choices_the_highest_reading_counts() -> None:
    passing = Passing()
    passing.tell(LOW, request="0_r")
    passing.tell(HIGH, request="1_r")
    passing.take("x")
    assert passing.gate.crossed is not None


class HastyDetector(InsideDetector):
    """Understands whatever was read."""

    def understands(self, reading: api.Reading | None) -> bool:
        return reading is not None


def test_what_is_read_of_an_answers_first_few_tokens_crosses_nothing() -> None:
    passing = Passing(HastyDetector())
    passing.tell(LOW, read=60, request="0_r")
    passing.tell(HIGH, read=LEAST_TOKENS - 2, request="1_r")
    passing.take("x")
    assert passing.gate.crossed is None
    passing.tell(HIGH, read=LEAST_TOKENS - 1, request="1_r")
    passing.take("x")
    assert passing.gate.crossed is not None


def test_answers_that_are_short_do_not_put_off_what_is_read_of_another() -> None:
    passing = Passing(HastyDetector())
    for number in range(100):
        passing.tell(LOW, read=1, request=f"{number}_r")
    passing.tell(HIGH, read=LEAST_TOKENS, request="100_r")
    passing.take("x")
    assert passing.gate.crossed is not None


def test_a_reading_is_looked_at_once() -> None:
    CountingDetector.asked = 0
    passing = Passing(CountingDetector())
    passing.tell(LOW)
    for _ in range(5):
        passing.take("x")
    assert CountingDetector.asked == 1
    passing.tell(LOW)
    passing.take("x")
    assert CountingDetector.asked == 2


def test_an_answer_that_comes_whole_is_looked_at_when_it_has_come() -> None:
    passing = Passing()
    passing.tell(HIGH)
    passing.gate.take_whole([Piece(0, "text", "whole")])
    assert passing.gate.crossed is not None
    assert passing.gate.generated_chars == 5


def test_texts_are_screened_beside_readings_and_the_first_crossing_counts() -> None:
    of_text = Screen(PhraseDetector(), (OF_TEXT,))
    passing = Passing(text_screens=[of_text])
    passing.tell(LOW)
    passing.take(PHRASE)
    passing.tell(HIGH)
    passing.take("and so on")
    assert passing.gate.crossed == (OF_TEXT, 1.0)


def test_a_gate_that_only_observes_tells_what_crossed_and_lets_all_pass() -> None:
    passing = Passing(observe_only=True)
    passing.tell(HIGH)
    passing.gate.take(b"a", [Piece(0, "text", "a")])
    assert passing.gate.release() == [b"a"]
    assert passing.gate.crossed is not None


def test_what_the_detector_raises_comes_through_and_it_is_not_asked_again() -> None:
    class Failing(CountingDetector):
        asked = 0
        fails = True

    passing = Passing(Failing())
    passing.tell(HIGH)
    with pytest.raises(RuntimeError):
        passing.take("x")
    passing.gate.give_up()
    passing.tell(HIGH)
    assert passing.take("y") == [b"x", b"y"]
    assert passing.gate.unscanned_chars == 2
    assert Failing.asked == 1


def test_readings_are_not_looked_at_once_a_text_could_not_be_screened() -> None:
    passing = Passing(text_screens=[Screen(BrokenDetector(), (OF_TEXT,))])
    passing.tell(HIGH)
    with pytest.raises(RuntimeError):
        passing.take(PHRASE)
    assert passing.gate.crossed is None


def test_readings_alone_hold_answers_back_and_bound_nothing() -> None:
    screens = Passing().screens
    assert screens.holds_answers
    assert screens.answer_mode is AnswerMode.WINDOW
    assert screens.window_chars == WINDOW
    assert screens.max_unscanned_chars is None
    with_text = replace(screens, answer=(Screen(PhraseDetector(), (OF_TEXT,)),))
    assert with_text.max_unscanned_chars == 0
    observed = replace(policy_of(1), answer_mode=AnswerMode.OBSERVE)
    assert not replace(screens, policy=observed).holds_answers


def test_points_on_answers_that_block_are_those_that_decide() -> None:
    points = [
        POINT,
        replace(POINT, name="pages", action="page"),
        replace(POINT, name="prompt", part=Part.PROMPT),
        replace(POINT, name="other", models=frozenset({"other"})),
        OF_TEXT,
    ]
    (screen,) = reading_screens_of(points, [InsideDetector()], "m", 1)
    assert screen.points == (POINT,)
    assert reading_screens_of(points[1:], [InsideDetector()], "m", 1) == ()


def test_what_is_known_is_the_same_object_until_more_is_told() -> None:
    passing = Passing()
    nothing = passing.told.probed()
    assert (nothing.digest, nothing.answers()) == ("", None)
    passing.tell(LOW)
    first = passing.told.probed()
    assert first is not nothing
    assert passing.told.probed() is first
    passing.tell(HIGH)
    assert passing.told.probed() == Probed(PROBES, ("any",), answer=Reading(9, 8, HIGH))
