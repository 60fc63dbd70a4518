"""Which models may be served now: facts gathered once a second, looked up by each request."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from service.core.access import Facts, inactive_safeguards
from service.core.tiers import TIERS
from service.events.journal import Journal
from service.events.journal.groups import Group
from service.gateway.auth import Authenticator
from service.gateway.exchange import ServedModel
from service.store.engine import Store
from service.store.heartbeats import Heartbeat, read_heartbeats
from service.store.snapshot import load_snapshot, revision
from service.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)
SCREENER: Final = "screener"


class SafeguardBoard:
    """For each model the reason why it is not served, None while all safeguards are active."""

    def __init__(self, models: Mapping[str, ServedModel], metrics: Metrics) -> None:
        """Prove nothing yet: every model is refused until the first facts are in."""
        self._models = models
        self._metrics = metrics
        self._inactive: dict[str, str | None] = dict.fromkeys(
            models, "The safeguards have not been checked yet."
        )

    def inactive(self, model: str) -> str | None:
        """Return why a model may not be served, in words for the caller."""
        return self._inactive[model]

    def any_served(self) -> bool:
        """Say whether at least one model may be served."""
        return any(reason is None for reason in self._inactive.values())

    def reasons(self) -> list[tuple[str, str]]:
        """List the models that are not served, each with the reason."""
        return [(model, reason) for model, reason in self._inactive.items() if reason is not None]

    def update(self, facts: Facts) -> None:
        """Judge every model by new facts."""
        for name, model in self._models.items():
            missing = dict(inactive_safeguards(model.tier.number, facts))
            for safeguard in TIERS[model.tier.number].requires:
                active = self._metrics.safeguard_active.labels(name, safeguard)
                active.set(0 if safeguard in missing else 1)
            first = next(iter(missing.items()), None)
            self._inactive[name] = (
                f"The safeguard '{first[0]}' is not active: {first[1]}." if first else None
            )


class AcknowledgementLag:
    """How old the oldest record of this journal is that a group has yet to acknowledge."""

    def __init__(self, journal: Journal, group: Group) -> None:
        """Watch one group's acknowledgements of one journal."""
        self._journal = journal
        self._group = group
        self._samples: deque[tuple[int, float]] = deque()
        """(offset, when it was the last one written), oldest first."""

    def seconds(self, now: float) -> float:
        """Note how far the journal is, and return the lag; exact to the interval of calls."""
        written = self._journal.written
        position = self._group.load().get(self._journal.log)
        acknowledged = position.offset if position else 0
        if not self._samples or self._samples[-1][0] < written:
            self._samples.append((written, now))
        while self._samples and self._samples[0][0] <= acknowledged:
            self._samples.popleft()
        return now - self._samples[0][1] if self._samples else 0.0


class SafeguardWatch:
    """Gathers the facts, and keeps the board and the keys up to date."""

    def __init__(  # noqa: PLR0913  (what there is to watch)
        self,
        *,
        board: SafeguardBoard,
        authenticator: Authenticator,
        store: Store,
        journal: Journal,
        group: Group,
        screener_reads_kafka: bool,
        max_snapshot_age_s: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Know nothing yet."""
        self._board = board
        self._authenticator = authenticator
        self._store = store
        self._journal = journal
        self._lag = AcknowledgementLag(journal, group)
        self._screener_reads_kafka = screener_reads_kafka
        self._max_snapshot_age_s = max_snapshot_age_s
        self._metrics = metrics
        self._clock = clock
        self._heard_at: float | None = None
        self._heartbeat: Heartbeat | None = None

    def check(self) -> None:
        """Gather the facts once."""
        now = self._clock()
        self._ask_store(now)
        self._report(self._facts(now), now)

    def _ask_store(self, now: float) -> None:
        try:
            if revision(self._store) != self._authenticator.snapshot.revision:
                self._authenticator.snapshot = load_snapshot(self._store, now)
            with self._store.read() as connection:
                self._heartbeat = read_heartbeats(connection).get(SCREENER)
            self._heard_at = now
        except Exception as error:  # noqa: BLE001  (whatever the driver raises: the store is away)
            _log.warning("the store cannot be read: %s", type(error).__name__)

    def _facts(self, now: float) -> Facts:
        beat = self._heartbeat
        lag_s: float | None = self._lag.seconds(now)
        if self._screener_reads_kafka and lag_s is not None:
            lag_s = lag_s + beat.lag_at(now) if beat else None
        return Facts(
            journal_accepts=self._journal.has_room(),
            snapshot_age_s=None if self._heard_at is None else max(0.0, now - self._heard_at),
            max_snapshot_age_s=self._max_snapshot_age_s,
            screener_silent_s=max(0.0, now - beat.at) if beat else None,
            screening_lag_s=lag_s,
        )

    def _report(self, facts: Facts, now: float) -> None:
        self._board.update(facts)
        self._metrics.journal_bytes.set(self._journal.used_bytes)
        self._metrics.journal_oldest.set(self._lag.seconds(now))
        self._metrics.screening_lag.set(facts.screening_lag_s or 0.0)
        self._metrics.snapshot_age.set(facts.snapshot_age_s or 0.0)
