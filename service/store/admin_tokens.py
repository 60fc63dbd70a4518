"""Admin tokens, as digests."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, or_, select, tuple_, update

from service.core.roles import Role
from service.store.pages import Page
from service.store.tables import admin_tokens

USE_NOTED_EVERY_S: Final = 3600.0
"""How coarse `last_used_at` is."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token without what it takes to use it. Times are Unix seconds."""

    id: str
    name: str
    role: str
    """One that a newer version has, and this does not know, may nothing."""
    prefix: str
    created_at: float
    created_by: str
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    """To the hour."""

    def is_good_at(self, now: float) -> bool:
        """Whether it is neither revoked nor expired. An expiry counts from its instant on."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def add_token(connection: Connection, token: StoredToken, digest: bytes, pepper: str) -> None:
    """Store a new token, digested under the pepper of this id."""
    connection.execute(insert(admin_tokens).values(**asdict(token), digest=digest, pepper=pepper))


def find_token(connection: Connection, token_id: str) -> StoredToken | None:
    """Return the token that has this id."""
    query = select(*_COLUMNS).where(admin_tokens.c.id == token_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _token(row)


def find_digested(connection: Connection, digests: Collection[bytes]) -> StoredToken | None:
    """Return the token that has one of these digests."""
    query = select(*_COLUMNS).where(admin_tokens.c.digest.in_(digests))
    row = connection.execute(query).mappings().first()
    return None if row is None else _token(row)


def list_tokens(connection: Connection, page: Page) -> Sequence[StoredToken]:
    """Return tokens, the oldest first, revoked and expired ones too.

    There are none behind a token that there is not.
    """
    place = (admin_tokens.c.created_at, admin_tokens.c.id)
    query = select(*_COLUMNS).order_by(*place).limit(page.limit)
    if page.after is not None:
        last = find_token(connection, page.after)
        if last is None:
            return []
        query = query.where(tuple_(*place) > tuple_(last.created_at, last.id))
    return [_token(row) for row in connection.execute(query).mappings()]


def has_admin(connection: Connection, now: float) -> bool:
    """Say whether anyone has the role admin by a token that works."""
    good = admin_tokens.c.revoked_at.is_(None) & _not_before(admin_tokens.c.expires_at, now)
    query = select(admin_tokens.c.id).where(admin_tokens.c.role == Role.ADMIN, good)
    return connection.execute(query.limit(1)).first() is not None


def revoke_token(connection: Connection, token_id: str, now: float) -> None:
    """End a token for good."""
    which = (admin_tokens.c.id == token_id) & admin_tokens.c.revoked_at.is_(None)
    connection.execute(update(admin_tokens).where(which).values(revoked_at=now))


def is_use_due(token: StoredToken, now: float) -> bool:
    """Say whether a use is worth a write, which there is at most once an hour and token."""
    return token.last_used_at is None or now - token.last_used_at >= USE_NOTED_EVERY_S


def note_use(connection: Connection, token_id: str, now: float) -> None:
    """Keep that a token was used, to the hour."""
    hour = now - now % USE_NOTED_EVERY_S
    which = admin_tokens.c.id == token_id
    connection.execute(update(admin_tokens).where(which).values(last_used_at=hour))


def _not_before(column: ColumnElement[float | None], now: float) -> ColumnElement[bool]:
    return or_(column.is_(None), column > now)


def _token(row: RowMapping) -> StoredToken:
    return StoredToken(**row)


_COLUMNS: Final = (
    admin_tokens.c.id,
    admin_tokens.c.name,
    admin_tokens.c.role,
    admin_tokens.c.prefix,
    admin_tokens.c.created_at,
    admin_tokens.c.created_by,
    admin_tokens.c.expires_at,
    admin_tokens.c.revoked_at,
    admin_tokens.c.last_used_at,
)
