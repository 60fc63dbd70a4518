"""Limits and standings over the admin API."""

import pytest

from service.core.directory import ALL_MODELS, Limits, Scope, Standing
from service.core.end_users import end_user_account
from service.core.roles import Role
from service.store import load_snapshot, revision
from service.store.limits import Place, put_limits
from tests.real_parts.admin import AdminApi

RPM = {"requests_per_min": 60}


@pytest.fixture
def key(api: AdminApi) -> str:
    return str(api.good("POST", "/keys", {"project": "search"})["id"])


def test_limits_are_set_for_one_model_and_for_all(api: AdminApi, key: str) -> None:
    assert key
    place = {"scope": "project", "subject": "search"}
    both = {**RPM, "tokens_per_min": 100_000}
    api.good("PUT", "/limits", both, params={**place, "model": "llama"})
    api.good("PUT", "/limits", {"tokens_per_month": 2**40}, params=place)
    kept = load_snapshot(api.store, api.now).limits[Scope.PROJECT, "search"]
    assert kept == {
        "llama": Limits(requests_per_min=60, tokens_per_min=100_000),
        ALL_MODELS: Limits(tokens_per_month=2**40),
    }
    listed = api.good("GET", "/limits", params=place)
    assert [it["model"] for it in listed] == [None, "llama"]


@pytest.mark.parametrize(
    ("scope", "subject"),
    [("organisation", "default"), ("project", "search"), ("end_user", "search"), ("key", None)],
)
def test_each_scope_has_limits_that_are_set_replaced_and_removed(
    api: AdminApi, key: str, scope: str, subject: str | None
) -> None:
    place = {"scope": scope, "subject": subject or key, "model": "org/model:7b"}
    api.good("PUT", "/limits", {**RPM, "concurrent_requests": 3}, params=place)
    told = api.good("PUT", "/limits", RPM, params=place)
    assert (told["requests_per_min"], told["concurrent_requests"]) == (60, None)
    before = revision(api.store)
    api.good("DELETE", "/limits", params={**place, "reason": "paid for more"})
    assert revision(api.store) > before
    assert load_snapshot(api.store, api.now).limits == {}
    assert api.code("DELETE", "/limits", params=place) == (404, "not_found")
    entry = api.entries()[0]
    assert (entry.action, entry.reason) == ("limit.remove", "paid for more")
    assert entry.object == f"limit/{scope}/{place['subject']}/org/model:7b"
    assert entry.before == RPM


def test_what_all_callers_of_a_model_share_is_a_limit_too(api: AdminApi) -> None:
    place = {"scope": "model", "subject": "org/model:7b"}
    api.good("PUT", "/limits", RPM, params=place)
    kept = load_snapshot(api.store, api.now).limits
    assert kept == {(Scope.MODEL, "org/model:7b"): {ALL_MODELS: Limits(requests_per_min=60)}}


def test_limits_of_a_model_that_is_no_more_are_taken_away(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "search"})
    with api.store.begin() as connection:
        for place in (Place(Scope.MODEL, "old", ALL_MODELS), Place(Scope.PROJECT, "search", "old")):
            put_limits(connection, place, Limits(requests_per_min=60))
    for params in (
        {"scope": "model", "subject": "old"},
        {"scope": "project", "subject": "search", "model": "old"},
    ):
        api.good("DELETE", "/limits", params=params)
        assert api.code("DELETE", "/limits", params=params) == (404, "not_found")
    assert api.good("GET", "/limits") == []


def test_limits_are_listed_page_by_page(api: AdminApi, key: str) -> None:
    assert key
    places = [("model", "llama"), ("model", "org/model:7b"), ("project", "search")]
    for scope, subject in places:
        api.good("PUT", "/limits", RPM, params={"scope": scope, "subject": subject})
    found: list[tuple[str, str]] = []
    after = None
    while page := api.good("GET", "/limits", params={"limit": 1, "after": after}):
        found += [(it["scope"], it["subject"]) for it in page]
        after = page[-1]["id"]
    assert found == places
    assert api.code("GET", "/limits?after=nonsense") == (422, "invalid_request")


@pytest.mark.parametrize(
    ("params", "body", "refused"),
    [
        ({"scope": "project", "subject": "nobody"}, RPM, (404, None)),
        ({"scope": "key", "subject": "key_nobody"}, RPM, (404, None)),
        ({"scope": "galaxy", "subject": "x"}, RPM, (422, "scope")),
        ({"scope": "project"}, RPM, (422, "subject")),
        ({"scope": "model", "subject": "gpt"}, RPM, (422, "model")),
        ({"scope": "model", "subject": "*"}, RPM, (422, "model")),
        ({"scope": "model", "subject": "llama", "model": "llama"}, RPM, (422, "model")),
        ({"scope": "project", "subject": "search", "model": "gpt"}, RPM, (422, "model")),
        ({"scope": "project", "subject": "search", "modle": "llama"}, RPM, (422, "modle")),
        ({"scope": "project", "subject": ["search", "other"]}, RPM, (422, "subject")),
        ({"scope": "project", "subject": "search"}, {}, (422, "body")),
        (
            {"scope": "project", "subject": "search"},
            {"requests_per_min": 0},
            (422, "requests_per_min"),
        ),
        (
            {"scope": "project", "subject": "search"},
            {"tokens_per_day": 2**54},
            (422, "tokens_per_day"),
        ),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    api: AdminApi, params: dict[str, str], body: object, refused: tuple[int, str | None]
) -> None:
    api.good("POST", "/keys", {"project": "search"})
    answer = api.ask("PUT", "/limits", body, params=params)
    assert (answer.status_code, answer.json()["error"]["param"]) == refused
    assert load_snapshot(api.store, api.now).limits == {}


@pytest.mark.parametrize("account", ["search", "search/359a786a224d9cc62c6b8f6c"])
def test_an_account_is_suspended_with_a_reason_and_reinstated(
    api: AdminApi, key: str, account: str
) -> None:
    assert key
    one = f"/accounts/{account}"
    assert api.good("GET", one)["state"] == "good"
    assert api.code("POST", f"{one}/suspend", {}) == (422, "invalid_request")
    told = api.good("POST", f"{one}/suspend", {"reason": "ticket 4711"}, role=Role.ANALYST)
    assert (told["state"], told["reason"], told["since"]) == ("suspended", "ticket 4711", api.now)
    assert load_snapshot(api.store, api.now).standings == {account: Standing.SUSPENDED}
    assert [it["account"] for it in api.good("GET", "/accounts")] == [account]
    assert api.good("GET", "/accounts?state=watched") == []
    api.good("POST", f"{one}/suspend", {"reason": "again"})
    assert api.good("GET", one)["reason"] == "ticket 4711"
    api.good("POST", f"{one}/reinstate", role=Role.OPERATOR)
    assert load_snapshot(api.store, api.now).standings == {}
    assert api.good("GET", "/accounts") == []
    assert [it.action for it in api.entries()[:2]] == ["account.reinstate", "account.suspend"]
    assert api.entries()[0].before == {"state": "suspended"}


def test_an_account_of_no_project_is_not_found(api: AdminApi) -> None:
    assert api.code("GET", "/accounts/nobody") == (404, "not_found")
    reason = {"reason": "x"}
    assert api.code("POST", "/accounts/nobody/suspend", reason) == (404, "not_found")
    assert api.code("POST", "/accounts/a%20b/suspend", reason) == (422, "invalid_request")


@pytest.mark.parametrize("account", ["search/bob", "search/359A786A224D9CC62C6B8F6C", "search/"])
def test_the_id_that_a_project_sends_is_no_account_to_suspend(
    api: AdminApi, key: str, account: str
) -> None:
    assert key
    refused = api.ask("POST", f"/accounts/{account}/suspend", {"reason": "x"})
    assert refused.status_code == 422
    assert "24 hexadecimal digits that records have" in refused.text
    assert load_snapshot(api.store, api.now).standings == {}


def test_an_end_users_account_is_found_by_what_its_project_calls_it(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "search"})
    body = {"project": "search", "end_user": "alice@example.org"}
    found = api.good("POST", "/accounts/find", body)
    secret = load_snapshot(api.store, api.now).end_user_secret
    account = end_user_account(secret, "search", "alice@example.org")
    assert (found["account"], found["state"]) == (account, "good")
    api.good("POST", f"/accounts/{account}/suspend", {"reason": "a test"})
    assert api.good("POST", "/accounts/find", body)["state"] == "suspended"
    assert "alice" not in str(api.entries())
    assert api.code("POST", "/accounts/find", {**body, "project": "chat"})[0] == 404
    assert api.code("POST", "/accounts/find", {**body, "end_user": ""})[0] == 422
