"""How often a threshold is wrong, and how many rows it takes to say so."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from service.core.error_rates import NoThreshold, crossing, rate, rows_needed, threshold_at


@given(st.integers(1, 2000), st.data())
def test_outside_of_its_bounds_a_rate_would_hardly_give_the_count(
    total: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, total))
    found = rate(count, total)
    assert 0 <= found.low <= found.share <= found.high <= 1
    if count:
        assert binom.sf(count - 1, total, found.low) == pytest.approx(0.025)
    if count < total:
        assert binom.cdf(count, total, found.high) == pytest.approx(0.025)


def test_none_of_many_bounds_the_rate_from_above_alone() -> None:
    assert rate(0, 1000).low == 0
    assert rate(0, 1000).high == pytest.approx(0.0036821, rel=1e-4)
    assert rate(1000, 1000).high == 1


@pytest.mark.parametrize(("count", "total"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_what_is_no_count_has_no_rate(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="count of at least one row"):
        rate(count, total)


def test_a_score_that_equals_the_threshold_crosses_it() -> None:
    found = crossing([0.1, 0.5, 0.9], 0.5)
    assert (found.count, found.total) == (2, 3)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_so_many_rows_are_needed_that_none_flagged_meets_the_rate(share: float) -> None:
    needed = rows_needed(share)
    assert rate(0, needed).high <= share
    assert rate(0, needed - 1).high > share


def test_too_few_rows_are_refused_with_the_number_that_is_needed() -> None:
    assert rows_needed(0.001) == 3688
    with pytest.raises(NoThreshold, match=r"^3687 benign rows are too few .* 3688 are needed"):
        threshold_at([0.5] * 3687, 0.001)


@given(
    st.lists(st.floats(0, 1), min_size=37, max_size=80),
    st.sampled_from([0.1, 0.2, 0.5]),
)
def test_the_threshold_is_the_smallest_that_keeps_the_share(
    scores: list[float], share: float
) -> None:
    try:
        threshold = threshold_at(scores, share)
    except NoThreshold:
        assert sum(score >= 1 for score in scores) > share * len(scores)
        return
    assert sum(score >= threshold for score in scores) <= share * len(scores)
    below = math.nextafter(threshold, -math.inf)
    assert sum(score >= below for score in scores) > share * len(scores) - 1e-6


def test_rows_that_score_one_leave_no_threshold() -> None:
    with pytest.raises(NoThreshold, match="40 of 40 benign rows score 1"):
        threshold_at([1.0] * 40, 0.1)
