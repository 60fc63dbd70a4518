"""The gateway's metrics with their labels bound once: looking labels up costs 2 to 3 µs each."""

from functools import cache

from service.core.surfaces.answers import Usage
from service.gateway.exchange import Exchange
from service.telemetry.metrics import Metrics


class _ModelMeters:
    """The children of one surface and model."""

    def __init__(self, metrics: Metrics, surface: str, model: str) -> None:
        self.duration = metrics.request_duration.labels(surface, model)
        self.first_token = metrics.time_to_first_token.labels(model)
        self.prompt_tokens = metrics.tokens.labels(model, "prompt")
        self.completion_tokens = metrics.tokens.labels(model, "completion")
        self.served = metrics.served.labels(model)
        self.recorded = metrics.recorded.labels(model)


class Meters:
    """What the pipeline counts."""

    def __init__(self, metrics: Metrics) -> None:
        """Bind what needs no label but the phase."""
        self._metrics = metrics
        self.in_flight = metrics.in_flight
        self.before = metrics.overhead.labels("before")
        self.after = metrics.overhead.labels("after")
        self._requests = cache(metrics.requests.labels)
        self._of = cache(lambda surface, model: _ModelMeters(metrics, surface, model))

    def declare(self, surface: str, model: str) -> None:
        """Make the series of a surface and model, so that they stand at 0 from the start."""
        self._of(surface, model)
        self._requests(surface, model, "completed")

    def auth_failure(self, reason: str) -> None:
        """Count a request without a valid key."""
        self._metrics.auth_failures.labels(reason).inc()

    def refused(self, surface: str, model: str, code: str) -> None:
        """Count a request that was not let in."""
        self._requests(surface, model, code).inc()

    def recorded(self, exchange: Exchange) -> None:
        """Count a served exchange of which both records have reached the journal."""
        self._of(exchange.surface.name, exchange.model.name).recorded.inc()

    def ended(self, exchange: Exchange, outcome: str) -> None:
        """Count an exchange that ended."""
        surface, model = exchange.surface.name, exchange.model.name
        of = self._of(surface, model)
        self._requests(surface, model, outcome).inc()
        of.duration.observe(exchange.elapsed_s())
        if exchange.first_byte_s is not None:
            of.served.inc()
            if exchange.request.stream:
                of.first_token.observe(exchange.first_byte_s)
        if exchange.reader.usage is not None:
            self._count_tokens(of, exchange.reader.usage)

    def _count_tokens(self, of: _ModelMeters, usage: Usage) -> None:
        of.prompt_tokens.inc(usage.prompt_tokens)
        of.completion_tokens.inc(usage.completion_tokens or 0)
