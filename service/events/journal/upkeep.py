"""Keeping a journal: closing full segments, removing those that are done, holding the ballast."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import apsw

from service.errors import EventLogError
from service.events.journal.groups import Group, groups_folder
from service.events.journal.pending import Fault, Pending
from service.events.journal.segment import (
    OpenExchange,
    SegmentWriter,
    is_disk_full,
    remove_segment,
    segment_path,
)
from service.events.journal.space import Ballast, FullSegment, Limits, removable

_INTERVAL_S: Final = 1.0
_log = logging.getLogger(__name__)


class OpenExchanges:
    """The exchanges of a journal that were opened and not closed."""

    def __init__(self, left_open: Iterable[OpenExchange]) -> None:
        """Start with those that a journal was left with."""
        self._lock = threading.Lock()
        self._open = {one.id: (one.position, one.body) for one in left_open}

    def note(self, written: Iterable[Pending]) -> None:
        """Follow what was written; each has its position."""
        with self._lock:
            for pending in written:
                record, position = pending.record, pending.position
                if record.kind == "opened" and position is not None:
                    self._open[record.id] = (position, record.body)
                elif record.kind == "closed":
                    self._open.pop(record.id, None)

    def list(self) -> list[OpenExchange]:
        """List the exchanges that are open now."""
        with self._lock:
            return [
                OpenExchange(id_, *place_and_body) for id_, place_and_body in self._open.items()
            ]

    def oldest_segment(self) -> int:
        """Return the first segment in which one of them was opened; huge if there is none."""
        with self._lock:
            return min((position.part for position, _ in self._open.values()), default=2**63)


class Upkeep:
    """What goes on beside writing and syncing, in a thread of its own because it may be slow."""

    def __init__(  # noqa: PLR0913  (it looks after all of a journal's parts)
        self,
        folder: Path,
        limits: Limits,
        groups: Sequence[str],
        *,
        opened: OpenExchanges,
        full: Sequence[FullSegment],
        ballast: Ballast,
        fault: Fault,
    ) -> None:
        """Start from what was found in the folder; `groups` are those that must acknowledge."""
        self._folder = folder
        self._limits = limits
        self._groups = [Group(groups_folder(folder.parent), name) for name in groups]
        self._opened = opened
        self._full = list(full)
        self._ballast = ballast
        self._fault = fault
        self._retired: list[tuple[SegmentWriter, int, int]] = []
        self._kept_bytes = sum(segment.size_bytes for segment in self._full)
        self.last_segment_bytes = 0
        """The size of the segment that is written to, as its writer last saw it."""
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-upkeep", daemon=True)
        self._thread.start()

    @property
    def used_bytes(self) -> int:
        """Return the size of all segments."""
        return self._kept_bytes + self.last_segment_bytes

    def retire(self, segment: SegmentWriter, last_offset: int) -> None:
        """Take over a full segment, all of which is synced."""
        size_bytes = segment.size_bytes()
        self._kept_bytes += size_bytes
        self._retired.append((segment, last_offset, size_bytes))
        self._wake.set()

    def oldest_unacknowledged_s(self, now: float) -> float:
        """Return the age of the oldest full segment that a group has yet to read, else 0."""
        least = min(self._acknowledged(), default=0)
        ages = [now - segment.full_at for segment in [*self._full] if segment.last_offset > least]
        return max(ages, default=0.0)

    def close(self, last: SegmentWriter) -> None:
        """End the thread and let every segment go, also the last one."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        for segment in [*(retired for retired, _, _ in self._retired), last]:
            self._let_go(segment)

    def _let_go(self, segment: SegmentWriter) -> None:
        try:
            if self._fault.error is None:
                segment.close()
                return
        except apsw.Error as error:  # the next writer finishes it
            _log.warning("a segment was closed without a checkpoint: %s", error)
        segment.abandon()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(_INTERVAL_S)
            self._wake.clear()
            stopping = self._stopping
            if self._fault.error is None:
                self._tend()

    def _tend(self) -> None:
        try:
            self._remove_acknowledged(time.time())
            if self._ballast.take():  # closing needs room for a moment, and that is for the ends
                self._close_retired()
        except apsw.Error as error:
            if is_disk_full(error):
                self._ballast.drop()
            else:
                self._fault.set(f"a full segment could not be closed: {error}")
        except (EventLogError, OSError) as error:  # what is not done now is done later
            _log.warning("the journal's upkeep failed: %s", error)

    def _close_retired(self) -> None:
        while self._retired:
            self._close(*self._retired[0])
            del self._retired[0]

    def _close(self, segment: SegmentWriter, last_offset: int, size_bytes: int) -> None:
        segment.close()
        size = segment_path(self._folder, segment.number).stat().st_size
        self._full.append(FullSegment(segment.number, last_offset, size, time.time()))
        self._kept_bytes += size - size_bytes

    def _remove_acknowledged(self, now: float) -> None:
        going = removable(
            self._full,
            self._acknowledged(),
            oldest_open_segment=self._opened.oldest_segment(),
            used_bytes=self.used_bytes,
            limits=self._limits,
            now=now,
        )
        for segment in going:
            remove_segment(self._folder, segment.number)
            self._full.remove(segment)
            self._kept_bytes -= segment.size_bytes

    def _acknowledged(self) -> list[int]:
        positions = [group.load().get(self._folder.name) for group in self._groups]
        return [position.offset if position else 0 for position in positions]
