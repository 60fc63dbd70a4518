"""Organisations, projects, service accounts: made, changed, and what gateways see of it."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.core.directory import Rules, Snapshot
from service.core.roles import Role
from service.store import load_snapshot, revision
from tests.real_parts.admin import AdminApi

PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
P384_KEY = (
    ec.generate_private_key(ec.SECP384R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
"""No algorithm of a signed id goes with it."""
NO_SIGNER = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VuAyEAgkf70WOrTu8va2NvA5uQN0enajHAC4/A8o8naC8X5EU=
-----END PUBLIC KEY-----
"""
"""Of X25519, which agrees on secrets and signs nothing."""


def snapshot(api: AdminApi) -> Snapshot:
    return load_snapshot(api.store, api.now)


def test_a_project_is_made_in_an_organisation_with_rules(api: AdminApi) -> None:
    api.good("POST", "/organisations", {"name": "acme", "reason": "new customer"})
    rules = {"models": ["llama"], "addresses": ["10.0.0.0/8", "::1"], "tools": False}
    made = api.good("POST", "/projects", {"name": "search", "organisation": "acme", "rules": rules})
    assert made["organisation"] == "acme"
    assert made["rules"]["addresses"] == ["10.0.0.0/8", "::1/128"]
    assert made["created_by"].startswith("token:adm_")
    kept = snapshot(api).projects["search"]
    assert kept.rules == Rules(models=("llama",), addresses=("10.0.0.0/8", "::1/128"), tools=False)
    last, first = api.entries()[:2]
    assert (last.action, last.object) == ("project.create", "project/search")
    assert last.after["rules"]["models"] == ["llama"]
    assert (first.action, first.reason) == ("organisation.create", "new customer")


def test_rules_are_changed_field_by_field_and_null_takes_one_away(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "p", "rules": {"models": ["*"], "max_tokens": 10}})
    changed = api.good("PATCH", "/projects/p", {"rules": {"max_tokens": None, "max_choices": 2}})
    assert {name for name, it in changed["rules"].items() if it is not None} == {
        "models",
        "max_choices",
    }
    entry = api.entries()[0]
    assert entry.before == {"rules": {"models": ["*"], "max_tokens": 10}}
    assert entry.after == {"rules": {"models": ["*"], "max_choices": 2}}


def test_a_change_that_changes_nothing_leaves_no_trace(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "p", "rules": {"max_tokens": 10}})
    entries, before = len(api.entries()), revision(api.store)
    api.good("PATCH", "/projects/p", {"rules": {"max_tokens": 10}})
    api.good("POST", "/projects/p/enable")
    api.good("PUT", "/projects/p/entitlements", {"entitlements": []})
    assert (len(api.entries()), revision(api.store)) == (entries, before)


@pytest.mark.parametrize("owner", ["/organisations/default", "/projects/p"])
def test_an_owner_is_disabled_and_enabled_again(api: AdminApi, owner: str) -> None:
    api.good("POST", "/projects", {"name": "p"})
    before = revision(api.store)
    assert api.good("POST", f"{owner}/disable", {"reason": "ended"})["disabled_at"] == api.now
    assert revision(api.store) > before
    seen = snapshot(api)
    assert seen.projects["p"].disabled or seen.organisations["default"].disabled
    api.good("POST", f"{owner}/disable")
    assert api.good("POST", f"{owner}/enable")["disabled_at"] is None
    assert [it.action.partition(".")[2] for it in api.entries()[:2]] == ["enable", "disable"]


def test_entitlements_are_set_as_a_whole_by_admins_alone(api: AdminApi) -> None:
    body = {"entitlements": ["trusted_access", "identity_verified", "trusted_access"]}
    path = "/organisations/default/entitlements"
    assert api.code("PUT", path, body, role=Role.OPERATOR) == (403, "forbidden")
    told = api.good("PUT", path, body)
    assert told["entitlements"] == ["identity_verified", "trusted_access"]
    assert snapshot(api).organisations["default"].entitlements == frozenset(told["entitlements"])


def test_an_operator_cannot_give_entitlements_with_a_project(api: AdminApi) -> None:
    body = {"name": "p", "entitlements": ["trusted_access"]}
    assert api.code("POST", "/projects", body, role=Role.OPERATOR) == (422, "invalid_request")


def test_a_service_account_belongs_to_a_project_and_is_named_once_in_it(api: AdminApi) -> None:
    body = {"project": "p", "name": "nightly"}
    assert api.code("POST", "/service-accounts", body) == (404, "not_found")
    api.good("POST", "/projects", {"name": "p"})
    made = api.good("POST", "/service-accounts", body)
    assert made["id"].startswith("sva_")
    assert api.code("POST", "/service-accounts", body) == (409, "conflict")
    one = f"/service-accounts/{made['id']}"
    api.good("PUT", f"{one}/entitlements", {"entitlements": ["named_user"]})
    api.good("POST", f"{one}/disable")
    kept = snapshot(api).service_accounts[made["id"]]
    assert (kept.disabled, kept.entitlements) == (True, frozenset({"named_user"}))
    assert [it["id"] for it in api.good("GET", "/service-accounts?project=p")] == [made["id"]]
    assert api.good("GET", "/service-accounts?project=other") == []


def test_the_public_key_of_a_project_is_kept_and_taken_away(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "p", "end_user_key": PUBLIC_KEY})
    assert snapshot(api).projects["p"].end_user_key == PUBLIC_KEY
    assert api.good("PATCH", "/projects/p", {"end_user_key": None})["end_user_key"] is None


@pytest.mark.parametrize("around", ["\0", "wg-admin-" + "a" * 43, "of alice\r\n"])
def test_what_stands_around_a_public_key_is_not_kept(api: AdminApi, around: str) -> None:
    body = {"name": "p", "end_user_key": f"{around}\n{PUBLIC_KEY}\n{around}"}
    assert api.good("POST", "/projects", body)["end_user_key"] == PUBLIC_KEY
    assert api.entries()[0].after["end_user_key"] == PUBLIC_KEY


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n", "private key"),
        ("secret", "public key in PEM"),
        (P384_KEY, "EC P-256"),
        (NO_SIGNER, "Ed25519"),
        ("x" * 5000, "4096"),
    ],
)
def test_what_is_no_public_key_is_refused_and_not_quoted(
    api: AdminApi, pem: str, words: str
) -> None:
    answer = api.ask("POST", "/projects", {"name": "p", "end_user_key": pem})
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]
    assert pem not in answer.text


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"name": "../x"}, "name"),
        ({}, "name"),
        ({"name": "p", "organisation": "nobody"}, "organisation"),
        ({"name": "p", "unknown": 1}, "unknown"),
        ({"name": "p", "rules": {"unknown": 1}}, "rules.unknown"),
        ({"name": "p", "rules": {"models": ["gpt"]}}, "rules.models"),
        ({"name": "p", "rules": {"models": []}}, "rules.models"),
        ({"name": "p", "rules": {"models": "llama"}}, "rules.models"),
        ({"name": "p", "rules": {"surfaces": ["telnet"]}}, "rules.surfaces"),
        ({"name": "p", "rules": {"addresses": ["10.0.0.1/8"]}}, "rules.addresses.0"),
        ({"name": "p", "rules": {"addresses": ["localhost"]}}, "rules.addresses.0"),
        ({"name": "p", "rules": {"max_tokens": 0}}, "rules.max_tokens"),
        ({"name": "p", "rules": {"max_tokens": -1}}, "rules.max_tokens"),
        ({"name": "p", "rules": {"max_tokens": "10"}}, "rules.max_tokens"),
        ({"name": "p", "rules": {"max_tokens": 1.5}}, "rules.max_tokens"),
        ({"name": "p", "rules": {"max_tokens": True}}, "rules.max_tokens"),
        ({"name": "p", "rules": {"max_tokens": 2**31}}, "rules.max_tokens"),
        ({"name": "p", "rules": {"tools": "no"}}, "rules.tools"),
        ({"name": "p", "reason": "two\nlines"}, "reason"),
        ({"name": "p", "reason": "reversed \u202e text"}, "reason"),
        ({"name": "p", "reason": ""}, "reason"),
        ({"name": "p", "reason": "x" * 501}, "reason"),
        ([], "body"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(shared: AdminApi, body: object, param: str) -> None:
    before = len(shared.entries())
    answer = shared.ask("POST", "/projects", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, "invalid_request", param)
    assert len(shared.entries()) == before


def test_what_is_there_already_is_a_conflict_and_what_is_not_is_not_found(api: AdminApi) -> None:
    api.good("POST", "/projects", {"name": "p"})
    assert api.code("POST", "/projects", {"name": "p"}) == (409, "conflict")
    assert api.code("POST", "/organisations", {"name": "default"}) == (409, "conflict")
    for path in ("/projects/x", "/organisations/x", "/service-accounts/sva_x", "/keys/key_x"):
        assert api.code("GET", path) == (404, "not_found")


def test_lists_go_on_behind_the_last_of_the_page_before(api: AdminApi) -> None:
    for name in "dcba":
        api.good("POST", "/projects", {"name": name})
    first = api.good("GET", "/projects?limit=3")
    assert [it["name"] for it in first] == ["a", "b", "c"]
    rest = api.good("GET", f"/projects?limit=3&after={first[-1]['name']}")
    assert [it["name"] for it in rest] == ["d"]
