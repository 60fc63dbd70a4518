"""How far a consumer group has read one journal, and how much is left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.events.journal.frames import TOPICS
from service.events.journal.mark import Mark
from service.events.journal.segment_reader import SegmentReader, following, oldest_from
from service.events.log import Position, Received, Topic

_BATCH_BYTES: Final = 32 * 1024 * 1024
"""What one journal may bring to a `poll`, but for the record that goes over it: what bounds the
memory of whoever reads."""


class Cursor:
    """How far one journal was read."""

    def __init__(
        self, folder: Path, mark: Mark, start: Position | None, topics: Sequence[Topic]
    ) -> None:
        """Start after a position, or with the oldest segment that is there."""
        self.log = folder.name
        self._folder = folder
        self._topics = topics
        self._mark = mark
        self._start = start or Position(self.log, 0, 0)
        self._last_returned = self._start.offset
        self._segment: SegmentReader | None = None
        self._ahead: _Ahead | None = None

    @property
    def position(self) -> Position:
        """Where the last record stands that was returned or passed over."""
        return self._segment.position if self._segment else self._start

    def read(self, limit: int) -> list[Received]:
        """Return the next records of the topics, and pass over those of others."""
        synced = self._mark.get()
        while self.position.offset < synced:
            segment = self._opened()
            received = segment.read(synced, self._topics, limit, _BATCH_BYTES)
            if received:
                self._last_returned = received[-1].position.offset
                return received
            if segment.position.offset < synced:
                self._segment = following(self._folder, segment)
                segment.close()
        return []

    def unread(self) -> dict[Topic, int]:
        """Count the synced records of each of the topics after the position."""
        synced = self._mark.get()
        if self.position.offset >= synced:
            return {}
        segment = self._opened()
        if self._ahead is None or self._ahead.number < segment.number:
            self._close_ahead()
            self._ahead = _Ahead(self._folder, segment.number)
        counts = self._ahead.counts(segment, synced)
        return {topic: counts[TOPICS.index(topic)] for topic in self._topics}

    def is_idle_after(self, acknowledged: Position | None) -> bool:
        """Say whether all that was returned is acknowledged, so that the rest may be passed."""
        return self._last_returned <= (acknowledged.offset if acknowledged else 0)

    def close(self) -> None:
        """Let the files go."""
        self._close_ahead()
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        self._mark.close()

    def _opened(self) -> SegmentReader:
        if self._segment is None:
            segment = oldest_from(self._folder, self._start.part)
            try:
                segment.skip(self._start.offset)
            except BaseException:
                segment.close()
                raise
            self._segment = segment
        return self._segment

    def _close_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None


class _Ahead:
    """Goes ahead of a reader to count what it has yet to read, each record once."""

    def __init__(self, folder: Path, number: int) -> None:
        """Start with a segment."""
        self._folder = folder
        self._segment = oldest_from(folder, number)
        self._full: dict[int, list[int]] = {}
        """How many records of each topic the segments hold that were gone through."""

    @property
    def number(self) -> int:
        """Return the number of the segment that it has come to."""
        return self._segment.number

    def counts(self, reading: SegmentReader, synced: int) -> list[int]:
        """Count the records of each topic from a reader's place up to `synced`."""
        self._go_to(synced)
        self._full = {n: counts for n, counts in self._full.items() if n >= reading.number}
        held = {**self._full, self.number: self._segment.passed}
        read = reading.passed if reading.number in held else [0] * len(TOPICS)
        return [sum(of) - before for *of, before in zip(*held.values(), read, strict=True)]

    def close(self) -> None:
        """Let the file go."""
        self._segment.close()

    def _go_to(self, synced: int) -> None:
        self._segment.skip(synced)
        while self._segment.position.offset < synced:
            after = following(self._folder, self._segment)
            self._segment.close()
            self._full[self.number] = self._segment.passed
            self._segment = after
            self._segment.skip(synced)
