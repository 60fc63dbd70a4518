from hypothesis import given
from hypothesis import strategies as st

from service.core.moments import Moment, elapsed_s

THEN = Moment(1_000_000.0, "boot-1", 5_000.0)
SECONDS = st.floats(0, 1e7)
CHANGES = st.floats(-1e9, 1e9)


@given(SECONDS, CHANGES)
def test_within_one_run_of_the_machine_no_change_of_the_clock_counts(
    seconds: float, change: float
) -> None:
    now = Moment(THEN.wall_s + seconds + change, "boot-1", THEN.uptime_s + seconds)
    assert abs(elapsed_s(THEN, now) - seconds) < 1e-3


@given(SECONDS, SECONDS, CHANGES)
def test_across_a_start_of_the_machine_it_is_at_least_its_uptime(
    seconds: float, uptime_s: float, change: float
) -> None:
    now = Moment(THEN.wall_s + seconds + change, "boot-2", uptime_s)
    assert elapsed_s(THEN, now) >= uptime_s


@given(SECONDS)
def test_across_a_start_of_the_machine_an_honest_clock_tells(seconds: float) -> None:
    now = Moment(THEN.wall_s + seconds, "boot-2", seconds / 2)
    assert abs(elapsed_s(THEN, now) - seconds) < 1e-3


@given(SECONDS)
def test_a_clock_that_was_set_back_makes_nothing_fresh(back_s: float) -> None:
    now = Moment(THEN.wall_s - back_s, "boot-2", 10.0)
    assert elapsed_s(THEN, now) >= max(10.0, back_s) - 1e-3


def test_where_nothing_names_the_start_of_the_machine_the_clock_tells() -> None:
    assert elapsed_s(Moment(100.0, "", 50.0), Moment(107.0, "", 51.0)) == 51.0
    assert elapsed_s(Moment(100.0, "", 50.0), Moment(207.0, "", 51.0)) == 107.0
