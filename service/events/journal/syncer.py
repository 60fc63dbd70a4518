"""The sync thread: makes what was written durable, moves the mark, and tells who waits for it."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from service.events.journal.mark import Mark
from service.events.journal.pending import Fault, Pending


class Syncable(Protocol):
    """A segment, as far as it is synced."""

    def sync(self) -> None:
        """Make everything written before this call durable."""
        ...


class Syncer:
    """Syncs at once when a record waits for it, else `interval_s` after something was written."""

    def __init__(
        self,
        mark: Mark,
        fault: Fault,
        tell: Callable[[Sequence[Pending]], None],
        interval_s: float,
    ) -> None:
        """Start the thread."""
        self._mark = mark
        self._fault = fault
        self._tell = tell
        self._interval_s = interval_s
        self._syncing = threading.Lock()
        self._lock = threading.Lock()
        self._segment: Syncable | None = None
        self._offset = 0
        self._waiting: list[Pending] = []
        self._stopping = False
        self._dirty = threading.Event()
        self._urgent = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def written(self, segment: Syncable, offset: int, waiting: Sequence[Pending]) -> None:
        """Note that a segment was written up to an offset, and who waits until it is synced.

        Whoever changes the segment calls `sync` first: only one is ever unsynced.
        """
        with self._lock:
            self._segment, self._offset = segment, offset
            self._waiting += waiting
        if waiting:
            self._urgent.set()
        if not self._dirty.is_set():
            self._dirty.set()

    def sync(self) -> None:
        """Sync now what was written before this call. Breaks the journal if that fails."""
        with self._syncing:
            with self._lock:
                segment, offset = self._segment, self._offset
                waiting, self._segment, self._waiting = self._waiting, None, []
            if segment is not None and self._fault.error is None:
                self._sync(segment, offset)
            for pending in waiting:
                pending.error = self._fault.error
            if waiting:
                self._tell(waiting)

    def close(self) -> None:
        """Sync what is left and end the thread. May be called twice."""
        self._stopping = True
        self._dirty.set()
        self._urgent.set()
        self._thread.join()
        self.sync()

    def _sync(self, segment: Syncable, offset: int) -> None:
        try:
            segment.sync()
        except OSError as error:  # the kernel may have dropped what it could not write: never retry
            self._fault.set(f"a sync failed: {error}")
        else:
            self._mark.set(offset)

    def _run(self) -> None:
        while not self._stopping:
            self._dirty.wait()
            self._urgent.wait(self._interval_s)
            self._urgent.clear()
            self._dirty.clear()
            self.sync()
