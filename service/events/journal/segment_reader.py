"""A segment as its readers see it, in the writer's process or in another."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from service.events.journal.segment import BUSY_MS, Disk, Row, segment_path, size_bytes_of
from service.events.log import Position, Received, Record, Topic

_COLUMNS: Final = "offset, topic, key, kind, id, key_id, body, content"


def _to_read(folder: Path, number: int) -> str:
    """Return the URI to read a segment by: one that is closed needs no lock and no file beside.

    So it can be read on a full disk, and nothing is left lying beside it.
    """
    path = segment_path(folder, number)
    closed = segment_path(folder, number + 1).exists() and not size_bytes_of(f"{path}-wal")
    return f"file:{quote(str(path))}{'?immutable=1' if closed else ''}"


class SegmentReader:
    """A segment as another process (or thread) reads it, while it is written or after."""

    def __init__(self, folder: Path, number: int, disk: Disk) -> None:
        """Open a segment that exists, for reading alone.

        Raises:
            apsw.CantOpenError: it is gone.
        """
        self.number = number
        self._log = folder.name
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        self._db = apsw.Connection(_to_read(folder, number), flags=flags, vfs=disk.vfs)
        self._db.set_busy_timeout(BUSY_MS)
        self.after_offset = int(self._db.execute("SELECT after_offset FROM segment").get)

    def read(
        self,
        after: int,
        up_to: int,
        topics: Sequence[Topic],
        limit: int,
        max_bytes: float = math.inf,
    ) -> tuple[list[Received], bool]:
        """Return records of these topics with after < offset ≤ up_to, in order.

        At most `limit` of them, and none after those that reach `max_bytes`; and whether that
        was all.
        """
        marks = ",".join("?" * len(topics))
        query = (
            f"SELECT {_COLUMNS} FROM records WHERE offset > ? AND offset <= ? "  # noqa: S608
            f"AND topic IN ({marks}) ORDER BY offset LIMIT ?"
        )
        rows = self._db.execute(query, (after, up_to, *(t.value for t in topics), limit))
        received: list[Received] = []
        for row in rows:
            received.append(self._received(row))
            max_bytes -= received[-1].record.size_bytes
            if max_bytes <= 0:
                rows.close()
                break
        return received, max_bytes > 0 and len(received) != limit

    def find(self, exchange_id: str) -> Iterator[Received]:
        """Return the records and verdicts of an exchange, by reading through the segment."""
        of_exchange = """id = ?1 OR kind = 'verdict' AND ?1 =
            CASE WHEN json_valid(CAST(body AS TEXT)) THEN body ->> 'exchange_id' END"""
        query = f"SELECT {_COLUMNS} FROM records WHERE {of_exchange} ORDER BY offset"  # noqa: S608
        return (self._received(row) for row in self._db.execute(query, (exchange_id,)))

    def count(self, after: int, up_to: int, topic: Topic) -> int:
        """Count the records of a topic with after < offset ≤ up_to."""
        query = "SELECT count(*) FROM records WHERE offset > ? AND offset <= ? AND topic = ?"
        return int(self._db.execute(query, (after, up_to, topic.value)).get)

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def _received(self, row: Row) -> Received:
        offset, topic, key, kind, id_, key_id, body, content = row
        record = Record(Topic(topic), key, kind, id_, body, content, key_id)
        return Received(record, Position(self._log, self.number, offset))
