import random
from pathlib import Path

import pytest

from load_tests.processes import FOLDER
from load_tests.registry import SYSTEMS
from load_tests.results import FIGURES
from load_tests.stats import Budget, Interval, Summary, over_budget, paired_ratios, read_budgets

JSON_BUDGET = Budget("json", "watchgate", 3.0, "envoy")


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
        "json: watchgate takes 3.1 times envoy, the budget is 3"
    ]


def test_a_budget_whose_systems_were_not_measured_counts_as_broken() -> None:
    assert over_budget([JSON_BUDGET], {"json": {"nginx": [20.0]}}) == [
        "json: envoy and watchgate not measured, budget not judged"
    ]


def test_a_budget_may_be_in_the_unit_of_its_figure() -> None:
    budget = Budget("first-byte", "watchgate", 1000)
    assert over_budget([budget], {"first-byte": {"watchgate": [900.0]}}) == []
    assert over_budget([budget], {"first-byte": {"watchgate": [1100.0]}}) == [
        "first-byte: watchgate takes 1100, the budget is 1000"
    ]


def test_budgets_are_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    path.write_text(
        '[[budget]]\nfigure = "json"\nsystem = "watchgate"\nreference = "envoy"\nat_most = 3.0\n'
        '[[budget]]\nfigure = "json"\nsystem = "watchgate"\nreference = "portkey"\n'
        "at_least_times_less = 8\n"
    )
    assert read_budgets(path) == (JSON_BUDGET, Budget("json", "watchgate", 0.125, "portkey"))


def test_the_shipped_budgets_name_figures_and_systems_that_exist() -> None:
    budgets = read_budgets(FOLDER / "budgets.toml")
    assert {budget.figure for budget in budgets} <= FIGURES.keys()
    named = {name for budget in budgets for name in (budget.system, budget.reference)}
    assert named - {None} <= SYSTEMS.keys()


def test_an_interval_holds_the_median_and_is_narrow_where_values_are_alike() -> None:
    chance = random.Random(1)  # noqa: S311  (the same in each run)
    found = Interval.of([1.1] * 20, chance)
    assert (found.low, found.median, found.high) == (1.1, 1.1, 1.1)
    wide = Interval.of([1.0, 1.1, 1.2, 1.3, 1.4] * 4, chance)
    assert 1.0 <= wide.low < wide.median == 1.2 < wide.high <= 1.4
