"""When traces are made, and what becomes of spans that cannot be sent."""

import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

import service
from service.core.trace_context import sampled
from service.errors import ConfigError
from service.telemetry.metrics import Metrics
from service.telemetry.spans import BoundedProcessor, SpanTracer
from service.telemetry.tracing import Handled, Tracer, make_tracer, tracing_is_on
from tests.real_parts.serving import until

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UNSAMPLED, SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00", f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                 "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER",
                 "OTEL_TRACES_SAMPLER_ARG", "OTEL_BSP_MAX_QUEUE_SIZE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def tracer(environment: pytest.MonkeyPatch) -> Iterator[Tracer]:
    environment.setenv(*next(iter(ENDPOINT.items())))
    environment.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    tracer = made()
    yield tracer
    tracer.close()


def made() -> Tracer:
    return make_tracer("tests", Metrics(CollectorRegistry()).upkeep.trace_spans)


@pytest.mark.parametrize(
    ("given", "on"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_made_where_the_standard_variables_ask_for_them(
    environment: pytest.MonkeyPatch, given: dict[str, str], *, on: bool
) -> None:
    for name, value in given.items():
        environment.setenv(name, value)
    assert tracing_is_on() is on


def test_a_tracer_that_makes_none_passes_on_what_it_was_given(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("OTEL_SDK_DISABLED", "true")
    tracer = made()
    assert type(tracer) is Tracer
    assert not tracer.is_on
    assert tracer.exchange("ex-1", "m", "chat", SAMPLED).traceparent == SAMPLED
    tracer.handled([Handled("screen prompt", SAMPLED, 1, 2, {})])
    tracer.close()


def parts(traceparent: str | None) -> tuple[str, str, bool]:
    """Return the ids of the trace and of the parent, and whether it is sampled."""
    found = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", traceparent or "")
    assert found, traceparent
    return found[1], found[2], sampled(traceparent) is not None


def test_what_callers_decided_holds_for_all_that_follows(tracer: Tracer) -> None:
    for given, wanted in ((SAMPLED, True), (UNSAMPLED, False)):
        found = parts(tracer.exchange("ex-1", "m", "chat", given).traceparent)
        trace_id, span_id, is_sampled = found
        assert (trace_id, is_sampled) == (TRACE_ID, wanted)
        assert (span_id == PARENT_ID) is not wanted  # without a span of ours the parent stays


def test_a_traceparent_of_zeros_is_of_no_trace(tracer: Tracer) -> None:
    given = f"00-{'0' * 32}-{PARENT_ID}-01"
    trace_id, _, _ = parts(tracer.exchange("ex-1", "m", "chat", given).traceparent)
    assert trace_id != "0" * 32


def test_of_other_exchanges_a_small_share_is_recorded(tracer: Tracer) -> None:
    found = [parts(tracer.exchange(f"ex-{n}", "m", "chat", None).traceparent) for n in range(2000)]
    assert len({trace_id for trace_id, _, _ in found}) == 2000
    recorded = sum(is_sampled for _, _, is_sampled in found)
    assert 1 <= recorded <= 60  # of 20 that are expected


def test_the_standard_variables_set_another_share(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(*next(iter(ENDPOINT.items())))
    environment.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracer = made()
    assert not parts(tracer.exchange("ex-1", "m", "chat", None).traceparent)[2]
    assert parts(tracer.exchange("ex-1", "m", "chat", SAMPLED).traceparent)[2]
    tracer.close()


def test_an_operator_may_have_all_recorded_whatever_callers_want(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv(*next(iter(ENDPOINT.items())))
    environment.setenv("OTEL_TRACES_SAMPLER", "always_on")
    tracer = made()
    trace_id, span_id, is_sampled = parts(
        tracer.exchange("ex-1", "m", "chat", UNSAMPLED).traceparent
    )
    assert (trace_id, is_sampled) == (TRACE_ID, True)
    assert span_id != PARENT_ID
    tracer.close()


@pytest.mark.parametrize(("given", "wanted"), [("1", 50), ("0", 0), ("", 50)])
def test_the_share_is_that_of_the_variable(
    environment: pytest.MonkeyPatch, given: str, wanted: int
) -> None:
    environment.setenv(*next(iter(ENDPOINT.items())))
    environment.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    environment.setenv("OTEL_TRACES_SAMPLER_ARG", given)
    tracer = made()
    found = [parts(tracer.exchange(f"ex-{n}", "m", "chat", None).traceparent) for n in range(50)]
    assert sum(is_sampled for _, _, is_sampled in found) == wanted
    tracer.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),  # a batch is of up to 512
        ("OTEL_TRACES_SAMPLER_ARG", "all"),
        ("OTEL_TRACES_SAMPLER_ARG", "50"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_settings(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(*next(iter(ENDPOINT.items())))
    environment.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    environment.setenv(name, value)
    with pytest.raises(ConfigError, match=r"^the OTEL_\* variables: "):
        made()


class Held(SpanExporter):
    """Exports nothing until it is let go on, and then as it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.result = SpanExportResult.SUCCESS
        self.sent = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go_on.wait()
        self.sent += len(spans)
        return self.result


def test_spans_beyond_the_queue_are_dropped_and_counted(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "600")
    registry = CollectorRegistry()
    exporter, provider = Held(), TracerProvider(shutdown_on_exit=False)
    counter = Metrics(registry).upkeep.trace_spans
    provider.add_span_processor(BoundedProcessor(exporter, counter))

    def counted(outcome: str) -> float | None:
        name = "watchgate_trace_spans_total"
        return registry.get_sample_value(name, {"outcome": outcome})

    assert [counted(it) for it in ("exported", "failed", "dropped")] == [0, 0, 0]
    spans = provider.get_tracer("tests")
    for _ in range(1000):
        spans.start_span("one").end()
    assert counted("dropped") == 400  # what is being sent waits too
    exporter.go_on.set()
    until(lambda: exporter.sent >= 512)
    provider.shutdown()
    assert (counted("exported"), counted("failed"), exporter.sent) == (600, 0, 600)


@pytest.mark.usefixtures("environment")
def test_what_a_receiver_refuses_is_counted_too() -> None:
    registry, exporter = CollectorRegistry(), Held()
    exporter.result = SpanExportResult.FAILURE
    exporter.go_on.set()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BoundedProcessor(exporter, Metrics(registry).upkeep.trace_spans))
    provider.get_tracer("tests").start_span("one").end()
    provider.shutdown()
    name = "watchgate_trace_spans_total"
    assert registry.get_sample_value(name, {"outcome": "failed"}) == 1


def test_the_names_of_attributes_stand_in_one_module_alone() -> None:
    root = Path(service.__file__).parent
    found = subprocess.run(
        ["grep", "-rlE", "--include=*.py", r"['\"](gen_ai|messaging)\.", root],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == [str(root / "telemetry" / "trace_names.py")]


def test_spans_are_made_by_the_class_that_imports_the_sdk(tracer: Tracer) -> None:
    assert isinstance(tracer, SpanTracer)
    assert tracer.is_on
