"""Alerts, and the outbox: what each Alertmanager is still owed of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, case, delete, literal, select, update

from service.core.alerts import Alert, Delivery, Occurrence, Occurrences, gather
from service.store.tables import FIRING, alert_deliveries, alerts
from service.store.upsert import insert_into


def raise_alerts(connection: Connection, occurrences: Iterable[Occurrence], now: float) -> None:
    """Add occurrences to the alerts that fire for their labels, or begin some.

    What is still owed of earlier alerts with these labels is dropped: an Alertmanager knows
    alerts by their labels, and would take the end of an old one for the end of this one.
    """
    for found in gather(occurrences):
        _raise_alert(connection, found, now)
        _drop_older_deliveries(connection, found.fingerprint)


def settle(connection: Connection, urls: Iterable[str], *, quiet_since: float, now: float) -> None:
    """Note what the Alertmanagers are owed, then resolve what was last raised by `quiet_since`.

    In this order, so that even an alert that became quiet while nobody sent is announced.
    """
    for url in urls:
        _owe_firing(connection, url, now)
    quiet = FIRING & (alerts.c.last_at <= quiet_since)
    connection.execute(update(alerts).where(quiet).values(resolved_at=now))


def due_deliveries(
    connection: Connection, url: str, *, now: float, resend_s: float
) -> Sequence[tuple[Alert, Delivery]]:
    """Return what an Alertmanager is to be told now, the oldest alert first.

    A delivery further ahead than any is put off was dated by a clock that has been set back
    since: it is due too.
    """
    next_at = alert_deliveries.c.next_at
    now_or_misdated = (next_at <= now) | (next_at > now + resend_s)
    due = (alert_deliveries.c.url == url) & now_or_misdated & _UNFINISHED
    query = (
        select(alerts, alert_deliveries)
        .join_from(alert_deliveries, alerts)
        .where(due)
        .order_by(alerts.c.id)
    )
    rows = connection.execute(query).mappings()
    return [(_alert(row), _delivery(row)) for row in rows]


def next_delivery_at(connection: Connection, url: str) -> float | None:
    """Return when an Alertmanager is to be told something next; None: nothing is owed."""
    mine = (alert_deliveries.c.url == url) & _UNFINISHED
    soonest = select(alert_deliveries.c.next_at).where(mine).order_by("next_at").limit(1)
    return connection.execute(soonest).scalar()


def save_deliveries(connection: Connection, deliveries: Iterable[Delivery]) -> None:
    """Keep how these deliveries went; those dropped in the meantime stay dropped."""
    for delivery in deliveries:
        this = (alert_deliveries.c.alert_id == delivery.alert_id) & (
            alert_deliveries.c.url == delivery.url
        )
        connection.execute(update(alert_deliveries).where(this).values(**asdict(delivery)))


def list_alerts(
    connection: Connection, *, resolved: bool = False, point: str | None = None
) -> Sequence[Alert]:
    """Return the alerts that fire, or all of them, the latest first; of one operating point."""
    query = select(alerts).order_by(alerts.c.id.desc())
    if not resolved:
        query = query.where(FIRING)
    found = [_alert(row) for row in connection.execute(query).mappings()]
    return [it for it in found if point is None or it.labels.get("point") == point]


def list_deliveries(connection: Connection) -> Mapping[int, Sequence[Delivery]]:
    """Return the deliveries of each alert, by the alert's id."""
    query = select(alert_deliveries).order_by(alert_deliveries.c.alert_id, alert_deliveries.c.url)
    found: dict[int, list[Delivery]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["alert_id"], []).append(_delivery(row))
    return found


def prune_alerts(connection: Connection, before: float) -> int:
    """Forget alerts that were resolved before a time, whatever is owed; return how many."""
    return connection.execute(delete(alerts).where(alerts.c.resolved_at < before)).rowcount


_UNFINISHED: Final = alert_deliveries.c.resolved_acked_at.is_(None)


def _raise_alert(connection: Connection, found: Occurrences, now: float) -> None:
    row = insert_into(connection, alerts).values(
        fingerprint=found.fingerprint,
        labels=json.dumps(found.labels, sort_keys=True),
        count=found.count,
        raised_at=now,
        last_at=now,
        first_exchange_at=found.first_at,
        last_exchange_at=found.last_at,
        last_exchange_id=found.last_exchange_id,
        score=found.score,
        threshold=found.threshold,
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[alerts.c.fingerprint],
            index_where=FIRING,
            set_=_refreshed(row.excluded),
        )
    )


def _refreshed(new: Any) -> dict[Any, Any]:  # noqa: ANN401  (SQLAlchemy's `excluded`)
    old = alerts.c
    later = new.last_exchange_at >= old.last_exchange_at
    return {
        old.count: old.count + new.count,
        old.last_at: new.last_at,
        old.first_exchange_at: case(
            (new.first_exchange_at < old.first_exchange_at, new.first_exchange_at),
            else_=old.first_exchange_at,
        ),
        old.last_exchange_at: case((later, new.last_exchange_at), else_=old.last_exchange_at),
        old.last_exchange_id: case((later, new.last_exchange_id), else_=old.last_exchange_id),
        old.score: case((new.score > old.score, new.score), else_=old.score),
        old.threshold: new.threshold,
    }


def _drop_older_deliveries(connection: Connection, mark: str) -> None:
    older = select(alerts.c.id).where(alerts.c.fingerprint == mark, ~FIRING)
    connection.execute(
        delete(alert_deliveries).where(alert_deliveries.c.alert_id.in_(older), _UNFINISHED)
    )


def _owe_firing(connection: Connection, url: str, now: float) -> None:
    known = select(alert_deliveries.c.alert_id).where(alert_deliveries.c.url == url)
    missing = select(alerts.c.id, literal(url), literal(now), literal(0)).where(
        FIRING, alerts.c.id.not_in(known)
    )
    row = insert_into(connection, alert_deliveries).from_select(
        ["alert_id", "url", "next_at", "failures"], missing
    )
    connection.execute(row.on_conflict_do_nothing())


def _alert(row: RowMapping) -> Alert:
    return Alert(
        id=row["id"],
        labels=json.loads(row["labels"]),
        count=row["count"],
        raised_at=row["raised_at"],
        last_at=row["last_at"],
        resolved_at=row["resolved_at"],
        first_exchange_at=row["first_exchange_at"],
        last_exchange_at=row["last_exchange_at"],
        last_exchange_id=row["last_exchange_id"],
        score=row["score"],
        threshold=row["threshold"],
    )


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        alert_id=row["alert_id"],
        url=row["url"],
        next_at=row["next_at"],
        failures=row["failures"],
        error=row["error"],
        firing_acked_at=row["firing_acked_at"],
        resolved_acked_at=row["resolved_acked_at"],
    )
