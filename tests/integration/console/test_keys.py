"""API keys over the admin API."""

from typing import Any

import pytest

from service.core.callers import Caller, Denial, authenticate, digest_key
from service.core.directory import Limits, Rules, Scope
from service.store import load_snapshot
from tests.real_parts.admin import PEPPER, AdminApi


def make(api: AdminApi, **fields: Any) -> Any:  # noqa: ANN401  (whatever JSON holds)
    return api.good("POST", "/keys", {"project": "search", **fields})


def who(api: AdminApi, key: str, now: float | None = None) -> Caller | Denial:
    digest = digest_key(PEPPER, key)
    return authenticate(load_snapshot(api.store, api.now), digest, now or api.now)


def test_a_key_is_made_with_its_project_and_shown_once(api: AdminApi) -> None:
    made = make(api, name="nightly job", expires_in_s=60, rules={"models": ["llama"]})
    assert who(api, made["key"]) == Caller(
        made["id"], "search", "search", rules=Rules(models=("llama",))
    )
    assert who(api, made["key"], api.now + 60) is Denial.EXPIRED
    (listed,) = api.good("GET", "/keys")
    assert listed == {name: it for name, it in made.items() if name != "key"}
    assert [it.action for it in api.entries()[:2]] == ["key.create", "project.create"]


def test_a_key_of_a_service_account_is_entitled_as_it_is(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "search"})
    account = api.good("POST", "/service-accounts", {"project": "search", "name": "nightly"})
    path = f"/service-accounts/{account['id']}"
    api.good("PUT", f"{path}/entitlements", {"entitlements": ["named_user"]})
    for named in ("nightly", account["id"]):
        caller = who(api, make(api, service_account=named)["key"])
        assert isinstance(caller, Caller)
        assert caller.entitlements == {"named_user"}
    assert len(api.good("GET", f"/keys?service_account={account['id']}")) == 2
    other = {"project": "other", "service_account": account["id"]}
    assert api.code("POST", "/keys", other) == (404, "not_found")
    assert api.code("GET", "/projects/other") == (404, "not_found")


def test_no_key_is_made_that_would_not_work(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "search"})
    api.good("POST", "/service-accounts", {"project": "search", "name": "nightly"})
    account = api.good("GET", "/service-accounts")[0]["id"]
    api.good("POST", f"/service-accounts/{account}/disable")
    body = {"project": "search", "service_account": "nightly"}
    assert api.code("POST", "/keys", body) == (409, "conflict")
    api.good("POST", "/organisations/default/disable")
    assert api.code("POST", "/keys", {"project": "search"}) == (409, "conflict")
    assert api.code("POST", "/keys", {"project": "new"}) == (409, "conflict")
    assert api.code("GET", "/projects/new") == (404, "not_found")
    api.good("POST", "/organisations/default/enable")
    api.good("POST", "/projects/search/disable")
    assert api.code("POST", "/keys", {"project": "search"}) == (409, "conflict")


def test_a_rotated_key_hands_on_its_rules_its_owner_and_its_limits(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "search"})
    api.good("POST", "/service-accounts", {"project": "search", "name": "nightly"})
    old = make(api, service_account="nightly", name="n", rules={"tools": False}, expires_in_s=1000)
    place = {"scope": "key", "subject": old["id"], "model": "llama"}
    api.good("PUT", "/limits", {"requests_per_min": 5}, params=place)
    api.now += 100
    new = api.good("POST", f"/keys/{old['id']}/rotate", {"overlap_s": 50, "reason": "quarterly"})
    for field in ("project", "service_account", "name", "rules"):
        assert new[field] == old[field]
    assert new["expires_at"] == api.now + 1000
    seen = load_snapshot(api.store, api.now)
    assert seen.limits[Scope.KEY, new["id"]] == {"llama": Limits(requests_per_min=5)}
    assert {key.rules for key in seen.keys.values()} == {Rules(tools=False)}
    assert who(api, old["key"], api.now + 49) != Denial.EXPIRED
    assert who(api, old["key"], api.now + 50) is Denial.EXPIRED
    rotated = next(it for it in api.entries() if it.action == "key.rotate")
    assert rotated.after == {"new": new["id"], "expires_at": api.now + 50}
    assert rotated.reason == "quarterly"


def test_rotating_without_overlap_ends_the_old_key_at_once(api: AdminApi) -> None:
    old = make(api)
    api.good("POST", f"/keys/{old['id']}/rotate", {"overlap_s": 0})
    assert who(api, old["key"]) is Denial.EXPIRED
    assert api.code("POST", f"/keys/{old['id']}/rotate") == (409, "conflict")


def test_a_revoked_key_stays_revoked(api: AdminApi) -> None:
    made = make(api)
    one = f"/keys/{made['id']}"
    assert api.good("POST", f"{one}/revoke", {"reason": "leaked"})["revoked_at"] == api.now
    api.now += 1
    assert api.good("POST", f"{one}/revoke")["revoked_at"] == api.now - 1
    assert who(api, made["key"]) is Denial.REVOKED
    assert api.code("PATCH", one, {"expires_in_s": None}) == (409, "conflict")
    assert api.code("POST", f"{one}/rotate") == (409, "conflict")
    assert [it.action for it in api.entries()].count("key.revoke") == 1


def test_a_key_is_narrowed_renamed_and_given_another_end(api: AdminApi) -> None:
    made = make(api, name="old", expires_in_s=10, rules={"max_tokens": 5})
    one = f"/keys/{made['id']}"
    told = api.good("PATCH", one, {"rules": {"models": ["llama"]}, "expires_in_s": 99})
    assert (told["name"], told["expires_at"]) == ("old", api.now + 99)
    assert (told["rules"]["models"], told["rules"]["max_tokens"]) == (["llama"], 5)
    told = api.good("PATCH", one, {"name": None, "expires_in_s": None})
    assert (told["name"], told["expires_at"]) == (None, None)
    (known,) = load_snapshot(api.store, api.now).keys.values()
    assert known.rules == Rules(models=("llama",), max_tokens=5)


def test_a_list_of_many_keys_is_read_page_by_page(api: AdminApi) -> None:
    ids = []
    for number in range(7):
        api.now += number % 2  # two at a time
        ids.append(make(api, project=f"p{number % 2}")["id"])
    found: list[str] = []
    while page := api.good(
        "GET", "/keys", params={"limit": 2, "after": found[-1] if found else None}
    ):
        found += [it["id"] for it in page]
    assert sorted(found) == sorted(ids)
    assert len(api.good("GET", "/keys?project=p0")) == 4
    assert api.code("GET", "/keys?after=key_nobody") == (422, "invalid_request")


def test_only_keys_that_work_are_listed_if_one_asks_for_them(api: AdminApi) -> None:
    good, expired, revoked = make(api), make(api, expires_in_s=1), make(api)
    api.good("POST", f"/keys/{revoked['id']}/revoke")
    api.now += 1
    assert expired
    assert [it["id"] for it in api.good("GET", "/keys?active=true")] == [good["id"]]


@pytest.mark.parametrize("secret", ["sk-wg-" + "a" * 43, "wg-admin-" + "a" * 43])
def test_a_secret_in_place_of_an_id_is_refused_and_not_quoted(api: AdminApi, secret: str) -> None:
    for path in (f"/keys/{secret}", f"/keys/{secret}/x"):
        answer = api.ask("GET", path)
        assert answer.status_code in {404, 422}
        assert secret not in answer.text
