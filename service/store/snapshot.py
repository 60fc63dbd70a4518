"""What gateways hold in memory, and how they bring it up to date.

A snapshot is never changed. A newer one shares with it what is as before; what changed is told by
each row's revision, so a poll that finds nothing new costs one row, and a revoked key one more.
"""

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from sys import intern
from typing import Final, TypeVar

from sqlalchemy import Connection, RowMapping, Table, select

from service.core.directory import (
    NO_LIMITS,
    KnownKey,
    Limits,
    LimitsByModel,
    Scope,
    Snapshot,
    Standing,
)
from service.core.points import PointState
from service.core.screening import Point
from service.store.engine import Store
from service.store.owners import organisation_of, project_of, rules_of, service_account_of
from service.store.points import readable
from service.store.revision import current_revision
from service.store.standings import standing_of
from service.store.tables import (
    keys,
    limits,
    meta,
    organisations,
    points,
    projects,
    service_accounts,
    standings,
)

_log = logging.getLogger(__name__)
NO_SNAPSHOT: Final = Snapshot()
_SCOPES: Final = frozenset(Scope)
Owner = TypeVar("Owner")


def revision(store: Store) -> int:
    """Return the store's revision: one row, cheap enough to ask each second."""
    with store.read() as connection:
        return current_revision(connection)


def load_snapshot(store: Store, now: float) -> Snapshot:
    """Load all that gateways keep; revoked and expired keys too: the refusal names the reason."""
    return refresh(store, NO_SNAPSHOT, now)


def refresh(store: Store, snapshot: Snapshot, now: float) -> Snapshot:
    """Return the snapshot as the store is now: the same object if nothing changed."""
    with store.read() as connection:
        return refreshed(connection, snapshot, now)


def refreshed(connection: Connection, snapshot: Snapshot, now: float) -> Snapshot:
    """Return the snapshot as this transaction sees the store.

    What it loads is what changed since; all of it, where that cannot be told: by an empty
    snapshot, or one of another epoch or of a later revision, as after a backup was restored.
    """
    of_store = select(meta.c.epoch, meta.c.revision, meta.c.end_user_secret)
    epoch, latest, secret = connection.execute(of_store).one()
    if epoch != snapshot.epoch or latest < snapshot.revision:
        snapshot = NO_SNAPSHOT
    if latest == snapshot.revision:
        return snapshot
    with collector_off():
        return _newer(connection, snapshot, Snapshot(epoch, latest, now, bytes(secret)))


def _newer(connection: Connection, old: Snapshot, head: Snapshot) -> Snapshot:
    """Return what there was with what changed since, under the head of the new one."""

    def changed(table: Table) -> Sequence[RowMapping]:
        rows = connection.execute(select(table).where(table.c.revision > old.revision))
        return rows.mappings().all()

    return replace(
        head,
        keys=merged_keys(old.keys, _changed_keys(connection, old.revision)),
        organisations=_merged(old.organisations, changed(organisations), "name", organisation_of),
        projects=_merged(old.projects, changed(projects), "name", project_of),
        service_accounts=_merged(
            old.service_accounts, changed(service_accounts), "id", service_account_of
        ),
        limits=_merged_limits(old.limits, changed(limits)),
        standings=_merged_standings(old.standings, changed(standings)),
        points=_merged_points(old.points, changed(points)),
    )


def _changed_keys(connection: Connection, since: int) -> dict[bytes, KnownKey]:
    columns = (
        keys.c.digest,
        keys.c.id,
        keys.c.project,
        keys.c.service_account,
        keys.c.rules,
        keys.c.expires_at,
        keys.c.revoked_at,
    )
    rows = connection.execute(select(*columns).where(keys.c.revision > since))
    rules = cache(rules_of)
    return {
        digest: KnownKey(id_, intern(project), account, rules(stored), expires_at, revoked_at)
        for digest, id_, project, account, stored, expires_at, revoked_at in rows
    }


def merged_keys(
    known: Mapping[bytes, KnownKey], changed: Mapping[bytes, KnownKey]
) -> Mapping[bytes, KnownKey]:
    """Return the keys with those that changed, none of these reachable by what its digest was."""
    if not (known and changed):
        return known or changed
    if any(digest not in known or known[digest].id != key.id for digest, key in changed.items()):
        ids = {key.id for key in changed.values()}
        known = {digest: key for digest, key in known.items() if key.id not in ids}
    return {**known, **changed}


def _merged(
    known: Mapping[str, Owner],
    rows: Sequence[RowMapping],
    name: str,
    read: Callable[[RowMapping], Owner],
) -> Mapping[str, Owner]:
    return {**known, **{row[name]: read(row) for row in rows}} if rows else known


def _merged_limits(
    known: Mapping[tuple[Scope, str], LimitsByModel], rows: Sequence[RowMapping]
) -> Mapping[tuple[Scope, str], LimitsByModel]:
    """A limit of NULLs is one that was taken away."""
    merged = dict(known)
    for row in rows:
        if row["scope"] not in _SCOPES:
            _log.error("a limit is of a newer version, and is not kept to: scope %s", row["scope"])
            continue
        subject = (Scope(row["scope"]), row["subject"])
        by_model = {
            **merged.pop(subject, {}),
            row["model"]: Limits(*(row[name] for name in Limits.__struct_fields__)),
        }
        if left := {model: it for model, it in by_model.items() if it != NO_LIMITS}:
            merged[subject] = left
    return merged


def _merged_standings(
    known: Mapping[str, Standing], rows: Sequence[RowMapping]
) -> Mapping[str, Standing]:
    merged = {**known, **{row["account"]: standing_of(row["state"]) for row in rows}}
    return {account: state for account, state in merged.items() if state is not Standing.GOOD}


def _merged_points(known: Mapping[str, Point], rows: Sequence[RowMapping]) -> Mapping[str, Point]:
    """Of a point's versions one is active, or none: what was before it is out, whatever came.

    What only was proposed leaves the mapping the same object.
    """
    if not rows:
        return known
    merged = dict(known)
    for row in rows:
        if (it := merged.get(row["id"])) is not None and it.version == row["version"]:
            del merged[row["id"]]
    found = readable([row for row in rows if row["state"] == PointState.ACTIVE])
    merged |= {it.id: it.to_point() for it in found}
    return known if merged == known else merged


@contextmanager
def collector_off() -> Iterator[None]:
    """Make many objects without the garbage collector: all of them stay, looking is in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
