"""What several runs of pytest come to."""

import pytest

from scripts.test_all import added_up, exit_code


def test_closing_lines_are_added_up() -> None:
    told = added_up(
        [
            "=== 1 failed, 4730 passed, 2 warnings, 1 error in 361.25s (0:06:01) ===",
            "4105 passed, 1 warning in 2438.80s (0:40:38)",
        ]
    )
    assert told == "=== 1 failed, 1 errors, 8835 passed, 3 warnings in 2800.05s (0:46:40) ==="


def test_a_single_closing_line_stays_as_it_is() -> None:
    assert added_up(["== 3 passed in 0.10s =="]) == "== 3 passed in 0.10s =="


def test_where_nothing_was_chosen_no_test_ran() -> None:
    lines = ["5 deselected in 0.10s", "no tests ran in 0.20s"]
    assert added_up(lines) == "=== 5 deselected in 0.30s (0:00:00) ==="


@pytest.mark.parametrize(
    ("codes", "code"),
    [((0, 0), 0), ((5, 0), 0), ((0, 5), 0), ((5, 5), 5), ((1, 0), 1), ((5, 2), 2), ((0, 1), 1)],
)
def test_any_failure_is_one(codes: tuple[int, ...], code: int) -> None:
    assert exit_code(codes) == code
