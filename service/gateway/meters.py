"""What the gateway counts, as tallies: see telemetry/tally.py."""

from collections.abc import Mapping

from service.core.balancing import Fault
from service.gateway.balancer import Replica
from service.gateway.exchange import Exchange
from service.telemetry.metrics import Metrics
from service.telemetry.tally import CounterTally, HistogramTally, Tallies


class _ModelMeters:
    """The tallies of one surface and model."""

    def __init__(self, metrics: Metrics, tallies: Tallies, surface: str, model: str) -> None:
        self.duration = tallies.histogram(metrics.request_duration.labels(surface, model))
        self.first_token = tallies.histogram(metrics.time_to_first_token.labels(model))
        self.prompt_tokens = tallies.counter(metrics.tokens.labels(model, "prompt"))
        self.completion_tokens = tallies.counter(metrics.tokens.labels(model, "completion"))
        self.served = tallies.counter(metrics.served.labels(model))
        self.recorded = tallies.counter(metrics.recorded.labels(model))


class Meters:
    """What the pipeline counts."""

    def __init__(self, metrics: Metrics) -> None:
        """Make the tallies that have no labels of a request."""
        self._metrics = metrics
        self._tallies = Tallies()
        self._requests: dict[tuple[str, str, str], CounterTally] = {}
        self._models: dict[tuple[str, str], _ModelMeters] = {}
        self.before: HistogramTally = self._tallies.histogram(metrics.overhead.labels("before"))
        self.after: HistogramTally = self._tallies.histogram(metrics.overhead.labels("after"))
        self.appends: HistogramTally = self._tallies.histogram(metrics.journal_append)
        self.in_flight = 0
        limited = metrics.rate_limited.labels
        self.connections_refused = self._tallies.counter(limited("connections"))
        self.requests_limited = self._tallies.counter(limited("requests_per_key"))

    def flush(self) -> None:
        """Bring the metrics up to date."""
        self._tallies.flush()
        self._metrics.in_flight.set(self.in_flight)

    def declare(self, surface: str, model: str) -> None:
        """Make the series of a surface and model, so that they stand at 0 from the start."""
        self._of(surface, model)
        self._request(surface, model, "completed")

    def ejections(self, upstream: str, replica: str) -> Mapping[Fault, CounterTally]:
        """Return the tallies of a replica's ejections, by their reasons."""
        labels = self._metrics.upstream_ejections.labels
        return {it: self._tallies.counter(labels(upstream, replica, it)) for it in Fault}

    def watch(self, upstream: str, replica: Replica) -> None:
        """Show from now on whether a replica is up, and how much it has in flight."""
        up = self._metrics.upstream_up.labels(upstream, replica.name)
        in_flight = self._metrics.upstream_in_flight.labels(upstream, replica.name)

        def show() -> None:
            up.set(replica.is_up)
            in_flight.set(replica.state.in_flight)

        self._tallies.also(show)

    def auth_failure(self, reason: str) -> None:
        """Count a request without a valid key."""
        self._metrics.auth_failures.labels(reason).inc()

    def request(self, surface: str, model: str, outcome: str) -> None:
        """Count a request that never became an exchange: refused, or not for a model."""
        self._request(surface, model, outcome).total += 1

    def served(self, exchange: Exchange, *, recorded: bool) -> None:
        """Count an exchange of which a byte was released, and whether all of it is recorded."""
        of = self._of(exchange.surface.name, exchange.model.name)
        of.served.total += 1
        if recorded:
            of.recorded.total += 1

    def ended(self, exchange: Exchange, outcome: str) -> None:
        """Count an exchange that ended."""
        surface, model = exchange.surface.name, exchange.model.name
        of = self._of(surface, model)
        self._request(surface, model, outcome).total += 1
        of.duration.observe(exchange.elapsed_s())
        if exchange.request.stream and exchange.first_byte_s is not None:
            of.first_token.observe(exchange.first_byte_s)
        if (usage := exchange.reader.usage) is not None:
            of.prompt_tokens.total += max(0, usage.prompt_tokens)
            of.completion_tokens.total += max(0, usage.completion_tokens or 0)

    def _of(self, surface: str, model: str) -> _ModelMeters:
        of = self._models.get((surface, model))
        if of is None:
            of = _ModelMeters(self._metrics, self._tallies, surface, model)
            self._models[surface, model] = of
        return of

    def _request(self, surface: str, model: str, outcome: str) -> CounterTally:
        labels = (surface, model, outcome)
        tally = self._requests.get(labels)
        if tally is None:
            tally = self._tallies.counter(self._metrics.requests.labels(*labels))
            self._requests[labels] = tally
        return tally
