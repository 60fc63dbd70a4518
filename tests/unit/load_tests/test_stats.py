from pathlib import Path

import pytest

from load_tests.processes import FOLDER
from load_tests.stats import Budget, Summary, over_budget, paired_ratios, read_budgets

JSON_BUDGET = Budget("json", "watchgate", "envoy", 3.0)


def test_a_summary_is_the_median_and_the_range() -> None:
    assert Summary.of([30.0, 10.0, 20.0]) == Summary(median=20.0, low=10.0, high=30.0)


def test_the_spread_is_the_range_over_the_median() -> None:
    assert Summary.of([30.0, 10.0, 20.0]).spread == 1.0


def test_a_slow_round_slows_both_sides_and_leaves_the_ratio() -> None:
    assert paired_ratios([200.0, 400.0], [100.0, 200.0]) == [2.0, 2.0]


def test_rounds_that_do_not_pair_are_an_error() -> None:
    with pytest.raises(ValueError, match="longer"):
        paired_ratios([200.0], [100.0, 200.0])


def test_a_cost_at_the_budget_is_within_it() -> None:
    costs = {"json": {"envoy": [100.0, 100.0, 100.0], "watchgate": [300.0, 300.0, 300.0]}}
    assert over_budget([JSON_BUDGET], costs) == []


def test_a_cost_over_the_budget_is_told_with_its_figures() -> None:
    costs = {"json": {"envoy": [100.0, 100.0, 100.0], "watchgate": [350.0, 310.0, 290.0]}}
    assert over_budget([JSON_BUDGET], costs) == [
        "json: watchgate costs 3.10 times envoy, the budget is 3"
    ]


def test_a_budget_whose_systems_were_not_measured_counts_as_broken() -> None:
    assert over_budget([JSON_BUDGET], {"json": {"nginx": [20.0]}}) == [
        "json: envoy and watchgate not measured, budget not judged"
    ]


def test_budgets_are_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    path.write_text('[json]\nreference = "envoy"\nat_most = { watchgate = 3.0 }\n')
    assert read_budgets(path) == (JSON_BUDGET,)


def test_the_shipped_budgets_cover_requests_and_events() -> None:
    kinds = {budget.kind for budget in read_budgets(FOLDER / "budgets.toml")}
    assert kinds == {"json", "sse"}
