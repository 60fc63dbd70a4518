"""Traces, to a real receiver of OTLP over HTTP."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from service.events.schema import Opened
from tests.real_parts.gateway import (
    CHAT,
    MODEL,
    answer_of,
    chat,
    chat_body,
    gateway_before,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
CANARY = "xylophone-marmalade-quasar"


class Receiver:
    """Takes spans in."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,))
    thread.start()
    endpoint = f"http://127.0.0.1:{receiver.server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def exchanges(folder: Path) -> tuple[list[bytes], list[Opened]]:
    """Return what the upstream got and what was recorded of two exchanges."""
    got: list[bytes] = []
    recorded: list[Opened] = []

    @on_uvloop
    async def run() -> None:
        answers = answering(answer_of(chat_body(CANARY)), answer_of({}, 500))
        async with gateway_before(answers, folder=folder) as gateway:
            headers = [("traceparent", PARENT)]
            assert (await gateway.post(CHAT, chat(CANARY), headers=headers)).status == 200
            assert (await gateway.post(CHAT, chat(CANARY))).status == 502
            await gateway.post(CHAT, b"{")
            got.extend(gateway.upstream.requests)
            recorded.extend(e for e, _ in await gateway.events(4) if isinstance(e, Opened))

    run()
    return got, recorded


def test_each_exchange_is_a_span_of_its_callers_trace_and_the_upstreams_parent(
    tmp_path: Path, receiver: Receiver
) -> None:
    requests, opened = exchanges(tmp_path)
    first, second = receiver.spans()
    assert first.trace_id.hex() == TRACE_ID
    assert first.parent_span_id.hex() == "00f067aa0ba902b7"
    ours = f"00-{TRACE_ID}-{first.span_id.hex()}-01"
    assert f"traceparent: {ours}\r\n".encode() in requests[0]
    assert opened[0].traceparent == ours  # so that later work can be linked to it
    attributes = {a.key: a.value.string_value or a.value.int_value for a in first.attributes}
    assert attributes == {
        "gen_ai.provider.name": "vllm",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "watchgate.exchange": opened[0].exchange_id,
        "watchgate.outcome": "completed",
    }
    assert first.name == f"chat {MODEL}"
    assert second.status.code == 2
    assert second.status.message == "upstream_unavailable"
    assert not second.parent_span_id
    assert not any(CANARY.encode() in body for body in receiver.bodies)


def test_without_an_endpoint_the_sdk_is_not_even_imported() -> None:
    code = (
        "import sys; import service.wiring.gateway; from service.telemetry.tracing import *; "
        "assert type(make_tracer('x')) is Tracer; print([m for m in sys.modules if "
        "m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
