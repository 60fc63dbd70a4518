"""Which verdicts had their effect: a record may come twice, its effect may not."""

from sqlalchemy import Connection, delete

from service.store.tables import effects
from service.store.upsert import insert_into


def claim_effect(connection: Connection, verdict_id: str, now: float) -> bool:
    """Take the right to a verdict's effect, in the effect's transaction; False: it was had."""
    values = insert_into(connection, effects).values(verdict_id=verdict_id, applied_at=now)
    return connection.execute(values.on_conflict_do_nothing()).rowcount > 0


def prune_effects(connection: Connection, before: float) -> int:
    """Forget verdicts that are too old to come again; return how many."""
    return connection.execute(delete(effects).where(effects.c.applied_at < before)).rowcount
