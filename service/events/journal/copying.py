"""Copying journals while they are written to, and letting new processes go on with a copy.

What was appended after a copy was made is not in it, and its positions may be known elsewhere. So
a restored journal goes on in a segment whose number is the time, in seconds: far beyond any that
it had, for a journal does not begin one a second.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from service.errors import EventLogError
from service.events.journal.groups import Group, groups_folder, sync_folder
from service.events.journal.lookup import journal_folders
from service.events.journal.mark import Mark
from service.events.journal.reader import lock_group
from service.events.journal.recovery import open_segment
from service.events.journal.segment import Disk, begin_segment, segment_numbers, segment_path
from service.events.journal.slots import root_lock
from service.events.log import Position

_MARK: Final = "synced"


class Copied(NamedTuple):
    """What a copy holds of a journal."""

    log: str
    synced: int
    """The offset up to which it is whole."""
    segments: int


def copy_journals(root: Path, to: Path) -> list[Copied]:
    """Copy all journals under a root into a folder that is not there yet.

    What the groups have acknowledged comes first: a record that was handled meanwhile is handled
    again, and none is left out. Then each mark, and what it says is there.

    Raises:
        EventLogError: the folder is there, or there are no journals.
        OSError: the system's.
    """
    folders = journal_folders(root)
    if not folders:
        raise EventLogError(f"there is no journal in {root}")
    try:
        to.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise EventLogError(f"{to} is there already: name a new folder") from None
    groups = groups_folder(to)
    groups.mkdir(mode=0o700)
    for file in sorted(groups_folder(root).glob("*.json")):
        _copy(file, groups / file.name)
    return [_copy_journal(folder, to / folder.name) for folder in folders]


def restore_journals(copy: Path, root: Path, now: float) -> list[Copied]:
    """Put journals that were copied under a root, where none of their names is; `now` in seconds.

    Raises:
        EventLogError: the folder holds no copy, a journal of it is there already, or a worker is
            reading under the root.
        OSError: the system's.
    """
    folders = journal_folders(copy)
    if not folders:
        raise EventLogError(f"{copy} holds no journals that `watchgate journal backup` copied")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with root_lock(root):
        if there := [it.name for it in folders if (root / it.name).exists()]:
            raise EventLogError(
                f"{root} has {there[0]} already: restore before anything is started, or stop all "
                "and move what is there away",
            )
        for file in sorted(groups_folder(copy).glob("*.json")):
            _take_over(Group(groups_folder(copy), file.stem).load(), root, file.stem)
        return [_restore_journal(folder, root / folder.name, int(now)) for folder in folders]


def _restore_journal(folder: Path, to: Path, number: int) -> Copied:
    """Copy a journal, and begin the segment that it goes on in; its mark comes last."""
    copied, disk = _copy_segments(folder, to), Disk()
    last, left_open = open_segment(to, copied.synced, disk)
    last.close()
    number = max(number, last.number + 1)
    begin_segment(to, number, last.last_offset, left_open, disk).close()
    _set_mark(to, last.last_offset)
    return copied


def _take_over(acknowledged: dict[str, Position], root: Path, name: str) -> None:
    """Let a group go on where it was with each journal."""
    folder = groups_folder(root)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _group_alone(folder, name):
        group = Group(folder, name)
        group.save(group.load() | acknowledged)


@contextlib.contextmanager
def _group_alone(folder: Path, name: str) -> Iterator[None]:
    try:
        fd = lock_group(folder, name)
    except EventLogError as error:
        raise EventLogError(f"{error}: stop the workers first") from None
    try:
        yield
    finally:
        os.close(fd)


def _copy_journal(folder: Path, to: Path) -> Copied:
    copied = _copy_segments(folder, to)
    _set_mark(to, copied.synced)
    return copied


def _copy_segments(folder: Path, to: Path) -> Copied:
    """Copy the segments, once it is known up to where they have to be whole."""
    to.mkdir(mode=0o700)
    with contextlib.closing(Mark(folder / _MARK, writable=False)) as mark:
        synced = mark.get()
    copied = [number for number in segment_numbers(folder) if _copy_segment(folder, number, to)]
    return Copied(to.name, synced, len(copied))


def _set_mark(folder: Path, synced: int) -> None:
    """Make a journal of a folder: it is none before that, to those who look."""
    with contextlib.closing(Mark(folder / _MARK, writable=True)) as mark:
        mark.set(synced)
    sync_folder(folder)
    sync_folder(folder.parent)


def _copy_segment(folder: Path, number: int, to: Path) -> bool:
    """Copy a segment; False: it was removed meanwhile, for everyone had read it long ago."""
    try:
        _copy(segment_path(folder, number), segment_path(to, number))
    except FileNotFoundError:
        return False
    return True


def _copy(file: Path, to: Path) -> None:
    with file.open("rb") as source:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
            target.flush()
            os.fsync(descriptor)
