"""The synced mark: one number that a writer shares with the readers in other processes.

It lives in a mapped file of 16 bytes, the number and its complement, so that publishing it
costs no transaction and a torn read is recognised. It is set only after a sync, so whatever a
power loss leaves in the file is at most what truly is on disk; and a writer that opens a journal
syncs everything before it sets the mark anew.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Final

_PAIR: Final = struct.Struct("<QQ")
_ALL_ONES: Final = 2**64 - 1
_ATTEMPTS: Final = 100


class Mark:
    """An offset shared through a mapped file; 0 until one is set."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        """Map the file; a writer creates it.

        Raises:
            FileNotFoundError, ValueError: no writer has made the file, or not all of it.
        """
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if writable and os.fstat(fd).st_size < _PAIR.size:
                os.pwrite(fd, _PAIR.pack(0, _ALL_ONES), 0)
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(fd, _PAIR.size, access=access)
        finally:
            os.close(fd)
        self._last = 0

    def set(self, offset: int) -> None:
        """Let readers read up to this offset."""
        self._last = offset
        self._map[:] = _PAIR.pack(offset, offset ^ _ALL_ONES)

    def get(self) -> int:
        """Return the last offset that was set; once closed, or in a torn file, the last known."""
        if not self._map.closed:
            for _ in range(_ATTEMPTS):
                offset, complement = _PAIR.unpack_from(self._map)
                if offset ^ complement == _ALL_ONES:
                    self._last = int(offset)
                    break
        return self._last

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
