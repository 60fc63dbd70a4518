"""What a restore does not take back: whoever was shut out since the backup stays shut out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Select,
    Table,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    union,
    update,
)

from service.core.directory import Standing
from service.store.pepper import id_in_use
from service.store.tables import (
    admin_tokens,
    keys,
    organisations,
    peppers,
    projects,
    service_accounts,
    standings,
)

_ENDS: Final = ("disabled_at", "revoked_at", "expires_at", "retired_at")
_OWNERS: Final = (organisations, projects, service_accounts, keys, admin_tokens, peppers)
_DIGESTED: Final = (keys, admin_tokens)
_SEVERITY: Final = {standing.value: number for number, standing in enumerate(Standing)}

Former = Mapping[str, Table]
"""By the table's name: what was in it before it was replaced."""


@contextmanager
def former_rows(connection: Connection) -> Iterator[Former]:
    """Set aside what the merge needs, for the length of a transaction."""
    former = {table.name: _set_aside(connection, table) for table in (*_OWNERS, standings)}
    yield former
    for table in former.values():
        table.drop(connection)


def merge_stricter(connection: Connection, former: Former) -> Mapping[str, int]:
    """Let what ended before end as early, and return how many rows of each table that changed."""
    _keep_peppers(connection, former)
    changed = {table.name: 0 for table in (*_OWNERS, standings)}
    for table in _OWNERS:
        for name in _ENDS:
            if name in table.columns:
                changed[table.name] += _bring_forward(connection, table, former[table.name], name)
    changed[standings.name] = _keep_standings(connection, former[standings.name])
    for table in _DIGESTED:
        _keep_digests(connection, table, former[table.name])
    return changed


def _set_aside(connection: Connection, table: Table) -> Table:
    columns = [Column(it.name, it.type, primary_key=it.primary_key) for it in table.columns]
    aside = Table(f"former_{table.name}", MetaData(), *columns, prefixes=["TEMPORARY"])
    aside.create(connection)
    connection.execute(insert(aside).from_select(table.columns.keys(), select(table)))
    return aside


def _bring_forward(connection: Connection, table: Table, former: Table, name: str) -> int:
    """Let each row's end be that of before, where that is earlier."""
    now, before = table.columns[name], former.columns[name]
    is_earlier = before.is_not(None) & or_(now.is_(None), now > before)
    same = _same_row(table, former)
    change = update(table).where(exists(select(1).where(same, is_earlier)))
    values = {name: select(before).where(same).scalar_subquery()}
    return connection.execute(change.values(values)).rowcount


def _keep_standings(connection: Connection, former: Table) -> int:
    """Put the worse standing of each account in the place of the better one."""
    same = _same_row(standings, former)
    is_worse = _severity(former) > _severity(standings)
    connection.execute(delete(standings).where(exists(select(1).where(same, is_worse))))
    known = select(standings.c.account)
    missing = select(former).where(former.c.account.not_in(known), _severity(former) > 0)
    count: int = connection.execute(
        select(func.count()).select_from(missing.subquery())
    ).scalar_one()
    connection.execute(insert(standings).from_select(former.columns.keys(), missing))
    return count


def _keep_peppers(connection: Connection, former: Former) -> None:
    """Keep the peppers of what is in both, and which of them is in use."""
    was = former[peppers.name]
    same = _same_row(peppers, was)
    later = exists(select(1).where(same, was.c.made_at > peppers.c.made_at))
    value = select(was.c.made_at).where(same).scalar_subquery()
    connection.execute(update(peppers).where(later).values(made_at=value))
    in_both = union(*(_peppers_in_both(table, former[table.name]) for table in _DIGESTED))
    missing = select(was).where(was.c.id.in_(in_both), was.c.id.not_in(select(peppers.c.id)))
    connection.execute(insert(peppers).from_select(was.columns.keys(), missing))


def _peppers_in_both(table: Table, former: Table) -> Select[tuple[str]]:
    return select(former.c.pepper).where(former.c.id.in_(select(table.c.id)))


def _keep_digests(connection: Connection, table: Table, former: Table) -> None:
    """Keep what was digested anew under the pepper in use: it is the same key, or token."""
    in_use, same = id_in_use(connection), _same_row(table, former)
    is_newer = exists(select(1).where(same, former.c.pepper == in_use))
    change = update(table).where(table.c.pepper != in_use, is_newer)
    digest = select(former.c.digest).where(same).scalar_subquery()
    connection.execute(change.values(digest=digest, pepper=in_use))


def _severity(table: Table) -> ColumnElement[int]:
    return case(_SEVERITY, value=table.columns["state"], else_=0)


def _same_row(table: Table, former: Table) -> ColumnElement[bool]:
    (key,) = table.primary_key.columns
    return key == former.columns[key.name]
