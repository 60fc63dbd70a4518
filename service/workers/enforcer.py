"""The enforcer, in its first form: a verdict over an operating point that pages is an alert."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.core.alerts import Occurrence, fingerprint, labels_of
from service.core.screening import PAGING
from service.errors import BadRecord
from service.events.log import Received
from service.events.schema import Verdict, to_event
from service.store.alerts import prune_alerts, raise_alerts
from service.store.effects import claim_effects, prune_effects
from service.store.engine import Store

PAGE: Final = "page"
KEEP_S: Final = 30 * 86400.0
"""How long effects and resolved alerts are remembered: far longer than any event log keeps the
records that could come again."""
PRUNE_EVERY_S: Final = 3600.0


class Enforcer:
    """Handles records of the topic of verdicts; each verdict id has its effect once, ever."""

    transient: tuple[type[Exception], ...] = (
        OperationalError,
        InterfaceError,
        InternalError,  # PostgreSQL while it is a standby
        PoolTimeoutError,
    )
    """What no record is to blame for: the store is away."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        on_enforced: Callable[[str], None] = lambda _action: None,
    ) -> None:
        """Take the store that holds the effects, a clock that gives Unix seconds, a counter."""
        self._store = store
        self._clock = clock
        self._on_enforced = on_enforced
        self._next_prune_at = 0.0

    def handle(self, batch: Sequence[Received]) -> None:
        """Apply a batch in one transaction: durable once this returns.

        Raises:
            BadRecord: one of them is no verdict, and none of them had an effect.
        """
        verdicts = [_verdict(received) for received in batch]
        pages = {verdict.id: occurrences_of(verdict) for verdict in verdicts if _pages(verdict)}
        now = self._clock()
        with self._store.begin() as connection:
            raised = _raise_new(connection, pages, now)
            self._prune(connection, now)
        for _ in range(raised):
            self._on_enforced(PAGE)

    def handle_one(self, received: Received) -> None:
        """Apply one record, as `handle` does.

        Raises:
            BadRecord: it is no verdict.
        """
        self.handle([received])

    def _prune(self, connection: Connection, now: float) -> None:
        if now < self._next_prune_at:
            return
        prune_effects(connection, now - KEEP_S)
        prune_alerts(connection, now - KEEP_S)
        self._next_prune_at = now + PRUNE_EVERY_S


def occurrences_of(verdict: Verdict) -> Sequence[Occurrence]:
    """Return what pages in a verdict: one for each alert, with the highest score for it."""
    highest: dict[str, Occurrence] = {}
    for crossing in sorted(verdict.crossed, key=lambda crossing: crossing.score):
        if crossing.action in PAGING:
            labels = labels_of(
                verdict.model,
                verdict.detector,
                crossing.category,
                verdict.part,
                crossing.point,
                enforced=verdict.enforced,
            )
            highest[fingerprint(labels)] = Occurrence(
                labels, verdict.exchange_id, verdict.at, crossing.score, crossing.threshold
            )
    return list(highest.values())


def _verdict(received: Received) -> Verdict:
    event = to_event(received.record)
    if not isinstance(event, Verdict):
        raise BadRecord("not_a_verdict", f"this is {received.record.kind!r}")
    return event


def _pages(verdict: Verdict) -> bool:
    return any(crossing.action in PAGING for crossing in verdict.crossed)


def _raise_new(
    connection: Connection, pages: Mapping[str, Sequence[Occurrence]], now: float
) -> int:
    """Raise what the verdicts page that had no effect yet; return how many occurrences."""
    new = claim_effects(connection, pages.keys(), now)
    occurrences = [one for verdict_id, found in pages.items() if verdict_id in new for one in found]
    raise_alerts(connection, occurrences, now)
    return len(occurrences)
