"""Looking into the journals beside their readers: for receipts, dead letters and anchors."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from service.errors import SegmentDamaged
from service.events.journal.mark import Mark
from service.events.journal.segment import segment_numbers
from service.events.journal.segment_reader import SegmentReader
from service.events.log import Position, Received, Record, Topic


class _OfExchange(msgspec.Struct):
    exchange_id: str | None = None


_decoder = msgspec.json.Decoder(_OfExchange)
_AT_ONCE = 256


def find_exchange(root: Path, exchange_id: str) -> Iterator[Received]:
    """Return the records and verdicts of an exchange; reads every segment, newest last."""
    return (one for one in _everything(root) if _is_of(one.record, exchange_id))


def read_topic(root: Path, topic: Topic) -> Iterator[Received]:
    """Return all records of a topic that the journals still hold."""
    return (one for one in _everything(root) if one.record.topic is topic)


def read_synced(folder: Path, topic: Topic) -> Iterator[Received]:
    """Return the synced records of a topic that one journal still holds.

    What holds none of the topic is passed over, not read: journals may be many GiB.

    Raises:
        SegmentDamaged: a file does not hold what was written to it.
    """
    synced = synced_offset(folder)
    for number in segment_numbers(folder):
        try:
            with closing(SegmentReader(folder, number)) as reader:
                while found := reader.read(synced, (topic,), _AT_ONCE):
                    yield from found
        except FileNotFoundError:  # it was removed just now
            continue
        except SegmentDamaged as error:
            raise SegmentDamaged(f"segment {number} of {folder.name}: {error}") from None


def journal_folders(root: Path) -> list[Path]:
    """Return the journals below a folder."""
    return [path.parent for path in sorted(root.glob("*/synced"))]


def oldest_unread(folder: Path, acknowledged: Position | None) -> Received | None:
    """Return a journal's first record after what a group has acknowledged."""
    part, offset = (acknowledged.part, acknowledged.offset) if acknowledged else (0, 0)
    return next(_records(folder, part, offset), None)


def _everything(root: Path) -> Iterator[Received]:
    for folder in journal_folders(root):
        yield from _records(folder, 0, 0)


def _records(folder: Path, part: int, after: int) -> Iterator[Received]:
    """Return a journal's records from a segment on, behind an offset."""
    for number in segment_numbers(folder):
        if number >= part:
            try:
                with closing(SegmentReader(folder, number)) as reader:
                    written = reader.written(synced_offset(folder))
                    yield from (one for one in written if one.position.offset > after)
            except FileNotFoundError:  # it was removed just now
                continue
            except SegmentDamaged as error:
                raise SegmentDamaged(f"segment {number} of {folder.name}: {error}") from None


def synced_offset(folder: Path) -> int:
    """Return up to which offset a journal may be read; 0: nothing was synced yet."""
    try:
        mark = Mark(folder / "synced", writable=False)
    except (FileNotFoundError, ValueError):  # its writer is about to make it
        return 0
    with closing(mark):
        return mark.get()


def _is_of(record: Record, exchange_id: str) -> bool:
    if record.kind != "verdict":
        return record.id == exchange_id
    with suppress(msgspec.MsgspecError):
        return exchange_id in {record.id, _decoder.decode(record.body).exchange_id}
    return record.id == exchange_id
