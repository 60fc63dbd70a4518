"""The worker processes: screener, enforcer, shipper."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from detectors.registry import FACTORIES
from service.core.coverage import UNRECORDED, UNSCREENED, Bounds, Coverage
from service.core.tiers import TIERS
from service.errors import BadRecord, ConfigError
from service.events.journal import Journal, JournalReader
from service.events.kafka.sink import KafkaSink
from service.events.log import EventReader, Received, Topic
from service.events.schema import to_event
from service.events.shipper import Shipper
from service.settings import KafkaLog, Settings
from service.store import Store, open_store
from service.store.heartbeats import beat
from service.telemetry.metrics import Metrics
from service.telemetry.ops import (
    OpsAddress,
    Reason,
    make_ops_app,
    metrics_of,
    ops_server,
    serve_in_thread,
)
from service.wiring.parts import (
    COVERAGE,
    ENFORCER,
    SCREENER,
    SHIPPER,
    clock,
    journal_root,
    kafka_config,
    make_metrics,
    own_journal,
    points_of,
    reader_of,
)
from service.workers.alerts import AlertSender, Pace
from service.workers.coverage import Reconciler, SettlingReader
from service.workers.enforcer import Enforcer
from service.workers.loop import Handler, Loop
from service.workers.screener import Screener

_log = logging.getLogger(__name__)
_MARGIN_S = 60.0
"""Added to the longest answer before an exchange without an end is a gap."""
_DEFAULT_SCREENING_S = 300.0
"""The bound of tiers that name none."""


def run_screener(settings: Settings, ops: OpsAddress) -> int:
    """Score exchanges until told to stop."""
    with _Worker(SCREENER, settings, ops) as worker, worker.journal() as journal:
        screener = Screener(
            [make() for make in FACTORIES.values()],
            points_of(settings),
            journal,
            worker.metrics,
            clock,
        )
        worker.loop(SCREENER, [Topic.EXCHANGES], screener, journal)
        return worker.run()


def run_enforcer(settings: Settings, ops: OpsAddress) -> int:
    """Act on verdicts, reconcile the coverage and send alerts until told to stop."""
    with _Worker(ENFORCER, settings, ops) as worker, worker.journal() as journal:
        metrics, store = worker.metrics, worker.store
        enforcer = Enforcer(
            store, clock=clock, on_enforced=lambda action: metrics.enforcements.labels(action).inc()
        )
        worker.loop(ENFORCER, [Topic.VERDICTS], enforcer, journal)
        _reconcile(settings, worker, journal)
        sender = AlertSender(
            store,
            settings.alerts.alertmanagers,
            Pace(settings.alerts.resend_s, settings.alerts.hold_s),
            lambda ok: metrics.alert_deliveries.labels("ok" if ok else "failed").inc(),
        )
        worker.add(sender.run)
        return worker.run()


def _reconcile(settings: Settings, worker: "_Worker", journal: Journal) -> None:
    reconciler = Reconciler(Coverage(_bounds(settings)), worker.store, worker.metrics, clock)
    models = [model.name for model in settings.models]
    reconciler.declare(models, (UNRECORDED, UNSCREENED))
    worker.loop(
        COVERAGE,
        [Topic.EXCHANGES, Topic.VERDICTS],
        reconciler,
        journal,
        wrap=lambda reader: SettlingReader(reader, reconciler.settled),
        tick=reconciler.check,
    )


def run_shipper(settings: Settings, ops: OpsAddress) -> int:
    """Carry the journals to Kafka until told to stop.

    Raises:
        ConfigError: the event log is the journal: there is nowhere to ship to.
    """
    log = settings.event_log
    if not isinstance(log, KafkaLog):
        raise ConfigError("event_log.kind: the shipper needs kafka, and this is journal")
    with _Worker(SHIPPER, settings, ops) as worker:
        reader = JournalReader(journal_root(settings), SHIPPER, list(Topic))
        sink = KafkaSink(kafka_config(log))
        with contextlib.closing(reader), contextlib.closing(sink):
            worker.add(Shipper(reader, sink, _ShipCounter(worker.metrics)).run)
            return worker.run()


def _bounds(settings: Settings) -> Bounds:
    unscreened_s = tuple(tier.max_screening_lag_s or _DEFAULT_SCREENING_S for tier in TIERS)
    longest_s = max((u.total_timeout_s for u in settings.upstreams), default=0.0)
    return Bounds(unscreened_s, longest_s + _MARGIN_S)


class _Worker:
    """What the worker processes share: store, metrics, ops port, threads and a clean stop."""

    def __init__(self, role: str, settings: Settings, ops: OpsAddress) -> None:
        self._role = role
        self._settings = settings
        self._registry, self.metrics = make_metrics()
        self._ops = ops
        self._stop = threading.Event()
        self._failed: list[str] = []
        self._threads: list[threading.Thread] = []
        self._resources = contextlib.ExitStack()
        self.store: Store = open_store(settings.store.url)
        self._resources.callback(self.store.close)

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        app = make_ops_app(self._readiness, metrics_of(self._registry))
        serve_in_thread(ops_server(app, self._ops))
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    def journal(self) -> contextlib.AbstractContextManager[Journal]:
        """Open the journal that this worker appends to."""
        return own_journal(self._settings, self._role)

    def loop(  # noqa: PLR0913  (what a loop is made of)
        self,
        group: str,
        topics: Sequence[Topic],
        handler: Handler,
        journal: Journal,
        *,
        wrap: Callable[[EventReader], EventReader] = lambda reader: reader,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Add a loop over what a group has to read."""
        reader = wrap(reader_of(self._settings, group, topics))
        self._resources.callback(reader.close)
        watcher = _Watcher(group, reader, self.store, self.metrics, tick)
        loop = Loop(
            group=group,
            reader=reader,
            handler=handler,
            dead_letters=journal,
            watcher=watcher,
            clock=clock,
        )
        self.add(loop.run)

    def add(self, run: Callable[[threading.Event], None]) -> None:
        """Add something that runs in a thread of its own until the stop is set."""
        self._threads.append(threading.Thread(target=self._guard, args=(run,), daemon=True))

    def run(self) -> int:
        """Run all threads until told to stop, or until one of them fails: then 1."""
        for thread in self._threads:
            thread.start()
        while not self._stop.wait(1.0):
            pass
        for thread in self._threads:
            thread.join()
        return 1 if self._failed else 0

    def _guard(self, run: Callable[[threading.Event], None]) -> None:
        try:
            run(self._stop)
        except Exception as error:  # noqa: BLE001  (a dead thread must end the process)
            _log.error("%s failed", self._role, extra={"error": type(error).__name__})
            self._failed.append(type(error).__name__)
            self._stop.set()

    def _readiness(self) -> list[Reason]:
        if self._stop.is_set():
            return [Reason("stopping", f"the {self._role} is stopping")]
        return [] if self._threads else [Reason("starting", f"the {self._role} is starting")]


class _Watcher:
    """Counts what a loop does, and gives its signs of life."""

    def __init__(
        self,
        group: str,
        reader: EventReader,
        store: Store,
        metrics: Metrics,
        tick: Callable[[], None],
    ) -> None:
        self._group = group
        self._reader = reader
        self._store = store
        self._metrics = metrics
        self._tick = tick
        self._next_beat = 0.0

    def on_handled(self, records: Sequence[Received]) -> None:
        now = clock()
        try:
            self._tick()
            if now >= self._next_beat and getattr(self._reader, "connected", True):
                self._beat(now, now - _oldest(records, now))
        except SQLAlchemyError as error:
            _log.warning("the store cannot be used: %s", type(error).__name__)

    def on_dead_letter(self, topic: Topic, reason: str) -> None:
        self._metrics.dead_letters.labels(topic, reason).inc()

    def on_pause(self, error: Exception) -> None:
        _log.warning("%s waits: %s", self._group, type(error).__name__)

    def _beat(self, now: float, lag_s: float) -> None:
        self._next_beat = now + 1.0
        with self._store.begin() as connection:
            beat(connection, self._group, now, lag_s)
        for topic, count in self._reader.lag().records.items():
            self._metrics.lag_records.labels(self._group, topic).set(count)


class _ShipCounter:
    """Counts what the shipper does."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_shipped(self, records: Sequence[Received]) -> None:
        for received in records:
            self._metrics.shipped.labels(received.record.topic).inc()

    def on_error(self, reason: str) -> None:
        self._metrics.ship_errors.labels(reason).inc()


def _oldest(records: Sequence[Received], now: float) -> float:
    """Return when the oldest of the records just handled was made, about: the first is it."""
    try:
        return to_event(records[0].record).at if records else now
    except BadRecord:
        return now
