"""A segment as its readers see it, in the writer's process or in another."""

import math
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path

from service.errors import EventLogError, SegmentDamaged
from service.events.journal.frame_reader import FrameReader
from service.events.journal.frames import TOPICS
from service.events.journal.segment import segment_numbers
from service.events.log import Position, Received, Record, Topic


class SegmentReader:
    """A place in a segment, moved on by whoever reads or counts what is synced."""

    def __init__(self, folder: Path, number: int) -> None:
        """Open a segment and stand before its first record.

        Raises:
            FileNotFoundError: it is gone.
            SegmentDamaged: its header is not what was written.
        """
        self.number = number
        self._log = folder.name
        self._frames = FrameReader(folder, number)
        self.after_offset = self._frames.header.after_offset
        self._last_offset = self.after_offset
        self._next: list[Record] = []
        """The records behind the place that stand in one frame with it, the next one last."""
        self.passed = [0] * len(TOPICS)
        """How many records of each topic stand before the place."""

    @property
    def position(self) -> Position:
        """Where the last record before the place stands, here or in the segments before."""
        return Position(self._log, self.number, self._last_offset)

    def read(
        self,
        up_to: int,
        topics: Collection[Topic],
        limit: float = math.inf,
        max_bytes: float = math.inf,
    ) -> list[Received]:
        """Return the next records of these topics with offset ≤ up_to, in order, and move on.

        At most `limit` of them, and none after those that reach `max_bytes`. The records up to
        `up_to` must have been written before this call.
        """
        self._frames.forget()
        received: list[Received] = []
        while self._last_offset < up_to and len(received) < limit and max_bytes > 0:
            if self._next:
                record = self._pass()
                if record.topic in topics:
                    received.append(Received(record, self.position))
                    max_bytes -= record.size_bytes
                continue
            try:
                if not self._enter_frame(up_to, topics):
                    break
            except (OSError, SegmentDamaged):
                if not received:  # else it is told by the next call
                    raise
                break
        return received

    def skip(self, up_to: int) -> None:
        """Move on behind the records with offset ≤ up_to, which were written before this call."""
        self.read(up_to, ())

    def written(self, synced: int) -> Iterator[Received]:
        """Return what is written from the next frame on, also what is not synced yet.

        Of that what a writer is about to write, or has cut off, is left out.

        Raises:
            SegmentDamaged: what was synced is not what was written.
        """
        self._frames.forget()
        group: list[Received] = []
        while frame := self._frames.next_whole(synced):
            head, records = frame
            places = (Position(self._log, self.number, n) for n in count(head.first_offset))
            group += map(Received, records, places)
            if head.ends_group or head.last_offset <= synced:
                yield from group
                group.clear()

    def close(self) -> None:
        """Let the file go."""
        self._frames.close()

    def _enter_frame(self, up_to: int, topics: Collection[Topic]) -> bool:
        """Have the records of the next frame, or pass it if none is wanted; False at the end."""
        head = self._frames.next_head()
        if head is None:
            return False
        wanted = any(n for n, topic in zip(head.counts, TOPICS, strict=True) if topic in topics)
        if wanted or head.last_offset > up_to:
            self._next = self._frames.load(head)[::-1]
        else:
            self._last_offset = head.last_offset
            self.passed = [n + more for n, more in zip(self.passed, head.counts, strict=True)]
        self._frames.step(head)
        return True

    def _pass(self) -> Record:
        record = self._next.pop()
        self._last_offset += 1
        self.passed[TOPICS.index(record.topic)] += 1
        return record


def oldest_from(folder: Path, number: int) -> SegmentReader:
    """Open a segment, or the oldest one after it if it is gone.

    Raises:
        EventLogError: there is none.
    """
    later = [n for n in segment_numbers(folder) if n >= number]
    if not later:
        raise EventLogError(f"the segments of {folder.name} from {number} on are gone")
    return SegmentReader(folder, later[0])


def following(folder: Path, segment: SegmentReader) -> SegmentReader:
    """Open what comes after a segment that was gone through, as more is synced than it holds.

    Raises:
        SegmentDamaged: it should hold more.
    """
    if max(segment_numbers(folder), default=0) <= segment.number:
        raise SegmentDamaged("it ends before what was synced does")
    after = oldest_from(folder, segment.number + 1)
    if after.number == segment.number + 1 and after.after_offset != segment.position.offset:
        after.close()
        raise SegmentDamaged("it ends before the next one begins")
    return after
