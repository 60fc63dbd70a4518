"""On whose behalf a caller calls, and how many it may bring."""

import json
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from service.core.callers import Caller
from service.core.directory import Project, Snapshot
from service.core.jose import TokenDenial
from service.core.surfaces import SURFACES
from service.core.surfaces.shape import parse
from service.errors import InvalidRequest, RateLimitExceeded
from service.gateway.end_users import HEADER, EndUsers, NewEndUsers
from service.gateway.meters import Meters
from service.telemetry.metrics import Metrics
from service.telemetry.tally import CounterTally

CALLER = Caller("key_1", "search", account="search")
NOW = 1_000_000.0
SIGNED = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9."
"""The beginning of what these tests take for a signed id."""


def tally() -> CounterTally:
    return Meters(Metrics(CollectorRegistry())).end_users_limited


def identify(
    end_users: EndUsers, user: str | None, header: str | None = None, caller: Caller = CALLER
) -> object:
    body = {"model": "m"} if user is None else {"model": "m", "user": user}
    head = {} if header is None else {HEADER: header.encode()}
    request = parse(json.dumps(body).encode())
    return end_users.identify(caller, request, SURFACES["chat"], head, NOW)


def end_users(key: str | None = None) -> EndUsers:
    def verify(token: str, pem: str, project: str, now: float) -> str | TokenDenial:
        is_signed = token.startswith(SIGNED) and (pem, project, now) == ("pem", "search", NOW)
        return token.removeprefix(SIGNED) if is_signed else TokenDenial.BAD_SIGNATURE

    made = EndUsers(NewEndUsers(100, tally()), verify)
    projects = {"search": Project("search", end_user_key=key)}
    made.use(Snapshot(projects=projects, end_user_secret=b"s" * 32))
    return made


def account(found: object) -> str:
    assert isinstance(found, tuple)
    caller: Caller = found[0]
    assert (caller.key_id, caller.project) == ("key_1", "search")
    return caller.account


def test_without_an_end_user_the_project_is_the_account() -> None:
    assert identify(end_users(), None) == (CALLER, None)


def test_an_end_user_is_an_account_within_the_project() -> None:
    users = end_users()
    alice = account(identify(users, "alice"))
    assert alice.startswith("search/")
    assert "alice" not in alice
    assert alice == account(identify(users, "alice")) == account(identify(users, None, "alice"))
    assert alice != account(identify(users, "bob"))
    assert identify(users, "alice")[1] == "named"  # type: ignore[index]


def test_one_end_user_of_two_tokens_of_a_subject_has_what_each_token_says() -> None:
    users = end_users()
    request = parse(b'{"model": "m", "user": "alice"}')
    entitled = replace(CALLER, key_id="jwt:corp:1", entitlements=frozenset({"identity_verified"}))
    other = Caller("jwt:corp:1", "support", account="support")
    bare = replace(entitled, entitlements=frozenset())
    found = [
        users.identify(it, request, SURFACES["chat"], {}, NOW)[0] for it in (entitled, bare, other)
    ]
    assert [it.entitlements for it in found] == [{"identity_verified"}, frozenset(), frozenset()]
    assert [it.project for it in found] == ["search", "search", "support"]
    assert found[0].account == found[1].account
    assert found[2].account.startswith("support/")


def test_an_id_that_the_project_signed_for_is_the_same_account_as_the_one_it_names() -> None:
    users = end_users("pem")
    signed = identify(users, SIGNED + "alice")
    assert signed[1] == "signed"  # type: ignore[index]
    assert account(signed) == account(identify(users, "alice"))


def test_an_id_that_is_signed_in_vain_is_refused_and_is_no_plain_id() -> None:
    forged = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJib2IifQ.Zm9yZ2Vk"
    with pytest.raises(InvalidRequest, match="proves nothing: token_bad_signature"):
        identify(end_users("pem"), forged)


def test_an_id_is_not_signed_where_the_project_has_no_key_to_sign_with() -> None:
    assert identify(end_users(), SIGNED + "alice")[1] == "named"  # type: ignore[index]


def test_a_key_may_bring_so_many_new_end_users_an_hour() -> None:
    limited = tally()
    new = NewEndUsers(2, limited)
    for user in ("a", "b", "a", "b"):
        new.note("key_1", user, NOW)
    with pytest.raises(RateLimitExceeded, match="2 new end users"):
        new.note("key_1", "c", NOW)
    new.note("key_2", "c", NOW)
    assert limited.total == 1


def test_an_end_user_of_the_hour_before_is_not_new() -> None:
    new = NewEndUsers(2, tally())
    for user in ("a", "b"):
        new.note("key_1", user, NOW)
    for user in ("a", "b", "c", "d"):
        new.note("key_1", user, NOW + 3600)
    with pytest.raises(RateLimitExceeded):
        new.note("key_1", "e", NOW + 3600)
    new.note("key_1", "a", NOW + 7200)


def test_an_end_user_that_stayed_away_for_two_hours_is_new_again() -> None:
    new = NewEndUsers(1, tally())
    new.note("key_1", "a", NOW)
    new.note("key_1", "b", NOW + 3 * 3600)
    with pytest.raises(RateLimitExceeded):
        new.note("key_1", "a", NOW + 3 * 3600)


def test_requests_that_come_late_from_the_hour_before_start_no_count_anew() -> None:
    new = NewEndUsers(2, tally())
    next_hour = (NOW // 3600 + 1) * 3600
    new.note("key_1", "a", next_hour)
    new.note("key_1", "b", next_hour - 1)
    with pytest.raises(RateLimitExceeded):
        new.note("key_1", "c", next_hour - 1)
    with pytest.raises(RateLimitExceeded):
        new.note("key_1", "c", next_hour)
