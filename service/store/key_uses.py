"""When keys were last used, to the hour."""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, or_, update

from service.store.tables import keys


def note_key_uses(connection: Connection, hours: Mapping[str, float]) -> None:
    """Keep, for keys by their ids, the hour of a use, unless a later one is known.

    The revision stays: no gateway decides anything by it.
    """
    last = keys.c.last_used_at
    later = or_(last.is_(None), last < bindparam("hour"))
    used = (
        update(keys)
        .where(keys.c.id == bindparam("key"), later)
        .values(last_used_at=bindparam("hour"))
    )
    connection.execute(used, [{"key": key, "hour": hour} for key, hour in hours.items()])
