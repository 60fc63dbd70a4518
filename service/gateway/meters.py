"""What the gateway counts, as tallies: see telemetry/tally.py."""

from collections.abc import Collection, Mapping
from itertools import product
from typing import Final, get_args

from service.core.access import Reason
from service.core.balancing import Fault
from service.core.limits import Kind
from service.core.screening import DETECTOR_ERROR
from service.core.surfaces import SURFACES
from service.events.schema import Outcome
from service.gateway.balancer import Replica
from service.gateway.exchange import Exchange
from service.gateway.problems import CODES
from service.gateway.prompt_screen import UNSCANNED
from service.telemetry.labels import OTHER, declare
from service.telemetry.metrics import Metrics
from service.telemetry.tally import CounterTally, HistogramTally, Tallies

_ENFORCED: Final = {"blocked": "block", "cut_off": "cut_off"}
"""Outcome → the action that it is counted as."""
_CHARS: Final = ("generated", "released", "released_unscanned")
MODELS: Final = "models"
"""Stands in the place of a surface for the lists of models."""
_REFUSALS: Final = CODES | {"client_gone"}
_ENDS: Final = _REFUSALS | {*get_args(Outcome)}


class _ModelMeters:
    """The tallies of one surface and model."""

    def __init__(self, metrics: Metrics, tallies: Tallies, surface: str, model: str) -> None:
        self.duration = tallies.histogram(metrics.request_duration.labels(surface, model))
        self.first_token = tallies.histogram(metrics.time_to_first_token.labels(model))
        self.upstream_first_token = tallies.histogram(metrics.upstream_first_token.labels(model))
        self.inter_token = tallies.histogram(metrics.inter_token.labels(model))
        chars = {kind: metrics.answer_chars.labels(model, kind) for kind in _CHARS}
        self.generated, self.released, self.unscanned = (
            tallies.counter(chars[kind]) for kind in _CHARS
        )
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
        self.loop_lag: HistogramTally = self._tallies.histogram(metrics.upkeep.loop_lag)
        self.in_flight = 0
        limited = metrics.rate_limited.labels
        self.connections_refused = self._tallies.counter(limited("connections"))
        self.requests_limited = self._tallies.counter(limited("requests_per_key"))
        self.end_users_limited = self._tallies.counter(limited("new_end_users"))
        self.limited: Mapping[Kind, CounterTally] = {
            kind: self._tallies.counter(limited(kind)) for kind in Kind
        }
        away, returned = metrics.limits_away.labels, metrics.reservations_returned
        self.limits_shared = self._tallies.counter(away("share"))
        self.limits_refused = self._tallies.counter(away("refuse"))
        self.reservations_returned = self._tallies.counter(returned)

    def flush(self) -> None:
        """Bring the metrics up to date."""
        self._tallies.flush()
        self._metrics.in_flight.set(self.in_flight)

    def declare(self, models: Collection[str]) -> None:
        """Show 0 of all that may come to be counted of these models, and of requests for none."""
        for surface, model in product(SURFACES, models):
            self._of(surface, model)
        metrics = self._metrics
        declare(metrics.requests, SURFACES, models, _ENDS)
        declare(metrics.requests, (*SURFACES, MODELS, OTHER), [OTHER], _REFUSALS)
        declare(metrics.requests, [MODELS], [OTHER], ["completed"])
        declare(metrics.access_denied, models, Reason)
        declare(metrics.unscanned, models, UNSCANNED)
        declare(metrics.enforcements, _ENFORCED.values())

    def declare_auth_failures(self, reasons: Collection[str]) -> None:
        """Show 0 of each reason for which nobody is authenticated."""
        declare(self._metrics.auth_failures, reasons)

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

    def denied(self, model: str, reason: Reason) -> None:
        """Count a request that its caller may not make, by the reason that it was told."""
        self._metrics.access_denied.labels(model, reason).inc()

    def denials_overflowed(self) -> None:
        """Count a refusal that is not told apart from others of its key."""
        self._metrics.denials_overflow.inc()

    def unscanned(self, model: str, reason: str) -> None:
        """Count a prompt or an answer that the gateway could not screen."""
        self._metrics.unscanned.labels(model, reason).inc()

    def request(self, surface: str, model: str, outcome: str) -> None:
        """Count a request that never became an exchange: refused, or not for a model."""
        self._request(surface, model, outcome).total += 1

    def served(self, exchange: Exchange, *, recorded: bool) -> None:
        """Count an exchange of which a byte was released, and whether all of it is recorded."""
        of = self._of(exchange.surface.name, exchange.model.name)
        of.served.total += 1
        if recorded:
            of.recorded.total += 1

    def recorded(self, exchange: Exchange) -> None:
        """Count that an exchange is recorded which was counted as served without."""
        self._of(exchange.surface.name, exchange.model.name).recorded.total += 1

    def ended(self, exchange: Exchange, outcome: str) -> None:
        """Count an exchange that ended."""
        surface, model = exchange.surface.name, exchange.model.name
        of = self._of(surface, model)
        self._request(surface, model, outcome).total += 1
        if outcome in _ENFORCED:
            self._metrics.enforcements.labels(_ENFORCED[outcome]).inc()
        of.duration.observe(exchange.elapsed_s())
        if exchange.request.stream and exchange.first_byte_s is not None:
            _observe_stream(of, exchange)
        if (usage := exchange.reader.usage) is not None:
            of.prompt_tokens.total += max(0, usage.prompt_tokens)
            of.completion_tokens.total += max(0, usage.completion_tokens or 0)
        if (gate := exchange.gate) is not None:
            of.generated.total += gate.generated_chars
            of.released.total += gate.released_chars
            of.unscanned.total += gate.unscanned_chars
            if gate.has_given_up:
                self.unscanned(model, DETECTOR_ERROR)

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


def _observe_stream(of: _ModelMeters, exchange: Exchange) -> None:
    """Note when a stream's tokens came, from the upstream and to the caller."""
    first_s = exchange.first_byte_s if exchange.gate is None else exchange.first_text_s
    if first_s is None:
        return  # nothing of it was released
    of.first_token.observe(first_s)
    if exchange.upstream_first_byte_s is not None:
        of.upstream_first_token.observe(exchange.upstream_first_byte_s)
    usage = exchange.reader.usage
    if usage is not None and usage.completion_tokens is not None and usage.completion_tokens > 1:
        seconds = exchange.elapsed_s() - first_s
        of.inter_token.observe(seconds / (usage.completion_tokens - 1))
