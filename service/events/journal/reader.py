"""Reading the journals of a folder as one consumer group, up to each one's synced mark."""

import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.errors import EventLogError, SegmentDamaged
from service.events.journal.cursor import Cursor
from service.events.journal.groups import Group, groups_folder
from service.events.journal.mark import Mark
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
        self._group = Group(groups_folder(root), group)
        self._lock_fd = lock_group(groups_folder(root), group)
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
                for topic, count in cursor.unread().items():
                    records[topic] += count
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
                    cursor = Cursor(folder, mark, start, self._topics)
                    self._cursors[folder.name] = cursor

    def _read_all(self) -> list[Received]:
        received: list[Received] = []
        for cursor in self._cursors.values():
            with _as_log_error(cursor.log):
                received += cursor.read(self._batch_records)
        return received


@contextmanager
def _as_log_error(log: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SegmentDamaged) as error:
        raise EventLogError(f"a segment of {log} cannot be read: {error}") from None


def _open_mark(path: Path) -> Mark | None:
    try:
        return Mark(path, writable=False)
    except (FileNotFoundError, ValueError):  # its writer is about to make it
        return None


def lock_group(folder: Path, group: str) -> int:
    """Be the one that reads as a group until the descriptor that this returns is closed.

    Raises:
        EventLogError: another process is.
    """
    fd = os.open(folder / f"{group}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise EventLogError(f"another process already reads the journals as {group!r}") from None
    return fd
