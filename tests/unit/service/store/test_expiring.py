"""What will end soon, and is worth a word."""

from dataclasses import replace
from typing import Final

from prometheus_client import CollectorRegistry
from sqlalchemy import insert

from service.store import Store
from service.store.key_uses import note_key_uses
from service.store.keys import StoredKey, add_key, revoke_key
from service.store.points import find_point, promote, propose
from service.store.tables import admin_tokens
from service.telemetry.metrics import Metrics
from service.workers.expiry import ExpiryWatch
from tests.unit.service.store.test_points import POINT, WHY

NOW: Final = 1_700_000_000.0
DAY_S: Final = 86_400.0


def shown(store: Store) -> dict[str, float]:
    registry = CollectorRegistry()
    ExpiryWatch(store, Metrics(registry).upkeep.expiring, lambda: NOW).look()
    samples = (sample for metric in registry.collect() for sample in metric.samples)
    return {it.labels["kind"]: it.value for it in samples if it.name == "watchgate_expiring"}


def add(store: Store, name: str, ends_in_s: float | None, used_ago_s: float | None) -> None:
    ends_at = None if ends_in_s is None else NOW + ends_in_s
    key = StoredKey(name, "search", "sk-wg-aaaaaa", NOW - 90 * DAY_S, "cli:a", ends_at)
    with store.begin() as connection:
        add_key(connection, key, name.encode())
        if used_ago_s is not None:
            note_key_uses(connection, {name: NOW - used_ago_s})


def test_what_will_not_end_is_shown_as_none(store: Store) -> None:
    add(store, "for_ever", None, 60)
    assert shown(store) == {"api_key": 0, "admin_token": 0, "operating_point": 0}


def test_keys_count_that_are_in_use_and_end_within_seven_days(store: Store) -> None:
    add(store, "soon", 6 * DAY_S, 3600)
    add(store, "later", 8 * DAY_S, 3600)
    add(store, "ended", -60, 3600)
    add(store, "unused", 6 * DAY_S, 3 * DAY_S)
    add(store, "never_used", 6 * DAY_S, None)
    add(store, "revoked", 6 * DAY_S, 3600)
    with store.begin() as connection:
        revoke_key(connection, "revoked", NOW - 10)
    assert shown(store)["api_key"] == 1


def test_admin_tokens_and_active_points_count_too(store: Store) -> None:
    token = {
        "id": "adm_1", "name": "alice", "role": "viewer", "digest": b"d", "pepper": "",
        "prefix": "p", "created_at": 0.0, "created_by": "cli:a", "expires_at": NOW + DAY_S,
    }  # fmt: skip
    with store.begin() as connection:
        connection.execute(insert(admin_tokens).values(**token))
        for id_ in ("op_a", "op_b"):
            propose(connection, replace(POINT, id=id_, expires_at=NOW + DAY_S), WHY)
        versions = find_point(connection, "op_a")
        assert versions is not None
        promote(connection, versions, WHY)
    assert shown(store) == {"api_key": 0, "admin_token": 1, "operating_point": 1}
