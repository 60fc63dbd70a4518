"""The store's side of a pepper's rotation: switching to a new one, and retiring an old one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, update

from service.errors import PepperRefused
from service.store.pepper import id_in_use, pepper_id, register
from service.store.revision import bump_revision
from service.store.tables import admin_tokens, keys, peppers


@dataclass(frozen=True, slots=True)
class KnownPepper:
    """What the store knows of a pepper. Times are Unix seconds."""

    id: str
    made_at: float
    """When it was switched to."""
    retired_at: float | None


@dataclass(frozen=True, slots=True)
class Live:
    """How many are neither revoked nor expired."""

    keys: int = 0
    admin_tokens: int = 0


def list_peppers(connection: Connection) -> Sequence[KnownPepper]:
    """Return all peppers that were ever in use, the latest first."""
    query = select(peppers.c.id, peppers.c.made_at, peppers.c.retired_at)
    rows = connection.execute(query.order_by(peppers.c.made_at.desc(), peppers.c.id))
    return [KnownPepper(*row) for row in rows]


def switch_to(connection: Connection, pepper: bytes, now: float) -> bool:
    """Have new keys digested under a pepper, and used ones digested anew; False: so it was.

    Raises:
        PepperRefused: it was retired.
    """
    known = {row.id: row for row in list_peppers(connection)}
    id_, in_use = pepper_id(pepper), id_in_use(connection)
    if id_ == in_use:
        return False
    if id_ in known and known[id_].retired_at is not None:
        raise PepperRefused(
            f"pepper {id_} was retired: make a new one with watchgate pepper rotate"
        )
    # until the first switch there was one pepper, which keys without an id are under
    connection.execute(update(keys).where(keys.c.pepper == "").values(pepper=in_use or id_))
    latest = max((row.made_at for row in known.values()), default=0.0)
    register(connection, pepper, max(now, latest + 0.001))  # even if the clock was set back
    return True


def retire(connection: Connection, id_: str, now: float, *, force: bool = False) -> Live | None:
    """Let a pepper be one that nothing is under; return what was revoked for it.

    None: it was retired before.

    Raises:
        PepperRefused: it is in use, or unknown, or live keys or admin tokens are under it and
            `force` is not set, which revokes them.
    """
    known = {row.id: row for row in list_peppers(connection)}
    if id_ not in known:
        raise PepperRefused(f"no pepper has the id {id_!r}; watchgate pepper status shows all")
    if known[id_].retired_at is not None:
        return None
    if id_ == id_in_use(connection):
        raise PepperRefused(f"pepper {id_} is in use: switch to another first")
    live = live_under(connection, now).get(id_, Live())
    if live != Live():
        _revoke(connection, id_, now, live, force=force)
    connection.execute(update(peppers).where(peppers.c.id == id_).values(retired_at=now))
    return live


def live_under(connection: Connection, now: float) -> Mapping[str, Live]:
    """Count what is neither revoked nor expired, by the id of its pepper."""
    of_keys, of_tokens = (_count(connection, table, now) for table in (keys, admin_tokens))
    return {id_: Live(of_keys[id_], of_tokens[id_]) for id_ in {*of_keys, *of_tokens}}


def _count(connection: Connection, table: Table, now: float) -> Counter[str]:
    pepper = table.c.pepper
    query = select(pepper, func.count()).where(_is_live(table, now)).group_by(pepper)
    counts: Counter[str] = Counter()
    for id_, count in connection.execute(query):
        counts[id_ or id_in_use(connection) or ""] += count
    return counts


def _revoke(connection: Connection, id_: str, now: float, live: Live, *, force: bool) -> None:
    if not force:
        raise PepperRefused(
            f"{live.keys} live keys and {live.admin_tokens} admin tokens are under pepper {id_}: "
            "wait until they are used, or rotate them; --force revokes them",
        )
    revision = bump_revision(connection)
    gone = update(keys).where(keys.c.pepper == id_, _is_live(keys, now))
    connection.execute(gone.values(revoked_at=now, revision=revision))
    gone = update(admin_tokens).where(admin_tokens.c.pepper == id_, _is_live(admin_tokens, now))
    connection.execute(gone.values(revoked_at=now))


def _is_live(table: Table, now: float) -> ColumnElement[bool]:
    lasts = or_(table.c.expires_at.is_(None), table.c.expires_at > now)
    return table.c.revoked_at.is_(None) & lasts
