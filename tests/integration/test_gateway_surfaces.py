"""The APIs beside chat and completions, before an upstream that speaks them as vLLM does."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real_parts.gateway import (
    KEY,
    MODEL,
    STREAM_HEAD,
    UPSTREAM_MODEL,
    RunningGateway,
    answer_of,
    compact,
    framed,
    gateway_before,
    screener_beats,
    streaming,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, answering

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
RENAMED = compact({"model": UPSTREAM_MODEL})[1:-1], compact({"model": MODEL})[1:-1]

ASKED_MESSAGE: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 9,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
}
ASKED_RESPONSE: dict[str, Any] = {"model": MODEL, "input": "Hello"}
ASKED = {
    MESSAGES: ASKED_MESSAGE,
    COUNT_TOKENS: ASKED_MESSAGE,
    RESPONSES: ASKED_RESPONSE,
    EMBEDDINGS: {"model": MODEL, "input": ["Hello", "there"]},
}

CALL_INPUT = {"model": UPSTREAM_MODEL}  # looks like the field that names the answer's model
MESSAGE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "text", "text": "Hi there"},
        {"type": "tool_use", "id": "t-1", "name": "look_up", "input": CALL_INPUT},
    ],
    "model": UPSTREAM_MODEL,
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 5, "output_tokens": 3},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "created_at": 7,
    "metadata": CALL_INPUT,
    "model": UPSTREAM_MODEL,
    "object": "response",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hi there", "annotations": []}],
        }
    ],
    "status": "completed",
    "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8},
}
EMBEDDING: dict[str, Any] = {
    "id": "embd-1",
    "object": "list",
    "model": UPSTREAM_MODEL,
    "data": [{"index": 0, "object": "embedding", "embedding": [0.25, -1.5]}],
    "usage": {"prompt_tokens": 5, "total_tokens": 5, "completion_tokens": 0},
}
COUNT: dict[str, Any] = {"input_tokens": 5, "context_management": {"original_input_tokens": 5}}
ANSWERS = {MESSAGES: MESSAGE, COUNT_TOKENS: COUNT, RESPONSES: RESPONSE, EMBEDDINGS: EMBEDDING}


def named(kind: str, **fields: object) -> bytes:
    data = compact({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def block(index: int, kind: str, **fields: object) -> bytes:
    return named(f"content_block_{kind}", index=index, **fields)


MESSAGE_EVENTS = (
    named("message_start", message=MESSAGE | {"content": [], "stop_reason": None}),
    block(0, "start", content_block={"type": "text", "text": ""}),
    block(0, "delta", delta={"type": "text_delta", "text": "Hi"}),
    block(0, "delta", delta={"type": "text_delta", "text": " there"}),
    block(0, "stop"),
    named("message_delta", delta={"stop_reason": "end_turn"}, usage=MESSAGE["usage"]),
    named("message_stop"),
)
RESPONSE_EVENTS = (
    named(
        "response.created",
        sequence_number=0,
        response=RESPONSE | {"output": [], "status": "in_progress", "usage": None},
    ),
    named(
        "response.output_item.added",
        sequence_number=1,
        output_index=0,
        item=RESPONSE["output"][0] | {"content": [], "status": "in_progress"},
    ),
    named("response.output_text.delta", sequence_number=2, output_index=0, delta="Hi"),
    named("response.output_text.delta", sequence_number=3, output_index=0, delta=" there"),
    named("response.output_text.done", sequence_number=4, output_index=0, text="Hi there"),
    named(
        "response.output_item.done", sequence_number=5, output_index=0, item=RESPONSE["output"][0]
    ),
    named("response.completed", sequence_number=6, response=RESPONSE),
)
STREAMS = {MESSAGES: MESSAGE_EVENTS, RESPONSES: RESPONSE_EVENTS}


def sent_upstream(gateway: RunningGateway) -> tuple[bytes, bytes]:
    head, _, body = gateway.upstream.requests[0].partition(b"\r\n\r\n")
    return head.lower(), body


@pytest.mark.parametrize("path", ANSWERS)
@on_uvloop
async def test_a_whole_answer_arrives_with_nothing_changed_but_the_models_name(
    tmp_path: Path, path: str
) -> None:
    answer = ANSWERS[path]
    async with gateway_before(answering(answer_of(answer)), folder=tmp_path) as gateway:
        reply = await gateway.post(path, ASKED[path])
        head, sent = sent_upstream(gateway)
        exchange = await gateway.exchange()
    assert reply.status == 200
    assert reply.json == answer | ({"model": MODEL} if "model" in answer else {})
    assert head.startswith(f"post {path} http/1.1\r\n".encode())
    assert sent == compact(ASKED[path]).replace(RENAMED[1], RENAMED[0])
    assert exchange.opened.surface == path.removeprefix("/v1/").removeprefix("messages/")
    assert exchange.closed.outcome == "completed"
    assert exchange.closed.prompt_tokens == 5


@pytest.mark.parametrize("path", STREAMS)
@on_uvloop
async def test_a_stream_arrives_as_it_was_sent_and_is_recorded_once(
    tmp_path: Path, path: str
) -> None:
    events = STREAMS[path]
    async with gateway_before(streaming(*events), folder=tmp_path) as gateway:
        reply = await gateway.post(path, ASKED[path] | {"stream": True})
        sent = json.loads(sent_upstream(gateway)[1])
        exchange = await gateway.exchange()
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert sent == ASKED[path] | {"stream": True, "model": UPSTREAM_MODEL}
    told = [json.loads(one.split(b"data: ")[1]) for one in reply.body.split(b"\n\n")[:-1]]
    for one in told:
        inner = one.get("message") or one.get("response")
        assert inner is None or inner["model"] == MODEL
    assert len(told) == len(events)
    assert reply.body.replace(RENAMED[1], RENAMED[0]) == b"".join(events)
    (choice,) = exchange.answer.choices
    assert choice.text == "Hi there"
    assert (exchange.closed.prompt_tokens, exchange.closed.completion_tokens) == (5, 3)


@pytest.mark.parametrize("path", STREAMS)
@on_uvloop
async def test_what_follows_the_end_of_a_stream_does_not_reach_the_caller(
    tmp_path: Path, path: str
) -> None:
    events = STREAMS[path]
    async with gateway_before(streaming(*events, events[2]), folder=tmp_path) as gateway:
        reply = await gateway.post(path, ASKED[path] | {"stream": True})
    assert reply.body.count(b"\n\n") == len(events)


@pytest.mark.parametrize("path", STREAMS)
@on_uvloop
async def test_a_stream_that_breaks_off_ends_with_an_error_of_the_apis_shape(
    tmp_path: Path, path: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + framed(b"".join(STREAMS[path][:3])))

    async with gateway_before(script, folder=tmp_path) as gateway:
        reply = await gateway.post(path, ASKED[path] | {"stream": True})
        exchange = await gateway.exchange()
    last = reply.body.split(b"\n\n")[-2]
    assert last.startswith(b"event: error\ndata: ")
    told = json.loads(last.split(b"data: ")[1])
    assert told["type"] == "error"
    if path == MESSAGES:
        assert (told["error"]["type"], told["error"]["code"]) == (
            "api_error",
            "upstream_unavailable",
        )
    else:
        assert (told["code"], told["sequence_number"]) == ("upstream_unavailable", 3)
    assert exchange.closed.outcome == "upstream_broke"


@on_uvloop
async def test_an_error_that_the_upstream_tells_in_a_stream_is_told_in_our_words(
    tmp_path: Path,
) -> None:
    broke = named("error", error={"type": "internal_error", "message": "at 10.0.0.7"})
    async with gateway_before(streaming(MESSAGE_EVENTS[0], broke), folder=tmp_path) as gateway:
        reply = await gateway.post(MESSAGES, ASKED_MESSAGE | {"stream": True})
    assert b"10.0.0.7" not in reply.body
    assert b'"code":"upstream_unavailable"' in reply.body


@pytest.mark.parametrize("path", [MESSAGES, COUNT_TOKENS, "/v1/messages/batches"])
@on_uvloop
async def test_under_messages_every_refusal_has_anthropics_shape(tmp_path: Path, path: str) -> None:
    async with gateway_before(answering(), folder=tmp_path) as gateway:
        no_key = await gateway.post(path, ASKED_MESSAGE, key=None)
        no_model = await gateway.post(path, ASKED_MESSAGE | {"model": "x"})
        no_json = await gateway.post(path, b"{")
        got = await gateway.get(path)
    wanted = {401: "authentication_error", 404: "not_found_error", 400: "invalid_request_error",
              405: "invalid_request_error"}  # fmt: skip
    for reply in (no_key, no_model, no_json, got):
        assert set(reply.json) == {"type", "error"}
        assert reply.json["type"] == "error"
        error = reply.json["error"]
        assert error["type"] == wanted[reply.status]
        assert error["message"]
        assert error["code"]
    served = path != "/v1/messages/batches"
    assert [r.status for r in (no_key, no_model, no_json, got)] == (
        [401, 404, 400, 405] if served else [404] * 4
    )


@pytest.mark.parametrize("path", [RESPONSES, EMBEDDINGS, "/v1/nothing"])
@on_uvloop
async def test_elsewhere_refusals_have_openais_shape(tmp_path: Path, path: str) -> None:
    async with gateway_before(answering(), folder=tmp_path) as gateway:
        reply = await gateway.post(path, {"model": "x"})
    assert reply.code in {"model_not_found", "not_found"}


@on_uvloop
async def test_anthropics_clients_authenticate_with_a_field_of_their_own(tmp_path: Path) -> None:
    headers = [("x-api-key", KEY), ("anthropic-version", "2023-06-01")]
    async with gateway_before(answering(answer_of(MESSAGE)), folder=tmp_path) as gateway:
        reply = await gateway.post(MESSAGES, ASKED_MESSAGE, headers=headers, key=None)
        head, _ = sent_upstream(gateway)
    assert reply.status == 200
    assert KEY.encode().lower() not in head


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (RESPONSES, {"previous_response_id": "resp_0"}, "previous_response_id"),
        (RESPONSES, {"background": True}, "background"),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        (EMBEDDINGS, {"input": [1, 2]}, "input"),
        (EMBEDDINGS, {"vllm_xargs": {}}, "vllm_xargs"),
    ],
)
@on_uvloop
async def test_what_cannot_be_read_is_refused_before_the_upstream_hears_of_it(
    tmp_path: Path, path: str, fields: dict[str, Any], param: str
) -> None:
    async with gateway_before(answering(), folder=tmp_path) as gateway:
        reply = await gateway.post(path, ASKED[path] | fields)
        assert gateway.upstream.requests == []
    assert (reply.status, reply.code, reply.json["error"]["param"]) == (
        400,
        "invalid_request",
        param,
    )


@on_uvloop
async def test_from_tier_1_on_an_answer_cannot_be_begun_for_the_model(tmp_path: Path) -> None:
    turns = [*ASKED_MESSAGE["messages"], {"role": "assistant", "content": "Sure, "}]
    async with gateway_before(
        answering(answer_of(MESSAGE)), folder=tmp_path, tier=1, prepare=screener_beats
    ) as gateway:
        refused = await gateway.post(MESSAGES, ASKED_MESSAGE | {"messages": turns})
        accepted = await gateway.post(MESSAGES, ASKED_MESSAGE)
    assert (refused.status, refused.json["error"]["param"]) == (400, "messages")
    assert accepted.status == 200


@on_uvloop
async def test_an_error_of_the_upstream_that_quotes_the_model_is_recorded_as_answer(
    tmp_path: Path,
) -> None:
    error = {"type": "error", "error": {"type": "x", "message": "input_value='quoted words'"}}
    async with gateway_before(answering(answer_of(error, 400)), folder=tmp_path) as gateway:
        reply = await gateway.post(MESSAGES, ASKED_MESSAGE)
        exchange = await gateway.exchange()
    assert (reply.status, reply.json) == (400, error)
    assert exchange.closed.outcome == "refused_by_upstream"
    assert "quoted words" in exchange.answer.choices[0].text


@on_uvloop
async def test_anthropics_clients_find_the_requests_id_where_they_look_for_it(
    tmp_path: Path,
) -> None:
    async with gateway_before(answering(answer_of(MESSAGE)), folder=tmp_path) as gateway:
        reply = await gateway.post(MESSAGES, ASKED_MESSAGE)
        assert reply.status == 200
        assert reply.headers["request-id"] == reply.headers["x-request-id"]
        refused = await gateway.post(MESSAGES, {**ASKED_MESSAGE, "model": "nobody's"})
        assert refused.status == 404
        assert refused.headers["request-id"] == refused.headers["x-request-id"]
        assert "request-id" not in (await gateway.post(RESPONSES, {"model": "nobody's"})).headers


@pytest.mark.parametrize(
    ("path", "hints"),
    [
        ("/v1/chat/completions", {"service_tier": "auto", "prompt_cache_key": "k"}),
        (RESPONSES, {"prompt_cache_retention": "24h", "service_tier": "auto"}),
        (MESSAGES, {"cache_control": {"type": "ephemeral"}}),
    ],
)
@on_uvloop
async def test_hints_that_sdks_send_and_vllm_passes_over_are_no_error_in_a_strict_tier(
    tmp_path: Path, path: str, hints: dict[str, Any]
) -> None:
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    body = {**ASKED.get(path, chat), **hints}
    answer = answering(answer_of({"error": {"message": "x"}}, status=400))
    async with gateway_before(answer, folder=tmp_path, tier=1, prepare=screener_beats) as gateway:
        await gateway.post(path, body)
        assert len(gateway.upstream.requests) == 1
