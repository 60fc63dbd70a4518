"""Going through a segment's file frame by frame, with little of it in memory at a time."""

import os
from pathlib import Path
from typing import Final

from service.errors import SegmentDamaged
from service.events.journal.frames import (
    CRC_BYTES,
    HEAD_BYTES,
    HEADER_START_BYTES,
    Head,
    header_bytes,
    unpack_head,
    unpack_header,
    unpack_records,
)
from service.events.journal.segment import segment_path
from service.events.log import Record

_CHUNK_BYTES: Final = 64 * 1024


class FrameReader:
    """A place in a segment: in front of a frame, or at the end of the file.

    What was read ahead is kept until `forget`: behind what is synced it may still change.
    """

    def __init__(self, folder: Path, number: int) -> None:
        """Open a segment and stand before its first frame.

        Raises:
            FileNotFoundError: it is gone.
            SegmentDamaged: its header is not what was written.
        """
        self._fd = os.open(segment_path(folder, number), os.O_RDONLY | os.O_CLOEXEC)
        self._buffer = b""
        self._buffer_at = 0
        try:
            self.at = header_bytes(self._read(HEADER_START_BYTES, 0))
            self.header = unpack_header(self._read(self.at, 0))
        except BaseException:
            self.close()
            raise
        self.last_offset = self.header.after_offset
        """Of the frame before, here or in the segments before."""

    def next_head(self) -> Head | None:
        """Return the head of the next frame, None at the end of the file.

        Raises:
            SegmentDamaged: it is not the next offset's.
        """
        begin = self._have(self.at - CRC_BYTES, CRC_BYTES + HEAD_BYTES)
        if len(self._buffer) - begin <= CRC_BYTES:
            return None
        if len(self._buffer) - begin < CRC_BYTES + HEAD_BYTES:
            raise SegmentDamaged(f"it ends within record {self.last_offset + 1}")
        head = unpack_head(self._buffer, begin + CRC_BYTES)
        if head.first_offset != self.last_offset + 1 or not any(head.counts):
            raise SegmentDamaged(f"its record {self.last_offset + 1} is not what was written")
        return head

    def load(self, head: Head) -> list[Record]:
        """Read the records behind the head, which was the last one read.

        Raises:
            SegmentDamaged: they are not what was written.
        """
        size = CRC_BYTES + head.frame_bytes
        begin = self._have(self.at - CRC_BYTES, size)
        if len(self._buffer) - begin < size:
            raise SegmentDamaged(f"it ends within record {head.last_offset}")
        return unpack_records(self._buffer, begin + CRC_BYTES, head)

    def next_whole(self, synced: int = 0) -> tuple[Head, list[Record]] | None:
        """Take the next frame; None where no whole one follows.

        Raises:
            SegmentDamaged: none does, though offsets up to `synced` were synced.
        """
        try:
            head = self.next_head()
            if head is None:
                return None
            records = self.load(head)
        except SegmentDamaged:
            if self.last_offset < synced:
                raise
            return None
        self.step(head)
        return head, records

    def step(self, head: Head) -> None:
        """Move on behind the frame."""
        self.at += head.frame_bytes
        self.last_offset = head.last_offset

    def crc_before(self) -> int:
        """Return the CRC that the next frame goes on from."""
        return int.from_bytes(self._read(CRC_BYTES, self.at - CRC_BYTES), "little")

    def forget(self) -> None:
        """Read anew what comes next."""
        self._buffer = b""

    def close(self) -> None:
        """Let the file go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _have(self, at: int, size: int) -> int:
        """See that so much is in the buffer, if the file has it; return where in there."""
        begin = at - self._buffer_at
        if begin < 0 or begin + size > len(self._buffer):
            self._buffer = self._read(max(size, _CHUNK_BYTES), at)
            self._buffer_at, begin = at, 0
        return begin

    def _read(self, size: int, at: int) -> bytes:
        if size > _CHUNK_BYTES:  # memory is reserved for what is there, whatever is asked for
            size = min(size, max(0, os.fstat(self._fd).st_size - at))
        return os.pread(self._fd, size, at)
