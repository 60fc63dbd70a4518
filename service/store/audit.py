"""The audit log as it is stored: appended to in the transaction of what it tells of."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Select, func, insert, select, type_coerce
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import NullType

from service.core.audit import START, Entry, Head, Link, follows, link
from service.errors import ConfigError
from service.store.engine import Store
from service.store.tables import audit, meta

_PAGE: Final = 1000
_MAC: Final = type_coerce(audit.c.mac, NullType).label("mac")
"""As the database gives it: SQLAlchemy makes bytes of whatever is there, or fails."""
_COLUMNS: Final = (*(audit.c[name] for name in Link._fields[:-1]), _MAC)
_Wanted = Select[Any]


class AuditLog:
    """Appends entries, under the key of the chain. Threads may share it."""

    def __init__(self, key: bytes) -> None:
        """Append nothing yet."""
        self._key = key
        self._key_fits = False

    def record(self, connection: Connection, entry: Entry) -> int:
        """Append an entry and return its number; it stays if the transaction does.

        Raises:
            ConfigError: the log was begun under another key, so nobody could check the entry.
            ValueError: the entry cannot be spelled: half a surrogate pair, a time that is none.
        """
        _wait_for_others(connection)
        head = head_of(connection)
        if head.seq and not self._key_fits:
            check_audit_key(connection, self._key)
            self._key_fits = True
        new = link(self._key, head, entry)
        connection.execute(insert(audit).values(new._asdict()))
        return new.seq


def check_audit_key(connection: Connection, key: bytes) -> None:
    """See that the log is under this key, by its first entry or, if that was changed, its last two.

    Raises:
        ConfigError: it is not; an empty log is under any key.
    """
    first = _links(connection, select(*_COLUMNS).order_by(audit.c.seq).limit(1))
    if not first or follows(key, START, first[0]):
        return
    last = _links(connection, select(*_COLUMNS).order_by(audit.c.seq.desc()).limit(2))
    if len(last) < 2 or not follows(key, last[1].mac, last[0]):  # noqa: PLR2004  (a pair)
        raise ConfigError(
            "audit.key: the audit log in the store was written under another key; "
            "set the one that was used then, or bring back its file",
        )


def head_of(connection: Connection) -> Head:
    """Return how far the log goes."""
    seq = connection.execute(select(func.max(audit.c.seq))).scalar()
    return Head() if seq is None else Head(seq, mac_at(connection, seq) or b"")


def mac_at(connection: Connection, seq: int) -> bytes | None:
    """Return the mac of an entry, None if there is none of this number."""
    try:
        row = connection.execute(select(_MAC).where(audit.c.seq == seq)).first()
    except DBAPIError:  # from SQLite: of bytes that are no text, in a place that says text
        return b""
    return None if row is None else _bytes(row.mac)


def read_links(
    store: Store, after: int | None = None, up_to: int | None = None, *, page: int = _PAGE
) -> Iterator[Link]:
    """Return the entries with numbers over `after` and at most `up_to`, in order.

    They are read by the page, each in a transaction of its own, so that nobody who writes has to
    wait for long: SQLite's writers wait for readers. An entry that the database cannot give,
    since somebody has written bytes that are no text, comes with its number and mac alone.
    """
    while found := _page(store, after, up_to, page):
        yield from found
        after = found[-1].seq


def _page(store: Store, after: int | None, up_to: int | None, size: int) -> list[Link]:
    wanted = select(*_COLUMNS).order_by(audit.c.seq)
    if after is not None:
        wanted = wanted.where(audit.c.seq > after)
    if up_to is not None:
        wanted = wanted.where(audit.c.seq <= up_to)
    try:
        with store.read() as connection:
            return _links(connection, wanted.limit(size))
    except DBAPIError:
        return _one(store, wanted.limit(1))


def _one(store: Store, wanted: _Wanted) -> list[Link]:
    try:
        with store.read() as connection:
            return _links(connection, wanted)
    except DBAPIError:
        with store.read() as connection:
            numbers = connection.execute(wanted.with_only_columns(audit.c.seq)).scalars().all()
            return [_unreadable(seq, mac_at(connection, seq) or b"") for seq in numbers]


def _links(connection: Connection, wanted: _Wanted) -> list[Link]:
    return [Link._make(row) for row in connection.execute(wanted)]


def _unreadable(seq: int, mac: bytes) -> Link:
    nothing: Any = None
    return Link(seq, nothing, nothing, nothing, nothing, None, None, None, mac)


def _bytes(mac: object) -> bytes:
    return mac if isinstance(mac, bytes) else b""


def _wait_for_others(connection: Connection) -> None:
    """Let one transaction at a time append; SQLite's writers exclude each other anyway."""
    connection.execute(select(meta.c.id).with_for_update())
