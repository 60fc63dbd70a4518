"""Records as bytes: whatever goes in comes out, and what was changed is noticed."""

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from service.errors import SegmentDamaged
from service.events.journal import frames
from service.events.journal.frames import (
    CRC_BYTES,
    HEADER_START_BYTES,
    TOPICS,
    Carried,
    Head,
    Header,
    crc_at_end,
    header_bytes,
    pack_group,
    pack_header,
    unpack_head,
    unpack_header,
    unpack_records,
)
from service.events.log import Record, Topic
from tests.unit.service.events.journal.journals import KIB, opened, verdict

BEFORE = 0x1234ABCD
MIB = KIB * KIB

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
blobs = st.binary(max_size=300)
records = st.builds(
    Record,
    topic=st.sampled_from(Topic),
    key=blobs,
    kind=texts,
    id=texts,
    body=blobs,
    content=st.none() | blobs,
    key_id=st.none() | texts,
)
groups = st.lists(records, min_size=1, max_size=12)
headers = st.builds(
    Header,
    number=st.integers(1, 2**40),
    after_offset=st.integers(0, 2**63),
    carried=st.lists(
        st.builds(Carried, texts, st.integers(1, 2**40), st.integers(1, 2**63), blobs), max_size=5
    ).map(tuple),
)


def read(group: bytes, crc: int) -> list[tuple[Head, list[Record]]]:
    """Go through the frames of a group behind something that ends with a CRC."""
    buffer, at = crc.to_bytes(CRC_BYTES, "little") + group, CRC_BYTES
    found: list[tuple[Head, list[Record]]] = []
    while at < len(buffer):
        head = unpack_head(buffer, at)
        found.append((head, unpack_records(buffer, at, head)))
        at += head.frame_bytes
    assert at == len(buffer)
    return found


@given(group=groups, first=st.integers(1, 2**62))
def test_a_group_comes_out_as_it_went_in(group: list[Record], first: int) -> None:
    packed, crc = pack_group(group, first, BEFORE)
    ((head, found),) = read(packed, BEFORE)
    assert found == group
    assert (head.first_offset, head.last_offset) == (first, first + len(group) - 1)
    assert head.counts == tuple(sum(one.topic is topic for one in group) for topic in TOPICS)
    assert head.ends_group
    assert crc == crc_at_end(packed)


@given(group=groups, data=st.data())
def test_a_changed_bit_is_noticed(group: list[Record], data: st.DataObject) -> None:
    packed, _ = pack_group(group, 1, BEFORE)
    changed = bytearray(packed)
    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    buffer = BEFORE.to_bytes(CRC_BYTES, "little") + bytes(changed) + bytes(64 * KIB)
    head = unpack_head(buffer, CRC_BYTES)
    if CRC_BYTES + head.frame_bytes <= len(buffer):  # else the file ends before: see test_recovery
        with pytest.raises(SegmentDamaged):
            unpack_records(buffer, CRC_BYTES, head)


@given(group=groups, other=st.integers(0, 2**32 - 1).filter(lambda crc: crc != BEFORE))
def test_a_frame_counts_only_behind_what_it_was_written_behind(
    group: list[Record], other: int
) -> None:
    packed, _ = pack_group(group, 1, BEFORE)
    with pytest.raises(SegmentDamaged):
        read(packed, other)


def test_a_large_group_is_laid_out_in_frames_that_a_reader_can_hold() -> None:
    sizes = [300 * KIB, 300 * KIB, 5 * MIB, 10, 700 * KIB, 400 * KIB, 10]
    group = [verdict(n, size) for n, size in enumerate(sizes)]
    packed, crc = pack_group(group, 7, BEFORE)
    found = read(packed, BEFORE)
    assert [len(some) for _, some in found] == [2, 1, 2, 2]
    assert [one for _, some in found for one in some] == group
    assert [head.first_offset for head, _ in found] == [7, 9, 10, 12]
    assert [head.ends_group for head, _ in found] == [False, False, False, True]
    assert crc == crc_at_end(packed)


def test_an_answer_of_the_greatest_size_is_one_frame() -> None:
    large = structs.replace(opened("a"), content=bytes(range(256)) * (16 * MIB // 256))
    packed, _ = pack_group([large], 1, BEFORE)
    ((_, found),) = read(packed, BEFORE)
    assert found == [large]


@given(headers)
def test_a_header_comes_out_as_it_went_in(header: Header) -> None:
    packed = pack_header(header)
    assert header_bytes(packed[:HEADER_START_BYTES]) == len(packed)
    assert unpack_header(packed) == header


@given(header=headers, data=st.data())
def test_a_header_that_was_changed_is_noticed(header: Header, data: st.DataObject) -> None:
    packed = bytearray(pack_header(header))
    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[bit // 8] ^= 1 << bit % 8

    def read_header(start: bytes) -> Header:
        return unpack_header(start[: header_bytes(start[:HEADER_START_BYTES])])

    with pytest.raises(SegmentDamaged):
        read_header(bytes(packed))


@pytest.mark.parametrize("start", [b"", frames.MAGIC, b"SQLite format 3\x00"])
def test_what_is_no_segment_is_told(start: bytes) -> None:
    with pytest.raises(SegmentDamaged, match="no segment of this version"):
        header_bytes(start)


def test_what_a_later_version_may_write_is_told() -> None:
    packed, _ = pack_group([verdict(1)], 1, BEFORE)
    other = packed[:-CRC_BYTES].replace(b"verdicts", b"opinions")
    end = crc32c(other, BEFORE).to_bytes(CRC_BYTES, "little")
    with pytest.raises(SegmentDamaged, match="cannot be read by this version"):
        read(other + end, BEFORE)
