"""Which models may be served now: facts gathered once a second, looked up by each request."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from service.core.safeguards import Facts, ProbesTold, Watched, inactive_safeguards
from service.core.tiers import Safeguard
from service.events.journal import Journal
from service.events.journal.groups import Group
from service.gateway.balancer import Balancer
from service.gateway.exchange import ServedModel
from service.gateway.store_watch import News, StoreWatch
from service.telemetry.metrics import Metrics

FACTS_S: Final = 15.0
"""How long facts prove something. They are gathered each second."""
_UNCHECKED: Final = "The safeguards have not been checked lately."
_MAX_SAMPLES: Final = 3600


class SafeguardBoard:
    """For each model the reason why it is not served, None while all safeguards are active."""

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        metrics: Metrics,
        ticks: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prove nothing yet: every model is refused until the first facts are in."""
        self._models = models
        self._metrics = metrics
        self._ticks = ticks
        self._inactive: dict[str, str | None] = dict.fromkeys(models, None)
        self._valid_until = -math.inf

    def inactive(self, model: str, now: float) -> str | None:
        """Return why a model may not be served, in words for the caller.

        `now` is of the monotonic clock `ticks`: facts prove something for `FACTS_S`, so that
        nothing is served on the word of a watch that has stopped.
        """
        return self._inactive[model] if now < self._valid_until else _UNCHECKED

    def any_served(self) -> bool:
        """Say whether at least one model may be served."""
        return len(self.reasons()) < len(self._inactive)

    def reasons(self) -> list[tuple[str, str]]:
        """List the models that are not served, each with the reason."""
        now = self._ticks()
        reasons = ((model, self.inactive(model, now)) for model in self._inactive)
        return [(model, reason) for model, reason in reasons if reason is not None]

    def update(self, facts: Facts) -> None:
        """Judge every model by new facts."""
        for name, model in self._models.items():
            watched = Watched(name, model.tier.number, model.probes_required)
            missing = dict(inactive_safeguards(watched, facts))
            self._show(watched, missing)
            refusing = (it for it in missing.items() if it[0] in watched.required)
            first = next(refusing, None)
            self._inactive[name] = (
                f"The safeguard '{first[0]}' is not active: {first[1]}." if first else None
            )
        self._valid_until = self._ticks() + FACTS_S

    def probes_told(self) -> dict[str, ProbesTold]:
        """Count the plugins that tell now, for each model whose upstream has probes."""
        return {
            name: ProbesTold(_plugins(model.upstream), len(model.upstream.replicas))
            for name, model in self._models.items()
            if model.probes_required is not None
        }

    def _show(self, watched: Watched, missing: Mapping[Safeguard, str]) -> None:
        metrics, required = self._metrics, watched.required
        for safeguard in watched.shown:
            labels = watched.model, safeguard
            metrics.safeguard_active.labels(*labels).set(safeguard not in missing)
            metrics.safeguard_required.labels(*labels).set(safeguard in required)


def _plugins(upstream: Balancer) -> int:
    return 0 if upstream.probes is None else upstream.probes.engines


class AcknowledgementLag:
    """How old the oldest record of this journal is that a group has yet to acknowledge."""

    def __init__(self, journal: Journal, group: Group, unread_since: float | None) -> None:
        """Watch one group's acknowledgements of one journal.

        `unread_since` is when the oldest record came that the group has not acknowledged yet,
        None if it has all: what the journal holds now counts as old as that one.
        """
        self._journal = journal
        self._group = group
        self._samples: deque[tuple[int, float]] = deque()
        """(offset, when it was the last one written), oldest first."""
        if unread_since is not None:
            self._samples.append((journal.written, unread_since))

    def seconds(self, now: float) -> float:
        """Note how far the journal is, and return the lag, exact to the interval of calls."""
        written = self._journal.written
        position = self._group.load().get(self._journal.log)
        acknowledged = position.offset if position else 0
        self._note(written, now)
        while self._samples and self._samples[0][0] <= acknowledged:
            self._samples.popleft()
        return now - self._samples[0][1] if self._samples else 0.0

    def _note(self, written: int, now: float) -> None:
        samples = self._samples
        if not samples or samples[-1][0] < written:
            if len(samples) < _MAX_SAMPLES:
                samples.append((written, now))
            else:  # nobody has read for long: what is new may count as older than it is
                samples[-1] = (written, samples[-1][1])


class SafeguardWatch:
    """Gathers the facts, and keeps the board up to date.

    Durations are of the monotonic clock `ticks`, so that a clock that is set back hides nothing.
    """

    def __init__(  # noqa: PLR0913  (what there is to watch)
        self,
        *,
        board: SafeguardBoard,
        store: StoreWatch,
        journal: Journal,
        group: Group,
        unread_since: float | None,
        screener_reads_kafka: bool,
        staleness_bounds_s: Sequence[float],
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Know nothing yet.

        `unread_since` is when the oldest record came, in Unix seconds, that the group had not
        acknowledged at the start; None: there was none. The bounds are for each tier.
        """
        self._board = board
        self._store = store
        self._journal = journal
        self._screener_reads_kafka = screener_reads_kafka
        self._staleness_bounds_s = staleness_bounds_s
        self._metrics = metrics
        self._journal_used = metrics.upkeep.journal_used.labels("gateway")
        self._disk_free = metrics.upkeep.disk_free.labels("gateway")
        self._ticks = ticks
        self._started = ticks()
        age_s = None if unread_since is None else abs(clock() - unread_since)
        since = None if age_s is None else self._started - age_s
        self._lag = AcknowledgementLag(journal, group, since)

    def check(self) -> None:
        """Gather the facts once; what the store says is not asked for here."""
        now, news = self._ticks(), self._store.news
        lag_s = self._lag.seconds(now)
        facts = self._facts(now, lag_s, news)
        self._board.update(facts)
        self._metrics.journal_bytes.set(self._journal.used_bytes)
        self._journal_used.set(self._journal.used_share)
        self._disk_free.set(self._journal.disk_free)
        self._metrics.journal_oldest.set(lag_s)
        self._metrics.screening_lag.set(facts.screening_lag_s or lag_s)
        heard_at = self._started if news.heard_at is None else news.heard_at
        self._metrics.snapshot_age.set(now - heard_at)

    def _facts(self, now: float, lag_s: float, news: News) -> Facts:
        return Facts(
            journal_accepts=self._journal.has_room(),
            snapshot_age_s=None if news.heard_at is None else now - news.heard_at,
            staleness_bounds_s=self._staleness_bounds_s,
            screener_silent_s=news.silent_s(),
            screening_lag_s=self._screening_lag_s(now, lag_s, news),
            probes=self._board.probes_told(),
        )

    def _screening_lag_s(self, now: float, lag_s: float, news: News) -> float | None:
        """Return what is known: of Kafka the screener alone tells how far behind it is.

        It does so through the store: while that is away, its silence counts as lag.
        """
        if not self._screener_reads_kafka:
            return lag_s
        if news.beat is None:
            return None
        return lag_s + news.beat.lag_s + now - news.beat_at
