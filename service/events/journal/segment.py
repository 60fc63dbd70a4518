"""One segment: an SQLite file in WAL mode, its tables and its statements.

The writer commits with synchronous=NORMAL, which appends to the write-ahead log without a sync
(*written*); a sync of that log then makes every commit before it durable (*synced*).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from service.events.journal.groups import sync_folder
from service.events.log import Position, Received, Record, Topic

_SCHEMA: Final = """
CREATE TABLE records (
    offset  INTEGER PRIMARY KEY,
    topic   TEXT NOT NULL,
    key     BLOB NOT NULL,
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    key_id  TEXT,
    body    BLOB NOT NULL,
    content BLOB
) STRICT;
-- exchanges that were open when this segment began: their `opened`, wherever it stands
CREATE TABLE carried (id TEXT NOT NULL, segment INTEGER, offset INTEGER, body BLOB NOT NULL) STRICT;
-- one row once the segment is full: nothing is written after it
CREATE TABLE sealed (last_offset INTEGER NOT NULL) STRICT;
"""
_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS: Final = "offset, topic, key, kind, id, key_id, body, content"

Row = tuple[int, str, bytes, str, str, str | None, bytes, bytes | None]


def _sync_file(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class Disk:
    """How segments reach the disk; tests put a lossy one in its place."""

    vfs: str | None = None
    sync: Callable[[str], None] = _sync_file


@dataclass(frozen=True, slots=True)
class OpenExchange:
    """An `opened` without its `closed`."""

    id: str
    position: Position
    body: bytes


def segment_path(folder: Path, number: int) -> Path:
    """Return the path of a journal's segment."""
    return folder / f"{number:08d}.db"


def segment_numbers(folder: Path) -> list[int]:
    """List a journal's segments, oldest first."""
    return sorted(int(path.stem) for path in folder.glob("*.db") if path.stem.isdigit())


def to_row(offset: int, record: Record) -> Row:
    """Lay a record out as a row."""
    return (
        offset,
        record.topic.value,
        record.key,
        record.kind,
        record.id,
        record.key_id,
        record.body,
        record.content,
    )


class SegmentWriter:
    """The open segment of a journal. Used from one thread, but for `sync` and `checkpoint`."""

    def __init__(self, folder: Path, number: int, disk: Disk) -> None:
        """Open a segment that exists or start a new file; see `prepare`."""
        self.number = number
        self.sealed_offset = 0
        self._path = segment_path(folder, number)
        self._disk = disk
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            sync_folder(folder)
        self._db = apsw.Connection(str(self._path), vfs=disk.vfs)
        self._db.set_busy_timeout(10_000)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        self._helper: apsw.Connection | None = None

    def is_prepared(self) -> bool:
        """Say whether the tables are there: a process may have died before it made them."""
        return bool(self._db.table_exists(None, "sealed"))

    def prepare(self, carried: Iterable[OpenExchange]) -> None:
        """Make the tables and note the exchanges that were opened before, in one transaction."""
        rows = [(x.id, x.position.part, x.position.offset, x.body) for x in carried]
        with self._db:
            self._db.execute(_SCHEMA)
            self._db.executemany("INSERT INTO carried VALUES (?, ?, ?, ?)", rows)

    def settle(self) -> None:
        """Bring whatever the file holds to the disk; commits after this need a `sync`."""
        self._db.execute("PRAGMA synchronous=FULL")
        self._truncate_wal()
        self._db.execute("PRAGMA synchronous=NORMAL")

    def insert(self, rows: Iterable[Row]) -> None:
        """Commit rows together: once this returns they are written."""
        with self._db:
            self._db.executemany(_INSERT, rows)

    def sync(self) -> None:
        """Make every commit before this call survive a loss of power. Any thread may call it."""
        self._disk.sync(f"{self._path}-wal")

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file, from a thread beside the writer's."""
        if self._helper is None:
            self._helper = apsw.Connection(str(self._path), vfs=self._disk.vfs)
        self._helper.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        try:
            return Path(f"{self._path}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def last_offset(self) -> int | None:
        """Return the highest offset, None in an empty segment."""
        value = self._db.execute("SELECT max(offset) FROM records").get
        return None if value is None else int(value)

    def is_sealed(self) -> bool:
        """Say whether nothing may be written any more."""
        return bool(self._db.execute("SELECT count(*) FROM sealed").get)

    def seal(self, last_offset: int) -> None:
        """Say that nothing follows in this segment."""
        self.sealed_offset = last_offset
        with self._db:
            self._db.execute("INSERT INTO sealed VALUES (?)", (last_offset,))

    def open_exchanges(self, log: str) -> list[OpenExchange]:
        """List what was opened, here or before, and not closed here."""
        query = """
            SELECT id, segment, offset, body FROM carried
            UNION ALL
            SELECT id, ?, offset, body FROM records WHERE kind = 'opened'
        """
        closed = {id_ for (id_,) in self._db.execute("SELECT id FROM records WHERE kind='closed'")}
        return [
            OpenExchange(id_, Position(log, segment, offset), body)
            for id_, segment, offset, body in self._db.execute(query, (self.number,))
            if id_ not in closed
        ]

    def close(self) -> None:
        """Move everything into the file and let it go. No other thread may use it any more."""
        if self._helper is not None:
            self._helper.close()
        self._truncate_wal()
        self._db.close()

    def _truncate_wal(self) -> None:
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:  # a reader is in the way: the log stays, and is synced as it is
            self.sync()


class SegmentReader:
    """A segment as another process (or thread) reads it, while it is written or after."""

    def __init__(self, folder: Path, number: int, disk: Disk) -> None:
        """Open a segment that exists, for reading alone."""
        self.number = number
        self._log = folder.name
        flags = apsw.SQLITE_OPEN_READONLY
        self._db = apsw.Connection(str(segment_path(folder, number)), flags=flags, vfs=disk.vfs)
        self._db.set_busy_timeout(10_000)

    def read(self, after: int, up_to: int, topics: Sequence[Topic], limit: int) -> list[Received]:
        """Return records of these topics with after < offset ≤ up_to, in order."""
        marks = ",".join("?" * len(topics))
        query = (
            f"SELECT {_COLUMNS} FROM records WHERE offset > ? AND offset <= ? "  # noqa: S608
            f"AND topic IN ({marks}) ORDER BY offset LIMIT ?"
        )
        rows = self._db.execute(query, (after, up_to, *(t.value for t in topics), limit))
        return [self._received(row) for row in rows]

    def find(self, exchange_id: str) -> Iterator[Received]:
        """Return the records of an exchange, by reading the whole segment's ids."""
        query = f"SELECT {_COLUMNS} FROM records WHERE id = ? ORDER BY offset"  # noqa: S608
        return (self._received(row) for row in self._db.execute(query, (exchange_id,)))

    def count(self, after: int, up_to: int, topic: Topic) -> int:
        """Count the records of a topic with after < offset ≤ up_to."""
        query = "SELECT count(*) FROM records WHERE offset > ? AND offset <= ? AND topic = ?"
        return int(self._db.execute(query, (after, up_to, topic.value)).get)

    def sealed_at(self) -> int | None:
        """Return the last offset of a sealed segment, None while it is open."""
        value = self._db.execute("SELECT last_offset FROM sealed").get
        return None if value is None else int(value)

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def _received(self, row: Row) -> Received:
        offset, topic, key, kind, id_, key_id, body, content = row
        record = Record(Topic(topic), key, kind, id_, body, content, key_id)
        return Received(record, Position(self._log, self.number, offset))
