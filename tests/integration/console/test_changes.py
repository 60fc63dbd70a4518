"""Every change: its entry, its revision on the row that changed, and nothing by halves."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from service.console.projects import ProjectChange, Projects
from service.console.rules import RulesFields
from service.core.audit import Entry
from service.core.roles import Admin, Role
from service.store import load_snapshot, revision
from service.store.tables import (
    keys,
    limits,
    organisations,
    points,
    projects,
    service_accounts,
    standings,
)
from tests.real_parts.admin import AdminApi

SEEN_BY_GATEWAYS = (organisations, projects, service_accounts, keys, limits, standings, points)
PLACE = {"scope": "project", "subject": "p", "model": "llama"}
Change = tuple[str, str, Any, dict[str, str], Table, str]
POINT = {
    "detector": "lexical",
    "category": "any",
    "part": "prompt",
    "threshold": 0.9,
    "action": "block",
    "reason": "a test",
}
CHANGES: list[Change] = [
    ("POST", "/organisations", {"name": "o"}, {}, organisations, "organisation.create"),
    ("PUT", "/organisations/default/entitlements", {"entitlements": ["x"]}, {}, organisations,
     "organisation.change"),
    ("POST", "/organisations/default/disable", {}, {}, organisations, "organisation.disable"),
    ("POST", "/projects", {"name": "q"}, {}, projects, "project.create"),
    ("PATCH", "/projects/p", {"rules": {"tools": False}}, {}, projects, "project.change"),
    ("PUT", "/projects/p/entitlements", {"entitlements": ["x"]}, {}, projects, "project.change"),
    ("POST", "/projects/p/disable", {}, {}, projects, "project.disable"),
    ("POST", "/service-accounts", {"project": "p", "name": "b"}, {}, service_accounts,
     "service_account.create"),
    ("POST", "/service-accounts/ACCOUNT/disable", {}, {}, service_accounts,
     "service_account.disable"),
    ("PUT", "/service-accounts/ACCOUNT/entitlements", {"entitlements": ["x"]}, {},
     service_accounts, "service_account.change"),
    ("POST", "/keys", {"project": "p"}, {}, keys, "key.create"),
    ("PATCH", "/keys/KEY", {"name": "n"}, {}, keys, "key.change"),
    ("POST", "/keys/KEY/rotate", {}, {}, keys, "key.create"),
    ("POST", "/keys/KEY/revoke", {}, {}, keys, "key.revoke"),
    ("PUT", "/limits", {"requests_per_min": 1}, PLACE, limits, "limit.set"),
    ("POST", "/accounts/p/suspend", {"reason": "why"}, {}, standings, "account.suspend"),
    ("POST", "/points", POINT, {}, points, "point.propose"),
    ("POST", "/points/POINT/propose", {"threshold": 0.7}, {}, points, "point.propose"),
    ("POST", "/points/POINT/promote", {}, {}, points, "point.promote"),
    ("POST", "/points/POINT/rollback", {}, {}, points, "point.rollback"),
    ("POST", "/points/POINT/retire", {}, {}, points, "point.retire"),
]  # fmt: skip


def highest(api: AdminApi, table: Table) -> int:
    with api.store.read() as connection:
        found: int = connection.execute(select(func.max(table.c.revision))).scalar_one() or 0
    return found


def waiting(api: AdminApi) -> str:
    """Return the id of a point that has a version which applies and one which waits."""
    why = {"reason": "a test"}
    made: str = api.good("POST", "/points", POINT)["id"]
    api.good("POST", f"/points/{made}/promote", why)
    api.good("POST", f"/points/{made}/propose", {"threshold": 0.8, **why})
    return made


@pytest.fixture
def filled(api: AdminApi) -> AdminApi:
    api.good("POST", "/projects", {"name": "p"})
    return api


@pytest.mark.parametrize("change", CHANGES, ids=lambda it: f"{it[0]} {it[1]}")
def test_a_change_has_an_entry_and_its_row_the_newest_revision(
    filled: AdminApi, change: Change
) -> None:
    method, path, body, params, table, action = change
    account = filled.good("POST", "/service-accounts", {"project": "p", "name": "a"})["id"]
    key = filled.good("POST", "/keys", {"project": "p"})["id"]
    path = path.replace("ACCOUNT", account).replace("KEY", key).replace("POINT", waiting(filled))
    before, known = revision(filled.store), len(filled.entries())
    given = {"reason": "because", **body}
    filled.good(method, path, given, params=params or None)
    assert highest(filled, table) == revision(filled.store) > before
    entry = filled.entries()[0]
    assert (entry.action, entry.reason) == (action, given["reason"])
    assert entry.actor.startswith("token:adm_")
    assert len(filled.entries()) > known
    unchanged = [it for it in SEEN_BY_GATEWAYS if it is not table and highest(filled, it) > before]
    assert unchanged == []


def test_each_writing_route_that_gateways_see_is_tried_above(filled: AdminApi) -> None:
    paths = filled.good("GET", "/openapi.json")["paths"]
    writing = {
        f"{method.upper()} {path}".replace("/admin/v1", "")
        for path, methods in paths.items()
        for method in methods
        if method != "get"
        and not path.endswith("/find")
        and not {"tokens", "labels"} & set(path.split("/"))
    }
    named = {"default": "{name}", "p": "{name}", "ACCOUNT": "{id}", "KEY": "{id}", "POINT": "{id}"}

    def as_documented(path: str) -> str:
        if path.startswith("/accounts"):
            return path.replace("/p/", "/{account}/")
        return "/".join(named.get(part, part) for part in path.split("/"))

    tried = {f"{change[0]} {as_documented(change[1])}" for change in CHANGES}
    undone = {it for it in writing if it.endswith(("/enable", "/reinstate"))} | {"DELETE /limits"}
    assert writing - undone == tried


@pytest.mark.parametrize("undo", ["/projects/p/enable", "/accounts/p/reinstate"])
def test_what_is_undone_is_seen_by_gateways_too(filled: AdminApi, undo: str) -> None:
    filled.good("POST", "/projects/p/disable")
    filled.good("POST", "/accounts/p/suspend", {"reason": "why"})
    before = revision(filled.store)
    filled.good("POST", undo)
    assert revision(filled.store) > before


def test_a_change_whose_entry_cannot_be_written_does_not_happen(filled: AdminApi) -> None:
    with filled.store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO elsewhere")
    before = revision(filled.store)
    assert filled.code("POST", "/projects", {"name": "q"}) == (500, "internal_error")
    assert filled.code("POST", "/keys", {"project": "q"}) == (500, "internal_error")
    seen = load_snapshot(filled.store, filled.now)
    assert (sorted(seen.projects), dict(seen.keys), seen.revision) == (["p"], {}, before)


def at_once(actions: list[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()


def test_changes_at_the_same_time_are_all_kept(filled: AdminApi) -> None:
    desk, who = Projects(filled.office), Admin("cli:tests", Role.ADMIN)
    rules: list[dict[str, Any]] = [
        {"models": ["llama"]},
        {"tools": False},
        {"max_tokens": 1},
        {"max_choices": 2},
        {"max_prompt_bytes": 3},
    ]

    def change(one: dict[str, Any]) -> Callable[[], object]:
        return lambda: desk.change("p", ProjectChange(rules=RulesFields(**one)), who)

    known = len(filled.entries())
    at_once([change(one) for one in rules])
    told = filled.good("GET", "/projects/p")["rules"]
    assert {name for name, it in told.items() if it is not None} == {
        name for one in rules for name in one
    }
    found: list[Entry] = filled.entries()
    assert len(found) == known + len(rules)
    assert found[0].after["rules"].items() >= found[1].after["rules"].items()
