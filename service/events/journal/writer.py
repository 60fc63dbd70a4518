"""The journal's writer: group commits from a thread, syncs from another, two watermarks.

    append() ──queue──▶ write thread ──commit──▶ written ──▶ sync thread ──fdatasync──▶ synced
                        (a group each)                        (mark moves, readers see it)

The write thread takes whatever waits and commits it as one group, so that a commit's cost is
shared by all who came during the one before. The sync thread syncs at once when someone waits
for it and otherwise every `sync_interval_s`.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw

from service.errors import EventLogError, JournalBroken, JournalFull
from service.events.journal.mark import Mark
from service.events.journal.pending import Announce, GroupQueue, Pending, set_events
from service.events.journal.segment import Disk, OpenExchange, SegmentWriter, to_row
from service.events.journal.space import Ballast, Limits
from service.events.journal.upkeep import Upkeep, open_segment, sealed_segments
from service.events.log import Durability, Position, Record

_WAL_BYTES: Final = 16 * 1024 * 1024
_UPKEEP_INTERVAL_S: Final = 1.0


class Journal:
    """The one writer of a journal's folder. `append` may be called from any thread."""

    def __init__(  # noqa: PLR0913  (what an operator decides, and the test's disk)
        self,
        folder: Path,
        *,
        limits: Limits,
        groups: Sequence[str] = (),
        announce: Announce = set_events,
        sync_interval_s: float = 0.02,
        disk: Disk | None = None,
    ) -> None:
        """Open the journal, whose folder the caller has locked, and start its threads.

        `groups` are the consumer groups that must have acknowledged a segment before it goes.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = folder.name
        self._folder = folder
        self._limits = limits
        self._announce = announce
        self._sync_interval_s = sync_interval_s
        self._disk = disk or Disk()
        self._ballast = Ballast(folder, limits.reserve_bytes)
        self._segment, last, left_open = open_segment(folder, self._disk)
        sealed = sealed_segments(folder, self._segment.number, self._disk)
        self._upkeep = Upkeep(folder, limits, groups, left_open=left_open, sealed=sealed)
        self._mark = Mark(folder / "synced", writable=True)
        self._segment_bytes = 0
        self._written = Position(self.log, self._segment.number, last)
        self._mark.set(last)
        self._queue = GroupQueue()
        self._lock = threading.Lock()
        self._unsynced: list[Pending] = []
        self._retired: list[SegmentWriter] = []
        self._broken: JournalBroken | None = None
        self._closing = False
        self._dirty = threading.Event()
        self._urgent = threading.Event()
        self._writer = threading.Thread(target=self._write_loop, name="journal-write", daemon=True)
        self._syncer = threading.Thread(target=self._sync_loop, name="journal-sync", daemon=True)
        self._writer.start()
        self._syncer.start()

    # What callers use

    def append(
        self,
        record: Record,
        level: Durability,
        *,
        ends: bool = False,
        waiter: object = None,
    ) -> Pending:
        """Queue a record; it is announced once it has reached the level.

        `ends`: the record ends an exchange, so it may use the reserve and is never refused for
        want of queue or size.

        Raises:
            JournalFull: there is no room for another exchange; nothing was queued.
            JournalBroken: the journal has failed or was closed.
        """
        self.check()
        if not ends:
            self._check_room(record.size_bytes)
        pending = Pending(record, level, ends=ends, waiter=waiter)
        self._queue.put(pending)
        return pending

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        """Append in order and return once all are synced; blocks. See `EventWriter`."""
        if not records:
            return []
        done = threading.Event()
        *first, last = records
        pendings = [self.append(record, Durability.SYNCED) for record in first]
        pendings.append(self.append(last, Durability.SYNCED, waiter=done))
        done.wait()
        for pending in pendings:
            if pending.error is not None:
                raise pending.error
        return [pending.position for pending in pendings if pending.position is not None]

    def check(self) -> None:
        """Raise JournalBroken if nothing can be appended any more."""
        if self._broken is not None:
            raise JournalBroken(str(self._broken))
        if self._closing:
            raise JournalBroken("the journal is closed")

    def has_room(self) -> bool:
        """Say whether a new exchange would be let in."""
        try:
            self.check()
            self._check_room(0)
        except EventLogError:
            return False
        return True

    @property
    def used_bytes(self) -> int:
        """Return the size of all segments and of what is queued, roughly."""
        return self._upkeep.sealed_bytes + self._segment_bytes + self._queue.queued_bytes

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
        return self._upkeep.open_exchanges()

    def oldest_unacknowledged_s(self, now: float) -> float:
        """Return the age of the oldest sealed segment that a group has yet to read, else 0."""
        return self._upkeep.oldest_unacknowledged_s(now)

    def close(self) -> None:
        """Write and sync what was appended, then let the files go."""
        if self._closing:
            return
        self._closing = True
        self._queue.end()
        self._writer.join()
        self._urgent.set()
        self._syncer.join()
        self._mark.close()

    # Room

    def _check_room(self, size: int) -> None:
        if not self._ballast.held:
            raise JournalFull("the disk is full")
        if self._queue.queued_bytes + size > self._limits.max_queue_bytes:
            raise JournalFull("the journal's queue is full")
        if self.used_bytes + size > self._limits.max_bytes - self._limits.reserve_bytes:
            raise JournalFull("the journal is at its size limit with unread segments")

    # The write thread

    def _write_loop(self) -> None:
        while group := self._queue.next_group():
            self._commit(group)

    def _commit(self, group: list[Pending]) -> None:
        if self._broken is not None:
            self._fail(group, self._broken)
            return
        try:
            self._insert(group)
        except apsw.FullError:
            self._commit_the_ends(group)
        except (apsw.Error, OSError) as error:
            self._break(f"a write failed: {error}")
            self._fail(group, JournalBroken("a write failed"))

    def _insert(self, group: list[Pending]) -> None:
        log, number, last = self._written
        records = [pending.record for pending in group]
        self._segment.insert(to_row(last + 1 + i, record) for i, record in enumerate(records))
        for i, pending in enumerate(group):
            pending.position = Position(log, number, last + 1 + i)
        self._upkeep.note(group)
        self._written = Position(log, number, last + len(group))
        self._segment_bytes += self._queue.release(group)
        self._hand_over(group)
        if self._segment_bytes >= self._limits.segment_bytes:
            self._roll()

    def _hand_over(self, group: list[Pending]) -> None:
        """Announce what was only to be written; leave the rest to the sync thread."""
        unsynced = [pending for pending in group if pending.level is Durability.SYNCED]
        if unsynced:
            with self._lock:
                self._unsynced += unsynced
            self._urgent.set()
        self._dirty.set()
        if len(unsynced) < len(group):
            self._announce([pending for pending in group if pending.level is Durability.WRITTEN])

    def _commit_the_ends(self, group: list[Pending]) -> None:
        """On a full disk: refuse new exchanges, and end those that are open in the ballast."""
        relieved = self._ballast.drop()
        ends = [pending for pending in group if pending.ends]
        others = [pending for pending in group if not pending.ends]
        self._fail(others, JournalFull("the disk is full"))
        if not ends:
            return
        if relieved or others:
            self._commit(ends)
        else:
            self._fail(ends, JournalFull("the disk is full"))

    def _roll(self) -> None:
        """Seal the segment and begin the next; the sync thread lets the old one go."""
        old = self._segment
        old.seal(self._written.offset)
        new = SegmentWriter(self._folder, old.number + 1, self._disk)
        new.prepare(self._upkeep.open_exchanges())
        new.settle()
        with self._lock:
            self._retired.append(old)
            self._segment = new
        self._written = Position(self.log, new.number, self._written.offset)
        self._segment_bytes = 0

    def _fail(self, group: list[Pending], error: EventLogError) -> None:
        self._queue.release(group)
        for pending in group:
            pending.error = error
        if group:
            self._announce(group)

    def _break(self, why: str) -> None:
        """Promise nothing any more: after a failed sync the disk's state is unknown."""
        with self._lock:
            self._broken = self._broken or JournalBroken(why)
            unsynced, self._unsynced = self._unsynced, []
        for pending in unsynced:
            pending.error = self._broken
        if unsynced:
            self._announce(unsynced)

    # The sync thread

    def _sync_loop(self) -> None:
        next_upkeep = 0.0
        while not (self._closing and not self._writer.is_alive()):
            if self._dirty.wait(_UPKEEP_INTERVAL_S):
                self._urgent.wait(self._sync_interval_s)
                self._sync()
            if time.monotonic() >= next_upkeep:
                self._keep_up()
                next_upkeep = time.monotonic() + _UPKEEP_INTERVAL_S
        if self._dirty.is_set():
            self._sync()
        if self._broken is None:
            self._segment.close()

    def _sync(self) -> None:
        self._urgent.clear()
        self._dirty.clear()
        with self._lock:
            target = self._written.offset
            segments = [*self._retired, self._segment]
            retired, self._retired = self._retired, []
            waiting, self._unsynced = self._unsynced, []
        try:
            for segment in segments:
                segment.sync()
        except OSError as error:
            with self._lock:
                self._unsynced = waiting + self._unsynced
            self._break(f"a sync failed: {error}")
            return
        self._mark.set(target)
        if waiting:
            self._announce(waiting)
        for segment in retired:
            segment.close()
            self._upkeep.retired(segment.number, segment.sealed_offset, time.time())

    def _keep_up(self) -> None:
        if self._broken is not None:
            return
        if self._segment.wal_bytes() > _WAL_BYTES:
            self._segment.checkpoint()
        self._upkeep.remove_acknowledged(self.used_bytes, time.time())
        self._ballast.take()
