"""What gateways hold in memory, and how they learn that it is out of date."""

from sqlalchemy import select

from service.core.callers import Caller, KnownKey, Snapshot
from service.store.engine import Store
from service.store.revision import current_revision
from service.store.tables import keys


def revision(store: Store) -> int:
    """Return the store's revision: one row, cheap enough to ask each second."""
    with store.read() as connection:
        return current_revision(connection)


def load_snapshot(store: Store, now: float) -> Snapshot:
    """Load all keys, revoked and expired ones too: the refusal names the reason."""
    with store.read() as connection:
        rows = connection.execute(
            select(keys.c.digest, keys.c.id, keys.c.project, keys.c.expires_at, keys.c.revoked_at)
        )
        callers = {
            digest: KnownKey(Caller(key_id, project, account=project), expires_at, revoked_at)
            for digest, key_id, project, expires_at, revoked_at in rows
        }
        return Snapshot(current_revision(connection), callers, now)
