"""Traces through OpenTelemetry's standard OTEL_* variables; off, and free, unless one is set.

The GenAI attribute names stand here alone: they are still changing.
"""

import os
from typing import Protocol

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_SYSTEM = "gen_ai.provider.name"
_OPERATION = "gen_ai.operation.name"
_MODEL = "gen_ai.request.model"
_INPUT_TOKENS = "gen_ai.usage.input_tokens"
_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
_EXCHANGE = "watchgate.exchange"
_OUTCOME = "watchgate.outcome"
_OPERATIONS = {"completions": "text_completion", "messages": "chat", "responses": "chat"}
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_propagator = TraceContextTextMapPropagator()


class TokenCounts(Protocol):
    """What a span tells of usage."""

    prompt_tokens: int
    completion_tokens: int | None


class Trace:
    """The trace of one exchange; this one is not recorded, only passed on."""

    def __init__(self, traceparent: str | None) -> None:
        """Pass on what the caller gave."""
        self.traceparent = traceparent
        """What the upstream gets and the record holds."""

    def end(self, outcome: str, usage: TokenCounts | None) -> None:
        """Note how the exchange ended."""


class _SpanTrace(Trace):
    """A span of the gateway, and what carries it on to the upstream and into the record."""

    def __init__(self, span: Span, traceparent: str | None) -> None:
        super().__init__(traceparent)
        self._span = span

    def end(self, outcome: str, usage: TokenCounts | None) -> None:
        self._span.set_attribute(_OUTCOME, outcome)
        if usage is not None:
            self._span.set_attribute(_INPUT_TOKENS, usage.prompt_tokens)
            self._span.set_attribute(_OUTPUT_TOKENS, usage.completion_tokens or 0)
        if outcome != "completed":
            self._span.set_status(Status(StatusCode.ERROR, outcome))
        self._span.end()


class Tracer:
    """Makes traces that are only passed on."""

    def exchange(
        self,
        exchange_id: str,  # noqa: ARG002  (these are for those who make spans)
        model: str,  # noqa: ARG002
        surface: str,  # noqa: ARG002
        traceparent: str | None,
    ) -> Trace:
        """Begin the trace of an exchange."""
        return Trace(traceparent)

    def close(self) -> None:
        """Send what is still held."""


class SpanTracer(Tracer):
    """Makes a span for each exchange and hands the trace to the upstream."""

    def __init__(self, service_name: str) -> None:
        """Export as the OTEL_* variables say."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  (costs 100 ms, only where tracing is on)
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        resource = Resource.create({"service.name": service_name})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("watchgate")

    def exchange(
        self, exchange_id: str, model: str, surface: str, traceparent: str | None
    ) -> Trace:
        """Begin the span of an exchange."""
        carrier = {"traceparent": traceparent} if traceparent else {}
        operation = _OPERATIONS.get(surface, surface)
        attributes = {
            _SYSTEM: "vllm", _OPERATION: operation, _MODEL: model, _EXCHANGE: exchange_id,
        }  # fmt: skip
        span = self._tracer.start_span(
            f"{operation} {model}",
            context=_propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        out: dict[str, str] = {}
        _propagator.inject(out, trace.set_span_in_context(span))
        return _SpanTrace(span, out.get("traceparent"))

    def close(self) -> None:
        """Send what is still held."""
        self._provider.shutdown()


def tracing_is_on() -> bool:
    """Say whether an OTEL_* variable names where traces go."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    off = off or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in _ENDPOINTS)


def make_tracer(service_name: str) -> Tracer:
    """Return a tracer as the environment asks."""
    name = os.environ.get("OTEL_SERVICE_NAME", service_name)
    return SpanTracer(name) if tracing_is_on() else Tracer()
