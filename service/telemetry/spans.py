"""Spans of OpenTelemetry's SDK. What is told of them goes out on a thread, or is dropped."""

import os
import threading
from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from prometheus_client import Counter

from service.errors import ConfigError
from service.telemetry import trace_names as names
from service.telemetry.build import build_version
from service.telemetry.head_sampling import HeadSampling
from service.telemetry.labels import OTHER, declare
from service.telemetry.trace_content import input_messages, output_messages
from service.telemetry.tracing import Handled, Trace, Traced, Tracer

EXPORTED, FAILED, DROPPED = "exported", "failed", "dropped"
_QUEUE: Final = 2048
"""How many spans wait at most; OTEL_BSP_MAX_QUEUE_SIZE sets another number."""
_CLOSE_S: Final = 3.0
_COMPLETED: Final = "completed"


class SpanTracer(Tracer):
    """Makes a span for each exchange, and hands the trace to the upstream and into the record."""

    def __init__(self, role: str, counter: Counter, *, content: bool = False) -> None:
        """Export as the OTEL_* variables say.

        Raises:
            ConfigError: one of them has a value that cannot be used.
        """
        self._content = content
        try:
            self._sampling = HeadSampling.of_environment()
            self._provider = TracerProvider(
                sampler=self._sampling.sampler, resource=_resource(role), shutdown_on_exit=False
            )
            self._provider.add_span_processor(BoundedProcessor(OTLPSpanExporter(), counter))
        except ValueError as error:
            raise ConfigError(f"the OTEL_* variables: {error}") from None
        self._tracer = self._provider.get_tracer("watchgate")

    def exchange(
        self, exchange_id: str, model: str, surface: str, traceparent: str | None
    ) -> Trace:
        """Begin the span of an exchange, in the caller's trace if it is in one."""
        if (carried := self._sampling.unrecorded(traceparent)) is not None:
            return Trace(carried)
        operation = names.OPERATIONS.get(surface, surface)
        span = self._tracer.start_span(
            f"{operation} {model}",
            context=_NO_PARENT if traceparent is None else _context_of(traceparent),
            kind=SpanKind.SERVER,
            attributes={
                names.OPERATION: operation,
                names.PROVIDER: names.VLLM,
                names.MODEL: model,
                names.EXCHANGE: exchange_id,
            },
        )
        carried = _traceparent_of(span.get_span_context())
        return _SpanTrace(span, carried, self._content) if span.is_recording() else Trace(carried)

    def handled(self, records: Iterable[Handled]) -> None:
        """Make a span for each record, a child of its exchange's."""
        for it in records:
            span = self._tracer.start_span(
                it.name,
                context=_context_of(it.traceparent),
                kind=SpanKind.CONSUMER,
                attributes=it.attributes,
                start_time=it.began_ns,
            )
            span.end(it.ended_ns)

    @property
    def is_on(self) -> bool:
        """Spans are made."""
        return True

    def close(self) -> None:
        """Send what is still held; a receiver that is away holds nobody up."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


class _SpanTrace(Trace):
    """A span of the gateway, and what carries it on to the upstream and into the record."""

    __slots__ = ("_content", "_span")

    def __init__(self, span: Span, traceparent: str, content: bool) -> None:
        super().__init__(traceparent)
        self._span = span
        self._content = content

    def end(self, outcome: str, exchange: Traced) -> None:
        reader = exchange.reader
        attributes: dict[str, str | int | float | Sequence[str]] = {names.OUTCOME: outcome}
        if reader.usage is not None:
            attributes[names.INPUT_TOKENS] = reader.usage.prompt_tokens
            attributes[names.OUTPUT_TOKENS] = reader.usage.completion_tokens or 0
        if reader.finish_reasons:
            attributes[names.FINISH_REASONS] = [
                it if it in names.KNOWN_REASONS else OTHER for it in reader.finish_reasons.values()
            ]
        if exchange.request.stream:
            attributes[names.STREAM] = True
            if exchange.upstream_first_byte_s is not None:
                attributes[names.FIRST_CHUNK] = exchange.upstream_first_byte_s
        if self._content:
            attributes[names.INPUT_MESSAGES] = input_messages(exchange.surface, exchange.request)
            attributes[names.OUTPUT_MESSAGES] = output_messages(reader)
        if outcome != _COMPLETED:
            attributes[names.ERROR] = outcome
            self._span.set_status(Status(StatusCode.ERROR, outcome))
        self._span.set_attributes(attributes)
        self._span.end()


class BoundedProcessor(SpanProcessor):
    """Lets so many spans wait to be exported, and drops and counts those beyond.

    The SDK's own queue drops too, the oldest first and without a count. One thread ends spans.
    """

    def __init__(self, exporter: SpanExporter, counter: Counter) -> None:
        """Export batches on a thread, as OTEL_BSP_* says.

        Raises:
            ValueError: what it says cannot be.
        """
        declare(counter, (EXPORTED, FAILED, DROPPED))
        self._size = int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") or _QUEUE)
        self._exporter = _CountingExporter(exporter, counter)
        self._batches = BatchSpanProcessor(self._exporter, max_queue_size=self._size)
        self._dropped = counter.labels(DROPPED)
        self._taken = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that has ended, if there is room."""
        if self._taken - self._exporter.done >= self._size:
            self._dropped.inc()
            return
        self._taken += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        """Send what waits, and take no more."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]


class _CountingExporter(SpanExporter):
    """Counts what becomes of spans."""

    def __init__(self, exporter: SpanExporter, counter: Counter) -> None:
        self._exporter = exporter
        self._counter = counter
        self.done = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.done += len(spans)
            outcome = EXPORTED if result is SpanExportResult.SUCCESS else FAILED
            self._counter.labels(outcome).inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


_NO_PARENT: Final = Context()


def _resource(role: str) -> Resource:
    own = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or f"watchgate-{role}",
        "service.namespace": "watchgate",
        "service.version": build_version(),
    }
    return Resource.create(own)


def _context_of(traceparent: str) -> Context:
    """Return the context of a traceparent of W3C's form; one of zeros names no trace.

    The SDK's own propagator takes four times as long, to check the form once more.
    """
    _, trace_id, span_id, flags = traceparent.split("-")
    parent = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return (
        set_span_in_context(NonRecordingSpan(parent), _NO_PARENT) if parent.is_valid else _NO_PARENT
    )


def _traceparent_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
