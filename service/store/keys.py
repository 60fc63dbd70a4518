"""API keys, as digests. A change is seen by gateways at their next poll of the revision."""

import hmac
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, insert, or_, select, update

from service.errors import ConfigError
from service.store.engine import Store
from service.store.revision import bump_revision
from service.store.tables import keys, meta

_PEPPER_CHECK: Final = b"watchgate pepper check"


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


def add_key(connection: Connection, key: StoredKey, digest: bytes) -> None:
    """Store a new key.

    Raises:
        sqlalchemy.exc.IntegrityError: its id or digest is taken, which chance does not do.
    """
    connection.execute(insert(keys).values(**asdict(key), digest=digest))
    bump_revision(connection)


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
    done = connection.execute(update(keys).where(not_yet).values(revoked_at=now)).rowcount > 0
    if done:
        bump_revision(connection)
    return done


def expire_key(connection: Connection, key_id: str, at: float) -> None:
    """Let a key end at a time, unless it ends before."""
    later = (keys.c.id == key_id) & or_(keys.c.expires_at.is_(None), keys.c.expires_at > at)
    if connection.execute(update(keys).where(later).values(expires_at=at)).rowcount > 0:
        bump_revision(connection)


def check_pepper(store: Store, pepper: bytes) -> None:
    """Make sure that keys are looked up under the pepper that they were made under.

    The first pepper that is checked is the store's: under another no key would be known.

    Raises:
        ConfigError: it is another.
    """
    check = hmac.digest(pepper, _PEPPER_CHECK, "sha256")
    known = _pepper_check(store)
    if known is None:
        unset = meta.c.pepper_check.is_(None)
        with store.begin() as connection:
            connection.execute(update(meta).where(unset).values(pepper_check=check))
        known = _pepper_check(store)
    if known is None or not hmac.compare_digest(known, check):
        raise ConfigError(
            "auth.pepper: the keys in the store were made under another pepper; "
            "set the one that was used then, or bring back its file",
        )


def _pepper_check(store: Store) -> bytes | None:
    with store.read() as connection:
        check: bytes | None = connection.execute(select(meta.c.pepper_check)).scalar_one()
        return check


_COLUMNS: Final = (
    keys.c.id,
    keys.c.project,
    keys.c.prefix,
    keys.c.created_at,
    keys.c.created_by,
    keys.c.expires_at,
    keys.c.revoked_at,
)
