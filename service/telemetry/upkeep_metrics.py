"""What operators have to see to in time: processes, room for the journals, and what will end."""

from typing import Final

from service.telemetry.making import Maker

_LAG_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class UpkeepMetrics:
    """By closed sets alone: roles of processes, groups of readers, settings, kinds of things."""

    def __init__(self, make: Maker) -> None:
        """Register them."""
        self.process_started_at = make.gauge(
            "process_start_timestamp_seconds",
            "Unix time when a process of this role was started, the latest of several. There is "
            "none while none runs.",
            "role", merge="livemax",
        )  # fmt: skip
        self.loop_lag = make.histogram(
            "event_loop_lag_seconds",
            "How late the gateway's event loop comes to a timer, ten times a second: what blocks "
            "it delays every request.",
            _LAG_S,
        )
        self.trace_spans = make.counter(
            "trace_spans_total",
            'Sampled spans, by what became of them: "exported", "failed" (the receiver is away, or '
            'took too long, or refused them) or "dropped" (the queue to it was full).',
            "outcome",
        )
        self.lag_seconds = make.gauge(
            "consumer_lag_seconds",
            "Age of the oldest record that a consumer group has at hand; with none, the time since "
            "it last looked for more.",
            "group", merge="livemax",
        )  # fmt: skip
        self.journal_used = make.gauge(
            "journal_used_ratio",
            "Share of a journal's size limit, less the reserve, that is used, of the fullest one "
            "of a role: at 1 its process takes nothing new. What was read is removed from 0.75 on.",
            "role", merge="livemax",
        )  # fmt: skip
        self.disk_free = make.gauge(
            "journal_disk_free_ratio",
            "Share of the disk that holds a role's journal which is free.",
            "role", merge="livemin",
        )  # fmt: skip
        self.certificate_ends_at = make.gauge(
            "certificate_expiry_timestamp_seconds",
            "Unix time when a certificate ends, as the process that uses it read it at its start: "
            "the earliest of a file, by the setting that names the file.",
            "certificate", merge="livemin",
        )  # fmt: skip
        self.expiring = make.gauge(
            "expiring",
            "What is in force and ends within 7 days: API keys that were used within the last day, "
            "admin tokens, operating points of the store.",
            "kind", merge="livemax",
        )  # fmt: skip
