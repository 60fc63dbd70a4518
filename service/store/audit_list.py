"""What the audit log shows to those who look for something in it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from service.core.audit import Entry
from service.store.tables import audit


@dataclass(frozen=True, slots=True)
class Search:
    """Which entries; None: all. Times are Unix seconds, from `since` to before `until`."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None
    since: float | None = None
    until: float | None = None


def search_audit(
    connection: Connection, search: Search, limit: int, before: int | None = None
) -> Sequence[tuple[int, Entry]]:
    """Return entries with their numbers, the latest first; `before`: those with a lower number."""
    query = select(audit).where(*_conditions(search)).order_by(audit.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [(row["seq"], _entry(row)) for row in connection.execute(query).mappings()]


def _conditions(search: Search) -> list[ColumnElement[bool]]:
    named = {"actor": search.actor, "action": search.action, "object": search.object}
    found = [audit.c[name] == text for name, text in named.items() if text is not None]
    if search.since is not None:
        found.append(audit.c.at >= search.since)
    if search.until is not None:
        found.append(audit.c.at < search.until)
    return found


def _entry(row: RowMapping) -> Entry:
    return Entry(
        row["at"],
        row["actor"],
        row["action"],
        row["object"],
        _value(row["before"]),
        _value(row["after"]),
        row["reason"],
    )


def _value(stored: str | None) -> Any:  # noqa: ANN401  (plain JSON values)
    return None if stored is None else json.loads(stored)
