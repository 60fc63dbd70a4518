"""Traces through OpenTelemetry's standard OTEL_* variables; off, and free, unless one is set.

Nothing here imports the SDK: spans.py does, where tracing is on.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

from service.core.surfaces.answers import AnswerReader
from service.core.surfaces.shape import Request, Surface

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

Attributes = Mapping[str, str | int | float | bool | tuple[str, ...]]


class Traced(Protocol):
    """What a span tells of an exchange once it is over."""

    surface: Surface
    request: Request
    reader: AnswerReader
    upstream_first_byte_s: float | None


class Trace:
    """The trace of one exchange; this one is not recorded, only passed on."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        """Pass on what the caller gave."""
        self.traceparent = traceparent
        """What the upstream gets and the record holds."""

    def end(self, outcome: str, exchange: Traced) -> None:
        """Note how the exchange ended."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What a worker did about one record; the times are Unix nanoseconds."""

    name: str
    traceparent: str
    began_ns: int
    ended_ns: int
    attributes: Attributes


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

    def handled(self, records: Iterable[Handled]) -> None:
        """Tell what was done about records, each in its exchange's trace."""

    @property
    def is_on(self) -> bool:
        """Say whether anything is made of what is told."""
        return False

    def close(self) -> None:
        """Send what is still held, if that does not take long."""


def tracing_is_on() -> bool:
    """Say whether an OTEL_* variable names where traces go."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    off = off or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in _ENDPOINTS)


def make_tracer(role: str, counter: Counter, *, content: bool = False) -> Tracer:
    """Return a tracer as the environment asks.

    Args:
        role: of the process, part of the service's name in traces.
        counter: counts spans by `outcome`.
        content: the spans of exchanges hold what was said.

    Raises:
        ConfigError: an OTEL_* variable has a value that cannot be used.
    """
    if not tracing_is_on():
        return Tracer()
    from service.telemetry.spans import SpanTracer  # noqa: PLC0415  (the SDK takes 0.1 s)

    return SpanTracer(role, counter, content=content)
