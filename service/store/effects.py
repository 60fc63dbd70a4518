"""Which verdicts had their effect: a record may come twice, its effect may not."""

from collections.abc import Collection

from sqlalchemy import Connection, delete

from service.store.upsert import insert_into
from service.store.worker_tables import effects


def claim_effects(
    connection: Connection, verdict_ids: Collection[str], now: float
) -> frozenset[str]:
    """Return the verdicts that had no effect yet, and keep that they have it now.

    The effect belongs in the same transaction: then it is had exactly once.
    """
    if not verdict_ids:
        return frozenset()
    insert = insert_into(connection, effects).on_conflict_do_nothing()
    rows = [{"verdict_id": verdict_id, "applied_at": now} for verdict_id in verdict_ids]
    claimed = connection.execute(insert.returning(effects.c.verdict_id), rows)
    return frozenset(claimed.scalars())


def prune_effects(connection: Connection, before: float) -> int:
    """Forget verdicts that are too old to come again; return how many."""
    return connection.execute(delete(effects).where(effects.c.applied_at < before)).rowcount
