"""Keys that were found under a previous pepper are digested anew, under the one in use."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Table, bindparam, select, update

from service.store.engine import Store
from service.store.pepper import id_in_use, pepper_id
from service.store.revision import bump_revision
from service.store.tables import keys

MAX_NOTED: Final = 1000
"""What comes beyond is noted when it comes again."""


class Redigests:
    """Collects digests on the event loop, and writes them in a thread that may wait.

    A key's digests are both of the same key, so a row can change from one to the other whatever
    happened to the key meanwhile: what is revoked stays so.
    """

    def __init__(self, pepper: bytes) -> None:
        """Collect digests under this pepper."""
        self._pepper_id = pepper_id(pepper)
        self._noted: dict[bytes, bytes] = {}

    def note(self, old: bytes, new: bytes) -> None:
        """Remember that the key of the one digest has this other one too. Waits for nothing."""
        if len(self._noted) < MAX_NOTED:
            self._noted[old] = new

    def flush(self, store: Store) -> int:
        """Write what was noted, if the pepper is in use by now; return how many keys changed.

        What is lost by a failure is noted again when the key is used again.
        """
        if not self._noted:
            return 0
        noted, self._noted = self._noted, {}
        with store.read() as connection:
            if id_in_use(connection) != self._pepper_id:
                return 0
        return redigest(store, dict(noted), self._pepper_id)


def redigest(store: Store, rows: Mapping[bytes, bytes], pepper: str, table: Table = keys) -> int:
    """Change the keys that have one of these digests to the other; return how many there were.

    Or the admin tokens, by their table. Nothing changes if the pepper of this id, which the new
    digests are under, is not in use.
    """
    with store.begin() as connection:
        if id_in_use(connection) != pepper:
            return 0
        there = select(table.c.digest).where(table.c.digest.in_(rows))
        found = connection.execute(there).scalars().all()
        if not found:
            return 0
        values: dict[str, object] = {"digest": bindparam("new"), "pepper": pepper}
        if table is keys:
            values["revision"] = bump_revision(connection)  # gateways keep them
        change = update(table).where(table.c.digest == bindparam("old")).values(values)
        connection.execute(change, [{"old": old, "new": rows[old]} for old in found])
    return len(found)
