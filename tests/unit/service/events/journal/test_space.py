"""What may be removed, and the space that is kept for the ends of exchanges."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.events.journal.space import Ballast, FullSegment, Limits, removable

LIMITS: Final = Limits(max_bytes=1100, reserve_bytes=100, keep_s=60.0)
NOW: Final = 1000.0
NEVER: Final = 2**63


def _segments(*full_at: float) -> list[FullSegment]:
    return [FullSegment(n, 10 * n, 100, at) for n, at in enumerate(full_at, 1)]


def _removed(
    segments: list[FullSegment],
    acknowledged: list[int],
    *,
    oldest_open: int = NEVER,
    used: int = 0,
    limits: Limits = LIMITS,
) -> list[int]:
    going = removable(
        segments,
        acknowledged,
        oldest_open_segment=oldest_open,
        used_bytes=used,
        limits=limits,
        now=NOW,
    )
    return [segment.number for segment in going]


OLD: Final = _segments(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("acknowledged", "expected"),
    [
        ([30], [1, 2, 3]),
        ([30, 10], [1]),
        ([30, 29], [1, 2]),
        ([30, 0], []),
        ([], []),
    ],
)
def test_the_slowest_group_decides(acknowledged: list[int], expected: list[int]) -> None:
    assert _removed(OLD, acknowledged) == expected


@pytest.mark.parametrize(
    ("oldest_open", "expected"), [(1, []), (2, [1]), (3, [1, 2]), (9, [1, 2, 3])]
)
def test_nothing_from_the_oldest_open_exchange_on_goes(
    oldest_open: int, expected: list[int]
) -> None:
    assert _removed(OLD, [99], oldest_open=oldest_open) == expected


def test_a_segment_stays_for_its_time() -> None:
    assert _removed(_segments(NOW - 60, NOW - 59, 0.0), [99]) == [1]


def test_over_three_quarters_of_the_room_for_openings_the_oldest_go_until_it_is_not() -> None:
    young = _segments(NOW, NOW, NOW)
    assert _removed(young, [99], used=750) == []
    assert _removed(young, [99], used=751) == [1]
    assert _removed(young, [99], used=900) == [1, 2]
    assert _removed(young, [10], used=1000) == [1]


@given(
    acknowledged=st.lists(st.integers(0, 100), max_size=3),
    oldest_open=st.integers(1, 11),
    used=st.integers(0, 2000),
    ages=st.lists(st.floats(0, 200), max_size=10),
)
def test_what_goes_is_the_beginning_and_needed_by_nobody(
    acknowledged: list[int], oldest_open: int, used: int, ages: list[float]
) -> None:
    segments = _segments(*[NOW - age for age in ages])
    going = _removed(segments, acknowledged, oldest_open=oldest_open, used=used)
    assert going == list(range(1, len(going) + 1))
    assert all(10 * number <= min(acknowledged, default=0) for number in going)
    assert all(number < oldest_open for number in going)


def test_the_reserve_is_out_of_reach_for_openings() -> None:
    assert replace(LIMITS, reserve_bytes=300).openings_bytes == 800


def test_the_ballast_holds_real_space_and_gives_it_up_once(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, 1 << 20)
    stat = (tmp_path / "ballast").stat()
    assert ballast.held
    assert stat.st_blocks * 512 >= 1 << 20
    assert ballast.drop()
    assert not ballast.drop()
    assert not (tmp_path / "ballast").exists()
    assert ballast.take()
    assert Ballast(tmp_path, 1 << 20).held


def test_a_ballast_of_another_size_is_made_anew(tmp_path: Path) -> None:
    Ballast(tmp_path, 1 << 20)
    assert Ballast(tmp_path, 1 << 18).held
    assert (tmp_path / "ballast").stat().st_size == 1 << 18


def test_without_room_for_it_there_is_no_ballast(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, 1 << 60)
    assert not ballast.held
    assert not ballast.take()
    assert not (tmp_path / "ballast").exists()
