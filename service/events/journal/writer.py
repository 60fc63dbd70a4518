"""The journal's writer: group commits from a thread, syncs from another, two watermarks.

    append() ──queue──▶ write thread ──write──▶ written ──▶ sync thread ──fdatasync──▶ synced
                        (a group each)                       (mark moves, readers see it)

The write thread takes whatever waits and writes it as one group, so that a write's cost is
shared by all who came during the one before. The sync thread syncs at once when someone waits
for it and otherwise every `sync_interval_s`.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.errors import EventLogError, JournalBroken, JournalFull
from service.events.journal.open_exchanges import OpenExchanges
from service.events.journal.pending import (
    Announce,
    Fault,
    GroupQueue,
    Pending,
    Teller,
    announce_nothing,
)
from service.events.journal.recovery import open_journal
from service.events.journal.segment import Disk, OpenExchange, begin_segment, is_disk_full
from service.events.journal.space import Ballast, FullSegment, Limits
from service.events.journal.syncer import Syncer
from service.events.journal.upkeep import Upkeep
from service.events.log import Durability, Position, Record

_WRITTEN: Final = Durability.WRITTEN
_SYNCED: Final = Durability.SYNCED
_USUAL_BYTES: Final = 16 * 1024
_new: Final = tuple.__new__
"""Makes a position in half the time of its own constructor."""
_DISK_FULL: Final = "the disk is full"


class Journal:
    """The one writer of a journal's folder. `append` may be called from any thread."""

    def __init__(  # noqa: PLR0913  (what an operator decides, and the test's disk)
        self,
        folder: Path,
        *,
        limits: Limits,
        groups: Sequence[str] = (),
        announce: Announce = announce_nothing,
        sync_interval_s: float = 0.05,
        disk: Disk | None = None,
    ) -> None:
        """Open the journal, whose folder the caller has locked, and start its threads.

        `groups` are the consumer groups that must have acknowledged a segment before it goes.

        Raises:
            JournalFull: the disk has no room to open it.
            JournalBroken: a segment cannot be opened.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = folder.name
        self._folder = folder
        self._limits = limits
        self._tell = Teller(announce, self.log)
        self._disk = disk or Disk()
        self._ballast = Ballast(folder, limits.reserve_bytes)
        left = open_journal(folder, self._ballast, self._disk)
        self._mark, self._segment = left.mark, left.segment
        self._open = OpenExchanges(left.open_exchanges)
        self._written = Position(self.log, left.segment.number, left.segment.last_offset)
        self._queue = GroupQueue()
        self._fault = Fault()
        self._syncer = Syncer(self._mark, self._fault, self._tell, sync_interval_s)
        self._upkeep = Upkeep(
            folder,
            limits,
            groups,
            opened=self._open,
            full=left.full,
            ballast=self._ballast,
            fault=self._fault,
        )
        self._upkeep.last_segment_bytes = self._segment.size_bytes
        self._closing = threading.Lock()
        self._closed = False
        self._writer = threading.Thread(target=self._write_loop, name="journal-write", daemon=True)
        self._writer.start()

    # What callers use

    def append(
        self, record: Record, level: Durability, *, ends: bool = False, waiter: object = None
    ) -> Pending:
        """Queue a record; it is announced once it has reached the level.

        `ends`: the record ends an exchange, so it may use the reserve and is never refused for
        want of queue or size. A `waiter` that is a `threading.Event` is set once it is decided.

        Raises:
            JournalFull: there is no room for another exchange; nothing was queued.
            JournalBroken: the journal has failed or was closed.
        """
        size_bytes = record.size_bytes
        self.check_room(size_bytes, ends=ends)
        pending = Pending(record, level, ends, waiter)
        self.put([pending], size_bytes)
        return pending

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        """Append in order and return once all are synced; blocks. See `EventWriter`."""
        done = threading.Event()
        pendings = [Pending(record, _SYNCED, False, None) for record in records]
        if not pendings:
            return []
        pendings[-1].waiter = done
        size_bytes = sum(record.size_bytes for record in records)
        self.check_room(size_bytes, ends=False)
        self.put(pendings, size_bytes)
        done.wait()
        for pending in pendings:
            if pending.error is not None:
                raise pending.error
        return [pending.position for pending in pendings if pending.position is not None]

    def put(self, pendings: Sequence[Pending], size_bytes: int) -> None:
        """Queue records of this size as one group, whose room was checked by `check_room`.

        Raises:
            JournalBroken: the journal was closed; nothing was queued.
        """
        self._queue.put(pendings, size_bytes)

    def check_room(self, size_bytes: int, *, ends: bool) -> None:
        """See that so much may be queued; what ends an exchange always may.

        Raises:
            JournalFull, JournalBroken: it may not.
        """
        if self._fault.error is not None:
            self.check()
        if not ends:
            self._check_room(size_bytes)

    def check(self) -> None:
        """Raise JournalBroken if nothing can be appended any more."""
        if self._fault.error is not None:
            raise JournalBroken(str(self._fault.error))
        if self._closed:
            raise JournalBroken("the journal is closed")

    def has_room(self) -> bool:
        """Say whether a new exchange would be let in, if it is not a large one."""
        try:
            self.check()
            self._check_room(_USUAL_BYTES)
        except EventLogError:
            return False
        return True

    @property
    def used_bytes(self) -> int:
        """Return the size of all segments and of what is queued, roughly."""
        return self._upkeep.used_bytes + self._queue.queued_bytes

    @property
    def used_share(self) -> float:
        """Return how much of what new exchanges may fill is used; at 1 none is taken."""
        return self.used_bytes / self._limits.openings_bytes

    @property
    def disk_free(self) -> float:
        """Return the share of the disk that is free, from 0 to 1."""
        return self._upkeep.disk_free

    @property
    def written(self) -> int:
        """Return the offset up to which records survive a killed process."""
        return self._written.offset

    @property
    def synced(self) -> int:
        """Return the offset up to which records survive a loss of power."""
        return self._mark.get()

    def open_exchanges(self) -> list[OpenExchange]:
        """List what was opened and not closed; after a crash, what was interrupted."""
        return self._open.list()

    def oldest_unacknowledged_s(self, now: float) -> float:
        """Return the age of the oldest full segment that a group has yet to read, else 0."""
        return self._upkeep.oldest_unacknowledged_s(now)

    def close(self) -> None:
        """Write and sync what was appended, then let the files go."""
        with self._closing:
            if self._closed:
                return
            self._queue.end()
            self._writer.join()
            self._syncer.close()
            self._upkeep.close()
            self._segment.close()
            self._mark.close()
            self._closed = True

    # Room

    def _check_room(self, size_bytes: int) -> None:
        queued_bytes = self._queue.queued_bytes + size_bytes
        if not self._ballast.held:
            raise JournalFull(_DISK_FULL)
        if queued_bytes > self._limits.max_queue_bytes:
            raise JournalFull("the journal's queue is full")
        if self._upkeep.used_bytes + queued_bytes > self._limits.openings_bytes:
            raise JournalFull("the journal is at its size limit with unread segments")

    # The write thread

    def _write_loop(self) -> None:
        while group := self._queue.next_group():
            self._commit(group)

    def _commit(self, group: list[Pending]) -> None:
        if self._fault.error is not None:
            self._fail(group, self._fault.error)
            return
        try:
            self._append(group)
        except Exception as error:  # noqa: BLE001  (whatever it is, nobody may wait for ever)
            if is_disk_full(error):
                self._commit_the_ends(group)
                return
            self._fail(group, self._fault.set(f"a write failed: {type(error).__name__}: {error}"))
        else:
            self._hand_over(group)
            self._roll_if_full()

    def _append(self, group: list[Pending]) -> None:
        log, number, last = self._written
        self._segment.write([pending.record for pending in group])
        for offset, pending in enumerate(group, last + 1):
            pending.position = _new(Position, (log, number, offset))
        self._written = _new(Position, (log, number, last + len(group)))
        self._upkeep.last_segment_bytes = self._segment.size_bytes

    def _hand_over(self, group: list[Pending]) -> None:
        """Announce what was only to be written; leave the rest to the sync thread."""
        self._open.note(group)
        to_sync = [pending for pending in group if pending.level is not _WRITTEN]
        self._syncer.written(self._segment, self._written.offset, to_sync)
        if not to_sync:
            self._tell(group)
        elif len(to_sync) < len(group):
            self._tell([pending for pending in group if pending.level is _WRITTEN])

    def _commit_the_ends(self, group: list[Pending]) -> None:
        """On a full disk: refuse new exchanges, and end those that are open in the ballast."""
        relieved = self._ballast.drop()
        ends = [pending for pending in group if pending.ends]
        others = [pending for pending in group if not pending.ends]
        self._fail(others, JournalFull(_DISK_FULL))
        if not ends:
            return
        if relieved or others:
            self._commit(ends)
        else:
            self._fail(ends, JournalFull(_DISK_FULL))

    def _roll_if_full(self) -> None:
        if self._segment.records_bytes < self._limits.segment_bytes or not self._ballast.held:
            return  # on a full disk the segment grows on: a new one would need more room
        self._syncer.sync()
        if self._fault.error is not None:
            return
        try:
            self._roll()
        except Exception as error:  # noqa: BLE001  (the write thread goes on, and refuses)
            if is_disk_full(error):
                self._ballast.drop()
                return
            self._fault.set(f"a new segment could not be begun: {type(error).__name__}: {error}")

    def _roll(self) -> None:
        """Begin the next segment, now that this one is synced."""
        old, last = self._segment, self._written.offset
        number = old.number + 1
        self._segment = begin_segment(self._folder, number, last, self._open.list(), self._disk)
        self._written = Position(self.log, number, last)
        self._upkeep.retire(FullSegment(old.number, last, old.size_bytes, time.time()))
        self._upkeep.last_segment_bytes = self._segment.size_bytes
        old.close()

    def _fail(self, group: list[Pending], error: EventLogError) -> None:
        for pending in group:
            pending.error = error
        if group:
            self._tell(group)
