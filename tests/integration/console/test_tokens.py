"""Admin tokens, and the audit log that tells what was done with them."""

from typing import Any

import pytest
from sqlalchemy import update

from service.console.guard import TokenGuard
from service.console.intake import Intake
from service.console.tokens import Tokens
from service.core.roles import Admin, Role
from service.errors import Conflict
from service.store.tables import admin_tokens
from tests.real_parts.admin import AdminApi

HERE = Admin("cli:root", Role.ADMIN)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def status(api: AdminApi, token: str) -> int:
    return int(api.ask("GET", "/status", role=None, headers=bearer(token)).status_code)


def test_a_token_works_until_it_is_revoked(api: AdminApi) -> None:
    made = api.good("POST", "/tokens", {"name": "alice", "role": "viewer"})
    assert made["token"].startswith(made["prefix"])
    assert status(api, made["token"]) == 200
    api.good("POST", f"/tokens/{made['id']}/revoke", {"reason": "left"})
    assert status(api, made["token"]) == 401
    api.good("POST", f"/tokens/{made['id']}/revoke")
    assert [it.action for it in api.entries()[:2]] == ["token.revoke", "token.create"]
    assert api.code("POST", "/tokens/adm_nobody/revoke") == (404, "not_found")


def test_a_token_works_until_it_expires(api: AdminApi) -> None:
    made = api.good("POST", "/tokens", {"name": "alice", "role": "viewer", "expires_in_s": 60})
    api.now += 59
    assert status(api, made["token"]) == 200
    api.now += 1
    assert status(api, made["token"]) == 401


def test_the_last_use_of_a_token_is_kept_to_the_hour(api: AdminApi) -> None:
    made = api.good("POST", "/tokens", {"name": "alice", "role": "viewer"})

    def last() -> float | None:
        listed = {it["id"]: it for it in api.good("GET", "/tokens")}
        seen: float | None = listed[made["id"]]["last_used_at"]
        return seen

    assert last() is None
    api.now += 1000
    status(api, made["token"])
    first = last()
    assert first is not None
    assert first % 3600 == 0
    assert 0 <= api.now - first < 3600
    api.now += 3600
    status(api, made["token"])
    assert last() == first + 3600


@pytest.mark.parametrize(
    "header",
    ["{}", "bearer", "Basic {}", "Bearer", "Bearer {} {}", "Bearer {}x", "Bearer\t", "Token {}"],
)
def test_a_token_that_is_shown_in_another_way_is_none(api: AdminApi, header: str) -> None:
    value = header.replace("{}", api.tokens[Role.ADMIN])
    answer = api.ask("GET", "/status", role=None, headers={"authorization": value})
    assert answer.status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "api_key"])
def test_a_token_in_the_query_is_not_accepted(api: AdminApi, name: str) -> None:
    shown = {name: api.tokens[Role.ADMIN]}
    assert api.ask("GET", "/status", role=None, params=shown).status_code == 401
    answer = api.ask("GET", "/status", params=shown)
    assert answer.status_code == 422
    assert api.tokens[Role.ADMIN] not in answer.text


def test_no_answer_is_to_be_kept_on_the_way(api: AdminApi) -> None:
    for method, path in (
        ("GET", "/keys"),
        ("GET", "/openapi.json"),
        ("POST", "/keys"),
        ("GET", "/x"),
    ):
        assert api.ask(method, path, {}).headers["cache-control"] == "no-store"
    made = api.ask("POST", "/tokens", {"name": "x", "role": "viewer"})
    assert made.headers["cache-control"] == "no-store"


def test_two_tokens_at_once_are_none(api: AdminApi) -> None:
    headers = [("authorization", f"Bearer {api.tokens[Role.ADMIN]}")] * 2
    assert api.send("GET", "/admin/v1/status", headers=headers).status_code == 401


def test_an_administrator_is_made_by_bootstrap_once(api: AdminApi) -> None:
    tokens = Tokens(api.office)
    with pytest.raises(Conflict, match="--again"):
        tokens.bootstrap(HERE, again=False)
    made = tokens.bootstrap(HERE, again=True, reason="the only one left")
    assert status(api, made.token) == 200
    entry = api.entries()[0]
    assert (entry.action, entry.actor, entry.reason) == (
        "admin.bootstrap",
        "cli:root",
        "the only one left",
    )
    assert entry.after["again"] is True


def test_bootstrap_makes_another_once_no_token_of_an_admin_works(api: AdminApi) -> None:
    admin = next(it for it in api.good("GET", "/tokens") if it["role"] == "admin")
    api.good("POST", f"/tokens/{admin['id']}/revoke")
    Tokens(api.office).bootstrap(HERE, again=False)
    assert api.entries()[0].after["again"] is False


def test_a_role_of_a_newer_version_may_nothing_and_is_shown_as_it_is(api: AdminApi) -> None:
    made = api.good("POST", "/tokens", {"name": "x", "role": "viewer"})
    with api.store.begin() as connection:
        this = update(admin_tokens).where(admin_tokens.c.id == made["id"])
        connection.execute(this.values(role="auditor"))
    headers = {"authorization": f"Bearer {made['token']}"}
    answer = api.ask("GET", "/status", role=None, headers=headers)
    assert answer.status_code == 403
    assert "which the role auditor" in answer.text
    assert "auditor" in [it["role"] for it in api.good("GET", "/tokens")]


def test_the_audit_log_is_searched_and_read_page_by_page(api: AdminApi) -> None:
    for name in "abc":
        api.now += 10
        api.good("POST", "/projects", {"name": name}, role=Role.OPERATOR)
    seen = api.good("GET", "/audit?action=project.create", role=Role.ANALYST)
    assert [it["object"] for it in seen] == ["project/c", "project/b", "project/a"]
    actor = seen[0]["actor"]
    assert actor.startswith("token:adm_")
    assert len(api.good("GET", "/audit", params={"actor": actor})) == 3
    assert len(api.good("GET", "/audit", params={"object": "project/b"})) == 1
    times = {"since": seen[1]["at"], "until": seen[0]["at"]}
    assert [it["object"] for it in api.good("GET", "/audit", params=times)] == ["project/b"]
    (first,) = api.good("GET", "/audit?limit=1")
    (second,) = api.good("GET", f"/audit?limit=1&after={first['seq']}")
    assert second["seq"] == first["seq"] - 1


@pytest.mark.parametrize(
    "query", ["limit=0", "after=0", "since=nan", "until=-1", "actr=x", "action=a%0Ab"]
)
def test_a_wrong_search_of_the_audit_log_is_refused(shared: AdminApi, query: str) -> None:
    assert shared.code("GET", f"/audit?{query}") == (422, "invalid_request")


class OfAnIssuer:
    """Knows people by what another issuer gave them."""

    def authenticate(self, bearer: str, now: float) -> Admin | None:
        assert now > 0
        return Admin("oidc:corp/alice", Role.ANALYST) if bearer == "alice.token" else None


def test_another_authenticator_knows_people_of_its_own(api: AdminApi) -> None:
    own = api.guarded._authenticators
    api.guarded = TokenGuard(Intake(api.app), [*own, OfAnIssuer()], lambda: None)
    api.good("POST", "/projects", {"name": "search"})
    as_alice: dict[str, Any] = {"role": None, "headers": bearer("alice.token")}
    api.good("POST", "/accounts/search/suspend", {"reason": "x"}, **as_alice)
    assert api.entries()[0].actor == "oidc:corp/alice"
    assert api.code("POST", "/projects", {"name": "q"}, **as_alice) == (403, "forbidden")
    assert status(api, "bob.token") == 401
