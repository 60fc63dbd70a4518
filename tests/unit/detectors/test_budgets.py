import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.budgets import Budget


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_bounds_everything_is_allowed() -> None:
    budget = Budget(clock=Clock())
    assert all(budget.allows(10**9) for _ in range(1000))


def test_a_share_of_the_texts_is_allowed_after_the_first_burst() -> None:
    budget = Budget(0.05, clock=Clock(), burst_texts=10)
    allowed = 0
    for _ in range(2000):
        budget.saw(1)
        allowed += budget.allows(1)
    assert allowed == pytest.approx(10 + 2000 * 0.05, abs=1)


def test_characters_come_back_with_time_and_a_large_text_is_let_in_once() -> None:
    clock = Clock()
    budget = Budget(max_chars_per_s=100, clock=clock, burst_s=1)
    assert budget.allows(1000)
    assert not budget.allows(1)
    clock.now += 9
    budget.saw(1)
    assert not budget.allows(1)  # 900 of the 1000 are paid, and the bucket was not empty
    clock.now += 0.1
    budget.saw(1)
    assert budget.allows(1)


@given(
    st.floats(0.01, 1), st.floats(1, 1000), st.lists(st.tuples(st.integers(0, 50), st.floats(0, 5)))
)
def test_no_more_is_ever_let_in_than_share_and_rate_allow(
    share: float, rate: float, batches: list[tuple[int, float]]
) -> None:
    clock, chars, allowed, seen = Clock(), 40, 0, 0
    budget = Budget(share, rate, clock=clock, burst_texts=5, burst_s=2)
    for texts, pause in batches:
        clock.now += pause
        seen += texts
        budget.saw(texts)
        allowed += sum(budget.allows(chars) for _ in range(texts))
    assert allowed <= 5 + share * seen + 1
    assert allowed * chars <= rate * (2 + clock.now - 100.0) + chars * (1 + 1e-9)
