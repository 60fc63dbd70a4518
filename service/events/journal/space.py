"""Room for records: the size limits, the ballast, and what may be removed."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one journal. docs/settings.md, section journal, describes them."""

    segment_bytes: int = 64 * _MIB
    max_bytes: int = 20 * 1024 * _MIB
    reserve_bytes: int = 64 * _MIB
    max_queue_bytes: int = 64 * _MIB
    keep_s: float = 7 * 86400.0

    @property
    def openings_bytes(self) -> int:
        """Return how much new exchanges may fill; the reserve is for the ends of open ones."""
        return self.max_bytes - self.reserve_bytes


@dataclass(frozen=True, slots=True)
class FullSegment:
    """What retention needs to know of a segment that is full."""

    number: int
    last_offset: int
    size_bytes: int
    full_at: float
    """Unix seconds, when its last record was written."""


def removable(  # noqa: PLR0913  (a decision of so many facts)
    full: Sequence[FullSegment],
    acknowledged: Sequence[int],
    *,
    oldest_open_segment: int,
    used_bytes: int,
    limits: Limits,
    now: float,
) -> list[FullSegment]:
    """Choose the oldest segments that may go.

    A segment goes once every group has acknowledged its last offset, no exchange that was
    opened in it is still open, and it is older than `keep_s` or the journal is over three
    quarters of what new exchanges may fill. `acknowledged` holds an offset for every group that
    reads (0: none).
    """
    least = min(acknowledged, default=0)
    going: list[FullSegment] = []
    for segment in full:
        done = segment.last_offset <= least and segment.number < oldest_open_segment
        crowded = used_bytes > limits.openings_bytes * 3 // 4
        if not done or not (crowded or now - segment.full_at >= limits.keep_s):
            break
        going.append(segment)
        used_bytes -= segment.size_bytes
    return going


class Ballast:
    """A file that only holds space, given up when the disk is full so that exchanges can end."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """Take the space if it is there."""
        self._path = folder / "ballast"
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self.held = self._path.exists() and self._path.stat().st_size == size_bytes
        if not self.held:
            self.take()

    def take(self) -> bool:
        """Take the space again, if as much would still be free; return whether it is held."""
        with self._lock:
            if not self.held and self._free_bytes() >= 2 * self._size_bytes:
                self.held = self._allocate()
            return self.held

    def drop(self) -> bool:
        """Give the space up; return whether there was any."""
        with self._lock:
            held, self.held = self.held, False
            self._path.unlink(missing_ok=True)
            return held

    def _allocate(self) -> bool:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(fd, self._size_bytes)
            os.posix_fallocate(fd, 0, self._size_bytes)
        except OSError:
            self._path.unlink()
            return False
        finally:
            os.close(fd)
        return True

    def _free_bytes(self) -> int:
        stat = os.statvfs(self._path.parent)
        return stat.f_bavail * stat.f_frsize


def free_share(folder: Path) -> float:
    """Return the share of a folder's disk that is free for who is not root, from 0 to 1."""
    stat = os.statvfs(folder)
    return stat.f_bavail / stat.f_blocks
