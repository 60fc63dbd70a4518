"""Looking into the journals beside their readers: for receipts and dead letters."""

from collections.abc import Iterator
from pathlib import Path

from service.events.journal.segment import Disk, segment_numbers
from service.events.journal.segment_reader import SegmentReader
from service.events.log import Received, Topic


def find_exchange(root: Path, exchange_id: str) -> Iterator[Received]:
    """Return the records and verdicts of an exchange; reads every segment, newest last."""
    for reader in _segments(root):
        yield from reader.find(exchange_id)


def read_topic(root: Path, topic: Topic) -> Iterator[Received]:
    """Return all records of a topic that the journals still hold."""
    for reader in _segments(root):
        yield from reader.read(0, 2**62, [topic], -1)[0]


def _segments(root: Path) -> Iterator[SegmentReader]:
    for mark in sorted(root.glob("*/synced")):
        for number in segment_numbers(mark.parent):
            reader = SegmentReader(mark.parent, number, Disk())
            try:
                yield reader
            finally:
                reader.close()
