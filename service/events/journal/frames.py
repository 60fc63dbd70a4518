"""How records lie in a segment: values to bytes and back, and nothing else.

    segment  header, frame, frame, …
    header   magic (8 bytes) · size of what follows (u32) · `Header` as MessagePack · CRC (u32)
    frame    head (25 bytes) · records, a MessagePack array of `Record` · CRC (u32)
    head     size of the records (u32) · flags (u8) · offset of the first of them (u64) ·
             how many there are of each topic (u32, u32, u16, u16)

Numbers are little-endian. A frame is a group, or a piece of a large one: the last frame of a group
says that it is, and a group whose last frame is missing counts as not written. The CRC (CRC-32C)
of a frame goes on from the one before it. So a frame counts only right behind what it was written
behind: what a group that was cut off has left on the disk is never taken for part of a later one.
A u16 is enough: a record of any kind takes 50 bytes, and a frame that holds several is bounded.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from crc32c import crc32c

from service.core.unreadable import UNREADABLE
from service.errors import SegmentDamaged
from service.events.log import Record, Topic

MAGIC: Final = b"wgseg\x00\x00\x01"
"""Ends in the format's version."""
_FORMAT_AT: Final = len(MAGIC) - 1
CRC_BYTES: Final = 4
TOPICS: Final = (Topic.EXCHANGES, Topic.VERDICTS, Topic.DEAD_LETTERS, Topic.AUDIT)
_ENDS_GROUP: Final = 1
_FRAME_BYTES: Final = 1024 * 1024
"""What a frame's records may come to, but for a single one: what a reader has to hold."""
_HEAD: Final = struct.Struct("<IBQIIHH")
_U32: Final = struct.Struct("<I")
HEAD_BYTES: Final = _HEAD.size
HEADER_START_BYTES: Final = len(MAGIC) + _U32.size


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """An exchange that was open when a segment began: its `opened`, wherever that stands."""

    id: str
    segment: int
    offset: int
    body: bytes


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What a segment begins with."""

    number: int
    after_offset: int
    """The last offset of the segments before."""
    carried: tuple[Carried, ...] = ()


class Head(NamedTuple):
    """What stands before a frame's records."""

    records_bytes: int
    flags: int
    first_offset: int
    exchanges: int
    verdicts: int
    dead_letters: int
    audit: int

    @property
    def ends_group(self) -> bool:
        """Say whether everything up to here was written as a whole."""
        return bool(self.flags & _ENDS_GROUP)

    @property
    def counts(self) -> tuple[int, ...]:
        """Return how many records there are of each of `TOPICS`."""
        return self[3:]

    @property
    def last_offset(self) -> int:
        """Return the offset of the last record."""
        return self.first_offset + sum(self.counts) - 1

    @property
    def frame_bytes(self) -> int:
        """Return the size of the frame, from its head to its CRC."""
        return HEAD_BYTES + self.records_bytes + CRC_BYTES


_encode: Final = msgspec.msgpack.Encoder().encode
_header_decoder: Final = msgspec.msgpack.Decoder(Header)
_records_decoder: Final = msgspec.msgpack.Decoder(list[Record])


def pack_header(header: Header) -> bytes:
    """Lay a segment's beginning out."""
    packed = _encode(header)
    start = MAGIC + _U32.pack(len(packed)) + packed
    return start + _U32.pack(crc32c(start))


def header_bytes(start: bytes) -> int:
    """Return the size of a header of which the first `HEADER_START_BYTES` are given.

    Raises:
        SegmentDamaged: it is none, or of another version.
    """
    if len(start) < HEADER_START_BYTES or not start.startswith(MAGIC[:-1]):
        raise SegmentDamaged("it is no segment of this version")
    if start[_FORMAT_AT] > MAGIC[_FORMAT_AT]:
        raise SegmentDamaged(
            f"its format is {start[_FORMAT_AT]}, of a newer Watchgate, and this version knows "
            f"{MAGIC[_FORMAT_AT]}: install the version that wrote it"
        )
    (size,) = _U32.unpack_from(start, len(MAGIC))
    return HEADER_START_BYTES + int(size) + CRC_BYTES


def unpack_header(header: bytes) -> Header:
    """Read a segment's beginning, all of it.

    Raises:
        SegmentDamaged: it is not what was written.
    """
    if crc32c(header[:-CRC_BYTES]) != crc_at_end(header):
        raise SegmentDamaged("its header is not what was written")
    return _header_decoder.decode(header[HEADER_START_BYTES:-CRC_BYTES])


def crc_at_end(of: bytes) -> int:
    """Return the CRC that a header or a frame ends with."""
    (crc,) = _U32.unpack_from(of, len(of) - CRC_BYTES)
    return int(crc)


def pack_group(records: Sequence[Record], first_offset: int, crc: int) -> tuple[bytes, int]:
    """Lay records out as one group behind what ends with a CRC; return it and its own CRC."""
    packed = _encode(records)
    if len(packed) <= _FRAME_BYTES or len(records) == 1:
        return _pack(records, packed, first_offset, _ENDS_GROUP, crc)
    frames: list[bytes] = []
    end = first_offset + len(records)
    for piece in _pieces(records):
        flags = _ENDS_GROUP if first_offset + len(piece) == end else 0
        frame, crc = _pack(piece, _encode(piece), first_offset, flags, crc)
        frames.append(frame)
        first_offset += len(piece)
    return b"".join(frames), crc


def _pack(
    records: Sequence[Record], packed: bytes, first_offset: int, flags: int, crc: int
) -> tuple[bytes, int]:
    topics = [record.topic for record in records]
    head = _HEAD.pack(len(packed), flags, first_offset, *map(topics.count, TOPICS))
    crc = crc32c(packed, crc32c(head, crc))
    return b"".join((head, packed, _U32.pack(crc))), crc


def _pieces(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Split a group where a frame would become too large."""
    start = size_bytes = 0
    for end, record in enumerate(records):
        size_bytes += record.size_bytes
        if size_bytes > _FRAME_BYTES and end > start:
            yield records[start:end]
            start, size_bytes = end, record.size_bytes
    yield records[start:]


def unpack_head(buffer: bytes, at: int) -> Head:
    """Read a frame's head, whatever it is."""
    return Head._make(_HEAD.unpack_from(buffer, at))


def unpack_records(buffer: bytes, at: int, head: Head) -> list[Record]:
    """Read the records of a frame that begins at `at`, right behind another's CRC.

    Raises:
        SegmentDamaged: they are not what was written.
    """
    end = at + head.frame_bytes - CRC_BYTES
    (before,) = _U32.unpack_from(buffer, at - CRC_BYTES)
    (crc,) = _U32.unpack_from(buffer, end)
    frame = memoryview(buffer)[at:end]
    if crc32c(frame, before) != crc:
        raise SegmentDamaged(f"its record {head.first_offset} is not what was written")
    try:
        return _records_decoder.decode(frame[HEAD_BYTES:])
    except UNREADABLE:
        raise SegmentDamaged(
            f"its record {head.first_offset} cannot be read by this version"
        ) from None
