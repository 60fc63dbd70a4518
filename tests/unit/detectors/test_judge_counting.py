"""What a judge counts: usage, failures in a row, disagreements with another detector."""

import pytest

from detectors.api import Category
from detectors.judge import Direction, Usage, disagreements
from detectors.judge.breaker import Breaker
from detectors.judge.errors import Busy, Paused, TimedOut, Unparseable, Unreachable

ANY, CYBER = Category.ANY, Category.CYBER


def test_usage_adds_up_and_costs_what_its_tokens_cost() -> None:
    usage = Usage(2.0, 10.0)
    usage.asked(1.5, is_retry=False)
    usage.asked(0.5, is_retry=True)
    usage.answered(b'{"usage": {"prompt_tokens": 500000, "completion_tokens": 100000}}')
    usage.answered(b'{"usage": {"prompt_tokens": 500000, "completion_tokens": null}}')
    usage.failed("busy")
    totals = usage.totals()
    assert (totals.requests, totals.retries, totals.seconds) == (2, 1, 2.0)
    assert (totals.prompt_tokens, totals.completion_tokens) == (1_000_000, 100_000)
    assert totals.cost == pytest.approx(3.0)
    assert totals.errors == {"busy": 1}


@pytest.mark.parametrize("answer", [b"", b"{}", b"\xff", b'{"usage": null}', b'{"usage": 1}'])
def test_an_answer_that_tells_no_tokens_counts_none(answer: bytes) -> None:
    usage = Usage(1.0, 1.0)
    usage.answered(answer)
    assert usage.totals().cost == 0


def test_a_guard_that_fails_in_a_row_is_left_alone_for_a_while() -> None:
    now = 100.0
    breaker = Breaker(3, 10.0, lambda: now)
    for error in (Unreachable(""), TimedOut(""), Busy("", None)):
        breaker.check()
        breaker.heard(error)
    with pytest.raises(Paused, match="failed 3 times in a row"):
        breaker.check()
    now += 10.0
    breaker.check()


@pytest.mark.parametrize("between", [None, Unparseable("")])
def test_an_answer_of_any_kind_ends_the_row(between: Unparseable | None) -> None:
    breaker = Breaker(2, 10.0, lambda: 0.0)
    for error in (TimedOut(""), between, TimedOut(""), between):
        breaker.heard(error)
        breaker.check()


def test_disagreements_are_counted_by_category_and_direction() -> None:
    pairs = [
        ({ANY: 0.9, CYBER: 0.9}, {ANY: 0.1, CYBER: 0.8}),
        ({ANY: 0.9}, {ANY: 0.2, CYBER: 1.0}),
        ({ANY: 0.0}, {ANY: 0.8}),
        ({ANY: 0.5}, {ANY: 1.0}),
        (None, {ANY: 1.0}),
        ({ANY: 1.0}, None),
    ]
    assert disagreements(pairs, 0.2, 0.8) == {
        (ANY, Direction.FIRST): 2,
        (ANY, Direction.SECOND): 1,
    }


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (0.8, 0.2), (-0.1, 0.5), (0.5, 1.1)])
def test_a_band_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="a band needs"):
        disagreements([], low, high)
