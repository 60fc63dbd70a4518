"""Any interleaving of appending, reading, committing, restarting: at least once and in order."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.events.journal import Journal, JournalReader
from service.events.log import Position, Topic
from tests.unit.service.events.journal.journals import (
    KIB,
    LIMITS,
    append,
    closed,
    eventually,
    opened,
    verdict,
)

SMALL: Final = replace(LIMITS, segment_bytes=40 * KIB)
NAMES: Final = ("a", "b", "c", "d")


class AnyInterleaving(RuleBasedStateMachine):
    """One journal, one group, and a list of what must come out."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="watchgate-journal-"))
        self.folder = self.root / "gateway-0"
        self.appended: list[tuple[str, str]] = []
        self.next_read = 0
        """Index of the record that the reader must return next."""
        self.acknowledged = 0
        self.positions: dict[int, Position] = {}
        self.open: dict[str, int] = {}
        self._start()
        self._start_reader()

    def _start(self) -> None:
        self.journal = Journal(self.folder, limits=SMALL, groups=["workers"], sync_interval_s=0.001)

    def _start_reader(self) -> None:
        self.reader = JournalReader(self.root, "workers", tuple(Topic), batch_records=5)
        self.next_read = self.acknowledged

    @rule(sizes=st.lists(st.sampled_from([10, 2000, 15_000, 60_000]), min_size=1, max_size=12))
    def append_all(self, sizes: list[int]) -> None:
        records = [verdict(len(self.appended) + i, size) for i, size in enumerate(sizes)]
        positions = self.journal.append_all(records)
        first = len(self.appended) + 1
        assert [one.offset for one in positions] == list(range(first, first + len(sizes)))
        self.appended += [(one.kind, one.id) for one in records]

    @rule(name=st.sampled_from(NAMES), size=st.sampled_from([10, 20_000]))
    def open_or_close(self, name: str, size: int) -> None:
        if name in self.open:
            append(self.journal, closed(name, size), ends=True)
            del self.open[name]
            self.appended.append(("closed", name))
        else:
            append(self.journal, opened(name, size))
            self.appended.append(("opened", name))
            self.open[name] = len(self.appended)

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self._start()
        assert self.journal.written == self.journal.synced == len(self.appended)
        assert {one.id: one.position.offset for one in self.journal.open_exchanges()} == self.open

    @rule()
    def read(self) -> None:
        eventually(lambda: self.journal.synced == len(self.appended), "all is synced")
        for one in self.reader.poll(0):
            assert one.position.offset == self.next_read + 1
            assert (one.record.kind, one.record.id) == self.appended[self.next_read]
            self.next_read += 1
            self.positions[self.next_read] = one.position

    @rule(share=st.sampled_from([0.1, 0.5, 1.0]))
    def commit(self, share: float) -> None:
        offset = self.acknowledged + round(share * (self.next_read - self.acknowledged))
        if offset > self.acknowledged:
            self.reader.commit([self.positions[offset]])
            self.acknowledged = offset

    @rule()
    def restart_the_reader(self) -> None:
        self.reader.close()
        self._start_reader()

    @invariant()
    def nothing_unacknowledged_is_lost(self) -> None:
        assert self.journal.synced >= self.next_read

    def teardown(self) -> None:
        self.journal.append_all([verdict(10**6)])
        self.appended.append(("verdict", "verdict-1000000"))
        while self.next_read < len(self.appended):
            before = self.next_read
            self.read()
            assert self.next_read > before, "what was synced cannot be read"
        self.reader.close()
        self.journal.close()
        shutil.rmtree(self.root)


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
