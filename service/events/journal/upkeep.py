"""Keeping a journal: removing full segments that are done, holding the ballast."""

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.errors import EventLogError
from service.events.journal.groups import Group, groups_folder
from service.events.journal.open_exchanges import OpenExchanges
from service.events.journal.pending import Fault
from service.events.journal.segment import remove_segment
from service.events.journal.space import Ballast, FullSegment, Limits, free_share, removable

_INTERVAL_S: Final = 1.0
_log = logging.getLogger(__name__)


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
        self._lock = threading.Lock()
        """Held to change the list of full segments and their size."""
        self._kept_bytes = sum(segment.size_bytes for segment in self._full)
        self.last_segment_bytes = 0
        """The size of the segment that is written to, as its writer last saw it."""
        self.disk_free = free_share(folder)
        """Share of the disk that is free, as it was within the last second."""
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-upkeep", daemon=True)
        self._thread.start()

    @property
    def used_bytes(self) -> int:
        """Return the size of all segments."""
        return self._kept_bytes + self.last_segment_bytes

    def retire(self, segment: FullSegment) -> None:
        """Take over a full segment, all of which is synced."""
        with self._lock:
            self._full.append(segment)
            self._kept_bytes += segment.size_bytes
        self._wake.set()

    def oldest_unacknowledged_s(self, now: float) -> float:
        """Return the age of the oldest full segment that a group has yet to read, else 0."""
        least = min(self._acknowledged(), default=0)
        ages = [now - segment.full_at for segment in [*self._full] if segment.last_offset > least]
        return max(ages, default=0.0)

    def close(self) -> None:
        """Look after everything once more and end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

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
            self._ballast.take()
            self.disk_free = free_share(self._folder)
        except (EventLogError, OSError) as error:  # what is not done now is done later
            _log.warning("the journal's upkeep failed: %s", error)

    def _remove_acknowledged(self, now: float) -> None:
        going = removable(
            [*self._full],
            self._acknowledged(),
            oldest_open_segment=self._opened.oldest_segment(),
            used_bytes=self.used_bytes,
            limits=self._limits,
            now=now,
        )
        for segment in going:
            remove_segment(self._folder, segment.number)
            with self._lock:
                self._full.remove(segment)
                self._kept_bytes -= segment.size_bytes

    def _acknowledged(self) -> list[int]:
        positions = [group.load().get(self._folder.name) for group in self._groups]
        return [position.offset if position else 0 for position in positions]
