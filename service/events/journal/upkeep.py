"""Opening a journal where it was left, and keeping it: open exchanges, sealed segments, removal."""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from service.events.journal.groups import Group
from service.events.journal.segment import (
    Disk,
    OpenExchange,
    SegmentReader,
    SegmentWriter,
    segment_numbers,
    segment_path,
)
from service.events.journal.space import Limits, SealedSegment, removable, remove_segment
from service.events.log import Position, Record


class Placed(Protocol):
    """A record that has its position."""

    record: Record
    position: Position | None


def open_segment(folder: Path, disk: Disk) -> tuple[SegmentWriter, int, list[OpenExchange]]:
    """Open the segment to write to, a new one if need be, with everything in it synced.

    Returns it with the journal's last offset (0: none yet) and the exchanges left open.
    """
    numbers = segment_numbers(folder) or [1]
    segment = SegmentWriter(folder, numbers[-1], disk)
    if not segment.is_prepared():
        segment.prepare(_left_open(folder, numbers[:-1], disk))
    elif segment.is_sealed():
        left = segment.open_exchanges(folder.name)
        segment.close()
        segment = SegmentWriter(folder, numbers[-1] + 1, disk)
        segment.prepare(left)
    segment.settle()
    last = segment.last_offset()
    if last is None:
        last = _last_sealed_offset(folder, segment.number, disk)
    return segment, last, segment.open_exchanges(folder.name)


def _left_open(folder: Path, numbers: Sequence[int], disk: Disk) -> list[OpenExchange]:
    if not numbers:
        return []
    segment = SegmentWriter(folder, numbers[-1], disk)
    try:
        return segment.open_exchanges(folder.name)
    finally:
        segment.close()


def _last_sealed_offset(folder: Path, before: int, disk: Disk) -> int:
    sealed = sealed_segments(folder, before, disk)
    return sealed[-1].last_offset if sealed else 0


def sealed_segments(folder: Path, before: int, disk: Disk) -> list[SealedSegment]:
    """List the sealed segments older than a segment's number."""
    return [_sealed(folder, n, disk) for n in segment_numbers(folder) if n < before]


def _sealed(folder: Path, number: int, disk: Disk) -> SealedSegment:
    reader = SegmentReader(folder, number, disk)
    try:
        last_offset = reader.sealed_at()
    finally:
        reader.close()
    stat = segment_path(folder, number).stat()
    return SealedSegment(number, last_offset or 0, stat.st_size, stat.st_mtime)


class Upkeep:
    """What a writer knows of its journal beside the open segment."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        groups: Sequence[str],
        *,
        left_open: Iterable[OpenExchange],
        sealed: Sequence[SealedSegment],
    ) -> None:
        """Start from what was found in the folder; `groups` are those that must acknowledge."""
        self._folder = folder
        self._limits = limits
        self._groups = {name: Group(groups_folder(folder.parent), name) for name in groups}
        self._open = {exchange.id: exchange for exchange in left_open}
        self._lock = threading.Lock()
        self._sealed = list(sealed)
        self.sealed_bytes = sum(segment.size_bytes for segment in self._sealed)

    def note(self, placed: Iterable[Placed]) -> None:
        """Follow which exchanges are open. Called by the write thread."""
        for item in placed:
            record, position = item.record, item.position
            if record.kind == "opened" and position is not None:
                with self._lock:
                    self._open[record.id] = OpenExchange(record.id, position, record.body)
            elif record.kind == "closed":
                with self._lock:
                    self._open.pop(record.id, None)

    def open_exchanges(self) -> list[OpenExchange]:
        """List the exchanges that are open now."""
        with self._lock:
            return list(self._open.values())

    def retired(self, number: int, last_offset: int, now: float) -> None:
        """Note a segment that was sealed and let go."""
        size = segment_path(self._folder, number).stat().st_size
        self._sealed.append(SealedSegment(number, last_offset, size, now))
        self.sealed_bytes += size

    def remove_acknowledged(self, used_bytes: int, now: float) -> None:
        """Unlink the segments that nobody needs any more."""
        going = removable(
            self._sealed,
            self._acknowledged(),
            oldest_open_segment=self._oldest_open_segment(),
            used_bytes=used_bytes,
            limits=self._limits,
            now=now,
        )
        for segment in going:
            remove_segment(self._folder, segment.number)
            self._sealed.remove(segment)
            self.sealed_bytes -= segment.size_bytes

    def oldest_unacknowledged_s(self, now: float) -> float:
        """Return the age of the oldest sealed segment that a group has yet to read, else 0."""
        least = min(self._acknowledged().values(), default=0)
        ages = [now - segment.sealed_at for segment in self._sealed if segment.last_offset > least]
        return max(ages, default=0.0)

    def _acknowledged(self) -> dict[str, int]:
        log = self._folder.name
        positions = {name: group.load().get(log) for name, group in self._groups.items()}
        return {name: position.offset if position else 0 for name, position in positions.items()}

    def _oldest_open_segment(self) -> int:
        numbers = [exchange.position.part for exchange in self.open_exchanges()]
        return min(numbers, default=2**63)


def groups_folder(root: Path) -> Path:
    """Return where consumer groups keep what they acknowledged, for a folder of journals."""
    return root / "groups"
