"""What one process counts, kept in a file, so that a restart forgets no window and no budget.

A line of JSON for each counter after one that says as of when. The file is replaced whole, once a
second while anything changes, by a thread; more seldom where there is so much that it takes long.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from service.core.limits import Counts, Periods, Saved
from service.core.unreadable import UNREADABLE
from service.errors import AlreadyRunning

_log = logging.getLogger(__name__)
_VERSION: Final = 1
_EVERY_S: Final = 1.0
_REST: Final = 20.0
"""Between two savings so many times what one took: they take a twentieth of one core at most."""
_LINES_AT_ONCE: Final = 200
"""So many are made while other threads wait."""


class _Head(msgspec.Struct, frozen=True):
    version: int
    ticks: float
    at: float
    day: int
    month: int


_encoder: Final = msgspec.json.Encoder()
_lines: Final = msgspec.json.Decoder(Saved)


class CountsFile:
    """The file of one process's counts."""

    def __init__(self, folder: Path) -> None:
        """Name the file; nothing is read yet."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / "counts"
        self._saving = threading.Lock()

    def load(self, at: float) -> tuple[Counts, float]:
        """Return what was counted, and the ticks that it is now, at Unix seconds `at`.

        A file that cannot be read is put aside, with a word in the log: counting starts anew.
        """
        counts = Counts()
        try:
            head, *lines = self._path.read_bytes().splitlines()
            now = msgspec.json.decode(head, type=_Head)
            if now.version != _VERSION:
                raise msgspec.ValidationError(f"version {now.version} is not {_VERSION}")
            counts.restore(map(_lines.decode, lines), Periods(now.day, now.month))
        except FileNotFoundError:
            return counts, 0.0
        except (ValueError, *UNREADABLE) as error:
            _log.error("the counts of limits cannot be read and start anew: %s", error)
            self._path.replace(self._path.with_suffix(".damaged"))
            return Counts(), 0.0
        return counts, now.ticks + max(0.0, at - now.at)

    def save(self, counts: Counts, ticks: float, at: float) -> None:
        """Replace the file, as of now; any thread may."""
        with self._saving:
            self._save(counts, ticks, at)

    def _save(self, counts: Counts, ticks: float, at: float) -> None:
        head = _Head(_VERSION, ticks, at, *counts.periods)
        draft = self._path.with_suffix(".tmp")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb", buffering=0) as file:
            file.write(_encoder.encode(head) + b"\n")
            saved = counts.saved()
            while some := list(islice(saved, _LINES_AT_ONCE)):
                file.write(_encoder.encode_lines(some))  # which lets other threads go on
            os.fsync(fd)
        draft.replace(self._path)


@contextlib.asynccontextmanager
async def kept_counts(
    folder: Path,
    ticks: Callable[[], float] = time.monotonic,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[tuple[Counts, Callable[[], float]]]:
    """Give the counts that are kept in a folder, and the clock that their windows go by.

    Raises:
        AlreadyRunning: another process counts in this folder.
    """
    with _alone(folder):
        file = CountsFile(folder)
        counts, start = file.load(clock())
        offset = start - ticks()

        def now() -> float:
            return ticks() + offset

        async def keep() -> None:
            while True:
                took_s = await asyncio.to_thread(_save_changed, file, counts, now, clock)
                await asyncio.sleep(max(_EVERY_S, took_s * _REST))

        keeping = asyncio.create_task(keep())
        try:
            yield counts, now
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            _save_changed(file, counts, now, clock)


def _save_changed(
    file: CountsFile, counts: Counts, ticks: Callable[[], float], clock: Callable[[], float]
) -> float:
    """Save what changed, if anything did, and return how many seconds that took."""
    started = time.monotonic()
    if counts.is_changed:
        counts.is_changed = False
        try:
            file.save(counts, ticks(), clock())
        except OSError as error:
            counts.is_changed = True
            _log.warning("the counts of limits cannot be saved: %s", error.strerror)
    return time.monotonic() - started


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, folder)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(
            f"limits.kind: another gateway counts in {folder}; several need a Redis"
        ) from None
