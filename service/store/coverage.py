"""Coverage gaps: exchanges that were served and not recorded, or recorded and not screened."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from service.store.upsert import insert_into
from service.store.worker_tables import coverage_gaps


@dataclass(frozen=True, slots=True)
class Gap:
    """An exchange that is not covered; `kind` comes from a closed set, as does `model`."""

    exchange_id: str
    kind: str
    model: str


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that is open, and since when, in Unix seconds."""

    gap: Gap
    since: float


def open_gaps(connection: Connection, gaps: Iterable[Gap], now: float) -> int:
    """Keep gaps that are new; return how many are. One that was closed stays closed."""
    new = 0
    for gap in gaps:
        row = insert_into(connection, coverage_gaps).values(
            exchange_id=gap.exchange_id, kind=gap.kind, model=gap.model, first_seen_at=now
        )
        added = row.on_conflict_do_nothing().returning(coverage_gaps.c.exchange_id)
        new += len(connection.execute(added).all())
    return new


def close_gaps(connection: Connection, kind: str, exchange_ids: Iterable[str], now: float) -> int:
    """Note that these exchanges are covered after all; return how many gaps that closed."""
    gap = coverage_gaps.c
    closed = 0
    for exchange_id in exchange_ids:
        this = (gap.exchange_id == exchange_id) & (gap.kind == kind) & gap.closed_at.is_(None)
        closed += connection.execute(
            update(coverage_gaps).where(this).values(closed_at=now)
        ).rowcount
    return closed


def list_gaps(connection: Connection, limit: int = 100_000) -> Sequence[OpenGap]:
    """Return the open gaps, the latest first, and no more than `limit`."""
    gap = coverage_gaps.c
    query = (
        select(gap.exchange_id, gap.kind, gap.model, gap.first_seen_at)
        .where(gap.closed_at.is_(None))
        .order_by(gap.first_seen_at.desc(), gap.exchange_id)
        .limit(limit)
    )
    return [OpenGap(Gap(*row[:3]), row[3]) for row in connection.execute(query)]


def count_gaps(connection: Connection) -> Mapping[tuple[str, str], int]:
    """Return how many gaps are open, by model and kind; what is missing has none."""
    gap = coverage_gaps.c
    query = (
        select(gap.model, gap.kind, func.count())
        .where(gap.closed_at.is_(None))
        .group_by(gap.model, gap.kind)
    )
    return {(model, kind): count for model, kind, count in connection.execute(query)}


def prune_gaps(connection: Connection, before: float) -> int:
    """Forget gaps that were closed before a time; open ones are never forgotten."""
    old = coverage_gaps.c.closed_at < before
    return connection.execute(delete(coverage_gaps).where(old)).rowcount
