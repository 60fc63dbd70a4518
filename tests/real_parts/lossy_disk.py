"""A disk that forgets: it knows which of a journal's writes were truly synced.

`LossyDisk.lose_power(folder, into)` builds what a machine would find after a loss of power at this
moment: of every segment what was synced, and of the writes since then any subset, in any order,
torn at any byte; a segment without its name if the folder was not synced since it got that; and
the mark as it is, or as it was before any number of its changes. The journal under test runs on
meanwhile and knows nothing of it. What a failed sync left unsynced no later sync brings to the
disk, as with Linux: only writing it again does.

What it does not model: a name that is removed is taken to be so on disk, and the small files of the
groups are copied as they are.
"""

import os
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from service.events.journal.mark import Mark
from service.events.journal.segment import Disk

_SECTOR: Final = 512


@dataclass(slots=True)
class _Change:
    """A write, or (without data) a cut to `at` bytes."""

    at: int
    data: bytes | None


@dataclass(slots=True)
class _File:
    durable: bytearray
    unsynced: list[_Change] = field(default_factory=list)

    def sync(self, changes: int) -> None:
        for change in self.unsynced[:changes]:
            _apply(self.durable, change)
        del self.unsynced[:changes]

    def after_power_loss(self, chance: random.Random) -> bytes:
        image = bytearray(self.durable)
        for piece in _survivors(self.unsynced, chance):
            _apply(image, piece)
        return bytes(image)


class LossyDisk(Disk):
    """Give it to a journal. Files that it has not seen before are taken to be on disk."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._files: dict[int, _File] = {}
        self._nameless: dict[Path, Path] = {}
        """The names that files had before, until the folder is synced."""
        self._fails = False
        self.before_sync: Callable[[], None] = lambda: None
        """Called before each sync that the journal asks for, outside any lock."""

    def fail_from_now_on(self) -> None:
        self._fails = True

    def work_again(self) -> None:
        self._fails = False

    def unsynced_bytes(self) -> int:
        with self._lock:
            changes = (change for file in self._files.values() for change in file.unsynced)
            return sum(len(change.data or b"") for change in changes)

    def lose_power(self, folder: Path, into: Path, chance: random.Random) -> None:
        """Fill `into` with what `folder` would hold after a loss of power now."""
        with self._lock:
            for _ in range(100):
                try:
                    self._copy(folder, into, chance)
                except FileNotFoundError:  # the journal renamed or removed it just now
                    shutil.rmtree(into)
                else:
                    return
        raise AssertionError("the journal's folder never held still")

    def _copy(self, folder: Path, into: Path, chance: random.Random) -> None:
        into.mkdir(mode=0o700, parents=True)
        shutil.copyfile(folder / "synced", into / "synced")  # first, or it could be too new
        _set_back(into / "synced", chance)
        for path in sorted(folder.iterdir()):
            if path.name != "synced":
                named = path
                if path in self._nameless and chance.random() < 0.5:
                    named = self._nameless[path]
                file = self._files.get(path.stat().st_ino)
                content = path.read_bytes() if file is None else file.after_power_loss(chance)
                (into / named.name).write_bytes(content)

    # What the journal calls

    def open(self, path: Path, *, new: bool = False) -> int:
        with self._lock:
            fd = super().open(path, new=new)
            inode = os.fstat(fd).st_ino
            if new:  # inodes are used again
                self._files.pop(inode, None)
            self._files.setdefault(inode, _File(bytearray(path.read_bytes())))
            return fd

    def write(self, fd: int, data: bytes | memoryview, at: int) -> int:
        with self._lock:
            done = super().write(fd, data, at)
            self._file(fd).unsynced.append(_Change(at, bytes(data[:done])))
            return done

    def cut(self, fd: int, size_bytes: int) -> None:
        with self._lock:
            super().cut(fd, size_bytes)
            self._file(fd).unsynced.append(_Change(size_bytes, None))

    def sync(self, fd: int) -> None:
        with self._lock:
            file = self._file(fd)
            changes = len(file.unsynced)
        self.before_sync()
        with self._lock:
            if self._fails:
                del file.unsynced[:changes]
                raise OSError(5, "the disk was told to fail")
            file.sync(changes)

    def rename(self, path: Path, to: Path) -> None:
        with self._lock:
            super().rename(path, to)
            self._nameless[to] = path

    def sync_folder(self, folder: Path) -> None:
        self.before_sync()
        with self._lock:
            if self._fails:
                raise OSError(5, "the disk was told to fail")
            self._nameless = {
                path: before for path, before in self._nameless.items() if path.parent != folder
            }

    def _file(self, fd: int) -> _File:
        return self._files[os.fstat(fd).st_ino]


def _survivors(changes: list[_Change], chance: random.Random) -> list[_Change]:
    """Choose what of unsynced changes reaches the disk, in the order in which it does."""
    survival = chance.choice([0.0, 0.5, 0.9, 1.0])
    pieces = [piece for change in changes for piece in _pieces(change, chance)]
    if chance.random() < 0.3:  # torn at one place, as by a kill in the middle of a write
        return pieces[: chance.randrange(len(pieces) + 1)]
    survivors = [piece for piece in pieces if chance.random() < survival]
    if survival < 1.0 and chance.random() < 0.5:
        chance.shuffle(survivors)
    return survivors


def _pieces(change: _Change, chance: random.Random) -> list[_Change]:
    """Cut a write at the borders of sectors, and at a byte of each sector that it touches."""
    if change.data is None:
        return [change]
    end = change.at + len(change.data)
    borders = {change.at, end, *range(change.at - change.at % _SECTOR + _SECTOR, end, _SECTOR)}
    borders |= {chance.randrange(border, border + _SECTOR) for border in set(borders)}
    places = sorted(border for border in borders if change.at <= border <= end)
    return [
        _Change(at, change.data[at - change.at : until - change.at])
        for at, until in pairwise(places)
    ]


def _apply(image: bytearray, change: _Change) -> None:
    if change.data is None:
        del image[change.at :]
        return
    end = change.at + len(change.data)
    image.extend(bytes(max(0, end - len(image))))
    image[change.at : end] = change.data


def _set_back(path: Path, chance: random.Random) -> None:
    mark = Mark(path, writable=True)
    if chance.random() < 0.5:
        mark.set(chance.randrange(mark.get() + 1))
    mark.close()
