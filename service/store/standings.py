"""Accounts' standings: of those that were ever in another than good."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, RowMapping, select

from service.core.directory import Standing
from service.store.pages import Page, page_of
from service.store.revision import bump_revision
from service.store.tables import standings
from service.store.upsert import insert_into


@dataclass(frozen=True, slots=True)
class StoredStanding:
    """An account's state, and who brought it there, when (Unix seconds) and why."""

    account: str
    state: Standing
    reason: str
    since: float
    by: str


_COLUMNS: Final = (
    standings.c.account,
    standings.c.state,
    standings.c.reason,
    standings.c.since,
    standings.c.by,
)


def find_standing(connection: Connection, account: str) -> StoredStanding | None:
    """Return an account's standing; None: it was never in another than good."""
    query = select(*_COLUMNS).where(standings.c.account == account)
    row = connection.execute(query).mappings().first()
    return None if row is None else _standing(row)


def put_standing(connection: Connection, standing: StoredStanding) -> None:
    """Set an account's standing, so that gateways see it. The row stays when it is good again."""
    values = asdict(standing) | {"revision": bump_revision(connection)}
    row = insert_into(connection, standings).values(values)
    connection.execute(row.on_conflict_do_update(index_elements=[standings.c.account], set_=values))


def list_standings(
    connection: Connection, page: Page, state: Standing | None = None
) -> Sequence[StoredStanding]:
    """Return the standings of one state, or all that are not good, by account."""
    query = page_of(select(*_COLUMNS), standings.c.account, page)
    wanted = standings.c.state != Standing.GOOD if state is None else standings.c.state == state
    return [_standing(row) for row in connection.execute(query.where(wanted)).mappings()]


def _standing(row: RowMapping) -> StoredStanding:
    return StoredStanding(**(dict(row) | {"state": standing_of(row["state"])}))


def standing_of(stored: str) -> Standing:
    """Read a standing as it is stored: the worst for one of a newer version."""
    try:
        return Standing(stored)
    except ValueError:
        return Standing.SUSPENDED
