"""What is left after a loss of power, on a disk that forgets what was not synced."""

import random
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from service.errors import JournalBroken
from service.events.journal import Journal, JournalReader, Pending
from service.events.journal.groups import Group
from service.events.journal.mark import Mark
from service.events.journal.segment import segment_numbers
from service.events.log import Durability, Position, Record, Topic
from tests.real_parts.lossy_disk import LossyDisk
from tests.unit.service.events.journal.journals import (
    KIB,
    LIMITS,
    append,
    closed,
    eventually,
    everything,
    opened,
    read,
    verdict,
)

LOG: Final = "gateway-0"
GENERATIONS: Final = 4
RUN_FOR_S: Final = 6.0


class Life:
    """A journal on a lossy disk between two losses of power, and what it promised."""

    def __init__(self, root: Path, generation: int, chance: random.Random) -> None:
        self.root = root / str(generation)
        self.next_root = root / str(generation + 1)
        self.chance = chance
        self.disk = LossyDisk()
        self.mark_found = _mark(self.root)
        self.synced: dict[str, Position] = {}
        (self.root / "groups").mkdir(parents=True, exist_ok=True)
        self.journal = Journal(
            self.root / LOG,
            limits=LIMITS,
            announce=self._announced,
            sync_interval_s=chance.choice([0.001, 0.01]),
            disk=self.disk,
        )
        self.reader = JournalReader(self.root, "workers", tuple(Topic), batch_records=7)
        self.seen: dict[int, str] = {}
        self.promised: dict[str, Position] = {}
        self.seen_before: dict[int, str] = {}
        self.lost = threading.Event()
        self._losing = threading.Lock()
        self._syncs_left = chance.randrange(1, 40)
        self.disk.before_sync = self._count_down

    def _announced(self, decided: Sequence[Pending]) -> None:
        for pending in decided:
            if pending.level is Durability.SYNCED and pending.position is not None:
                self.synced[pending.record.id] = pending.position

    def _count_down(self) -> None:
        self._syncs_left -= 1
        if self._syncs_left == 0:
            self.lose_power()

    def lose_power(self) -> None:
        """Keep what was promised until now, then what the disk kept; only the first one counts."""
        with self._losing:
            if not self.lost.is_set():
                self.promised = dict(self.synced)
                self.seen_before = dict(self.seen)
                shutil.copytree(
                    self.root / "groups",
                    self.next_root / "groups",
                    ignore=shutil.ignore_patterns("*.tmp"),
                )
                self.disk.lose_power(self.root / LOG, self.next_root / LOG, self.chance)
                self.lost.set()

    def use(self, records: list[Record]) -> list[Record]:
        """Append until the power goes; returns what was appended."""
        appended: list[Record] = []
        while not self.lost.is_set() and len(appended) < len(records):
            level = self.chance.choice(list(Durability))
            group = records[len(appended) : len(appended) + self.chance.choice([1, 1, 3, 20])]
            for record in group:
                self.journal.append(record, level)
            appended += group
            if self.chance.random() < 0.3:
                self._read()
        self.lose_power()
        return appended

    def _read(self) -> None:
        received = self.reader.poll(0)
        self.seen.update({one.position.offset: one.record.id for one in received})
        if received and self.chance.random() < 0.5:
            self.reader.commit([received[-1].position])

    def end(self) -> None:
        self.reader.close()
        self.journal.close()


def _mark(root: Path) -> int:
    path = root / LOG / "synced"
    if not path.exists():
        return 0
    mark = Mark(path, writable=False)
    try:
        return mark.get()
    finally:
        mark.close()


def _some_records(life: int, chance: random.Random) -> list[Record]:
    sizes = [50, 50, 700, 3 * KIB, 12 * KIB]
    make = [opened, closed]
    return [
        make[i % 2](f"{life}-{i}" if i % 2 == 0 else f"{life}-{i - 1}", chance.choice(sizes))
        for i in range(400)
    ]


def _name(record: Record) -> str:
    return f"{record.kind} {record.id}"


def _one_history(root: Path, chance: random.Random) -> None:
    kept: list[str] = []
    seen: dict[int, str] = {}
    for generation in range(GENERATIONS):
        life = Life(root, generation, chance)
        try:
            _what_survived_is_what_was_promised(life, kept, seen)
            records = _some_records(generation, chance)
            appended = life.use(records)
            before = len(kept)
            kept += [_name(one) for one in appended]
            seen.update(life.seen_before)
            promised = max((p.offset for p in life.promised.values()), default=before)
            must_survive = max([promised, *life.seen_before])
        finally:
            life.end()
        kept = _after_reopening(life.next_root, kept, must_survive)


def _what_survived_is_what_was_promised(life: Life, kept: list[str], seen: dict[int, str]) -> None:
    assert life.journal.written == len(kept)
    assert life.mark_found <= life.journal.written, "the mark was ahead of what survived"
    acknowledged = Group(life.root / "groups", "workers").load().get(LOG)
    first = acknowledged.offset + 1 if acknowledged else 1
    again = read(life.reader, len(kept) + 1 - first)
    assert [one.position.offset for one in again] == list(range(first, len(kept) + 1))
    received = everything(life.root)
    assert [one.position.offset for one in received] == list(range(1, len(kept) + 1))
    assert [_name(one.record) for one in received] == kept
    assert all(received[offset - 1].record.id == id_ for offset, id_ in seen.items())


def _after_reopening(root: Path, appended: list[str], must_survive: int) -> list[str]:
    """Return what survived: what was appended, less a suffix of what was only written."""
    journal = Journal(root / LOG, limits=LIMITS, disk=LossyDisk())
    survived = journal.written
    journal.close()
    assert must_survive <= survived <= len(appended)
    return appended[:survived]


def test_what_was_promised_survives_any_loss_of_power_and_the_rest_goes_from_the_end_only(
    tmp_path: Path,
) -> None:
    deadline = time.monotonic() + RUN_FOR_S
    seed = 0
    while time.monotonic() < deadline or seed < 5:
        try:
            _one_history(tmp_path / str(seed), random.Random(seed))  # noqa: S311
        except BaseException as error:
            error.add_note(f"in the history of seed {seed}")
            raise
        seed += 1


def test_the_disk_of_these_tests_does_forget(tmp_path: Path) -> None:
    disk = LossyDisk()
    folder = tmp_path / "before" / LOG
    journal = Journal(folder, limits=LIMITS, sync_interval_s=3600.0, disk=disk)
    journal.append(verdict(1), Durability.WRITTEN)
    eventually(lambda: journal.written == 1, "the record is written")
    assert disk.unsynced_bytes() > 0
    found = []
    for seed in range(20):
        after = tmp_path / f"after-{seed}" / LOG
        disk.lose_power(folder, after, random.Random(seed))  # noqa: S311
        again = Journal(after, limits=LIMITS, disk=LossyDisk())
        found.append(again.written)
        again.close()
    journal.close()
    assert set(found) == {0, 1}


def test_what_a_killed_process_had_only_written_is_synced_before_readers_may_see_it(
    tmp_path: Path,
) -> None:
    disk = LossyDisk()
    folder = tmp_path / "before" / LOG
    dead = Journal(folder, limits=LIMITS, sync_interval_s=3600.0, disk=disk)
    append(dead, verdict(1), verdict(2))
    assert dead.synced == 0
    again = Journal(folder, limits=LIMITS, sync_interval_s=3600.0, disk=disk)
    assert again.synced == 2
    for seed in range(10):
        after = tmp_path / f"after-{seed}" / LOG
        disk.lose_power(folder, after, random.Random(seed))  # noqa: S311
        third = Journal(after, limits=LIMITS, disk=LossyDisk())
        assert third.written == 2
        third.close()
    again.close()
    dead.close()


def test_a_mark_that_is_behind_what_the_disk_kept_is_set_right(tmp_path: Path) -> None:
    folder = tmp_path / LOG
    journal = Journal(folder, limits=LIMITS)
    journal.append_all([verdict(1), verdict(2)])
    journal.close()
    mark = Mark(folder / "synced", writable=True)
    mark.set(1)
    mark.close()
    again = Journal(folder, limits=LIMITS)
    assert again.synced == 2
    again.close()


def test_after_a_failed_sync_nothing_is_promised_any_more(tmp_path: Path) -> None:
    disk = LossyDisk()
    journal = Journal(tmp_path / LOG, limits=LIMITS, disk=disk)
    journal.append_all([verdict(1)])
    disk.fail_from_now_on()
    with pytest.raises(JournalBroken, match="sync failed"):
        journal.append_all([verdict(2)])
    with pytest.raises(JournalBroken, match="sync failed"):
        journal.append(verdict(3), Durability.WRITTEN)
    assert not journal.has_room()
    assert journal.synced == 1
    journal.close()


def test_who_waits_while_the_sync_fails_is_told(tmp_path: Path) -> None:
    disk = LossyDisk()
    decided: list[Pending] = []
    journal = Journal(tmp_path / LOG, limits=LIMITS, announce=decided.extend, disk=disk)
    held = threading.Event()

    def wait_until_told() -> None:
        held.wait(30)

    disk.before_sync = wait_until_told
    pendings = [journal.append(verdict(i), Durability.SYNCED) for i in range(5)]
    disk.fail_from_now_on()
    held.set()
    eventually(lambda: len(decided) == 5, "all five are told")
    assert [type(one.error) for one in pendings] == [JournalBroken] * 5
    journal.close()


def test_a_segment_that_cannot_be_synced_is_never_followed_by_another(tmp_path: Path) -> None:
    disk = LossyDisk()
    folder = tmp_path / LOG
    journal = Journal(folder, limits=LIMITS, sync_interval_s=3600.0, disk=disk)
    disk.fail_from_now_on()
    for number in range(20):
        try:
            append(journal, verdict(number, 20 * KIB))
        except JournalBroken:
            break
    assert not journal.has_room()
    assert segment_numbers(folder) == [1]
    journal.close()
