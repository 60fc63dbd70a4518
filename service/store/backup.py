"""A logical backup: all tables as of one transaction, for any database that Watchgate knows."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import BinaryIO, Final

from sqlalchemy import Connection, Table, select

from service.store.backup_file import FORMAT, End, Header, LastEntry, LinesOut, TableHead
from service.store.engine import Store
from service.store.pepper import pepper_id
from service.store.schema import HEAD, check_known
from service.store.tables import audit, meta, metadata

TABLES: Final = tuple(table for table in metadata.sorted_tables if table is not meta)
"""Those that others refer to come first. `meta` is in the header."""
BATCH_ROWS: Final = 1000

Progress = Callable[[str, int], None]
"""Is told the table, and how many of its rows are through."""


@dataclass(frozen=True, slots=True)
class Written:
    """A backup that was made."""

    header: Header
    rows: Mapping[str, int]
    mac: str


def write_backup(
    store: Store, file: BinaryIO, pepper: bytes, now: float, progress: Progress
) -> Written:
    """Write the store as of now to a file, proved under a pepper. Holds a batch of rows at most.

    Raises:
        BackupError: a newer version of Watchgate has put more into the store.
    """
    rows: Counter[str] = Counter()
    out = LinesOut(file, pepper, now)
    with store.read() as connection:
        check_known(connection)
        header = _header(connection, pepper_id(pepper), now)
        out.put(header)
        for table in TABLES:
            name = str(table.name)  # of a class of SQLAlchemy's, which JSON does not know
            rows[name] = _put_table(connection, table, out, progress)
    out.put(End(rows))
    return Written(header, rows, out.end())


def last_entry(connection: Connection) -> LastEntry | None:
    """Return where the audit log ends; None: nothing is in it."""
    query = select(audit.c.seq, audit.c.mac).order_by(audit.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else LastEntry(row.seq, row.mac)


def _header(connection: Connection, pepper: str, now: float) -> Header:
    row = connection.execute(select(meta)).one()
    return Header(
        watchgate_backup=FORMAT,
        version=version("watchgate"),
        schema=HEAD,
        made_at=now,
        epoch=row.epoch,
        revision=row.revision,
        pepper=pepper,
        end_user_secret=row.end_user_secret,
        audit=last_entry(connection),
    )


def _put_table(connection: Connection, table: Table, out: LinesOut, progress: Progress) -> int:
    out.put(TableHead(str(table.name), tuple(map(str, table.columns.keys()))))
    query = select(table).order_by(*table.primary_key.columns)
    result = connection.execute(query.execution_options(yield_per=BATCH_ROWS))
    count = 0
    for rows in result.partitions():
        out.put(*map(tuple, rows))
        count += len(rows)
        progress(table.name, count)
    return count
