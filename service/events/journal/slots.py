"""Slots: which journal a process writes, and what becomes of the journals of dead processes."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Slot:
    """A journal's folder, held by this process until `release`."""

    folder: Path
    lock_fd: int

    def release(self) -> None:
        """Let another process take the slot."""
        os.close(self.lock_fd)


def take_slot(root: Path, role: str, adopt: Callable[[Slot], None]) -> Slot:
    """Take the first free slot of a role: `<role>-0`, `<role>-1`, ….

    Every other slot of the role that nobody holds is given to `adopt`, which ends what its
    dead process left open, and is released again. All this happens under one lock, so that
    processes which start together neither pass over a slot nor adopt a living one.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with root_lock(root):
        mine = next(slot for slot in (_try(root / f"{role}-{n}") for n in count()) if slot)
        try:
            _adopt_orphans(root, role, mine, adopt)
        except BaseException:
            mine.release()
            raise
    return mine


def held_slots(root: Path) -> list[str]:
    """Name the slots that a process holds, also one whose process cannot be seen from here.

    Whoever starts meanwhile waits, so that no slot looks taken to it.
    """
    with root_lock(root):
        folders = sorted(lock.parent for lock in root.glob("*/lock"))
        return [folder.name for folder in folders if not _is_free(folder)]


def _is_free(folder: Path) -> bool:
    slot = _try(folder)
    if slot is not None:
        slot.release()
    return slot is not None


def _adopt_orphans(root: Path, role: str, mine: Slot, adopt: Callable[[Slot], None]) -> None:
    for folder in sorted(root.glob(f"{role}-*/")):
        orphan = _try(folder) if folder != mine.folder else None
        if orphan is not None:
            try:
                adopt(orphan)
            finally:
                orphan.release()


def _try(folder: Path) -> Slot | None:
    folder.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return Slot(folder, fd)


@contextmanager
def root_lock(root: Path) -> Iterator[None]:
    """Let no process take a slot meanwhile."""
    fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
