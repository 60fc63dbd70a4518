"""API keys, as digests. A change is seen by gateways at their next poll of the revision."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, or_, select, tuple_, update

from service.core.directory import NO_RULES, Rules
from service.store.owners import Origin, make_project, rules_of, stored_rules
from service.store.pages import Page
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
    rules: Rules = NO_RULES


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys a list holds; None: all."""

    project: str | None = None
    service_account: str | None = None
    active_at: float | None = None
    """Only those that work at this time."""


def add_key(connection: Connection, key: StoredKey, digest: bytes, pepper: str = "") -> None:
    """Store a new key, digested under the pepper of this id; its project is made if it is new.

    Raises:
        sqlalchemy.exc.IntegrityError: its id or digest is taken, which chance does not do.
    """
    make_project(connection, key.project, Origin(key.created_at, key.created_by))
    revision = bump_revision(connection)
    values = asdict(key) | {"rules": stored_rules(key.rules)}
    row = insert(keys).values(**values, digest=digest, pepper=pepper, revision=revision)
    connection.execute(row)


def find_key(connection: Connection, key_id: str) -> StoredKey | None:
    """Return the key that has this id."""
    row = connection.execute(select(*_COLUMNS).where(keys.c.id == key_id)).mappings().first()
    return None if row is None else _key(row)


def list_keys(
    connection: Connection, project: str | None = None, page: Page | None = None
) -> Sequence[StoredKey]:
    """Return all keys, or those of a project, the oldest first."""
    return list_keys_where(connection, KeyFilter(project), page)


def list_keys_where(
    connection: Connection, wanted: KeyFilter, page: Page | None = None
) -> Sequence[StoredKey]:
    """Return the keys that are wanted, the oldest first; none behind a key that there is not."""
    query = select(*_COLUMNS).order_by(keys.c.created_at, keys.c.id).where(*_conditions(wanted))
    if page is not None:
        query = query.limit(page.limit)
    if page is not None and page.after is not None:
        last = find_key(connection, page.after)
        if last is None:
            return []
        behind = tuple_(keys.c.created_at, keys.c.id) > tuple_(last.created_at, last.id)
        query = query.where(behind)
    return [_key(row) for row in connection.execute(query).mappings()]


def change_key(connection: Connection, key_id: str, **values: object) -> None:
    """Change the `name`, `rules` (as stored) or `expires_at` of a key, so that gateways see it."""
    _change(connection, keys.c.id == key_id, **values)


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


def _conditions(wanted: KeyFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.project is not None:
        found.append(keys.c.project == wanted.project)
    if wanted.service_account is not None:
        found.append(keys.c.service_account == wanted.service_account)
    if wanted.active_at is not None:
        later = or_(keys.c.expires_at.is_(None), keys.c.expires_at > wanted.active_at)
        found += [keys.c.revoked_at.is_(None), later]
    return found


def _key(row: RowMapping) -> StoredKey:
    fields: dict[str, Any] = dict(row)
    fields["rules"] = rules_of(fields["rules"])
    return StoredKey(**fields)


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
    keys.c.rules,
)
