"""The script that counts in Redis, as far as it can be read without one."""

import re
from pathlib import Path

import pytest

from service.core.directory import Scope
from service.core.limits import Counter, Kind, Refused, month_ends_at, month_of
from service.gateway.redis_script import rates_in, refused_in

ROOT = Path(__file__).parents[4]
SCRIPT = (ROOT / "service/gateway/redis_limits.lua").read_text()
NOON = 1_795_780_800
ALL = tuple(Counter.of(kind, Scope.PROJECT, "search", "", 100) for kind in Kind)


def test_the_rights_that_the_document_names_are_those_that_the_script_needs() -> None:
    used = {word.lower() for word in re.findall(r"call\('([A-Z]+)'", SCRIPT)}
    [rights] = re.findall(r"the commands `(.*?)`", (ROOT / "docs/limits.md").read_text(), re.DOTALL)
    named = {word.removeprefix("+") for word in rights.split()}
    assert named == used | {"evalsha", "eval", "select"}


def test_what_is_left_and_when_it_resets_is_read_from_an_answer() -> None:
    rates = rates_in(ALL, [1, 5_000, 250_000, NOON, 60, 50, 90, 40, 70])
    assert rates.requests is not None
    assert rates.tokens is not None
    assert (rates.requests.remaining, rates.requests.reset_s) == (60, 60.75)
    assert rates.tokens.remaining == 40  # of the day
    assert rates.tokens.reset_s == pytest.approx(12 * 3600 - 0.25)


def refused(*fields: int, tokens: int = 10) -> Refused:
    return refused_in(ALL, tokens, [0, 5_000, 500_000, NOON, *fields])


def test_the_counter_that_refuses_for_longest_is_read_from_an_answer() -> None:
    window = (1, 95, 5_031, 5_060)
    found = refused(*window)
    assert (found.counter.kind, found.wait_s) == (Kind.TOKENS, 30.5)
    assert found.rates.tokens is not None
    assert (found.rates.tokens.remaining, found.rates.tokens.reset_s) == (5, 59.5)
    month = month_of(NOON)
    found = refused(*window, 4, 95, month, 0)
    assert found.counter.kind is Kind.MONTH
    assert found.wait_s == month_ends_at(month) - NOON - 0.5
    found = refused(2, 100, 0, 0)
    assert (found.counter.kind, found.wait_s) == (Kind.CONCURRENT, 1.0)


def test_what_never_fits_is_named_first_of_all() -> None:
    found = refused(1, 0, 5_000, 5_000, 4, 95, month_of(NOON), 0, tokens=101)
    assert (found.counter.kind, found.wait_s) == (Kind.TOKENS, None)
