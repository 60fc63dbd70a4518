"""Opening a journal that was left in any state: what is cut off, and what is told loudly."""

import errno
import os
import random
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from service.errors import EventLogError, JournalBroken, JournalFull
from service.events.journal import Journal, find_exchange, read_topic
from service.events.journal.frames import Header, crc_at_end, pack_group, pack_header
from service.events.journal.mark import Mark
from service.events.journal.segment import Disk, remove_segment
from service.events.log import Durability, Topic
from tests.real_parts.lossy_disk import LossyDisk
from tests.unit.service.events.journal.journals import (
    KIB,
    LIMITS,
    append,
    closed,
    everything,
    fill_segments,
    ids,
    opened,
    verdict,
)

LOG: Final = "gateway-0"


def _write(folder: Path, count: int, disk: Disk | None = None) -> Path:
    """Write so many records, each a group, all synced; return the segment's path."""
    journal = Journal(folder, limits=LIMITS, disk=disk)
    for number in range(count):
        journal.append_all([verdict(number)])
    journal.close()
    return folder / "00000001.seg"


def _set_mark(folder: Path, offset: int) -> None:
    mark = Mark(folder / "synced", writable=True)
    mark.set(offset)
    mark.close()


def test_a_tail_cut_at_any_byte_costs_the_last_group_only(tmp_path: Path) -> None:
    first_bytes = _write(tmp_path / LOG, 1).stat().st_size
    whole = _write(tmp_path / LOG, 1).read_bytes()
    for size in range(first_bytes, len(whole)):
        _set_mark(tmp_path / LOG, 1)
        (tmp_path / LOG / "00000001.seg").write_bytes(whole[:size])
        journal = Journal(tmp_path / LOG, limits=LIMITS)
        assert journal.written == journal.synced == 1
        assert journal.append_all([verdict(7)])[0].offset == 2
        journal.close()
        assert ids(everything(tmp_path)) == ["verdict-0", "verdict-7"]


def test_a_large_group_counts_whole_or_not_at_all(tmp_path: Path) -> None:
    first_bytes = _write(tmp_path / LOG, 1).stat().st_size
    journal = Journal(tmp_path / LOG, limits=replace(LIMITS, segment_bytes=2**30))
    journal.append_all([verdict(number, 700 * KIB) for number in range(1, 4)])
    journal.close()
    path = tmp_path / LOG / "00000001.seg"
    whole = path.read_bytes()
    step = (len(whole) - first_bytes) // 6
    for size in [*range(first_bytes + 1, len(whole), step), len(whole) - 1]:
        _set_mark(tmp_path / LOG, 1)
        path.write_bytes(whole[:size])
        assert ids(list(read_topic(tmp_path, Topic.VERDICTS))) == ["verdict-0"]
        journal = Journal(tmp_path / LOG, limits=LIMITS)
        assert journal.written == 1
        journal.close()
        assert path.stat().st_size == first_bytes
    path.write_bytes(whole)
    journal = Journal(tmp_path / LOG, limits=LIMITS)
    assert journal.written == 4
    journal.close()


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\xff" * 5000, b"\0", os.urandom(3000)])
def test_a_tail_that_is_no_record_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    path = _write(tmp_path / LOG, 3)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    journal = Journal(tmp_path / LOG, limits=LIMITS)
    assert journal.written == 3
    journal.close()
    assert path.read_bytes() == whole


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _cut_to_the_header(path: Path) -> None:
    os.truncate(path, 40)


def _change_a_byte_in_the_middle(path: Path) -> None:
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "harm", [_cut, _cut_to_the_header, _change_a_byte_in_the_middle, _remove, _empty]
)
def test_less_than_what_was_synced_is_told_and_never_written_over(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = _write(tmp_path / LOG, 5)
    harm(path)
    left = path.read_bytes() if path.exists() else None
    for _ in range(2):
        with pytest.raises(JournalBroken, match="a segment cannot be opened"):
            Journal(tmp_path / LOG, limits=LIMITS)
    assert (path.read_bytes() if path.exists() else None) == left


def test_what_was_synced_and_is_gone_is_counted(tmp_path: Path) -> None:
    _cut(_write(tmp_path / LOG, 5))
    with pytest.raises(JournalBroken, match="up to 5 were synced, and it ends after 4: restore it"):
        Journal(tmp_path / LOG, limits=LIMITS)


def test_without_a_whole_mark_what_is_there_counts(tmp_path: Path) -> None:
    path = _write(tmp_path / LOG, 5)
    _cut(path)
    (tmp_path / LOG / "synced").write_bytes(b"\x01" * 16)
    journal = Journal(tmp_path / LOG, limits=LIMITS)
    assert journal.written == journal.synced == 4
    journal.close()


@pytest.mark.parametrize("more_bytes", [0, 5, 10 * KIB])
def test_a_full_segment_that_lost_its_end_is_told_to_its_readers(
    tmp_path: Path, more_bytes: int
) -> None:
    first_bytes = _write(tmp_path / LOG, 1).stat().st_size
    journal = Journal(tmp_path / LOG, limits=LIMITS)
    fill_segments(journal, tmp_path / LOG, 2)
    journal.close()
    os.truncate(tmp_path / LOG / "00000001.seg", first_bytes + more_bytes)
    with pytest.raises(EventLogError, match="a segment of gateway-0 cannot be read: it ends"):
        everything(tmp_path)


def test_a_damaged_size_reserves_no_memory(tmp_path: Path) -> None:
    path = _write(tmp_path / LOG, 1)
    _write(tmp_path / LOG, 1)
    with path.open("r+b") as segment:
        segment.seek(len(pack_header(Header(1, 0))))
        segment.write(b"\xff\xff\xff\xff")
    tracemalloc.start()
    with pytest.raises(JournalBroken, match="up to 2 were synced, and it ends after 0"):
        Journal(tmp_path / LOG, limits=LIMITS)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * KIB * KIB


def test_frames_that_an_older_group_left_behind_are_not_taken_for_a_newer_one(
    tmp_path: Path,
) -> None:
    """A group that failed left its second frame on the disk; of one that came later in its place
    the first frame is lost, and what follows survived."""
    header = pack_header(Header(1, 0))
    kept, after_kept = pack_group([verdict(0)], 1, crc_at_end(header))
    stale, _ = pack_group([verdict(1)], 2, 12345)
    lost, after_lost = pack_group([verdict(2)], 2, after_kept)
    survived, _ = pack_group([verdict(3)], 3, after_lost)
    assert len(stale) == len(lost)
    (tmp_path / LOG).mkdir()
    (tmp_path / LOG / "00000001.seg").write_bytes(header + kept + stale + survived)
    journal = Journal(tmp_path / LOG, limits=LIMITS)
    assert journal.written == 1
    journal.close()
    assert ids(everything(tmp_path)) == ["verdict-0"]


def test_segments_of_an_earlier_version_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / LOG).mkdir()
    (tmp_path / LOG / "00000001.db").write_bytes(b"SQLite format 3\x00")
    with pytest.raises(JournalBroken, match=r"\*\.db.*move the folder of all journals away"):
        Journal(tmp_path / LOG, limits=LIMITS)
    assert (tmp_path / LOG / "00000001.db").exists()


# While it is written


class FailingDisk(Disk):
    """Takes at most so many bytes at a time, and fails when told to."""

    def __init__(self, at_most: int = 1 << 30) -> None:
        self.at_most = at_most
        self.room: int | None = None
        self.cuts = True

    def write(self, fd: int, data: bytes | memoryview, at: int) -> int:
        taken = min(len(data), self.at_most, len(data) if self.room is None else self.room)
        if self.room is not None:
            self.room -= taken
        if taken == 0:
            raise OSError(errno.ENOSPC, "no space left")
        return super().write(fd, data[:taken], at)

    def cut(self, fd: int, size_bytes: int) -> None:
        if not self.cuts:
            raise OSError(errno.EIO, "the disk was told to fail")
        super().cut(fd, size_bytes)


def test_a_system_that_takes_little_at_a_time_gets_it_all(tmp_path: Path) -> None:
    _write(tmp_path / LOG, 20, FailingDisk(at_most=37))
    assert ids(everything(tmp_path)) == [f"verdict-{n}" for n in range(20)]


def test_a_group_for_which_there_is_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = Journal(tmp_path / LOG, limits=LIMITS, disk=disk)
    append(journal, opened("a"))
    before = (tmp_path / LOG / "00000001.seg").read_bytes()
    disk.room = 1000
    (pending,) = append(journal, opened("b", 5000))
    assert isinstance(pending.error, JournalFull)
    assert pending.position is None
    assert (tmp_path / LOG / "00000001.seg").read_bytes() == before
    disk.room = None
    (end,) = append(journal, closed("a"), ends=True)
    assert end.position is not None
    assert end.position.offset == 2
    journal.close()
    assert [one.record for one in everything(tmp_path)] == [opened("a"), closed("a")]


def test_a_system_that_takes_nothing_breaks_the_journal(tmp_path: Path) -> None:
    class Nothing(Disk):
        takes = True

        def write(self, fd: int, data: bytes | memoryview, at: int) -> int:
            return super().write(fd, data, at) if self.takes else 0

    disk = Nothing()
    journal = Journal(tmp_path / LOG, limits=LIMITS, disk=disk)
    disk.takes = False
    with pytest.raises(JournalBroken, match="a write took nothing"):
        journal.append_all([verdict(1)])
    journal.close()


def test_half_a_group_that_cannot_be_cut_off_breaks_the_journal(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = Journal(tmp_path / LOG, limits=LIMITS, disk=disk)
    append(journal, opened("a"))
    disk.room, disk.cuts = 100, False
    (pending,) = append(journal, opened("b", 5000))
    assert isinstance(pending.error, JournalBroken)
    disk.room = None
    with pytest.raises(JournalBroken, match="half a group could not be cut off"):
        journal.append(closed("a"), Durability.WRITTEN, ends=True)
    journal.close()
    again = Journal(tmp_path / LOG, limits=LIMITS)
    assert again.written == 1
    assert [one.id for one in again.open_exchanges()] == ["a"]
    again.close()


def test_what_a_failed_sync_left_in_memory_alone_is_written_again(tmp_path: Path) -> None:
    disk = LossyDisk()
    folder = tmp_path / "before" / LOG
    journal = Journal(folder, limits=LIMITS, sync_interval_s=3600.0, disk=disk)
    append(journal, verdict(1), verdict(2))
    disk.fail_from_now_on()
    with pytest.raises(JournalBroken, match="sync failed"):
        journal.append_all([verdict(3)])
    journal.close()
    disk.work_again()
    again = Journal(folder, limits=LIMITS, disk=disk)
    assert again.written == again.synced == 3
    for seed in range(10):
        after = tmp_path / f"after-{seed}" / LOG
        disk.lose_power(folder, after, random.Random(seed))  # noqa: S311
        third = Journal(after, limits=LIMITS, disk=LossyDisk())
        assert third.written == 3
        third.close()
    again.close()


def test_a_segment_whose_name_cannot_be_synced_breaks_the_journal(tmp_path: Path) -> None:
    class NoFolders(Disk):
        works = True

        def sync_folder(self, folder: Path) -> None:
            if not self.works:
                raise OSError(errno.ENOSPC, "no space left")
            super().sync_folder(folder)

    disk = NoFolders()
    journal = Journal(tmp_path / LOG, limits=LIMITS, disk=disk)
    disk.works = False
    with pytest.raises(JournalBroken, match="could not be synced"):
        fill_segments(journal, tmp_path / LOG, 3)
    written = journal.written
    journal.close()
    again = Journal(tmp_path / LOG, limits=LIMITS)
    assert again.written == written
    again.close()


# What looks in beside the readers


def test_whoever_looks_in_sees_what_is_written_and_not_what_is_half_written(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / LOG, limits=LIMITS, sync_interval_s=3600.0)
    append(journal, opened("a"), closed("a"))
    assert everything(tmp_path) == []
    group, _ = pack_group([opened("b"), closed("b")], 3, _crc(tmp_path / LOG / "00000001.seg"))
    with (tmp_path / LOG / "00000001.seg").open("ab") as segment:
        segment.write(group[:-1])
    assert [one.record for one in find_exchange(tmp_path, "a")] == [opened("a"), closed("a")]
    assert list(find_exchange(tmp_path, "b")) == []
    with (tmp_path / LOG / "00000001.seg").open("ab") as segment:
        segment.write(group[-1:])
    assert [one.record for one in find_exchange(tmp_path, "b")] == [opened("b"), closed("b")]
    assert len(list(read_topic(tmp_path, Topic.EXCHANGES))) == 4
    journal.close()


def _crc(path: Path) -> int:
    return crc_at_end(path.read_bytes())


def test_segments_that_go_meanwhile_are_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / LOG, limits=LIMITS)
    fill_segments(journal, tmp_path / LOG, 3)
    journal.append_all([verdict(0)])
    journal.close()
    found = read_topic(tmp_path, Topic.VERDICTS)
    first = next(found)
    remove_segment(tmp_path / LOG, 2)
    assert {one.position.part for one in [first, *found]} == {1, 3}
