"""Reading the journals of a folder as one consumer group, up to each one's synced mark."""

import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from service.errors import EventLogError
from service.events.journal.groups import Group, groups_folder
from service.events.journal.mark import Mark
from service.events.journal.segment import Disk, segment_numbers, segment_path
from service.events.journal.segment_reader import SegmentReader
from service.events.log import Lag, Position, Received, Topic

_RESCAN_S: Final = 1.0
_BATCH_BYTES: Final = 32 * 1024 * 1024
"""What one journal may bring to a `poll`, but for the record that goes over it: what bounds the
memory of whoever reads."""
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
        if not topics:
            raise ValueError("a reader needs at least one topic")
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
        records = dict.fromkeys(self._topics, 0)
        for cursor in self._cursors.values():
            with _as_log_error(cursor.log):
                for topic in self._topics:
                    records[topic] += cursor.count(topic)
        return Lag(records)

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
        for path in sorted(self._root.glob("*/synced")):
            folder = path.parent
            if folder.name not in self._cursors:
                mark = _open_mark(path)
                start = self._acknowledged.get(folder.name)
                if mark is not None:
                    cursor = Cursor(folder, mark, start, self._topics, self._disk)
                    self._cursors[folder.name] = cursor

    def _read_all(self) -> list[Received]:
        received: list[Received] = []
        for cursor in self._cursors.values():
            with _as_log_error(cursor.log):
                received += cursor.read(self._batch_records)
        return received


class Cursor:
    """How far one journal was read."""

    def __init__(
        self,
        folder: Path,
        mark: Mark,
        start: Position | None,
        topics: Sequence[Topic],
        disk: Disk,
    ) -> None:
        """Start after a position, or with the oldest segment that is there."""
        self.log = folder.name
        self._folder = folder
        self._topics = topics
        self._disk = disk
        self._mark = mark
        self.position = start or Position(self.log, 0, 0)
        self._last_returned = self.position.offset
        self._segment: SegmentReader | None = None

    def read(self, limit: int) -> list[Received]:
        """Return the next records of the topics, and pass over those of others."""
        synced = self._mark.get()
        received: list[Received] = []
        while not received and self.position.offset < synced:
            received = self._read_segment(synced, limit)
        return received

    def count(self, topic: Topic) -> int:
        """Count the synced records of a topic after the position."""
        synced = self._mark.get()
        total = 0
        for number in segment_numbers(self._folder) if synced > self.position.offset else []:
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

    def _read_segment(self, synced: int, limit: int) -> list[Received]:
        segment = self._segment or self._open(self.position.part)
        received, is_all = segment.read(
            self.position.offset, synced, self._topics, limit, _BATCH_BYTES
        )
        if received:
            self._last_returned = received[-1].position.offset
        if is_all:
            self._pass_over(segment, synced)
        else:
            self.position = received[-1].position
        return received

    def _open(self, number: int) -> SegmentReader:
        """Open a segment, or the oldest one after it if it is gone."""
        later = [n for n in segment_numbers(self._folder) if n >= number]
        if not later:
            raise EventLogError(f"the segments of {self.log} from {number} on are gone")
        self._segment = SegmentReader(self._folder, later[0], self._disk)
        self.position = self.position._replace(part=later[0])
        return self._segment

    def _pass_over(self, segment: SegmentReader, synced: int) -> None:
        """Move on from what was read up to `synced`, to the next segment if this one is full."""
        before = self.position.offset
        self.position = self.position._replace(offset=synced)
        if not segment_path(self._folder, segment.number + 1).exists():
            return
        following = SegmentReader(self._folder, segment.number + 1, self._disk)
        if following.after_offset > synced:  # it came since, and there is more to read here
            following.close()
            return
        segment.close()
        self._segment = following
        begin = max(before, following.after_offset)
        self.position = Position(self.log, following.number, begin)


@contextmanager
def _as_log_error(log: str) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise EventLogError(f"a segment of {log} cannot be read: {error}") from None


def _open_mark(path: Path) -> Mark | None:
    try:
        return Mark(path, writable=False)
    except (FileNotFoundError, ValueError):  # its writer is about to make it
        return None


def _lock_group(folder: Path, group: str) -> int:
    fd = os.open(folder / f"{group}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise EventLogError(f"another process already reads the journals as {group!r}") from None
    return fd
