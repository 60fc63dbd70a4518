"""The metrics of probes: whether vLLM's plugins tell the gateway what they see, and of what."""

from service.telemetry.making import Maker


class ProbeMetrics:
    """By the names that the settings give upstreams, and by closed sets alone."""

    def __init__(self, make: Maker) -> None:
        """Register them."""
        self.engines = make.gauge(
            "probe_engines",
            "Plugins in an upstream's vLLM that tell a gateway process now of its exchanges; of "
            "several processes that of the one that the fewest tell.",
            "upstream", merge="livemin",
        )  # fmt: skip
        self.updates = make.counter(
            "probe_updates_total",
            'Readings that plugins told, by whether the exchange was open ("taken"), had ended '
            '("late"), or was no gateway\'s: somebody asks vLLM past it ("unknown").',
            "upstream", "outcome",
        )  # fmt: skip
        self.refused = make.counter(
            "probe_connections_refused_total",
            'Connections of plugins that were closed: they speak another version ("version"), have '
            'other probes than the settings name ("digest"), say what nobody understands '
            '("garbage") or nothing at all ("silent"), are too many ("too_many"), or show no '
            'certificate that is let in ("tls").',
            "upstream", "reason",
        )  # fmt: skip
