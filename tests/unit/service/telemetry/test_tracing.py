"""When traces are made."""

import pytest

from service.telemetry.tracing import Tracer, make_tracer, tracing_is_on

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "on"),
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
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, on: bool
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                 "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracing_is_on() is on


def test_a_tracer_that_makes_none_passes_on_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracer = make_tracer("tests")
    assert type(tracer) is Tracer
    trace = tracer.exchange("ex-1", "m", "chat", "00-a-b-01")
    trace.end("completed", None)
    assert trace.traceparent == "00-a-b-01"
    tracer.close()
