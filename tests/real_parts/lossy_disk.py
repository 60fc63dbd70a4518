"""A disk that forgets: an SQLite VFS that knows which writes were truly synced.

`LossyDisk.lose_power(folder, into)` builds what a machine would find after a loss of power at this
moment: of every file what was synced, and of the writes since then any subset, in any order, torn
at any 512 bytes. The journal under test runs on meanwhile and knows nothing of it.

What it does not model: names. A file that was made, renamed or removed is taken to be so on disk
(the journal syncs its folder after each), and the small files beside SQLite's (mark, groups) are
copied as they are, the mark also as it was before any number of its changes.
"""

import itertools
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from service.events.journal.segment import Disk

_SECTOR: Final = 512
_names = itertools.count()


@dataclass(slots=True)
class _Change:
    """A write, or (without data) a cut to `at` bytes."""

    at: int
    data: bytes | None


@dataclass(slots=True)
class _File:
    inode: int
    durable: bytearray
    unsynced: list[_Change] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.unsynced:
            _apply(self.durable, change)
        self.unsynced.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        image = bytearray(self.durable)
        survival = chance.choice([0.0, 0.5, 0.9, 1.0])
        sectors = [piece for change in self.unsynced for piece in _sectors(change)]
        survivors = [piece for piece in sectors if chance.random() < survival]
        if survival < 1.0 and chance.random() < 0.5:
            chance.shuffle(survivors)
        for piece in survivors:
            _apply(image, piece)
        return bytes(image)


class LossyDisk:
    """Give `disk` to a journal and to its readers in this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._files: dict[str, _File] = {}
        self._fails = False
        name = f"lossy-{next(_names)}"
        self._vfs = _VFS(name, self)
        self.disk = Disk(vfs=name, sync=self.sync)
        self.before_sync: Callable[[], None] = lambda: None
        """Called before each sync that the journal asks for, outside any lock."""

    def sync(self, path: str) -> None:
        self.before_sync()
        with self.lock:
            if self._fails:
                raise OSError(5, "the disk was told to fail")
            self._files[path].sync()

    def fail_from_now_on(self) -> None:
        self._fails = True

    def unsynced_bytes(self) -> int:
        with self.lock:
            changes = (change for file in self._files.values() for change in file.unsynced)
            return sum(len(change.data or b"") for change in changes)

    def lose_power(self, folder: Path, into: Path, chance: random.Random) -> None:
        """Fill `into` with what `folder` would hold after a loss of power now."""
        with self.lock:
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
        for path in sorted(folder.iterdir()):
            if path.name == "synced" or path.name.endswith("-shm"):
                continue
            file = self._files.get(str(path))
            if file is None or file.inode != path.stat().st_ino:
                file = self._known_by_inode(path.stat().st_ino)
            content = path.read_bytes() if file is None else file.after_power_loss(chance)
            (into / path.name).write_bytes(content)

    # What the VFS tells

    def opened(self, path: str) -> None:
        with self.lock:
            inode = Path(path).stat().st_ino
            known = self._files.get(path)
            if known is None or known.inode != inode:
                moved = self._known_by_inode(inode)
                self._files[path] = moved or _File(inode, bytearray(Path(path).read_bytes()))

    def changed(self, path: str, change: _Change) -> None:
        self._files[path].unsynced.append(change)

    def synced(self, path: str) -> None:
        self._files[path].sync()

    def deleted(self, path: str) -> None:
        self._files.pop(path, None)

    def _known_by_inode(self, inode: int) -> _File | None:
        for path, file in list(self._files.items()):
            if file.inode == inode and not Path(path).exists():
                del self._files[path]
                return file
        return None


class _VFS(apsw.VFS):
    def __init__(self, name: str, disk: LossyDisk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        file = _VFSFile(name, flags, self._disk)
        file.begin()
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        with self._disk.lock:
            super().xDelete(filename, syncdir)
            self._disk.deleted(filename)


class _VFSFile(apsw.VFSFile):
    def __init__(
        self, name: apsw.URIFilename | str | None, flags: list[int], disk: LossyDisk
    ) -> None:
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._disk = disk
        super().__init__("", name, flags)

    def begin(self) -> None:
        self._disk.opened(self._path)

    def xLock(self, level: int) -> None:  # noqa: N802
        try:
            super().xLock(level)
        except apsw.IOError:
            # On closing, a read-only connection asks for a lock that it cannot have, and SQLite
            # ignores the answer; apsw ignores only that one is busy.
            raise apsw.BusyError from None

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        with self._disk.lock:
            super().xWrite(data, offset)
            self._disk.changed(self._path, _Change(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        with self._disk.lock:
            super().xTruncate(newsize)
            self._disk.changed(self._path, _Change(newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802
        with self._disk.lock:
            self._disk.synced(self._path)


def _apply(image: bytearray, change: _Change) -> None:
    if change.data is None:
        del image[change.at :]
        return
    end = change.at + len(change.data)
    image.extend(bytes(max(0, end - len(image))))
    image[change.at : end] = change.data


def _sectors(change: _Change) -> list[_Change]:
    if change.data is None:
        return [change]
    pieces: list[_Change] = []
    at, end = change.at, change.at + len(change.data)
    while at < end:
        until = min(end, at - at % _SECTOR + _SECTOR)
        pieces.append(_Change(at, change.data[at - change.at : until - change.at]))
        at = until
    return pieces
