"""Opening a journal where it was left, whatever moment that was."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from service.errors import JournalBroken, JournalFull
from service.events.journal.segment import (
    Disk,
    SegmentWriter,
    begin_segment,
    is_disk_full,
    segment_numbers,
    segment_path,
)
from service.events.journal.space import Ballast, FullSegment

_T = TypeVar("_T")


def open_in(ballast: Ballast, action: Callable[[], _T]) -> _T:
    """Open something, with the ballast's room if the disk is full.

    Raises:
        JournalFull: that was not enough, or there is no ballast.
        JournalBroken: it cannot be opened for another reason.
    """
    try:
        try:
            return action()
        except (apsw.Error, OSError) as error:
            if not (is_disk_full(error) and ballast.drop()):
                raise
            return action()
    except (apsw.Error, OSError) as error:
        if is_disk_full(error):
            raise JournalFull("the disk is full") from None
        raise JournalBroken(f"a segment cannot be opened: {error}") from None


def open_segment(folder: Path, disk: Disk) -> SegmentWriter:
    """Open the segment to write to, the first if there is none, with everything in it synced."""
    numbers = segment_numbers(folder)
    if not numbers:
        begin_segment(folder, 1, 0, [], disk)
    segment = SegmentWriter(folder, max(numbers, default=1), disk)
    try:
        segment.settle()
    except BaseException:
        segment.abandon()
        raise
    return segment


def full_segments(folder: Path, last: SegmentWriter, disk: Disk) -> list[FullSegment]:
    """List the segments before the last, oldest first, and finish what a dead process left.

    A segment ends where the next one begins.
    """
    full: list[FullSegment] = []
    ends_at = last.after_offset
    for number in reversed([n for n in segment_numbers(folder) if n < last.number]):
        segment = SegmentWriter(folder, number, disk)
        segment.close()
        stat = segment_path(folder, number).stat()
        full.insert(0, FullSegment(number, ends_at, stat.st_size, stat.st_mtime))
        ends_at = segment.after_offset
    return full
