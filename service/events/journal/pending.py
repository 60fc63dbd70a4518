"""Records on their way into the journal: one of them, the queue of them, and what stops them."""

import logging
import threading
from collections.abc import Callable, Sequence

import msgspec

from service.errors import EventLogError, JournalBroken
from service.events.log import Durability, Position, Record

_log = logging.getLogger(__name__)


class Pending(msgspec.Struct, eq=False):
    """A record on its way into the journal; `position` or `error` is set once it is decided."""

    record: Record
    level: Durability
    ends: bool
    waiter: object
    position: Position | None = None
    error: EventLogError | None = None


Announce = Callable[[Sequence[Pending]], None]
"""Told, from the journal's threads, which records have reached the level that they wait for."""


def announce_nothing(_decided: Sequence[Pending]) -> None:
    """Tell nobody but the threads that wait: see `Journal.append`."""


class Teller:
    """Announces what is decided; that a listener fails is not the journal's failure."""

    def __init__(self, announce: Announce, log: str) -> None:
        """Tell `announce`, and every waiter that is a `threading.Event`."""
        self._announce = announce
        self._log = log

    def __call__(self, decided: Sequence[Pending]) -> None:
        """Tell everyone."""
        for pending in decided:
            if isinstance(pending.waiter, threading.Event):
                pending.waiter.set()
        try:
            self._announce(decided)
        except Exception:  # noqa: BLE001  (logged with its traceback)
            _log.exception("whoever is told what %s has written failed", self._log)


class Fault:
    """Why a journal is broken; the first reason stays."""

    def __init__(self) -> None:
        """Start without one."""
        self._lock = threading.Lock()
        self.error: JournalBroken | None = None

    def set(self, why: str) -> JournalBroken:
        """Break the journal and return the error that everyone gets from now on."""
        with self._lock:
            self.error = self.error or JournalBroken(why)
            return self.error


class GroupQueue:
    """A queue that any thread fills and one empties, all at once; it knows its bytes."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._waiting: list[Pending] = []
        self._ended = False
        self._ready = threading.Lock()
        """Free while there is something to take: cheaper than a condition."""
        self._ready.acquire()
        self._waiting_bytes = 0
        self._taken_bytes = 0

    @property
    def queued_bytes(self) -> int:
        """Return the size of what waits and of the group that is being written."""
        return self._waiting_bytes + self._taken_bytes

    def put(self, pendings: Sequence[Pending], size_bytes: int) -> None:
        """Add records at the end, which stay in one group.

        Raises:
            JournalBroken: the queue was ended, and nothing was added.
        """
        with self._lock:
            if self._ended:
                raise JournalBroken("the journal is closed")
            was_empty = not self._waiting
            self._waiting += pendings
            self._waiting_bytes += size_bytes
            if was_empty and pendings:
                self._ready.release()

    def end(self) -> None:
        """Take no more; the group after the last record is empty."""
        with self._lock:
            if not self._ended:
                self._ended = True
                if not self._waiting:
                    self._ready.release()

    def next_group(self) -> list[Pending]:
        """Wait for a record, and return it with those behind it; empty at the end.

        The group before is forgotten: it was decided.
        """
        self._taken_bytes = 0
        self._ready.acquire()
        with self._lock:
            group, self._waiting = self._waiting, []
            self._taken_bytes, self._waiting_bytes = self._waiting_bytes, 0
            if self._ended:
                self._ready.release()
            return group
