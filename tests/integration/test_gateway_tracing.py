"""Traces, to a real receiver of OTLP over HTTP."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.events.schema import Closed, Opened
from service.telemetry.trace_content import MAX_CHARS
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    KEY,
    MODEL,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    gateway_before,
    rendered,
    streaming,
    usage_event,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.otlp import Receiver, attributes, receiving
from tests.real_parts.scripted import answering

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
UNSAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"
CANARY = "xylophone-marmalade-quasar"


@pytest.fixture(autouse=True)
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record every exchange whose caller says nothing of it."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


def exchanges(
    folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> tuple[list[bytes], list[Opened], list[Closed]]:
    """Return what the upstream got and what was recorded of two exchanges."""
    got: list[bytes] = []
    recorded: list[Any] = []

    @on_uvloop
    async def run() -> None:
        answers = answering(answer_of(chat_body(CANARY)), answer_of({}, 500))
        async with gateway_before(answers, folder=folder, change=change) as gateway:
            headers = [("traceparent", PARENT)]
            assert (await gateway.post(CHAT, chat(CANARY), headers=headers)).status == 200
            assert (await gateway.post(CHAT, chat(CANARY))).status == 502
            await gateway.post(CHAT, b"{")
            got.extend(gateway.upstream.requests)
            recorded.extend(event for event, _ in await gateway.events(4))

    run()
    opened = [event for event in recorded if isinstance(event, Opened)]
    return got, opened, [event for event in recorded if isinstance(event, Closed)]


def test_each_exchange_is_a_span_of_its_callers_trace_and_the_upstreams_parent(
    tmp_path: Path, receiver: Receiver
) -> None:
    requests, opened, closed = exchanges(tmp_path)
    first, second = receiver.spans()
    assert first.trace_id.hex() == TRACE_ID
    assert first.parent_span_id.hex() == PARENT_ID
    ours = f"00-{TRACE_ID}-{first.span_id.hex()}-01"
    assert f"traceparent: {ours}\r\n".encode() in requests[0]
    assert opened[0].traceparent == closed[0].traceparent == ours  # what workers do is linked to it
    assert attributes(first) == {
        "gen_ai.provider.name": "vllm",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "watchgate.exchange": opened[0].exchange_id,
        "watchgate.outcome": "completed",
    }
    assert first.name == f"chat {MODEL}"
    assert second.status.code == 2
    assert second.status.message == "upstream_unavailable"
    assert attributes(second)["error.type"] == "upstream_unavailable"
    assert not second.parent_span_id
    assert not any(CANARY.encode() in body for body in receiver.bodies)


def test_content_is_in_spans_where_the_settings_ask_for_it_and_is_bounded(
    tmp_path: Path, receiver: Receiver
) -> None:
    exchanges(tmp_path, lambda settings: settings.update(traces={"content": True}))
    first, second = map(attributes, receiver.spans())
    asked = [{"role": "user", "parts": [{"type": "text", "content": CANARY}]}]
    assert json.loads(first["gen_ai.input.messages"]) == asked
    told = {"role": "assistant", "parts": [{"type": "text", "content": CANARY}]}
    assert json.loads(first["gen_ai.output.messages"]) == [{**told, "finish_reason": "stop"}]
    assert json.loads(second["gen_ai.output.messages"]) == []


def test_a_long_prompt_is_cut_in_a_span(tmp_path: Path, receiver: Receiver) -> None:
    @on_uvloop
    async def run() -> None:
        def with_content(settings: dict[str, Any]) -> None:
            settings["traces"] = {"content": True}

        answers = answering(answer_of(chat_body("yes")))
        async with gateway_before(answers, folder=tmp_path, change=with_content) as gateway:
            assert (await gateway.post(CHAT, chat("x" * 3 * MAX_CHARS))).status == 200

    run()
    (message,) = json.loads(attributes(receiver.spans()[0])["gen_ai.input.messages"])
    assert [len(part["content"]) for part in message["parts"]] == [MAX_CHARS]


def test_a_stream_tells_when_it_began_and_nothing_that_an_upstream_made_up(
    tmp_path: Path, receiver: Receiver
) -> None:
    made_up = b'{"choices":[{"index":0,"delta":{},"finish_reason":"' + CANARY.encode() + b'"}]}'
    events = (chat_event("a"), b"data: " + made_up + b"\n\n", usage_event(), DONE)

    @on_uvloop
    async def run() -> None:
        async with gateway_before(streaming(*events), folder=tmp_path) as gateway:
            assert (await gateway.post(CHAT, chat("q", stream=True))).status == 200

    run()
    told = attributes(receiver.spans()[0])
    assert told["gen_ai.request.stream"] is True
    assert told["gen_ai.response.time_to_first_chunk"] > 0
    assert told["gen_ai.response.finish_reasons"] == ["other"]
    assert not any(CANARY.encode() in body for body in receiver.bodies)


def test_a_caller_who_is_not_sampled_stays_so_for_all_that_follows(
    tmp_path: Path, receiver: Receiver
) -> None:
    got: list[bytes] = []
    recorded: list[Any] = []

    @on_uvloop
    async def run() -> None:
        answers = answering(answer_of(chat_body("yes")))
        async with gateway_before(answers, folder=tmp_path) as gateway:
            headers = [("traceparent", UNSAMPLED)]
            assert (await gateway.post(CHAT, chat("q"), headers=headers)).status == 200
            got.extend(gateway.upstream.requests)
            recorded.extend(event for event, _ in await gateway.events(2))

    run()
    assert f"traceparent: {UNSAMPLED}\r\n".encode() in got[0]
    assert [event.traceparent for event in recorded] == [UNSAMPLED, None]
    assert receiver.spans() == []


async def ask(gateway: RunningGateway, times: int) -> None:
    connection = await gateway.connect()
    for _ in range(times):
        await connection.send(rendered(CHAT, chat("q"), key=KEY))
        assert (await connection.reply()).status == 200


@pytest.fixture
def silent_receiver() -> Iterator[str]:
    """One that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_receiver_that_is_silent_keeps_no_request_and_no_stop_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_receiver: str
) -> None:
    """The receiver's time is an hour: what goes on goes on without it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", silent_receiver)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    asked = 60
    dropped: list[float] = []

    @on_uvloop
    async def run() -> None:
        answers = answering(*[answer_of(chat_body("yes"))] * asked)
        async with gateway_before(answers, folder=tmp_path) as gateway:
            await ask(gateway, asked)
            dropped.append(gateway.metric("trace_spans_total", outcome="dropped"))

    run()
    assert dropped == [asked - 20]


def test_without_an_endpoint_the_sdk_is_not_even_imported() -> None:
    code = (
        "import sys; import service.wiring.gateway; import service.wiring.workers; "
        "print([m for m in sys.modules if "
        "m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
