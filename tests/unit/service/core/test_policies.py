from dataclasses import dataclass

import pytest

from service.core.policies import AnswerMode, OnError, policy_of


@dataclass
class Changed:
    """What settings say of a policy."""

    prompt_deadline_s: float | None = None
    prompt_on_error: OnError | None = None
    answer_mode: AnswerMode | None = None
    window_chars: int | None = None
    answer_on_error: OnError | None = None


@pytest.mark.parametrize("tier", [2, 3, 4])
def test_from_tier_2_on_answers_are_held_back_and_failures_refuse(tier: int) -> None:
    policy = policy_of(tier)
    assert policy.answer_mode is AnswerMode.WINDOW
    assert (policy.prompt_on_error, policy.answer_on_error) == ("refuse", "refuse")
    assert policy.max_unscanned_chars == 0


@pytest.mark.parametrize("tier", [0, 1])
def test_below_answers_are_observed_and_no_bound_is_stated(tier: int) -> None:
    policy = policy_of(tier)
    assert policy.answer_mode is AnswerMode.OBSERVE
    assert policy.max_unscanned_chars is None


def test_later_changes_go_over_earlier_ones_and_leave_the_rest() -> None:
    of_tier = Changed(answer_mode=AnswerMode.WINDOW, window_chars=100)
    of_model = Changed(window_chars=50, answer_on_error="refuse")
    policy = policy_of(1, of_tier, of_model)
    assert (policy.answer_mode, policy.window_chars) == (AnswerMode.WINDOW, 50)
    assert (policy.prompt_on_error, policy.answer_on_error) == ("release", "refuse")


def test_who_releases_what_could_not_be_screened_states_no_bound() -> None:
    assert policy_of(2, Changed(answer_on_error="release")).max_unscanned_chars is None
