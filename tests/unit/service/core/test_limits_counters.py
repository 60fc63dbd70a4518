"""Which limits a request is under, and what is told of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.callers import Caller
from service.core.directory import ALL_MODELS, Limits, Scope, Snapshot
from service.core.limits import (
    Counter,
    Kind,
    Rate,
    Rates,
    counters_of,
    day_ends_at,
    day_of,
    duration,
    month_ends_at,
    month_of,
    tokens_bound,
)

SNAPSHOT = Snapshot(
    limits={
        (Scope.ORGANISATION, "acme"): {ALL_MODELS: Limits(tokens_per_month=9)},
        (Scope.PROJECT, "search"): {
            ALL_MODELS: Limits(requests_per_min=1, tokens_per_min=2),
            "m": Limits(concurrent_requests=3),
            "other": Limits(requests_per_min=1),
        },
        (Scope.KEY, "key_1"): {"m": Limits(tokens_per_day=4)},
        (Scope.END_USER, "search"): {ALL_MODELS: Limits(requests_per_min=5)},
        (Scope.MODEL, "m"): {ALL_MODELS: Limits(concurrent_requests=6)},
    }
)


def ids(caller: Caller, model: str) -> list[tuple[str, int]]:
    return [(it.id, it.limit) for it in counters_of(SNAPSHOT, caller, model)]


def test_every_limit_of_whom_and_what_a_request_is_counts() -> None:
    assert ids(Caller("key_1", "search", "search/ab12", "acme"), "m") == [
        ("m|organisation|acme|", 9),
        ("r|project|search|", 1),
        ("t|project|search|", 2),
        ("c|project|search|m", 3),
        ("d|key|key_1|m", 4),
        ("r|end_user|search/ab12|", 5),
        ("c|model|m|", 6),
    ]


def test_limits_of_others_and_of_other_models_do_not_count() -> None:
    assert ids(Caller("key_2", "search", "search", "initech"), "n") == [
        ("r|project|search|", 1),
        ("t|project|search|", 2),
    ]
    assert ids(Caller("key_2", "else", "else", "initech"), "n") == []


def test_each_end_user_has_a_counter_of_its_own() -> None:
    of = [Caller("key_2", "search", f"search/{user}") for user in "ab"]
    first, second = (dict(ids(caller, "n")) for caller in of)
    assert set(first) ^ set(second) == {"r|end_user|search/a|", "r|end_user|search/b|"}


@pytest.mark.parametrize(
    ("kind", "scope", "subject", "model", "words"),
    [
        ("requests", "project", "s", "m", "9 requests a minute of project 's' for model 'm'"),
        ("tokens", "key", "key_1", "", "9 tokens a minute of this key"),
        ("day", "end_user", "s/secret", "", "9 tokens a day of this end user"),
        ("month", "organisation", "o", "", "9 tokens a month of organisation 'o'"),
        ("concurrent", "model", "m", "m", "9 requests at once of model 'm'"),
    ],
)
def test_a_limit_is_told_in_words_without_an_id(
    kind: str, scope: str, subject: str, model: str, words: str
) -> None:
    assert str(Counter.of(Kind(kind), Scope(scope), subject, model, 9)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.0171, "18ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60.001, "1m0.001s"),
        (360, "6m0s"),
        (85656.648, "23h47m36.648s"),
    ],
)
def test_a_duration_is_spelt_as_openai_does(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_headers_are_those_of_openai() -> None:
    assert Rates(Rate(60, 59, 1.0), Rate(150_000, -7, 360.0)).headers() == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-limit-tokens", b"150000"),
        (b"x-ratelimit-remaining-tokens", b"0"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
    ]


@given(st.integers(0, 60_000))
def test_a_period_ends_where_the_next_one_starts(day: int) -> None:
    at = day * 86_400 + 12_345.6
    assert day_of(at) == day
    assert day_of(day_ends_at(day) - 1) == day
    assert day_of(day_ends_at(day)) == day + 1
    month = month_of(at)
    assert month_of(month_ends_at(month) - 1) == month
    assert month_of(month_ends_at(month)) == month + 1


@pytest.mark.parametrize(
    ("prompt", "longest", "choices", "context", "bound"),
    [
        (100, 50, 1, None, 150),
        (100, 50, 4, None, 300),
        (100, 50, 4, 1000, 300),
        (100, None, 2, 1000, 2000),
        (5000, 50, 1, 1000, 1000),
        (5000, 0, 0, 1000, 5000),
    ],
)
def test_a_bound_of_tokens(
    prompt: int, longest: int | None, choices: int, context: int | None, bound: int
) -> None:
    assert tokens_bound(prompt, longest, choices, context) == bound


def test_without_max_tokens_and_a_context_there_is_no_bound() -> None:
    with pytest.raises(ValueError, match="no bound"):
        tokens_bound(100, None, 1, None)
