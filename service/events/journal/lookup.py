"""Looking into the journals beside their readers: for receipts and dead letters."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from service.events.journal.segment import Disk, segment_numbers
from service.events.journal.segment_reader import SegmentReader
from service.events.log import Position, Received, Topic


def find_exchange(root: Path, exchange_id: str) -> Iterator[Received]:
    """Return the records and verdicts of an exchange; reads every segment, newest last."""
    for reader in _segments(root):
        yield from reader.find(exchange_id)


def read_topic(root: Path, topic: Topic) -> Iterator[Received]:
    """Return all records of a topic that the journals still hold."""
    for reader in _segments(root):
        yield from reader.read(0, 2**62, [topic], -1)[0]


def oldest_unread(folder: Path, acknowledged: Position | None) -> Received | None:
    """Return a journal's first record after what a group has acknowledged."""
    part, offset = (acknowledged.part, acknowledged.offset) if acknowledged else (0, 0)
    for number in segment_numbers(folder):
        if number >= part:
            with closing(SegmentReader(folder, number, Disk())) as reader:
                received, _ = reader.read(offset, 2**62, list(Topic), 1)
            if received:
                return received[0]
    return None


def _segments(root: Path) -> Iterator[SegmentReader]:
    for mark in sorted(root.glob("*/synced")):
        for number in segment_numbers(mark.parent):
            reader = SegmentReader(mark.parent, number, Disk())
            try:
                yield reader
            finally:
                reader.close()
