"""A snapshot that is brought up to date holds what one that is loaded anew does."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, update

from service.core.callers import Denial, authenticate
from service.core.directory import Limits, Rules, Scope, Snapshot, Standing
from service.store import Store, load_snapshot, refresh
from service.store.keys import StoredKey, add_key, revoke_key
from service.store.owners import Origin, make_organisation, make_project
from service.store.revision import bump_revision
from service.store.tables import (
    keys,
    limits,
    meta,
    organisations,
    projects,
    service_accounts,
    standings,
)

NOW = 1_000_000.0
ORIGIN = Origin(NOW, "tests")
MADE = {"created_at": NOW, "created_by": "tests"}


def digest_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def first(store: Store) -> Snapshot:
    """A snapshot of three keys in a project."""
    with store.begin() as connection:
        for number in range(3):
            key = StoredKey(f"key_{number}", "search", "sk-wg-aaaaaa", NOW, "tests")
            add_key(connection, key, digest_of(number))
    return load_snapshot(store, NOW)


def change(store: Store, table: Any, where: Any, **values: object) -> None:  # noqa: ANN401
    with store.begin() as connection:
        revision = bump_revision(connection)
        connection.execute(update(table).where(where).values({**values, "revision": revision}))


def add(store: Store, table: Any, **values: object) -> None:  # noqa: ANN401
    with store.begin() as connection:
        revision = bump_revision(connection)
        connection.execute(insert(table).values({**values, "revision": revision}))


def brought_up_to_date(store: Store, snapshot: Snapshot) -> Snapshot:
    """Refresh, and make sure that it is what a new snapshot would be."""
    newer = refresh(store, snapshot, NOW + 1)
    assert newer == load_snapshot(store, NOW + 1)
    return newer


def test_what_did_not_change_is_the_same_object(store: Store, first: Snapshot) -> None:
    assert refresh(store, first, NOW + 1) is first


def test_what_changed_leaves_the_older_snapshot_as_it_was(store: Store, first: Snapshot) -> None:
    with store.begin() as connection:
        revoke_key(connection, "key_1", NOW)
    newer = brought_up_to_date(store, first)
    assert authenticate(newer, digest_of(1), NOW) is Denial.REVOKED
    assert not isinstance(authenticate(first, digest_of(1), NOW), Denial)
    assert newer.keys[digest_of(0)] is first.keys[digest_of(0)]
    assert newer.projects is first.projects


def test_new_keys_projects_and_organisations_are_added(store: Store, first: Snapshot) -> None:
    with store.begin() as connection:
        make_organisation(connection, "lab", ORIGIN)
        make_project(connection, "bench", ORIGIN, "lab")
        key = StoredKey("key_9", "bench", "sk-wg-bbbbbb", NOW, "tests")
        add_key(connection, key, digest_of(9))
    newer = brought_up_to_date(store, first)
    assert (len(newer.keys), set(newer.projects)) == (4, {"search", "bench"})
    assert newer.projects["bench"].organisation == "lab"


def test_a_key_under_a_new_digest_is_not_known_by_the_old_one(
    store: Store, first: Snapshot
) -> None:
    change(store, keys, keys.c.id == "key_1", digest=digest_of(77))
    newer = brought_up_to_date(store, first)
    assert authenticate(newer, digest_of(1), NOW) is Denial.UNKNOWN
    assert newer.keys[digest_of(77)].id == "key_1"


def test_digests_that_keys_exchange_are_told_apart(store: Store, first: Snapshot) -> None:
    change(store, keys, keys.c.id == "key_0", digest=digest_of(70))
    change(store, keys, keys.c.id == "key_1", digest=digest_of(0))
    newer = brought_up_to_date(store, first)
    assert newer.keys[digest_of(0)].id == "key_1"
    assert digest_of(1) not in newer.keys


def test_owners_that_change_are_replaced(store: Store, first: Snapshot) -> None:
    rules = '{"models":["m"]}'
    change(store, organisations, organisations.c.name == "default", entitlements='["a"]')
    change(store, projects, projects.c.name == "search", rules=rules, disabled_at=NOW)
    add(store, service_accounts, id="sa_1", project="search", name="n", entitlements="[]", **MADE)
    change(store, keys, keys.c.id == "key_2", service_account="sa_1", rules=rules)
    newer = brought_up_to_date(store, first)
    assert newer.organisations["default"].entitlements == {"a"}
    assert newer.projects["search"].disabled
    assert newer.keys[digest_of(2)].rules == Rules(models=("m",))
    change(store, service_accounts, service_accounts.c.id == "sa_1", disabled_at=NOW)
    assert brought_up_to_date(store, newer).service_accounts["sa_1"].disabled


def test_a_limit_of_nulls_drops_out(store: Store, first: Snapshot) -> None:
    subject = (Scope.PROJECT, "search")
    for model in ("", "m"):
        add(store, limits, scope="project", subject="search", model=model, requests_per_min=5)
    both = brought_up_to_date(store, first)
    assert both.limits == {subject: dict.fromkeys(["", "m"], Limits(requests_per_min=5))}
    change(store, limits, limits.c.model == "m", requests_per_min=None)
    one = brought_up_to_date(store, both)
    assert one.limits == {subject: {"": Limits(requests_per_min=5)}}
    change(store, limits, limits.c.model == "", requests_per_min=None)
    assert brought_up_to_date(store, one).limits == {}


def test_a_standing_that_is_good_again_drops_out(store: Store, first: Snapshot) -> None:
    row = {"account": "search", "reason": "tests", "since": NOW, "by": "tests"}
    add(store, standings, state="suspended", **row)
    bad = brought_up_to_date(store, first)
    assert bad.standings == {"search": Standing.SUSPENDED}
    change(store, standings, standings.c.account == "search", state="good")
    assert brought_up_to_date(store, bad).standings == {}


def test_after_a_restore_everything_is_loaded_again(store: Store, first: Snapshot) -> None:
    gone = replace(first, keys={**first.keys, digest_of(5): first.keys[digest_of(0)]})
    assert refresh(store, gone, NOW) is gone
    with store.begin() as connection:
        connection.execute(update(meta).values(epoch="another"))
    assert brought_up_to_date(store, gone).epoch == "another"


def test_a_snapshot_of_a_later_revision_is_loaded_again(store: Store, first: Snapshot) -> None:
    later = replace(first, revision=first.revision + 100, keys={})
    assert brought_up_to_date(store, later) == replace(first, loaded_at=NOW + 1)
