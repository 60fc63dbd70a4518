"""Writing from the thread that has the records, as long as the disk is quick."""

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import JournalBroken, JournalFull
from service.events.journal import Journal, Pending
from service.events.journal.patience import BEARABLE_S, PAUSE_S, QUICK_S, Patience
from service.events.journal.segment import Disk, segment_numbers
from service.events.log import Durability, Record
from tests.unit.service.events.journal.journals import (
    LIMITS,
    append,
    closed,
    eventually,
    everything,
    ids,
    opened,
    verdict,
)

WRITTEN, SYNCED = Durability.WRITTEN, Durability.SYNCED


class TestDisk(Disk):
    """A disk on which something happens before each write."""

    __test__ = False

    def __init__(self) -> None:
        self.before: Callable[[], None] | None = None

    def write(self, fd: int, data: bytes | memoryview, at: int) -> int:
        if self.before is not None:
            self.before()
        return super().write(fd, data, at)


def pending(record: Record, level: Durability = WRITTEN, *, ends: bool = False) -> Pending:
    return Pending(record, level, ends, None)


def size_of(group: Sequence[Pending]) -> int:
    return sum(it.record.size_bytes for it in group)


def put(journal: Journal, name: str) -> None:
    group = [pending(opened(name))]
    journal.put(group, size_of(group))


def test_records_are_written_before_it_returns_and_follow_on_each_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    for first in (1, 3, 5):
        group = [pending(opened(f"ex-{first}")), pending(opened(f"ex-{first + 1}"))]
        assert journal.write_now(group) == group
        offsets = [it.position.offset for it in group if it.position is not None]
        assert offsets == [first, first + 1]
        assert journal.written == first + 1
    journal.close()
    assert ids(everything(tmp_path)) == [f"ex-{number}" for number in range(1, 7)]


def test_who_waits_for_a_sync_is_told_later_and_not_decided_now(tmp_path: Path) -> None:
    told: list[Pending] = []
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, announce=told.extend)
    now, later = pending(opened("now")), pending(opened("later"), SYNCED)
    assert journal.write_now([now, later]) == [now]
    eventually(lambda: told == [later], "the record that waits for a sync was announced")
    assert later.position is not None
    assert journal.synced >= later.position.offset
    journal.close()


def test_nobody_overtakes_what_waits_for_the_write_thread(tmp_path: Path) -> None:
    disk, writes, go_on = TestDisk(), threading.Event(), threading.Event()
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, disk=disk)

    def hold() -> None:
        writes.set()
        go_on.wait(30)

    disk.before = hold
    put(journal, "first")
    assert writes.wait(30)
    assert journal.write_now([pending(opened("second"))]) is None
    put(journal, "second")
    assert journal.write_now([pending(opened("third"))]) is None
    go_on.set()
    eventually(lambda: journal.written == 2, "both were written")
    eventually(lambda: journal.write_now([pending(opened("third"))]) is not None, "it is idle")
    journal.close()
    assert ids(everything(tmp_path)) == ["first", "second", "third"]


def test_after_a_slow_write_the_write_thread_is_left_to_wait_for_the_disk(tmp_path: Path) -> None:
    disk = TestDisk()
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, disk=disk)
    disk.before = lambda: time.sleep(BEARABLE_S * 1.5)
    assert journal.write_now([pending(opened("slow"))]) is not None
    disk.before = None
    assert journal.write_now([pending(opened("next"))]) is None
    append(journal, opened("next"))
    journal.close()
    assert ids(everything(tmp_path)) == ["slow", "next"]


def test_segments_are_changed_by_the_write_thread(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-0"
    journal = Journal(folder, limits=LIMITS)
    sent = 0

    def began(segments: int) -> bool:
        return len(segment_numbers(folder)) == segments

    for segments in (2, 3):
        for _ in range(LIMITS.segment_bytes // 20_000 + 1):
            group = [pending(verdict(sent, 20_000))]
            if journal.write_now(group) is None:  # it is still busy with the segment before
                journal.put(group, size_of(group))
            sent += 1
        eventually(partial(began, segments), "a segment began")
    journal.close()
    assert ids(everything(tmp_path)) == [f"verdict-{number}" for number in range(sent)]


def test_a_full_disk_refuses_what_begins_and_keeps_what_ends(tmp_path: Path) -> None:
    disk = TestDisk()
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, disk=disk)
    begun = pending(opened("ex-1"))
    assert journal.write_now([begun]) == [begun]
    left = [True]

    def fill_once() -> None:
        if left.pop():
            left.append(False)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.append(False)

    disk.before = fill_once
    begins, ends = pending(opened("ex-2")), pending(closed("ex-1"), ends=True)
    assert journal.write_now([begins, ends]) == [begins, ends]
    assert isinstance(begins.error, JournalFull)
    assert ends.error is None
    disk.before = None
    journal.close()
    assert [it.record.kind for it in everything(tmp_path)] == ["opened", "closed"]


def test_a_disk_that_fails_breaks_the_journal(tmp_path: Path) -> None:
    disk = TestDisk()
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS, disk=disk)

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk.before = fail
    one = pending(opened("ex-1"))
    assert journal.write_now([one]) == [one]
    assert isinstance(one.error, JournalBroken)
    with pytest.raises(JournalBroken):
        journal.check()
    journal.close()


def test_nothing_is_written_to_a_closed_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    journal.close()
    one = pending(opened("ex-1"))
    assert journal.write_now([one]) == [one]
    assert isinstance(one.error, JournalBroken)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=12))
def test_both_ways_together_keep_the_order_of_one_thread(
    tmp_path_factory: pytest.TempPathFactory, groups: list[tuple[bool, int]]
) -> None:
    root = tmp_path_factory.mktemp("journal")
    journal = Journal(root / "gateway-0", limits=LIMITS)
    names: list[str] = []
    for now, size in groups:
        group = [pending(opened(f"ex-{len(names) + n}")) for n in range(size)]
        names += [it.record.id for it in group]
        if not now or journal.write_now(group) is None:
            journal.put(group, size_of(group))
    journal.close()
    assert ids(everything(root)) == names


def test_another_thread_may_append_meanwhile(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gateway-0", limits=LIMITS)
    count = 200

    def append_others() -> None:
        for number in range(count):
            append(journal, verdict(number))

    other = threading.Thread(target=append_others)
    other.start()
    for number in range(count):
        group = [pending(opened(f"ex-{number}"))]
        if journal.write_now(group) is None:
            journal.put(group, size_of(group))
    other.join()
    journal.close()
    found = ids(everything(tmp_path))
    assert [it for it in found if it.startswith("ex-")] == [f"ex-{n}" for n in range(count)]
    assert [it for it in found if it.startswith("v")] == [f"verdict-{n}" for n in range(count)]


def test_patience_ends_after_one_long_wait_and_comes_back() -> None:
    patience = Patience()
    patience.note(10.0, 10.0 + BEARABLE_S * 1.01)
    assert not patience.lasts(10.1)
    assert patience.lasts(10.1 + PAUSE_S)


def test_patience_ends_after_many_short_waits_but_not_if_they_are_far_apart() -> None:
    waits = int(BEARABLE_S / (QUICK_S * 1.1)) + 1
    near, far, quick = Patience(), Patience(), Patience()
    for number in range(waits):
        near.note(10.0 + number / 100, 10.0 + number / 100 + QUICK_S * 1.1)
        far.note(10.0 + number, 10.0 + number + QUICK_S * 1.1)
        quick.note(10.0 + number / 100, 10.0 + number / 100 + QUICK_S * 0.9)
    assert not near.lasts(11.0)
    assert far.lasts(10.0 + waits)
    assert quick.lasts(11.0)
