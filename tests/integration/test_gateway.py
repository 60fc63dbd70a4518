"""What callers of the gateway get, and what is recorded and counted of it."""

import asyncio
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.tiers import TIERS
from service.events.schema import Closed
from service.gateway.exchange import ServedModel
from tests.real_parts.gateway import (
    CHAT,
    COMPLETIONS,
    DONE,
    KEY,
    MODEL,
    STREAM_END,
    STREAM_HEAD,
    UPSTREAM_MODEL,
    Gate,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    compact,
    event,
    framed,
    gateway_before,
    screener_beats,
    streaming,
    usage_event,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, answering, eventually

CANARY = "xylophone-marmalade-quasar"
STREAM = (chat_event("Hi"), chat_event(" there"), chat_event(None), usage_event(), DONE)
RENAMED = UPSTREAM_MODEL.encode(), MODEL.encode()


def sent_upstream(gateway: RunningGateway, number: int = 0) -> tuple[bytes, bytes]:
    head, _, body = gateway.upstream.requests[number].partition(b"\r\n\r\n")
    return head.lower(), body


@on_uvloop
async def test_a_chat_answer_arrives_with_nothing_changed_but_the_models_name(
    tmp_path: Path,
) -> None:
    body = compact(chat_body('It says "model":"org/behind" \U0001f600'))
    async with gateway_before(answering(answer_of(body)), folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat())
        assert reply.status == 200
        assert reply.body == body.replace(*RENAMED, 1)
        assert reply.headers["content-type"] == "application/json"
        head, sent = sent_upstream(gateway)
        assert head.startswith(b"post /v1/chat/completions http/1.1\r\n")
        assert b"authorization" not in head
        assert sent == compact(chat()).replace(RENAMED[1], RENAMED[0])
        exchange = await gateway.exchange()
    assert exchange.prompt == compact(chat())
    assert exchange.answer.choices[0].text == 'It says "model":"org/behind" \U0001f600'
    assert exchange.closed.outcome == "completed"
    assert exchange.closed.finish_reasons == ("stop",)
    assert (exchange.closed.prompt_tokens, exchange.closed.completion_tokens) == (5, 3)
    assert exchange.closed.served_number == 1
    assert exchange.closed.receipt is not None
    assert reply.headers["x-watchgate-receipt"] == exchange.opened.exchange_id
    assert f"x-request-id: {exchange.opened.exchange_id}".encode() in head
    assert exchange.opened.key == "key_of_tests"
    assert exchange.opened.account == "project"


@on_uvloop
async def test_a_request_that_needs_no_edit_is_forwarded_byte_for_byte(tmp_path: Path) -> None:
    def same_name(written: dict[str, Any]) -> None:
        written["models"][0]["upstream_model"] = MODEL

    body = b' {"model" : "watched",\n "messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}]} \n'
    async with gateway_before(
        answering(answer_of(chat_body())), folder=tmp_path, change=same_name
    ) as gateway:
        assert (await gateway.post(CHAT, body)).status == 200
        assert sent_upstream(gateway)[1] == body


@on_uvloop
async def test_a_stream_arrives_without_the_usage_that_the_gateway_asked_for(
    tmp_path: Path,
) -> None:
    async with gateway_before(streaming(*STREAM), folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.body == b"".join([*STREAM[:3], DONE]).replace(*RENAMED)
        assert b'"stream_options":{"include_usage":true}' in sent_upstream(gateway)[1]
        exchange = await gateway.exchange()
    assert exchange.answer.choices[0].text == "Hi there"
    assert exchange.closed.completion_tokens == 3
    assert exchange.opened.stream


@on_uvloop
async def test_a_caller_who_asks_for_the_usage_of_a_stream_gets_it(tmp_path: Path) -> None:
    async with gateway_before(streaming(*STREAM), folder=tmp_path) as gateway:
        request = chat(stream=True, stream_options={"include_usage": True})
        reply = await gateway.post(CHAT, request)
    assert reply.body == b"".join(STREAM).replace(*RENAMED)


@on_uvloop
async def test_usage_in_every_event_is_not_asked_for_where_no_usage_was(tmp_path: Path) -> None:
    async with gateway_before(streaming(*STREAM), folder=tmp_path) as gateway:
        options = {"continuous_usage_stats": True, "odd": 1}
        await gateway.post(CHAT, chat(stream=True, stream_options=options))
        assert b'"stream_options":{"odd":1,"include_usage":true}' in sent_upstream(gateway)[1]


@on_uvloop
async def test_completions_are_relayed_and_recorded_whole_and_streamed(tmp_path: Path) -> None:
    whole = {"id": "cmpl-1", "model": UPSTREAM_MODEL, "choices": [{"index": 0, "text": "two"}]}
    events = [event({**whole, "choices": [{"index": 0, "text": t}]}) for t in ("one ", "two")]

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer_of(whole))
        await streaming(*events, DONE)(peer)

    async with gateway_before(script, folder=tmp_path) as gateway:
        request = {"model": MODEL, "prompt": "say two"}
        reply = await gateway.post(COMPLETIONS, request)
        assert reply.json == {**whole, "model": MODEL}
        reply = await gateway.post(COMPLETIONS, {**request, "stream": True})
        assert reply.body == b"".join([*events, DONE]).replace(*RENAMED)
        contents = [content for _, content in await gateway.events(4)]
    assert b'"text":"two"' in contents[1]
    assert b'"text":"one two"' in contents[3]


@on_uvloop
async def test_models_are_listed_and_shown(tmp_path: Path) -> None:
    def slashed(written: dict[str, Any]) -> None:
        written["models"].append({"name": "org/other", "upstream": "local", "tier": 0})

    async with gateway_before(answering(b""), folder=tmp_path, change=slashed) as gateway:
        listed = (await gateway.get("/v1/models")).json
        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == [MODEL, "org/other"]
        assert (await gateway.get("/v1/models/org/other")).json["id"] == "org/other"
        assert (await gateway.get("/v1/models/org%2Fother")).json["id"] == "org/other"
        reply = await gateway.get('/v1/models/"none"')
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert gateway.outcomes() == {"completed": 3, "model_not_found": 1}
        assert gateway.kinds() == []


@on_uvloop
async def test_events_arrive_as_they_come(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + framed(STREAM[0]))
        await go_on.wait()
        await peer.send(b"".join(map(framed, STREAM[1:])) + STREAM_END)

    async with gateway_before(script, folder=tmp_path) as gateway:
        connection = await gateway.begin(CHAT, chat(stream=True))
        await connection.head()
        assert await connection.part() == STREAM[0].replace(*RENAMED)
        go_on.set()
        assert (await connection.part()).endswith(STREAM[2].replace(*RENAMED))
        assert await connection.part() == DONE


def relayed(script_bytes: bytes, cuts: list[int]) -> bytes:
    """Return what a caller gets of a stream that comes cut at these positions."""
    result: list[bytes] = []

    @on_uvloop
    async def run(folder: Path) -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(STREAM_HEAD)
            for start, end in zip([0, *cuts], [*cuts, len(script_bytes)], strict=True):
                if end > start:
                    await peer.send(framed(script_bytes[start:end]))
                    await asyncio.sleep(0)
            await peer.send(STREAM_END)

        async with gateway_before(script, folder=folder) as gateway:
            reply = await gateway.post(CHAT, chat(stream=True))
            result.append(reply.body)
            exchange = await gateway.exchange()
            assert exchange.answer.choices[0].text == "Hi there"

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))
    return result[0]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_stream_that_is_cut_anywhere_is_relayed_equally(data: st.DataObject) -> None:
    whole = b": hello\n\n" + b"".join(STREAM)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    expected = (b": hello\n\n" + b"".join([*STREAM[:3], DONE])).replace(*RENAMED)
    assert relayed(whole, cuts) == expected


@on_uvloop
async def test_line_ends_comments_and_lines_of_data_are_relayed_as_they_are(
    tmp_path: Path,
) -> None:
    crlf = chat_event("Hi").replace(b"\n", b"\r\n")
    several = (
        b'event: chunk\ndata: {"choices":\ndata: [{"index":0,"delta":{"content":" there"}}]}\n\n'
    )
    rest = b": a comment\n\nevent: ping\nid: 7\n\n\n"
    done = b"data:[DONE]\r\n\r\n"
    async with gateway_before(streaming(crlf, several, rest, done), folder=tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        assert reply.body == (crlf + several + rest + done).replace(*RENAMED)
        exchange = await gateway.exchange()
    assert exchange.answer.choices[0].text == "Hi there"


@on_uvloop
async def test_what_follows_the_end_of_a_stream_is_dropped(tmp_path: Path) -> None:
    async with gateway_before(
        streaming(chat_event("Hi"), DONE + chat_event("unseen"), chat_event("unseen")),
        folder=tmp_path,
    ) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        assert reply.body == chat_event("Hi", MODEL) + DONE
        exchange = await gateway.exchange()
    assert exchange.closed.outcome == "completed"


@pytest.mark.parametrize("stream", [False, True])
@on_uvloop
async def test_no_byte_is_released_before_opened_nor_the_last_before_closed_is_recorded(
    tmp_path: Path, *, stream: bool
) -> None:
    script = streaming(*STREAM) if stream else answering(answer_of(chat_body()))
    async with gateway_before(script, folder=tmp_path) as gateway:
        gate = Gate(gateway)
        connection = await gateway.begin(CHAT, chat(stream=stream))
        await gate.holds("opened")
        await eventually(lambda: bool(gateway.upstream.requests))
        assert await connection.nothing_for(0.2)
        connection = await gateway.begin(CHAT, chat(stream=stream))
        await gate.holds("opened", "opened")
        gate.let_in()
        await gate.holds("closed", "closed")
        if stream:
            await connection.head()
            got = await connection.part()
            while len(got) < len(b"".join(STREAM[:3]).replace(*RENAMED)):
                got += await connection.part()
        assert await connection.nothing_for(0.2)
        assert gateway.metric("exchanges_served_total") == 0
        gate.let_in()
        await eventually(lambda: gateway.metric("exchanges_recorded_total") == 2)


@on_uvloop
async def test_what_a_tier_wants_synced_is_released_once_it_is_synced(tmp_path: Path) -> None:
    async with gateway_before(answering(answer_of(chat_body())), folder=tmp_path) as gateway:
        models: Any = gateway.pipeline.models
        tier = replace(TIERS[0], evidence="synced")
        models[MODEL] = ServedModel.of(MODEL, UPSTREAM_MODEL, tier, models[MODEL].upstream)
        reply = await gateway.post(CHAT, chat())
        assert reply.status == 200
        assert gateway.kinds() == ["opened", "closed"]  # readers see what is synced alone


@on_uvloop
async def test_what_was_served_is_what_was_recorded_after_all_kinds_of_requests(
    tmp_path: Path,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer_of(chat_body()))
        await peer.request()
        await peer.send(answer_of({"error": {"message": "too long"}}, 400))
        await peer.request()
        await peer.send(answer_of({"detail": "secret"}, 500))

    async with gateway_before(script, streaming(*STREAM), folder=tmp_path) as gateway:
        await gateway.post(CHAT, chat())
        assert (await gateway.post(CHAT, chat())).status == 400
        assert (await gateway.post(CHAT, chat())).status == 502
        await gateway.post(CHAT, chat(stream=True))
        await gateway.post(CHAT, chat(), key=None)
        await gateway.post(CHAT, {"model": "'; drop\n\"", "messages": []})
        await gateway.get("/v1/" + "q" * 500)
        await eventually(lambda: gateway.metric("in_flight_requests") == 0)
        events = await gateway.events(8)
        served = [closed.served_number for closed, _ in events if isinstance(closed, Closed)]
        assert served == [1, 2, 0, 3]
        for name in ("served", "recorded"):
            assert gateway.metric(f"exchanges_{name}_total", model=MODEL) == 3
        assert gateway.outcomes() == {
            "completed": 2, "refused_by_upstream": 1, "upstream_unavailable": 1,
            "invalid_api_key": 1, "model_not_found": 1, "not_found": 1,
        }  # fmt: skip
        assert gateway.metric("tokens_total", kind="prompt") == 10
        assert gateway.metric("tokens_total", kind="completion") == 6
        assert gateway.metric("time_to_first_token_seconds_count") == 1
        labels = {v for s in gateway.samples() for k, v in s.labels.items() if k != "le"}
        assert not [label for label in labels if "drop" in label or "qqq" in label]


@on_uvloop
async def test_no_text_of_prompts_or_answers_is_in_logs_errors_or_metrics(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        answer_of(chat_body(CANARY)),
        answer_of(compact(chat_body(CANARY))[:-5]),
        answer_of({"choices": CANARY}),
        answer_of({"detail": CANARY}, 500),
    ]
    bad = [
        chat(CANARY, n=CANARY),
        {"model": MODEL, "messages": CANARY},
        {"model": MODEL, "messages": [{"role": "user", "content": {"x": CANARY}}]},
        compact(chat(CANARY))[:-3],
    ]
    async with gateway_before(
        answering(*answers), folder=tmp_path, tier=1, prepare=screener_beats
    ) as gateway:
        replies = [await gateway.post(CHAT, body) for body in [*[chat(CANARY)] * 4, *bad]]
        told = b"".join(reply.body for reply in replies[1:])
        metrics = repr(gateway.samples())
    assert [reply.status for reply in replies] == [200, 502, 502, 502, 400, 400, 400, 400]
    assert CANARY.encode() not in told
    assert CANARY not in metrics
    assert CANARY not in caplog.text
    assert KEY not in caplog.text
