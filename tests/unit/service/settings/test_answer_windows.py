"""Settings that do not keep what a tier asks of answers."""

from typing import Any

import pytest

from service.settings import Settings
from service.settings.answer_windows import (
    check_answer_points,
    check_answer_window,
    check_answer_windows,
)

SETTINGS = {"upstreams": [{"name": "u", "url": "http://127.0.0.1:1"}]}
MODE = "models[0].screening.answer.mode: "
BLOCK = {
    "detector": "lexical",
    "category": "any",
    "part": "answer",
    "threshold": 0.9,
    "action": "block",
}


def settings(tier: int = 2, points: tuple[dict[str, Any], ...] = (BLOCK,), **more: Any) -> Settings:  # noqa: ANN401
    return Settings.model_validate(
        {
            **SETTINGS,
            "models": [{"name": "m", "upstream": "u", "tier": tier, **more.pop("model", {})}],
            "operating_points": points,
            **more,
        }
    )


def test_a_tier_that_asks_for_it_has_a_window_by_itself() -> None:
    assert list(check_answer_window(settings(), 0)) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (settings(screening={"observe_only": True}), "screening.observe_only: "),
        (settings(screening={"tiers": {2: {"answer": {"mode": "observe"}}}}), MODE),
        (settings(model={"screening": {"answer": {"mode": "observe"}}}), MODE),
        (settings(points=()), "operating_points: "),
        (settings(points=({**BLOCK, "part": "prompt"},)), "operating_points: "),
        (settings(points=({**BLOCK, "action": "page"},)), "operating_points: "),
        (settings(points=({**BLOCK, "models": ["another"]},)), "operating_points: "),
    ],
)
def test_what_lets_answers_of_such_a_tier_go_unscreened_is_refused(
    wrong: Settings, words: str
) -> None:
    [mistake] = check_answer_window(wrong, 0)
    assert str(mistake).startswith(words)


def test_all_of_it_is_told_at_once() -> None:
    wrong = settings(points=(), screening={"observe_only": True})
    assert len(list(check_answer_window(wrong, 0))) == 2


def test_lower_tiers_may_observe() -> None:
    assert list(check_answer_windows(settings(tier=1, points=()))) == []


def test_a_block_on_answers_that_are_only_observed_is_refused() -> None:
    [mistake] = check_answer_points(settings(tier=1))
    assert str(mistake).startswith("operating_points[0].action: ")
    assert "'m' are observed" in mistake.words


@pytest.mark.parametrize("observe_only", [True, False])
def test_a_block_on_exchanges_is_refused(observe_only: bool) -> None:
    points = ({**BLOCK, "part": "exchange"},)
    wrong = settings(tier=1, points=points, screening={"observe_only": observe_only})
    [mistake] = check_answer_points(wrong)
    assert "nothing is left to block" in mistake.words
    paging = settings(tier=1, points=({**points[0], "action": "page"},))
    assert list(check_answer_points(paging)) == []


@pytest.mark.parametrize(
    "fine",
    [
        settings(tier=1, screening={"tiers": {1: {"answer": {"mode": "window"}}}}),
        settings(tier=1, model={"screening": {"answer": {"mode": "buffer"}}}),
        settings(tier=1, screening={"observe_only": True}),
        settings(tier=1, points=({**BLOCK, "action": "page"},)),
        settings(tier=1, points=({**BLOCK, "part": "prompt"},)),
        settings(tier=1, points=({**BLOCK, "models": ["another"]},)),
        settings(tier=2),
    ],
)
def test_other_points_are_not(fine: Settings) -> None:
    assert list(check_answer_points(fine)) == []
