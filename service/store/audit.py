"""The audit log as it is stored: appended to in the transaction of what it tells of."""

import json
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.core.audit import START, Entry, link
from service.store.tables import audit, meta


class AuditLog:
    """Appends entries, under the key of the chain."""

    def __init__(self, key: bytes) -> None:
        """Append nothing yet."""
        self._key = key

    def record(self, connection: Connection, entry: Entry) -> int:
        """Append an entry and return its number; it stays if the transaction does."""
        connection.execute(update(meta).values(revision=meta.c.revision))  # one writer at a time
        last = select(audit.c.seq, audit.c.mac).order_by(audit.c.seq.desc()).limit(1)
        row = connection.execute(last).first()
        seq, previous = (0, START) if row is None else (row.seq, row.mac)
        new = link(self._key, previous, seq + 1, entry)
        connection.execute(
            insert(audit).values(
                seq=new.seq,
                at=entry.at,
                actor=entry.actor,
                action=entry.action,
                object=entry.object,
                before=_json(entry.before),
                after=_json(entry.after),
                reason=entry.reason,
                mac=new.mac,
            )
        )
        return new.seq


def _json(value: Any) -> str | None:  # noqa: ANN401  (plain JSON values)
    return None if value is None else json.dumps(value, sort_keys=True)
