"""API keys, as digests. A change is seen by gateways at their next poll of the revision."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from service.store.owners import Origin, make_project
from service.store.revision import bump_revision
from service.store.tables import keys


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key without what it takes to use it. Times are Unix seconds."""

    id: str
    project: str
    prefix: str
    created_at: float
    created_by: str
    expires_at: float | None = None
    revoked_at: float | None = None
    name: str | None = None
    service_account: str | None = None
    last_used_at: float | None = None
    """To the hour."""


def add_key(connection: Connection, key: StoredKey, digest: bytes, pepper: str = "") -> None:
    """Store a new key, digested under the pepper of this id; its project is made if it is new.

    Raises:
        sqlalchemy.exc.IntegrityError: its id or digest is taken, which chance does not do.
    """
    make_project(connection, key.project, Origin(key.created_at, key.created_by))
    revision = bump_revision(connection)
    row = insert(keys).values(**asdict(key), digest=digest, pepper=pepper, revision=revision)
    connection.execute(row)


def find_key(connection: Connection, key_id: str) -> StoredKey | None:
    """Return the key that has this id."""
    row = connection.execute(select(*_COLUMNS).where(keys.c.id == key_id)).mappings().first()
    return None if row is None else StoredKey(**row)


def list_keys(connection: Connection, project: str | None = None) -> Sequence[StoredKey]:
    """Return all keys, or those of a project, the oldest first."""
    query = select(*_COLUMNS).order_by(keys.c.created_at, keys.c.id)
    if project is not None:
        query = query.where(keys.c.project == project)
    return [StoredKey(**row) for row in connection.execute(query).mappings()]


def revoke_key(connection: Connection, key_id: str, now: float) -> bool:
    """End a key for good; False: there is none, or it was revoked before."""
    not_yet = (keys.c.id == key_id) & keys.c.revoked_at.is_(None)
    return _change(connection, not_yet, revoked_at=now)


def expire_key(connection: Connection, key_id: str, at: float) -> bool:
    """Let a key end at a time, unless it ends before; False: nothing changed."""
    later = (keys.c.id == key_id) & or_(keys.c.expires_at.is_(None), keys.c.expires_at > at)
    return _change(connection, later, expires_at=at)


def _change(connection: Connection, which: ColumnElement[bool], **values: object) -> bool:
    """Change keys so that gateways see it; False: there are none such."""
    if connection.execute(select(keys.c.id).where(which)).first() is None:
        return False
    values["revision"] = bump_revision(connection)
    return connection.execute(update(keys).where(which).values(values)).rowcount > 0


_COLUMNS: Final = (
    keys.c.id,
    keys.c.project,
    keys.c.prefix,
    keys.c.created_at,
    keys.c.created_by,
    keys.c.expires_at,
    keys.c.revoked_at,
    keys.c.name,
    keys.c.service_account,
    keys.c.last_used_at,
)
