"""One segment: an SQLite file in WAL mode, its tables and its statements.

The writer commits with synchronous=NORMAL, which appends to the write-ahead log without a sync
(*written*); a sync of that log then makes every commit before it durable (*synced*). The log is
moved into the file once, when the segment is full: that costs least (load_tests/bench_journal.py).

A segment appears under its name complete with its tables, and only once everything before it is
synced: that it is there says that the one before is full, and `after_offset` where that ended.
"""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from service.events.journal.groups import sync_folder
from service.events.log import Position, Record

_SCHEMA: Final = """
-- one row: the last offset of the segments before
CREATE TABLE segment (after_offset INTEGER NOT NULL) STRICT;
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
"""
_PAGE_BYTES: Final = 8192
"""Three records of 2.2 KB fill one: with 4096 it is one, and a commit costs a third more CPU."""
BUSY_MS: Final = 10_000
_CHECKPOINTBUSY_MS: Final = 200
_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

Row = tuple[int, str, bytes, str, str, str | None, bytes, bytes | None]


def size_bytes_of(path: str) -> int:
    """Return the size of a file, 0 if it is not there."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  (called for every group)
    except FileNotFoundError:
        return 0


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


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error of SQLite or of the system means that there is no room."""
    if isinstance(error, apsw.IOError):  # the shared memory beside the log is a file, too
        return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return isinstance(error, apsw.FullError)


def segment_path(folder: Path, number: int) -> Path:
    """Return the path of a journal's segment."""
    return folder / f"{number:08d}.db"


def segment_numbers(folder: Path) -> list[int]:
    """List a journal's segments, oldest first."""
    return sorted(int(path.stem) for path in folder.glob("*.db") if path.stem.isdigit())


def remove_segment(folder: Path, number: int) -> None:
    """Unlink a segment and what SQLite keeps beside it."""
    path = segment_path(folder, number)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def begin_segment(
    folder: Path, number: int, after_offset: int, carried: Iterable[OpenExchange], disk: Disk
) -> None:
    """Make a segment, complete and on disk, before it gets its name."""
    temporary = folder / "next.tmp"
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    db = apsw.Connection(str(temporary), vfs=disk.vfs)
    try:
        for pragma in (f"page_size={_PAGE_BYTES}", "journal_mode=OFF", "synchronous=OFF"):
            db.execute(f"PRAGMA {pragma}")
        db.execute(f"BEGIN; {_SCHEMA}")
        db.execute("INSERT INTO segment VALUES (?)", (after_offset,))
        rows = [(x.id, x.position.part, x.position.offset, x.body) for x in carried]
        db.executemany("INSERT INTO carried VALUES (?, ?, ?, ?)", rows)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode=WAL")
    finally:
        db.close()
    disk.sync(str(temporary))
    temporary.rename(segment_path(folder, number))
    sync_folder(folder)


def to_row(offset: int, record: Record) -> Row:
    """Lay a record out as a row."""
    return (
        offset,
        record.topic,
        record.key,
        record.kind,
        record.id,
        record.key_id,
        record.body,
        record.content,
    )


class SegmentWriter:
    """The last segment of a journal. Used from one thread at a time, but for `sync`."""

    def __init__(self, folder: Path, number: int, disk: Disk) -> None:
        """Open a segment that exists."""
        self.number = number
        self._path = segment_path(folder, number)
        self._wal_path = f"{self._path}-wal"
        self._disk = disk
        flags = apsw.SQLITE_OPEN_READWRITE
        self._db = apsw.Connection(str(self._path), flags=flags, vfs=disk.vfs)
        self._db.set_busy_timeout(BUSY_MS)
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self.after_offset = int(self._db.execute("SELECT after_offset FROM segment").get)
        self._file_bytes = self._path.stat().st_size

    def settle(self) -> None:
        """Bring whatever the file holds to the disk; commits after this need a `sync`."""
        self._db.execute("PRAGMA synchronous=FULL")
        self._truncate_wal()
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._file_bytes = self._path.stat().st_size

    def insert(self, rows: Iterable[Row]) -> None:
        """Commit rows together: once this returns they are written."""
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(_INSERT, rows)
            execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself after some errors
                execute("ROLLBACK")
            raise

    def sync(self) -> None:
        """Make every commit before this call survive a loss of power. Any thread may call it."""
        self._disk.sync(self._wal_path)

    def size_bytes(self) -> int:
        """Return the size of the file with its write-ahead log; cheap enough for every group."""
        return self._file_bytes + size_bytes_of(self._wal_path)

    def last_offset(self) -> int:
        """Return the highest offset, here or before."""
        return int(self._db.execute("SELECT max(offset) FROM records").get or self.after_offset)

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
        """Move everything into the file and let it go.

        Raises:
            apsw.FullError: there is no room for it; the segment stays open, try again.
        """
        self._truncate_wal()
        self._db.close()

    def abandon(self) -> None:
        """Let the file go as it is: its next writer recovers what it holds."""
        self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._db.close()

    def _truncate_wal(self) -> None:
        self._db.set_busy_timeout(_CHECKPOINTBUSY_MS)
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:  # a reader is in the way: the log stays, and is synced as it is
            self.sync()
        finally:
            self._db.set_busy_timeout(BUSY_MS)
