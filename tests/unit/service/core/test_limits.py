"""How much at once."""

from hypothesis import given
from hypothesis import strategies as st

from service.core.limits import has_room


@given(st.integers(0, 100), st.integers(1, 100))
def test_there_is_room_below_the_limit_alone(taken: int, limit: int) -> None:
    assert has_room(taken, limit) == (taken < limit)


@given(st.integers(0, 10**9))
def test_without_a_limit_there_is_always_room(taken: int) -> None:
    assert has_room(taken, None)
