"""The journal's writer: group commits from a thread, syncs from another, two watermarks.

    append() ──queue──▶ write thread ──commit──▶ written ──▶ sync thread ──fdatasync──▶ synced
                        (a group each)                        (mark moves, readers see it)

The write thread takes whatever waits and commits it as one group, so that a commit's cost is
shared by all who came during the one before. The sync thread syncs at once when someone waits
for it and otherwise every `sync_interval_s`.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.errors import EventLogError, JournalBroken, JournalFull
from service.events.journal.mark import Mark
from service.events.journal.pending import (
    Announce,
    Fault,
    GroupQueue,
    Pending,
    Teller,
    announce_nothing,
)
from service.events.journal.recovery import full_segments, open_in, open_segment
from service.events.journal.segment import (
    Disk,
    OpenExchange,
    SegmentWriter,
    begin_segment,
    is_disk_full,
    to_row,
)
from service.events.journal.space import Ballast, Limits
from service.events.journal.syncer import Syncer
from service.events.journal.upkeep import OpenExchanges, Upkeep
from service.events.log import Durability, Position, Record

_WRITTEN: Final = Durability.WRITTEN
_SYNCED: Final = Durability.SYNCED
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
        self._segment = open_in(self._ballast, lambda: open_segment(folder, self._disk))
        full = open_in(self._ballast, lambda: full_segments(folder, self._segment, self._disk))
        self._open = OpenExchanges(self._segment.open_exchanges(self.log))
        last = self._segment.last_offset()
        self._written = Position(self.log, self._segment.number, last)
        self._mark = Mark(folder / "synced", writable=True)
        self._mark.set(last)
        self._queue = GroupQueue()
        self._fault = Fault()
        self._syncer = Syncer(self._mark, self._fault, self._tell, sync_interval_s)
        self._upkeep = Upkeep(
            folder,
            limits,
            groups,
            opened=self._open,
            full=full,
            ballast=self._ballast,
            fault=self._fault,
        )
        self._upkeep.last_segment_bytes = self._segment.size_bytes()
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
        self.check_room(record.size_bytes, ends=ends)
        pending = Pending(record, level, ends, waiter)
        self.put([pending])
        return pending

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        """Append in order and return once all are synced; blocks. See `EventWriter`."""
        done = threading.Event()
        pendings = [Pending(record, _SYNCED, False, None) for record in records]
        if not pendings:
            return []
        pendings[-1].waiter = done
        self.check_room(sum(record.size_bytes for record in records), ends=False)
        self.put(pendings)
        done.wait()
        for pending in pendings:
            if pending.error is not None:
                raise pending.error
        return [pending.position for pending in pendings if pending.position is not None]

    def put(self, pendings: Sequence[Pending]) -> None:
        """Queue records as one group, whose room was checked by `check_room`.

        Raises:
            JournalBroken: the journal was closed; nothing was queued.
        """
        self._queue.put(pendings, sum(pending.record.size_bytes for pending in pendings))

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
        return self._upkeep.used_bytes + self._queue.queued_bytes

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
            self._upkeep.close(self._segment)
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
        try:
            self.check()
            self._insert(group)
        except JournalBroken as error:
            self._fail(group, error)
        except Exception as error:  # noqa: BLE001  (whatever it is, nobody may wait for ever)
            if is_disk_full(error):
                self._commit_the_ends(group)
                return
            self._fail(group, self._fault.set(f"a write failed: {type(error).__name__}: {error}"))
        else:
            self._hand_over(group)
            self._roll_if_full()

    def _insert(self, group: list[Pending]) -> None:
        log, number, last = self._written
        self._segment.insert([to_row(last + i, one.record) for i, one in enumerate(group, 1)])
        for i, pending in enumerate(group, 1):
            pending.position = Position(log, number, last + i)
        self._written = Position(log, number, last + len(group))
        self._upkeep.last_segment_bytes = self._segment.size_bytes()

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
        if self._upkeep.last_segment_bytes < self._limits.segment_bytes or not self._ballast.held:
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
        folder, disk = self._folder, self._disk
        old, last = self._segment, self._written.offset
        number = old.number + 1
        begin_segment(folder, number, last, self._open.list(), disk)
        self._segment = open_in(self._ballast, lambda: SegmentWriter(folder, number, disk))
        self._written = Position(self.log, number, last)
        self._upkeep.retire(old, last)
        self._upkeep.last_segment_bytes = self._segment.size_bytes()

    def _fail(self, group: list[Pending], error: EventLogError) -> None:
        for pending in group:
            pending.error = error
        if group:
            self._tell(group)
