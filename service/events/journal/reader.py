"""Reading the journals of a folder as one consumer group, up to each one's synced mark."""

import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from service.errors import EventLogError
from service.events.journal.groups import Group
from service.events.journal.mark import Mark
from service.events.journal.segment import Disk, SegmentReader, segment_numbers
from service.events.journal.upkeep import groups_folder
from service.events.log import Lag, Position, Received, Topic

_RESCAN_S: Final = 1.0
_IDLE_WAIT_S: Final = 0.02


class JournalReader:
    """All journals under a root, for one group. One process a group: a lock sees to it."""

    def __init__(
        self,
        root: Path,
        group: str,
        topics: Collection[Topic],
        *,
        batch_records: int = 256,
        disk: Disk | None = None,
    ) -> None:
        """Start after what the group acknowledged before.

        Raises:
            EventLogError: another process is reading as this group.
        """
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root
        self._topics = [topic for topic in Topic if topic in topics]
        self._batch_records = batch_records
        self._disk = disk or Disk()
        self._group = Group(groups_folder(root), group)
        self._lock_fd = _lock_group(groups_folder(root), group)
        self._acknowledged = self._group.load()
        self._cursors: dict[str, Cursor] = {}
        self._next_scan = 0.0

    def poll(self, timeout_s: float) -> Sequence[Received]:
        """Return the next records; see `EventReader`."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._find_journals()
            received = self._read_all()
            remaining = deadline - time.monotonic()
            if received or remaining <= 0:
                return received
            time.sleep(min(_IDLE_WAIT_S, remaining))

    def commit(self, positions: Iterable[Position]) -> None:
        """Acknowledge; see `EventReader`."""
        before = dict(self._acknowledged)
        for position in positions:
            self._acknowledge(position)
        for cursor in self._cursors.values():
            if cursor.is_idle_after(self._acknowledged.get(cursor.log)):
                self._acknowledge(cursor.position)
        if self._acknowledged != before:
            self._group.save(self._acknowledged)

    def lag(self) -> Lag:
        """Count what is synced and not yet read."""
        self._find_journals()
        cursors = self._cursors.values()
        return Lag({topic: sum(c.count(topic) for c in cursors) for topic in self._topics})

    def close(self) -> None:
        """Stop reading; see `EventReader`."""
        for cursor in self._cursors.values():
            cursor.close()
        self._cursors.clear()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _acknowledge(self, position: Position) -> None:
        before = self._acknowledged.get(position.log)
        if before is None or before.offset < position.offset:
            self._acknowledged[position.log] = position

    def _find_journals(self) -> None:
        now = time.monotonic()
        if now < self._next_scan:
            return
        self._next_scan = now + _RESCAN_S
        for mark in sorted(self._root.glob("*/synced")):
            folder = mark.parent
            if folder.name not in self._cursors and segment_numbers(folder):
                start = self._acknowledged.get(folder.name)
                self._cursors[folder.name] = Cursor(folder, start, self._topics, self._disk)

    def _read_all(self) -> list[Received]:
        received: list[Received] = []
        for cursor in self._cursors.values():
            received += cursor.read(self._batch_records)
        return received


class Cursor:
    """How far one journal was read."""

    def __init__(
        self,
        folder: Path,
        start: Position | None,
        topics: Sequence[Topic],
        disk: Disk,
    ) -> None:
        """Start after a position, or with the oldest segment that is there."""
        self.log = folder.name
        self._folder = folder
        self._topics = topics
        self._disk = disk
        self._mark = Mark(folder / "synced", writable=False)
        numbers = segment_numbers(folder)
        number = next((n for n in numbers if start and n >= start.part), numbers[0])
        self.position = Position(self.log, number, start.offset if start else 0)
        self._last_returned = self.position.offset
        self._segment: SegmentReader | None = None

    def read(self, limit: int) -> list[Received]:
        """Return the next records of the topics, and pass over those of others."""
        synced = self._mark.get()
        if synced <= self.position.offset:
            return []
        segment = self._open_segment()
        received = segment.read(self.position.offset, synced, self._topics, limit)
        if received:
            self._last_returned = received[-1].position.offset
        if len(received) == limit:
            self.position = received[-1].position
            return received
        end = segment.sealed_at()
        if end is not None and end <= synced:
            self._next_segment(end)
        else:
            self.position = self.position._replace(offset=max(synced, self.position.offset))
        return received

    def count(self, topic: Topic) -> int:
        """Count the synced records of a topic after the position."""
        synced = self._mark.get()
        total = 0
        for number in segment_numbers(self._folder):
            if number >= self.position.part:
                reader = SegmentReader(self._folder, number, self._disk)
                total += reader.count(self.position.offset, synced, topic)
                reader.close()
        return total

    def is_idle_after(self, acknowledged: Position | None) -> bool:
        """Say whether all that was returned is acknowledged, so that the rest may be passed."""
        return self._last_returned <= (acknowledged.offset if acknowledged else 0)

    def close(self) -> None:
        """Let the files go."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        self._mark.close()

    def _open_segment(self) -> SegmentReader:
        if self._segment is None:
            self._segment = SegmentReader(self._folder, self.position.part, self._disk)
        return self._segment

    def _next_segment(self, end: int) -> None:
        later = [n for n in segment_numbers(self._folder) if n > self.position.part]
        if later and self._segment is not None:
            self._segment.close()
            self._segment = None
            self.position = Position(self.log, later[0], end)
        else:
            self.position = self.position._replace(offset=end)


def find_exchange(root: Path, exchange_id: str, disk: Disk | None = None) -> Iterator[Received]:
    """Return what the journals under a root hold of an exchange; reads every segment's ids."""
    disk = disk or Disk()
    for mark in sorted(root.glob("*/synced")):
        for number in reversed(segment_numbers(mark.parent)):
            reader = SegmentReader(mark.parent, number, disk)
            try:
                yield from reader.find(exchange_id)
            finally:
                reader.close()


def _lock_group(folder: Path, group: str) -> int:
    fd = os.open(folder / f"{group}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise EventLogError(f"another process already reads the journals as {group!r}") from None
    return fd
