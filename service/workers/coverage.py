"""The reconciler: reads exchanges and verdicts, and keeps the gaps between them in the store.

Its state comes from the log alone. A position is acknowledged only once every exchange read
before it is settled or kept as a gap, so that a new process reads again what the last one held
in memory.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from service.core.coverage import UNSCREENED, Coverage, CoverageGap
from service.core.screening import FAILED_SCANS
from service.errors import BadRecord
from service.events.log import EventReader, Lag, Position, Received
from service.events.schema import Closed, Opened, Verdict, to_event
from service.store.coverage import Gap, close_gaps, count_gaps, open_gaps, prune_gaps
from service.store.engine import Store
from service.telemetry.metrics import Metrics

_KEEP_CLOSED_S: Final = 30 * 86400.0
_CHECK_S: Final = 1.0


class Reconciler:
    """Handles records of all topics that say what became of an exchange."""

    transient: tuple[type[Exception], ...] = (SQLAlchemyError,)

    def __init__(
        self, coverage: Coverage, store: Store, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        """Keep the parts."""
        self._coverage = coverage
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._next_check = 0.0
        self._reported: set[tuple[str, str]] = set()
        self._unsaved: list[CoverageGap] = []

    def handle(self, batch: Sequence[Received]) -> None:
        """Take note of a batch, and close the gaps that its verdicts fill."""
        filled = [id_ for received in batch if (id_ := self._note(received))]
        if filled:
            with self._store.begin() as connection:
                close_gaps(connection, UNSCREENED, filled, self._clock())

    def settled(self, exchange_id: str) -> bool:
        """Say whether nothing more is expected of an exchange, and its gap, if any, is kept."""
        return not self._unsaved and self._coverage.is_settled(exchange_id)

    def check(self) -> None:
        """Once a second, keep the gaps that have opened and report all that are open."""
        now = self._clock()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_S
        self._unsaved += self._coverage.gaps(now)
        with self._store.begin() as connection:
            open_gaps(connection, map(_stored, self._unsaved), now)
            prune_gaps(connection, now - _KEEP_CLOSED_S)
            counts = dict(count_gaps(connection))
        self._unsaved.clear()
        self._reported |= set(counts)
        for model, kind in self._reported:
            self._metrics.coverage_gap.labels(model, kind).set(counts.get((model, kind), 0))

    def declare(self, models: Iterable[str], kinds: Iterable[str]) -> None:
        """Report these even while they have no gap."""
        self._reported |= {(model, kind) for model in models for kind in kinds}

    def _note(self, received: Received) -> str | None:
        """Take note of an event; return the exchange if a late verdict may fill its gap."""
        event = to_event(received.record)
        coverage, id_, model, at = self._coverage, event.exchange_id, event.model, event.at
        if isinstance(event, Opened):
            coverage.opened(id_, model, at)
        elif isinstance(event, Closed):
            coverage.closed(id_, model, at, event.tier, served=event.served_number != 0)
            if event.served_number > 0:
                coverage.released(event.boot, event.served_number, model, at)
        else:
            return self._note_verdict(event)
        return None

    def _note_verdict(self, event: Verdict) -> str | None:
        failed = event.unscanned in FAILED_SCANS
        late = self._coverage.is_settled(event.exchange_id)
        self._coverage.verdict(
            event.exchange_id, event.model, event.at, completes=event.completes, failed=failed
        )
        return event.exchange_id if late and event.completes else None


class SettlingReader:
    """An `EventReader` that holds acknowledgements back until the exchanges are settled."""

    def __init__(self, reader: EventReader, settled: Callable[[str], bool]) -> None:
        """Read from another reader."""
        self._reader = reader
        self._settled = settled
        self._held: dict[tuple[str, int], deque[tuple[Position, str]]] = {}

    def poll(self, timeout_s: float) -> Sequence[Received]:
        """Return the next records; see `EventReader`."""
        records = self._reader.poll(timeout_s)
        for received in records:
            position = received.position
            held = self._held.setdefault((position.log, position.part), deque())
            held.append((position, _exchange_id(received)))
        return records

    def commit(self, positions: Iterable[Position]) -> None:  # noqa: ARG002  (it knows better)
        """Acknowledge what is settled, up to the first record that is not."""
        ready = [last for held in self._held.values() if (last := self._pop_settled(held))]
        self._reader.commit(ready)

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def lag(self) -> Lag:
        """Count what is synced and not yet read."""
        return self._reader.lag()

    def _pop_settled(self, held: deque[tuple[Position, str]]) -> Position | None:
        last: Position | None = None
        while held and self._settled(held[0][1]):
            last, _ = held.popleft()
        return last


def _exchange_id(received: Received) -> str:
    try:
        return to_event(received.record).exchange_id
    except BadRecord:
        return ""


def _stored(gap: CoverageGap) -> Gap:
    return Gap(gap.exchange_id, gap.kind, gap.model)
