"""Every metric, with its help text and labels. docs/metrics.md is made from this file.

Labels come from closed sets alone: models from the registry (unknown: "other"), upstreams and
their replicas from the settings, surfaces, outcomes, detectors, categories, points' actions,
reasons; never a user, a key, a path or free text. With PROMETHEUS_MULTIPROC_DIR set, values live in
files that `watchgate up` merges.
"""

from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

PREFIX: Final = "watchgate_"

_FAST_S: Final = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1,
)  # fmt: skip
_SLOW_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
)  # fmt: skip
_SCORE: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)


@dataclass(frozen=True, slots=True)
class Spec:
    """What docs/metrics.md says of a metric."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]


class _Maker:
    """Registers metrics and remembers what it made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.specs: list[Spec] = []

    def counter(self, name: str, help_: str, *labels: str) -> Counter:
        self.specs.append(Spec(PREFIX + name, "counter", help_, labels))
        return Counter(PREFIX + name, help_, labels, registry=self._registry)

    def gauge(self, name: str, help_: str, *labels: str, merge: str = "livesum") -> Gauge:
        """`merge` makes one value of those of several processes."""
        self.specs.append(Spec(PREFIX + name, "gauge", help_, labels))
        mode: Any = merge
        return Gauge(PREFIX + name, help_, labels, registry=self._registry, multiprocess_mode=mode)

    def histogram(
        self, name: str, help_: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        self.specs.append(Spec(PREFIX + name, "histogram", help_, labels))
        return Histogram(PREFIX + name, help_, labels, buckets=buckets, registry=self._registry)


def name_metrics(process: str) -> None:
    """Keep this process's values under a name, before any is made.

    A process that is started again under the name counts on where the one before it ended, and
    the folder holds no files of processes that are gone.
    """
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics. Bind children (`labels`) once: looking one up costs 2 to 3 µs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric."""
        make = _Maker(registry)
        self.requests = make.counter(
            "requests_total",
            "Requests by how they ended: an exchange's outcome, or the error code of a refusal.",
            "surface", "model", "outcome",
        )  # fmt: skip
        self.request_duration = make.histogram(
            "request_duration_seconds",
            "From the request's header to the last byte of the answer.",
            _SLOW_S, "surface", "model",
        )  # fmt: skip
        self.overhead = make.histogram(
            "overhead_seconds",
            "The gateway's own time: before forwarding, and from the upstream's last byte on.",
            _FAST_S, "phase",
        )  # fmt: skip
        self.time_to_first_token = make.histogram(
            "time_to_first_token_seconds",
            "From the request's header to the first released byte of a streamed answer.",
            _SLOW_S, "model",
        )  # fmt: skip
        self.tokens = make.counter(
            "tokens_total", "Tokens as the upstream counted them.", "model", "kind"
        )
        self.in_flight = make.gauge("in_flight_requests", "Requests being served now.")
        self.rate_limited = make.counter(
            "rate_limited_total",
            "Connections and requests turned away by a limit on how many there may be at once.",
            "kind",
        )
        self.upstream_up = make.gauge(
            "upstream_up",
            "1 while a replica is sent requests, 0 while it is left out after failures.",
            "upstream", "replica", merge="livemin",
        )  # fmt: skip
        self.upstream_in_flight = make.gauge(
            "upstream_in_flight",
            "Requests that a replica is at work on.",
            "upstream", "replica",
        )  # fmt: skip
        self.upstream_ejections = make.counter(
            "upstream_ejections_total",
            "Times that a replica was left out, by the failure that was one too many.",
            "upstream", "replica", "reason",
        )  # fmt: skip
        self.served = make.counter(
            "exchanges_served_total",
            "Exchanges of which at least one byte of answer was released.",
            "model",
        )
        self.recorded = make.counter(
            "exchanges_recorded_total",
            "Served exchanges of which both records reached the journal at the tier's level.",
            "model",
        )
        self.screened = make.counter(
            "exchanges_screened_total",
            "Served exchanges found covered: both records and a completing verdict on each part; "
            "some are counted again after a crash of the enforcer.",
            "model",
        )
        self.coverage_gap = make.gauge(
            "coverage_gap_exchanges",
            "Exchanges served and not recorded, or not screened within the tier's bound.",
            "model", "kind", merge="livemax",
        )  # fmt: skip
        self.unscanned = make.counter(
            "unscanned_total", "Parts of exchanges that could not be scored.", "model", "reason"
        )
        self.auth_failures = make.counter(
            "auth_failures_total", "Requests without a valid key.", "reason"
        )
        self.journal_append = make.histogram(
            "journal_append_seconds",
            "Until a record reached the level that its tier names.",
            _FAST_S,
        )
        self.journal_bytes = make.gauge("journal_bytes", "Size of the journals.")
        self.journal_oldest = make.gauge(
            "journal_oldest_unshipped_seconds",
            "Age of the oldest record that a reading group has yet to acknowledge.",
            merge="livemax",
        )
        self.lag_records = make.gauge(
            "consumer_lag_records",
            "Synced records that a consumer group has not read.",
            "group", "topic", merge="livemax",
        )  # fmt: skip
        self.detector_seconds = make.histogram(
            "detector_seconds", "Scoring one batch.", _FAST_S, "detector"
        )
        self.detector_errors = make.counter(
            "detector_errors_total", "Batches that a detector failed on.", "detector"
        )
        self.score = make.histogram("score", "Calibrated scores.", _SCORE, "detector", "category")
        self.verdicts = make.counter(
            "verdicts_total",
            'Verdicts, by the gravest action crossed ("none": no operating point was).',
            "detector", "category", "action",
        )  # fmt: skip
        self.enforcements = make.counter(
            "enforcements_total", "Actions taken on verdicts.", "action"
        )
        self.alert_deliveries = make.counter(
            "alert_deliveries_total", "Attempts to tell an Alertmanager.", "outcome"
        )
        self.dead_letters = make.counter(
            "dead_letters_total", "Records that a worker could not handle.", "topic", "reason"
        )
        self.shipped = make.counter(
            "shipped_records_total", "Records that Kafka acknowledged.", "topic"
        )
        self.ship_errors = make.counter(
            "ship_errors_total", "Failures that made the shipper start over.", "reason"
        )
        self.safeguard_active = make.gauge(
            "safeguard_active",
            "1 while a safeguard that the model's tier requires is proved active.",
            "model", "safeguard", merge="livemin",
        )  # fmt: skip
        self.screening_lag = make.gauge(
            "screening_lag_seconds",
            "Age of the oldest record that is not known to be screened.",
            merge="livemax",
        )
        self.snapshot_age = make.gauge(
            "snapshot_age_seconds",
            "Time since the gateway last heard of the store.",
            merge="livemax",
        )
        self.specs = tuple(make.specs)
