"""Opening a journal where it was left, whatever moment that was."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from service.errors import JournalBroken, JournalFull, SegmentDamaged
from service.events.journal.frame_reader import FrameReader
from service.events.journal.mark import Mark
from service.events.journal.open_exchanges import OpenExchanges
from service.events.journal.segment import (
    Disk,
    End,
    OpenExchange,
    SegmentWriter,
    begin_segment,
    is_disk_full,
    segment_numbers,
    segment_path,
    write_all,
)
from service.events.journal.space import Ballast, FullSegment
from service.events.log import Position, Received

_T = TypeVar("_T")
_START_ANEW: Final = "move the folder of all journals away, with `groups`, to start anew"
_PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Left:
    """A journal as it was left, open to go on."""

    mark: Mark
    segment: SegmentWriter
    open_exchanges: list[OpenExchange]
    full: list[FullSegment]
    """The segments before, oldest first."""


def open_journal(folder: Path, ballast: Ballast, disk: Disk) -> Left:
    """Open what a journal was left with, all of it synced, and move the mark there.

    Raises:
        JournalFull: the disk has no room for it.
        JournalBroken: a segment cannot be opened, or lacks what was synced.
    """
    mark = _open_in(ballast, lambda: Mark(folder / "synced", writable=True))
    full = _open_in(ballast, lambda: full_segments(folder))
    segment, left_open = _open_in(ballast, lambda: open_segment(folder, mark.get(), disk))
    mark.set(segment.last_offset)
    return Left(mark, segment, left_open, full)


def _open_in(ballast: Ballast, action: Callable[[], _T]) -> _T:
    """Open something, with the ballast's room if the disk is full."""
    try:
        try:
            return action()
        except OSError as error:
            if not (is_disk_full(error) and ballast.drop()):
                raise
            return action()
    except (OSError, SegmentDamaged) as error:
        if is_disk_full(error):
            raise JournalFull("the disk is full") from None
        raise JournalBroken(f"a segment cannot be opened: {error}") from None


def open_segment(folder: Path, synced: int, disk: Disk) -> tuple[SegmentWriter, list[OpenExchange]]:
    """Open the segment to write to, the first if there is none, with everything in it synced.

    Return it with the exchanges that are open. `synced` is what the mark says: so much must be
    there. What a dead writer left half written is cut off.

    Raises:
        OSError: the system's.
        SegmentDamaged: what was synced is not there.
    """
    _see_that_it_is_ours(folder)
    numbers = segment_numbers(folder)
    if not numbers and not synced:
        return begin_segment(folder, 1, 0, [], disk), []
    if not numbers:
        raise SegmentDamaged(
            f"records up to {synced} were synced, and none is there: restore it, or {_START_ANEW}"
        )
    found = _Found(folder, numbers[-1], synced)
    fd = disk.open(segment_path(folder, numbers[-1]))
    try:
        _settle(fd, found, disk)
        disk.sync_folder(folder)
    except BaseException:
        disk.close(fd)
        raise
    return SegmentWriter(fd, numbers[-1], found.header_bytes, found.end, disk), found.open.list()


def full_segments(folder: Path) -> list[FullSegment]:
    """List the segments before the last, oldest first. A segment ends where the next one begins."""
    full: list[FullSegment] = []
    ends_at = 0
    for number in reversed(segment_numbers(folder)):
        with closing(FrameReader(folder, number)) as frames:
            stat = segment_path(folder, number).stat()
            full.insert(0, FullSegment(number, ends_at, stat.st_size, stat.st_mtime))
            ends_at = frames.header.after_offset
    return full[:-1]


class _Found:
    """What is in a segment as it was left."""

    def __init__(self, folder: Path, number: int, synced: int) -> None:
        with closing(FrameReader(folder, number)) as frames:
            carried = [
                OpenExchange(one.id, Position(folder.name, one.segment, one.offset), one.body)
                for one in frames.header.carried
            ]
            self.open = OpenExchanges(carried)
            self.header_bytes = frames.at
            self.end = End(frames.at, frames.last_offset, frames.crc_before())
            self.synced_bytes = frames.at
            """Up to here the file is known to be on disk."""
            self._go_through(frames, synced, folder.name)
        if self.end.offset < synced:
            raise SegmentDamaged(
                f"records up to {synced} were synced, and it ends after {self.end.offset}: "
                f"restore it, or {_START_ANEW}"
            )

    def _go_through(self, frames: FrameReader, synced: int, log: str) -> None:
        """Go through all groups that are whole."""
        group: list[Received] = []
        while frame := frames.next_whole():
            head, records = frame
            places = (Position(log, frames.header.number, n) for n in count(head.first_offset))
            group += map(Received, records, places)
            if head.ends_group:
                self.open.note(group)
                group.clear()
                self.end = End(frames.at, frames.last_offset, frames.crc_before())
            if frames.last_offset <= synced:
                self.synced_bytes = frames.at


def _settle(fd: int, found: _Found, disk: Disk) -> None:
    """Bring all of a segment to the disk, less what was not written whole.

    What no mark says is synced is written once more: after a sync that failed the system may take
    for written what never reached the disk.
    """
    disk.cut(fd, found.end.size_bytes)
    at = found.synced_bytes
    while at < found.end.size_bytes:
        piece = disk.read(fd, min(_PIECE_BYTES, found.end.size_bytes - at), at)
        write_all(disk, fd, piece, at)
        at += len(piece)
    disk.sync(fd)


def _see_that_it_is_ours(folder: Path) -> None:
    if any(path.stem.isdigit() for path in folder.glob("*.db")):
        raise SegmentDamaged(
            f"{folder.name} holds segments of an earlier format (*.db), which is not read any "
            f"more: {_START_ANEW}"
        )
