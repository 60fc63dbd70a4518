"""The rows of a backup go into the tables, a batch at a time."""

from base64 import b64decode
from collections.abc import Collection, Mapping
from typing import Any, BinaryIO, Final

import msgspec
from sqlalchemy import Connection, LargeBinary, Table, insert

from service.errors import BackupError
from service.store.backup import BATCH_ROWS, TABLES, Progress
from service.store.backup_file import End, TableHead, proved_lines
from service.store.restore_databases import count_on

_TABLES: Final = {table.name: table for table in TABLES}
_ROW: Final = msgspec.json.Decoder(list[Any])
_BETWEEN: Final = msgspec.json.Decoder(dict[str, Any])
_OTHER: Final = "it holds what this version of Watchgate does not know"


def load_rows(
    connection: Connection,
    file: BinaryIO,
    pepper: bytes,
    skipped: Collection[str],
    progress: Progress,
) -> Mapping[str, int]:
    """Insert the rows of a backup, but for those of skipped tables; return how many it has.

    Raises:
        BackupError: it is not what was proved, or of tables that are not today's.
    """
    counts: dict[str, int] = {}
    lines = proved_lines(file, pepper)
    next(lines)  # the header
    into: _TableIn | None = None
    for line in lines:
        if line.startswith(b"["):
            _known(into).add(line)
            continue
        if into is not None:
            counts[into.name] = into.finish()
        between = _BETWEEN.decode(line)
        if "table" not in between:
            _check_end(msgspec.convert(between, End), counts)
            continue
        head = msgspec.convert(between, TableHead)
        into = _TableIn(connection, head, progress, insert_rows=head.table not in skipped)
    return counts


class _TableIn:
    """A table whose rows come in."""

    def __init__(
        self, connection: Connection, head: TableHead, progress: Progress, *, insert_rows: bool
    ) -> None:
        table = _TABLES.get(head.table)
        if table is None or not _fits(head.columns, table):
            raise BackupError(_OTHER)
        self.name = head.table
        self._columns = head.columns
        kinds = [table.columns[name].type for name in head.columns]
        self._bytes = [n for n, kind in enumerate(kinds) if isinstance(kind, LargeBinary)]
        self._connection = connection
        self._progress = progress
        self._table = table if insert_rows else None
        self._batch: list[dict[str, Any]] = []
        self._count = 0

    def add(self, line: bytes) -> None:
        values = _ROW.decode(line)
        for place in self._bytes:
            values[place] = values[place] and b64decode(values[place])
        self._batch.append(dict(zip(self._columns, values, strict=True)))
        if len(self._batch) == BATCH_ROWS:
            self._put()

    def finish(self) -> int:
        """Return how many rows came."""
        if self._batch:
            self._put()
        if self._table is not None:
            count_on(self._connection, self._table)
        return self._count

    def _put(self) -> None:
        self._count += len(self._batch)
        if self._table is not None:
            self._connection.execute(insert(self._table), self._batch)
        self._batch = []
        self._progress(self.name, self._count)


def _fits(columns: Collection[str], table: Table) -> bool:
    """Say whether rows of these columns can be put in: what they lack has come since."""
    lacking = [it for it in table.columns if it.name not in columns]
    return set(columns) <= set(table.columns.keys()) and all(
        it.nullable or it.server_default is not None for it in lacking
    )


def _known(into: _TableIn | None) -> _TableIn:
    if into is None:
        raise BackupError(_OTHER)
    return into


def _check_end(end: End, counts: Mapping[str, int]) -> None:
    if end.rows != counts:
        raise BackupError("it tells of other numbers of rows than it has")
