"""The worker processes: screener, enforcer, shipper."""

import contextlib
from collections.abc import Sequence

from detectors.api import Detector, close_all
from service.core.coverage import Bounds, Coverage
from service.core.tiers import TIERS
from service.errors import ConfigError
from service.events.journal import Journal, JournalReader
from service.events.journal.machine import machine_of
from service.events.kafka.sink import KafkaSink
from service.events.log import Received, Topic
from service.events.schema import Verdict
from service.events.shipper import Shipper
from service.settings import KafkaLog, Settings
from service.settings.detectors import JudgeDetector
from service.store.audit_key import load_audit_key
from service.telemetry.labels import declare
from service.telemetry.metrics import Metrics
from service.telemetry.ops import OpsAddress
from service.wiring.detectors import Detectors, declare_stages, detectors_of, stages_counted_by
from service.wiring.parts import (
    AUDITOR,
    COVERAGE,
    ENFORCER,
    SCREENER,
    SHIPPER,
    clock,
    counted_points,
    journal_root,
    kafka_config,
)
from service.wiring.points import points_of
from service.wiring.reloading import DetectorWatch, show_versions
from service.wiring.worker import Worker
from service.workers.alerts import AlertSender, Pace
from service.workers.auditor import DAY_S, Auditor, Shown, last_anchored
from service.workers.coverage import Reconciler, SettlingReader
from service.workers.enforcer import PAGE, Enforcer
from service.workers.expiry import ExpiryWatch
from service.workers.points import PointWatch
from service.workers.screener import Heard, Screener, ignore
from service.workers.traced import ScreeningTold, enforcing_told

_MARGIN_S = 60.0
"""Added to the longest answer before an exchange without an end is a gap, and to the longest
arrival of a request before one without a beginning is."""
_LEAST_ANCHOR_S = 60.0
"""Between two anchors of the same head, however short the event log is kept."""
_POINTS_S = 1.0
"""Between two looks at the operating points; more often where the store is asked more often."""
_DELIVERED = {True: "ok", False: "failed"}
_DEFAULT_SCREENING_S = 300.0
"""The bound of tiers that name none."""


def run_screener(settings: Settings, ops: OpsAddress) -> int:
    """Score exchanges until told to stop."""
    with Worker(SCREENER, settings, ops) as worker, worker.journal() as journal:
        there_are = detectors_of(settings, stages_counted_by(worker.metrics))
        points = _watched_points(settings, there_are, worker)
        working = there_are.working()
        worker.at_end(lambda: close_all(working))
        show_versions(working, worker.metrics)
        declare_stages(working, worker.metrics)
        judged, told = _watched_judges(settings, there_are, working, worker), ScreeningTold()

        def heard(verdicts: Sequence[Verdict]) -> None:
            judged(verdicts)
            told.hear(verdicts)

        screener = Screener(working, points.current, journal, worker.metrics, clock, heard=heard)
        screener.declare([model.name for model in settings.models], there_are.categories)
        handler = worker.traced(SCREENER, Topic.EXCHANGES, screener, told)
        worker.loop(SCREENER, [Topic.EXCHANGES], handler, journal)
        worker.add(DetectorWatch(there_are.reloadable, screener.use, worker.metrics).run)
        return worker.run()


def _watched_judges(
    settings: Settings, there_are: Detectors, working: Sequence[Detector], worker: Worker
) -> Heard:
    """Show what judges use from now on; return what is to hear of verdicts."""
    if not any(isinstance(it, JudgeDetector) for it in settings.detectors):
        return ignore
    from service.wiring.judges import (  # noqa: PLC0415  (httpx is for judges alone)
        DisagreementCount,
        JudgeWatch,
    )

    watch = JudgeWatch(working, worker.metrics.judges)
    worker.add(watch.run)
    worker.at_end(watch.look)
    return DisagreementCount(working, there_are.categories, worker.metrics.judges)


def _watched_points(settings: Settings, there_are: Detectors, worker: Worker) -> PointWatch:
    """Return what knows the points that apply, from before the first record on if it can."""
    watch = PointWatch(
        worker.store,
        points_of(settings, there_are),
        clock=clock,
        count=counted_points(worker.metrics),
        can_apply=there_are.scores,
        poll_s=min(_POINTS_S, settings.store.poll_s),
    )
    watch.look()
    worker.add(watch.run)
    return watch


def run_enforcer(settings: Settings, ops: OpsAddress) -> int:
    """Act on verdicts, reconcile the coverage, audit and send alerts until told to stop.

    Raises:
        ConfigError: the key of the audit log is not the one that the log is under.
    """
    with Worker(ENFORCER, settings, ops) as worker, worker.journal() as journal:
        if not worker.await_store():  # all that it does is in there
            return 0
        metrics, store = worker.metrics, worker.store
        metrics.enforcements.labels(PAGE)
        enforcer = Enforcer(
            store, clock=clock, on_enforced=lambda action: metrics.enforcements.labels(action).inc()
        )
        handler = worker.traced(ENFORCER, Topic.VERDICTS, enforcer, enforcing_told)
        worker.loop(ENFORCER, [Topic.VERDICTS], handler, journal)
        _reconcile(settings, worker, journal)
        _audit(settings, worker, journal)
        delivered = {ok: metrics.alert_deliveries.labels(it) for ok, it in _DELIVERED.items()}
        sender = AlertSender(
            store,
            settings.alerts.alertmanagers,
            Pace(settings.alerts.resend_s, settings.alerts.hold_s),
            lambda ok: delivered[ok].inc(),
        )
        worker.add(sender.run)
        worker.add(ExpiryWatch(store, metrics.upkeep.expiring, clock).run)
        return worker.run()


def _reconcile(settings: Settings, worker: Worker, journal: Journal) -> None:
    reconciler = Reconciler(
        Coverage(_bounds(settings)),
        worker.store,
        worker.metrics,
        clock,
        arrival_s=settings.gateway.body_timeout_s + _MARGIN_S,
    )
    reconciler.declare(model.name for model in settings.models)
    worker.loop(
        COVERAGE,
        [Topic.EXCHANGES, Topic.VERDICTS],
        reconciler,
        journal,
        wrap=lambda reader: SettlingReader(reader, lambda: reconciler.turn, reconciler.cut),
        tick=reconciler.check,
    )


def _audit(settings: Settings, worker: Worker, journal: Journal) -> None:
    key = load_audit_key(settings.data_dir, settings.audit.secret)
    metrics = worker.metrics
    auditor = Auditor(
        worker.store,
        key,
        journal,
        clock=clock,
        anchor_every_s=_anchor_every_s(settings),
        anchored=last_anchored(journal_root(settings) / journal.log),
        shown=Shown(metrics.audit_head, metrics.audit_anchor_age, metrics.audit_breaks),
    )
    worker.loop(AUDITOR, [Topic.AUDIT], auditor, journal, tick=auditor.check)


def _anchor_every_s(settings: Settings) -> float:
    """Return the longest between two anchors, so that the event log always holds some."""
    log, kept_s = settings.event_log, settings.journal.keep_s
    if isinstance(log, KafkaLog):
        kept_s = min(kept_s, log.retention_s)
    return min(DAY_S, max(_LEAST_ANCHOR_S, kept_s / 4))


def run_shipper(settings: Settings, ops: OpsAddress) -> int:
    """Carry the journals to Kafka until told to stop.

    Raises:
        ConfigError: the event log is the journal: there is nowhere to ship to.
    """
    log = settings.event_log
    if not isinstance(log, KafkaLog):
        raise ConfigError("event_log.kind: the shipper needs kafka, and this is journal")
    with Worker(SHIPPER, settings, ops) as worker:
        root = journal_root(settings)
        reader = worker.watched(SHIPPER, JournalReader(root, SHIPPER, list(Topic)))
        with contextlib.closing(KafkaSink(kafka_config(log), machine_of(root))) as sink:
            worker.add(Shipper(reader, sink, _ShipCounter(worker.metrics)).run)
            return worker.run()


def _bounds(settings: Settings) -> Bounds:
    unscreened_s = tuple(tier.max_screening_lag_s or _DEFAULT_SCREENING_S for tier in TIERS)
    times = [u.total_timeout_s * min(2, len(u.replicas)) for u in settings.upstreams]
    longest_s = max(times, default=0.0)  # a request may be tried on two replicas
    return Bounds(unscreened_s, longest_s + _MARGIN_S)


class _ShipCounter:
    """Counts what the shipper does."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        declare(metrics.shipped, Topic)

    def on_shipped(self, records: Sequence[Received]) -> None:
        for received in records:
            self._metrics.shipped.labels(received.record.topic).inc()

    def on_error(self, reason: str) -> None:
        self._metrics.ship_errors.labels(reason).inc()
