"""Records on their way into the journal: one of them, and the queue of them."""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from service.errors import EventLogError
from service.events.log import Durability, Position, Record

_MAX_GROUP: Final = 512


class Pending:
    """A record on its way into the journal; `position` or `error` is set once it is decided."""

    __slots__ = ("ends", "error", "level", "position", "record", "waiter")

    def __init__(self, record: Record, level: Durability, *, ends: bool, waiter: object) -> None:
        """Keep the record, the level that is waited for, and who waits."""
        self.record = record
        self.level = level
        self.ends = ends
        self.waiter = waiter
        self.position: Position | None = None
        self.error: EventLogError | None = None


Announce = Callable[[Sequence[Pending]], None]
"""Told, from the journal's threads, which records have reached the level that they wait for."""


def set_events(decided: Sequence[Pending]) -> None:
    """Wake the threads that wait for these records."""
    for pending in decided:
        if isinstance(pending.waiter, threading.Event):
            pending.waiter.set()


class GroupQueue:
    """A queue that any thread fills and one empties, a group at a time; it knows its bytes."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: SimpleQueue[Pending | None] = SimpleQueue()
        self._lock = threading.Lock()
        self.queued_bytes = 0

    def put(self, pending: Pending) -> None:
        """Add a record at the end."""
        with self._lock:
            self.queued_bytes += pending.record.size_bytes
            self._queue.put(pending)

    def end(self) -> None:
        """Let the reader finish: the group after the last record is empty."""
        self._queue.put(None)

    def next_group(self) -> list[Pending]:
        """Wait for a record, and return it with those behind it; empty at the end."""
        first = self._queue.get()
        if first is None:
            return []
        group = [first]
        while len(group) < _MAX_GROUP:
            try:
                pending = self._queue.get_nowait()
            except Empty:
                break
            if pending is None:
                self._queue.put(None)
                break
            group.append(pending)
        return group

    def release(self, group: Sequence[Pending]) -> int:
        """Forget the bytes of records that were decided; return how many there were."""
        size = sum(pending.record.size_bytes for pending in group)
        with self._lock:
            self.queued_bytes -= size
        return size
