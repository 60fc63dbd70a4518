"""Up to where the events of each log were counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select

from service.store.upsert import insert_into
from service.store.worker_tables import counted

_KEEP_S: Final = 86_400.0
"""Longer than an exchange may last: no reader begins before a part that was read up so long ago."""

Part = tuple[str, int]
"""The name of a log and the number of one of its parts, as positions have them."""


@dataclass(frozen=True, slots=True)
class CountedTo:
    """The last offset of a part, and the latest time of its events, in Unix seconds."""

    last: int
    latest_at: float


def find_counted(connection: Connection, part: Part) -> CountedTo | None:
    """Return what is kept of a part."""
    row = counted.c
    this = (row.log == part[0]) & (row.part == part[1])
    found = connection.execute(select(row.last, row.latest_at).where(this)).one_or_none()
    return None if found is None else CountedTo(*found)


def keep_counted(connection: Connection, parts: Mapping[Part, CountedTo]) -> None:
    """Keep how far these parts are counted, and forget those that are long past."""
    for (log, part), to in parts.items():
        values = {"last": to.last, "latest_at": to.latest_at}
        row = insert_into(connection, counted).values(log=log, part=part, **values)
        connection.execute(row.on_conflict_do_update(index_elements=["log", "part"], set_=values))
    latest = max(to.latest_at for to in parts.values())
    connection.execute(delete(counted).where(counted.c.latest_at < latest - _KEEP_S))
