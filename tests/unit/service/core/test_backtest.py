from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.api import Category, Part
from service.core.backtest import Backtest, Looked, per_day, threshold_for
from service.core.screening import Point

DAY = 86400.0
CANDIDATE = Point("new", "words", Category.ANY, Part.PROMPT, 0.5, "page", frozenset(), version=2)
TODAY = replace(CANDIDATE, name="old", version=1)


def looked(name: str, *crossed: Point, at: float = 0.0, model: str = "m") -> Looked:
    return Looked(name, Part.PROMPT, at, model, "acme", crossed)


def test_what_the_candidate_fires_on_stands_beside_what_fires_today() -> None:
    backtest = Backtest(CANDIDATE)
    for one in (
        looked("both", CANDIDATE, TODAY),
        looked("new", CANDIDATE, at=DAY),
        looked("gone", TODAY, model="n"),
        looked("neither"),
    ):
        backtest.add(one)
    report = backtest.report()
    assert (report["looked_at"], report["fires"], report["todays"]) == (4, 2, 2)
    assert (report["new"], report["gone"]) == (1, 1)
    assert report["examples"] == {"new": ["new"], "gone": ["gone"]}
    assert report["per_day"] == 2
    assert report["places"] == [
        {"day": "1970-01-01", "model": "m", "project": "acme", "fires": 1, "todays": 1, "new": 0,
         "gone": 0},
        {"day": "1970-01-01", "model": "n", "project": "acme", "fires": 0, "todays": 1, "new": 0,
         "gone": 1},
        {"day": "1970-01-02", "model": "m", "project": "acme", "fires": 1, "todays": 0, "new": 1,
         "gone": 0},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        replace(TODAY, part=Part.ANSWER),
        replace(TODAY, action="record"),
        replace(TODAY, action="case"),
    ],
)
def test_points_of_other_parts_and_kinds_of_action_are_not_compared(other: Point) -> None:
    backtest = Backtest(CANDIDATE)
    backtest.add(looked("ex", CANDIDATE, other))
    assert (backtest.report()["todays"], backtest.report()["new"]) == (0, 1)


def test_a_block_and_a_page_are_compared() -> None:
    backtest = Backtest(replace(CANDIDATE, action="block"))
    backtest.add(looked("ex", TODAY))
    assert backtest.report()["gone"] == 1


def test_examples_are_the_first_few() -> None:
    backtest = Backtest(CANDIDATE, max_examples=2)
    for number in range(5):
        backtest.add(looked(f"ex-{number}", CANDIDATE))
    assert backtest.report()["examples"]["new"] == ["ex-0", "ex-1"]


def test_nothing_recorded_is_no_rate() -> None:
    report = Backtest(CANDIDATE).report()
    assert (report["from"], report["per_day"], report["places"]) == (None, None, [])
    assert per_day(3, 0.0, 60.0) is None
    assert per_day(3, 0.0, DAY / 2) == 6


@given(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9, 1.0])), st.floats(0, 10))
def test_a_threshold_for_a_number_is_the_least_that_is_reached_no_more_often(
    scores: list[float], most: float
) -> None:
    if sum(score >= 1.0 for score in scores) > most:
        with pytest.raises(ValueError, match="too often"):
            threshold_for(scores, most)
        return
    threshold = threshold_for(scores, most)
    assert sum(score >= threshold for score in scores) <= most
    lower = [score for score in {0.0, *scores} if score < threshold]
    assert not lower or sum(score >= max(lower) for score in scores) > most
