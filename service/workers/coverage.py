"""The reconciler: reads exchanges and verdicts, and keeps the gaps between them in the store.

Its state comes from the log alone. A position is acknowledged only once every exchange that was
first read before it is settled or kept as a gap, so that a new process reads again what the last
one held in memory.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from detectors.api import Part
from service.core.coverage import UNRECORDED, UNSCREENED, Coverage, CoverageGap
from service.events.log import EventReader, Lag, Position, Received
from service.events.schema import AnyEvent, Closed, Opened, to_event
from service.store.coverage import Gap, close_gaps, count_gaps, list_gaps, open_gaps, prune_gaps
from service.store.engine import Store
from service.telemetry.labels import Known
from service.telemetry.metrics import Metrics
from service.workers.counted import Counted
from service.workers.key_uses import KeyUses
from service.workers.loop import REPLAY

_KEEP_CLOSED_S: Final = 30 * 86400.0
_CHECK_S: Final = 1.0
_KINDS: Final = (UNRECORDED, UNSCREENED)


class Reconciler:
    """Handles records of all topics that say what became of an exchange."""

    transient: tuple[type[Exception], ...] = (
        OperationalError,
        InterfaceError,
        InternalError,  # PostgreSQL while it is a standby
        PoolTimeoutError,
    )

    def __init__(
        self,
        coverage: Coverage,
        store: Store,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        arrival_s: float,
    ) -> None:
        """Know the gaps that the store holds.

        `arrival_s` is the longest from an exchange's beginning to its `opened` in the log.
        """
        self._key_uses = KeyUses(store)
        self._counted = Counted(store)
        self._covered = Counter[str]()
        self._coverage = coverage
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._arrival_s = arrival_s
        self._next_check = 0.0
        self._read_to = 0.0
        self._began: dict[tuple[str, int], float] = {}
        self._reported: set[tuple[str, str]] = set()
        self._known = Known()
        self._unsaved: list[CoverageGap] = []
        self._filled: list[CoverageGap] = []
        self._cut = 0
        self.turn = 0
        """The number of the batch that was handled last."""
        with store.read() as connection:
            for open_gap in list_gaps(connection):
                gap = open_gap.gap
                coverage.restore(gap.exchange_id, gap.model, gap.kind)

    def handle(self, batch: Sequence[Received]) -> None:
        """Take note of a batch, and close the gaps that it fills."""
        self.turn = self._coverage.begin_turn()
        events = [(received.position, to_event(received.record)) for received in batch]
        for position, event in events:
            self._note(position, event)
            if isinstance(event, Opened):
                self._key_uses.note(event.key, event.at)
        ends = {(position.log, position.part): event.at for position, event in events}
        self._read_to = min(ends.values(), default=self._read_to)
        self._filled += self._coverage.take_filled()
        self._close_filled()
        self._covered.update(self._coverage.take_covered())

    def cut(self) -> int:
        """Count, and return the last turn that may be acknowledged: what was read by then is kept.

        While the store is away nothing more may be.
        """
        with suppress(*self.transient):
            self._count()
            if not self._unsaved and not self._filled:
                self._cut = self._coverage.cut()
        return self._cut

    def check(self, records: Sequence[Received]) -> None:
        """Once a second, keep the gaps that have opened and report all that are open.

        Called after each turn with what was read in it. Deadlines are told by how far the log
        was read: who catches up after an outage does not take what it has yet to read for lost.
        """
        now = self._clock()
        if now < self._next_check <= now + _CHECK_S:
            return
        self._next_check = now + _CHECK_S
        self._unsaved += self._coverage.gaps(min(now, self._read_to) if records else now)
        self._keep(now)
        self._key_uses.save()

    def declare(self, models: Iterable[str]) -> None:
        """Report these models even while they have no gap, and take others together."""
        names = list(models)
        self._known = Known(names)
        self._reported |= {(name, kind) for name in names for kind in _KINDS}
        for name in names:
            self._metrics.screened.labels(name)
            self._metrics.screening_delay.labels(name)

    def _note(self, position: Position, event: AnyEvent) -> None:
        coverage, id_, model, at = self._coverage, event.exchange_id, event.model, event.at
        if position.log.startswith(f"{REPLAY}-") and not coverage.knows(id_):
            return  # it was reconciled long ago, and only one of its events comes again
        began = self._began.setdefault((position.log, position.part), at)
        new = self._counted.note(position, at)
        if isinstance(event, Opened):
            coverage.opened(id_, model, at, new=new)
        elif isinstance(event, Closed):
            # its `opened` stands before it in this log: if not after the first that was read,
            # then before that
            carried = event.opened_at <= began + self._arrival_s
            number = event.served_number
            served = number > 0 if number >= 0 else None
            coverage.closed(id_, model, at, event.tier, served=served, carried=carried, new=new)
            if served:
                coverage.released(event.boot, number, model, at, carried)
        elif event.completes:
            coverage.screened(id_, model, at, Part(event.part), new=new)

    def _count(self) -> None:
        """Let the metrics tell of all that was read, once that is kept."""
        self._counted.keep()
        for model, count in self._covered.items():
            self._metrics.screened.labels(self._known(model)).inc(count)
        self._covered.clear()
        for model, seconds in self._coverage.take_delays():
            self._metrics.screening_delay.labels(self._known(model)).observe(seconds)

    def _keep(self, now: float) -> None:
        if self._unsaved:
            with self._store.begin() as connection:
                open_gaps(connection, map(_stored, self._unsaved), now)
                prune_gaps(connection, now - _KEEP_CLOSED_S)
            self._unsaved.clear()
        with self._store.read() as connection:
            found = count_gaps(connection)
        counts = Counter[tuple[str, str]]()
        for (model, kind), count in found.items():
            counts[self._known(model), kind] += count
        self._reported |= set(counts)
        for model, kind in self._reported:
            self._metrics.coverage_gap.labels(model, kind).set(counts[model, kind])

    def _close_filled(self) -> None:
        if not self._filled:
            return
        now = self._clock()
        self._unsaved = [gap for gap in self._unsaved if gap not in self._filled]
        with self._store.begin() as connection:
            for kind in _KINDS:
                ids = [gap.exchange_id for gap in self._filled if gap.kind == kind]
                close_gaps(connection, kind, ids, now)
        self._filled.clear()


class SettlingReader:
    """An `EventReader` that holds acknowledgements back until the exchanges are settled.

    It remembers the last positions of each turn, not of each record: a stream that goes on for
    half an hour holds back all that was read in the meantime.
    """

    def __init__(
        self, reader: EventReader, turn: Callable[[], int], cut: Callable[[], int]
    ) -> None:
        """Read from another reader; `turn` and `cut` are the reconciler's."""
        self._reader = reader
        self._turn = turn
        self._cut = cut
        self._held: deque[tuple[int, Sequence[Position]]] = deque()

    def poll(self, timeout_s: float) -> Sequence[Received]:
        """Return the next records; see `EventReader`."""
        return self._reader.poll(timeout_s)

    def commit(self, positions: Iterable[Position]) -> None:
        """Acknowledge what is settled; these positions are of the turns up to now."""
        if held := list(positions):
            self._held.append((self._turn(), held))
        cut = self._cut()
        ready: dict[tuple[str, int], Position] = {}
        while self._held and self._held[0][0] <= cut:
            ready |= {(p.log, p.part): p for p in self._held.popleft()[1]}
        self._reader.commit(ready.values())

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def lag(self) -> Lag:
        """Count what is synced and not yet read."""
        return self._reader.lag()


def _stored(gap: CoverageGap) -> Gap:
    return Gap(gap.exchange_id, gap.kind, gap.model)
