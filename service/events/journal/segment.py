"""One segment: a file to which groups of records are appended, in the format of frames.py.

A group is written by one write(2) (*written*); a sync of the file then makes every group before
it durable (*synced*). What was not written whole is cut off again before anything else is
written.

A segment appears under its name complete with its header, and only once everything before it is
synced: that it is there says that the one before is full, and `after_offset` where that ended.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.errors import JournalBroken
from service.events.journal.frames import Carried, Header, crc_at_end, pack_group, pack_header
from service.events.journal.groups import sync_folder
from service.events.log import Position, Record

_SUFFIX: Final = ".seg"


class Disk:
    """What a writer asks of the system; tests put a lossy one in its place."""

    def open(self, path: Path, *, new: bool = False) -> int:
        """Open a file to read and write; a new one must not be there yet."""
        flags = os.O_CREAT | os.O_EXCL if new else 0
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)

    def read(self, fd: int, size_bytes: int, at: int) -> bytes:
        """Return what the file holds there."""
        return os.pread(fd, size_bytes, at)

    def write(self, fd: int, data: bytes | memoryview, at: int) -> int:
        """Write some of the data, at least a byte; return how much that was."""
        return os.pwrite(fd, data, at)

    def cut(self, fd: int, size_bytes: int) -> None:
        """Drop what lies behind this size."""
        os.ftruncate(fd, size_bytes)

    def sync(self, fd: int) -> None:
        """Make what was written and cut before survive a loss of power."""
        os.fdatasync(fd)

    def rename(self, path: Path, to: Path) -> None:
        """Give a file its name."""
        path.rename(to)

    def sync_folder(self, folder: Path) -> None:
        """Make names that were given before survive a loss of power."""
        sync_folder(folder)

    def close(self, fd: int) -> None:
        """Let a file go."""
        os.close(fd)


@dataclass(frozen=True, slots=True)
class OpenExchange:
    """An `opened` without its `closed`."""

    id: str
    position: Position
    body: bytes


@dataclass(frozen=True, slots=True)
class End:
    """Where a segment's last whole group ends."""

    size_bytes: int
    offset: int
    """Of the last record, here or before."""
    crc: int


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error of the system means that there is no room."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def segment_path(folder: Path, number: int) -> Path:
    """Return the path of a journal's segment."""
    return folder / f"{number:08d}{_SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """List a journal's segments, oldest first."""
    return sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def remove_segment(folder: Path, number: int) -> None:
    """Unlink a segment."""
    segment_path(folder, number).unlink(missing_ok=True)


def begin_segment(
    folder: Path, number: int, after_offset: int, carried: Iterable[OpenExchange], disk: Disk
) -> "SegmentWriter":
    """Make a segment, complete and on disk, before it gets its name.

    Raises:
        OSError: there is none; what is before it may be written to, and this tried again.
        JournalBroken: it is not known whether there is one.
    """
    temporary = folder / "next.tmp"
    temporary.unlink(missing_ok=True)
    rows = tuple(Carried(x.id, x.position.part, x.position.offset, x.body) for x in carried)
    header = pack_header(Header(number, after_offset, rows))
    fd = disk.open(temporary, new=True)
    try:
        write_all(disk, fd, header, 0)
        disk.sync(fd)
        disk.rename(temporary, segment_path(folder, number))
        _sync_names(folder, disk)
    except BaseException:
        disk.close(fd)
        temporary.unlink(missing_ok=True)
        raise
    end = End(len(header), after_offset, crc_at_end(header))
    return SegmentWriter(fd, number, len(header), end, disk)


class SegmentWriter:
    """The last segment of a journal. Used from one thread at a time, but for `sync`."""

    def __init__(self, fd: int, number: int, header_bytes: int, end: End, disk: Disk) -> None:
        """Go on behind the last group of a file that is open."""
        self.number = number
        self._header_bytes = header_bytes
        self._fd = fd
        self._disk = disk
        self.size_bytes = end.size_bytes
        self.last_offset = end.offset
        self._crc = end.crc

    def write(self, records: Sequence[Record]) -> None:
        """Append records as one group: once this returns they are written, else none of them is.

        Raises:
            OSError: the system's.
            JournalBroken: and what was written of it could not be cut off: write no more.
        """
        group, crc = pack_group(records, self.last_offset + 1, self._crc)
        try:
            write_all(self._disk, self._fd, group, self.size_bytes)
        except BaseException:
            self._cut()
            raise
        self.size_bytes += len(group)
        self.last_offset += len(records)
        self._crc = crc

    @property
    def records_bytes(self) -> int:
        """Return the size without what was carried over: that would be carried over once more."""
        return self.size_bytes - self._header_bytes

    def sync(self) -> None:
        """Make every group before this call survive a loss of power. Any thread may call it."""
        self._disk.sync(self._fd)

    def close(self) -> None:
        """Let the file go."""
        self._disk.close(self._fd)

    def _cut(self) -> None:
        try:
            self._disk.cut(self._fd, self.size_bytes)
        except OSError as error:
            raise JournalBroken(f"half a group could not be cut off: {error}") from None


def _sync_names(folder: Path, disk: Disk) -> None:
    try:
        disk.sync_folder(folder)
    except OSError as error:
        raise JournalBroken(f"the name of a segment could not be synced: {error}") from None


def write_all(disk: Disk, fd: int, data: bytes, at: int) -> None:
    """Write all of it, however little the system takes at a time."""
    done = disk.write(fd, data, at)
    while done < len(data):
        more = disk.write(fd, memoryview(data)[done:], at + done)
        if more == 0:
            raise OSError(errno.EIO, "a write took nothing")
        done += more
