"""Any interleaving of writing, syncing, kills, full disks and losses of power, torn at any byte.

What must survive does, in whole groups, and never as another record.
"""

import errno
import random
import shutil
import tempfile
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.events.journal.mark import Mark
from service.events.journal.recovery import open_segment
from service.events.journal.segment import begin_segment, segment_numbers
from service.events.journal.segment_reader import SegmentReader
from service.events.log import Received, Record
from tests.real_parts.lossy_disk import LossyDisk
from tests.unit.service.events.journal.journals import closed, opened, verdict

LOG: Final = "gateway-0"
NAMES: Final = ("a", "b", "c")
SIZES: Final = (0, 10, 400, 3000, 20_000)


class Killed(BaseException):
    """The process is gone: none of its code runs any more."""


class TornDisk(LossyDisk):
    """A lossy disk on which writes may end in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.takes: int | None = None
        """So many bytes more, then it is full, or the process is killed."""
        self.kills = False
        self.kills_before_names_are_synced = False

    def write(self, fd: int, data: bytes | memoryview, at: int) -> int:
        if self.takes is None:
            return super().write(fd, data, at)
        taken = min(self.takes, len(data))
        self.takes -= taken
        if taken:
            return super().write(fd, data[:taken], at)
        if self.kills:
            raise Killed
        raise OSError(errno.ENOSPC, "no space left")

    def cut(self, fd: int, size_bytes: int) -> None:
        if self.takes is not None and self.kills:
            raise Killed
        super().cut(fd, size_bytes)

    def sync_folder(self, folder: Path) -> None:
        if self.kills_before_names_are_synced:
            raise Killed
        super().sync_folder(folder)


class AnyCrash(RuleBasedStateMachine):
    """The segments of one journal, and a list of the groups that are written to them."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="watchgate-crash-"))
        self.life = 0
        self.groups: list[list[Record]] = []
        self.synced = 0
        """How many of the groups a sync was promised for."""
        self.number = 0
        self.disk = TornDisk()
        self._open()

    @property
    def folder(self) -> Path:
        return self.root / str(self.life) / LOG

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mark = Mark(self.folder / "synced", writable=True)
        self.segment, self.left_open = open_segment(self.folder, self.mark.get(), self.disk)
        self.mark.set(self.segment.last_offset)

    def _written(self) -> list[Record]:
        return [record for group in self.groups for record in group]

    def _group(self, sizes: list[int], names: list[str]) -> list[Record]:
        """Verdicts, and the beginnings and ends of exchanges."""
        is_open = self._open_by_what_was_written()
        records: list[Record] = []
        for size, name in zip(sizes, names, strict=False):
            make = closed if name in is_open else opened
            records += [verdict(self.number, size), make(name, size)]
            is_open ^= {name}
            self.number += 1
        return records

    def _open_by_what_was_written(self) -> set[str]:
        is_open: set[str] = set()
        for record in self._written():
            if record.kind != "verdict":
                is_open ^= {record.id}
        return is_open

    @rule(
        sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=6),
        names=st.lists(st.sampled_from(NAMES), min_size=6, max_size=6),
    )
    def write(self, sizes: list[int], names: list[str]) -> None:
        group = self._group(sizes, names)
        self.segment.write(group)
        self.groups.append(group)

    @rule(
        sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=6),
        names=st.lists(st.sampled_from(NAMES), min_size=6, max_size=6),
        takes=st.integers(0, 200) | st.integers(0, 50_000),
        kills=st.booleans(),
    )
    def write_on_a_disk_that_takes_no_more(
        self, sizes: list[int], names: list[str], takes: int, kills: bool
    ) -> None:
        group = self._group(sizes, names)
        self.disk.takes, self.disk.kills = takes, kills
        try:
            self.segment.write(group)
        except OSError:
            assert not kills, "the writer goes on, and what it writes next stands in this place"
        except Killed:
            self.disk.takes = None
            self._open()
            assert self.segment.last_offset == len(self._written())
            self.synced = len(self.groups)
        else:
            self.groups.append(group)
        self.disk.takes = None

    @rule()
    def sync(self) -> None:
        self.segment.sync()
        self.synced = len(self.groups)
        self.mark.set(self.segment.last_offset)

    @rule(after_a_failed_sync=st.booleans())
    def restart(self, after_a_failed_sync: bool = False) -> None:
        if after_a_failed_sync:
            self.disk.fail_from_now_on()
            with pytest.raises(OSError, match="told to fail"):
                self.segment.sync()
            self.disk.work_again()
        self.segment.close()
        self._open()
        assert self.segment.last_offset == len(self._written())
        assert {one.id for one in self.left_open} == self._open_by_what_was_written()
        self.synced = len(self.groups)

    @rule(killed=st.booleans())
    def roll(self, killed: bool) -> None:
        self.restart()  # to know which exchanges are open
        self.disk.kills_before_names_are_synced = killed
        number, last = self.segment.number + 1, self.segment.last_offset
        try:
            following = begin_segment(self.folder, number, last, self.left_open, self.disk)
        except Killed:
            self.disk.kills_before_names_are_synced = False
            self._open()
            assert self.segment.number == number
        else:
            self.segment.close()
            self.segment = following

    @rule(seed=st.integers(0, 2**32))
    def lose_power(self, seed: int) -> None:
        after = self.root / str(self.life + 1) / LOG
        self.disk.lose_power(self.folder, after, random.Random(seed))  # noqa: S311
        self.segment.close()
        self.life += 1
        self.disk = TornDisk()
        self._open()
        ends = [sum(map(len, self.groups[:n])) for n in range(len(self.groups) + 1)]
        assert self.segment.last_offset in ends[self.synced :], "promised, or a whole group"
        self.groups = self.groups[: ends.index(self.segment.last_offset)]
        self.synced = len(self.groups)

    @invariant()
    def what_is_written_can_be_read(self) -> None:
        found: list[Received] = []
        for number in segment_numbers(self.folder):
            reader = SegmentReader(self.folder, number)
            found += reader.written(self.mark.get())
            reader.close()
        assert [one.record for one in found] == self._written()
        assert [one.position.offset for one in found] == list(range(1, len(found) + 1))

    def teardown(self) -> None:
        self.segment.close()
        self.mark.close()
        shutil.rmtree(self.root)


TestAnyCrash = AnyCrash.TestCase
TestAnyCrash.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
