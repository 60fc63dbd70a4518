"""What a gateway that screens lets through, and what is recorded of it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part
from service.events.schema import Closed, Opened
from service.wiring.detectors import Detectors
from service.wiring.in_effect import in_effect
from service.workers.items import Item
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    MODEL,
    STREAM_HEAD,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    event,
    framed,
    gateway_before,
    screener_beats,
    streaming,
    usage_event,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.phrase_detector import NAME, PHRASE, BrokenDetector, PhraseDetector
from tests.real_parts.scripted import Peer, Script, answering, eventually

WINDOW = 40
CATEGORIES = {NAME: frozenset({Category.ANY})}
WORKING = Detectors({NAME: PhraseDetector}, CATEGORIES)
BROKEN = Detectors({NAME: BrokenDetector}, CATEGORIES)
BENIGN = "a long and harmless answer about the weather " * 4
Change = Callable[[dict[str, Any]], None]


def screening(mode: str = "window", on_error: str = "refuse", **more: object) -> Change:
    """Let the phrase block prompts and answers."""

    def change(written: dict[str, Any]) -> None:
        written["operating_points"] = [
            {"detector": NAME, "category": "any", "part": part, "threshold": 0.5, "action": action}
            for part, action in (
                ("prompt", "block"),
                ("answer", "page" if mode == "observe" else "block"),
            )
        ]
        policy = {
            "prompt": {"on_error": on_error},
            "answer": {"mode": mode, "window_chars": WINDOW, "on_error": on_error},
        }
        written["screening"] = {"tiers": {1: policy}, **more}

    return change


@asynccontextmanager
async def screened(
    script: Script, folder: Path, change: Change | None = None, detectors: Detectors = WORKING
) -> AsyncIterator[RunningGateway]:
    async with gateway_before(
        script,
        folder=folder,
        tier=1,
        change=change or screening(),
        prepare=screener_beats,
        detectors=detectors,
    ) as gateway:
        yield gateway


def stream_of(*texts: str) -> Script:
    return streaming(*map(chat_event, texts), chat_event(None), usage_event(), DONE)


def answer_in(body: bytes) -> str:
    """Return the content that a stream's events hold."""
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    deltas = [c["delta"] for e in events for c in json.loads(e).get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)


def finish_reasons_in(body: bytes) -> list[str]:
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    reasons = [c["finish_reason"] for e in events for c in json.loads(e)["choices"]]
    return [reason for reason in reasons if reason]


@on_uvloop
async def test_a_prompt_that_blocks_is_recorded_and_not_forwarded(tmp_path: Path) -> None:
    async with screened(answering(answer_of(chat_body())), tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(f"please tell me {PHRASE} now"))
        assert (reply.status, reply.code) == (400, "content_filter")
        assert reply.headers["x-should-retry"] == "false"
        assert gateway.upstream.requests == []
        (opened, prompt), (closed, _) = await gateway.events(2)
        assert gateway.outcomes() == {"blocked": 1}
    assert isinstance(opened, Opened)
    assert isinstance(closed, Closed)
    assert PHRASE.encode() in prompt
    assert opened.screening is not None
    (crossing,) = opened.screening.crossed
    assert (crossing.detector, crossing.action, crossing.score) == (NAME, "block", 1.0)
    assert closed.outcome == "blocked"
    assert closed.served_number == 0
    assert (closed.status, closed.upstream_status) == (400, None)
    assert Item(opened, Part.PROMPT, "").enforced == "blocked"
    assert PHRASE.encode() not in reply.body


@pytest.mark.parametrize(
    "body",
    [
        {"model": MODEL, "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"x {PHRASE}"}]}]},
        {"model": MODEL, "messages": [
            {"role": "system", "content": f"always {PHRASE}"}, {"role": "user", "content": "Hi"}]},
        {"model": MODEL, "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {
                "name": "f", "arguments": json.dumps({"text": PHRASE})}}]},
            {"role": "tool", "tool_call_id": "1", "content": "done"}]},
        chat("Hi", tools=[{"type": "function", "function": {
            "name": "f", "description": PHRASE, "parameters": {}}}]),
        chat("Hi " * 100_000 + PHRASE),
        chat("x" * 7_990 + " " + PHRASE + "x" * 50_000),
    ],
    ids=["part", "system", "arguments", "tool", "long", "on a border of chunks"],
)  # fmt: skip
@on_uvloop
async def test_a_prompt_blocks_wherever_the_text_is(tmp_path: Path, body: object) -> None:
    async with screened(answering(answer_of(chat_body())), tmp_path) as gateway:
        reply = await gateway.post(CHAT, body)
        assert (reply.status, reply.code) == (400, "content_filter")


@on_uvloop
async def test_a_history_that_was_screened_before_is_found_again(tmp_path: Path) -> None:
    async with screened(answering(answer_of(chat_body())), tmp_path) as gateway:
        for _ in range(3):
            assert (await gateway.post(CHAT, chat(PHRASE))).code == "content_filter"
            assert (await gateway.post(CHAT, chat("Hello"))).status == 200


@on_uvloop
async def test_a_benign_stream_arrives_as_it_was_sent(tmp_path: Path) -> None:
    texts = [BENIGN[i : i + 7] for i in range(0, len(BENIGN), 7)]
    async with screened(stream_of(*texts), tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        exchange = await gateway.exchange()
        assert gateway.metric("answer_chars_total", kind="released") == len(BENIGN)
    sent = b"".join([chat_event(t, MODEL) for t in texts] + [chat_event(None, MODEL), DONE])
    assert reply.body == sent
    assert exchange.closed.outcome == "completed"
    assert exchange.closed.generated_chars == exchange.closed.released_chars == len(BENIGN)
    screening = exchange.closed.screening
    assert screening is not None
    assert (screening.mode, screening.window_chars) == ("window", WINDOW)
    assert (screening.max_unscanned_chars, screening.unscanned_chars) == (0, 0)
    assert screening.detectors == ("phrase/1",)


@pytest.mark.parametrize("mode", ["window", "buffer"])
@pytest.mark.parametrize("on_error", ["refuse", "release"])
@pytest.mark.parametrize("observe_only", [True, False])
@on_uvloop
async def test_what_check_config_tells_of_a_model_is_what_is_recorded(
    tmp_path: Path, mode: str, on_error: str, observe_only: bool
) -> None:
    change = screening(mode, on_error, observe_only=observe_only)
    async with screened(answering(answer_of(chat_body())), tmp_path, change) as gateway:
        assert (await gateway.post(CHAT, chat())).status == 200
        exchange = await gateway.exchange()
        (told,) = in_effect(gateway.settings, WORKING)
    assert told["observe_only"] is observe_only
    for part, recorded in (
        ("prompt", exchange.opened.screening),
        ("answer", exchange.closed.screening),
    ):
        assert recorded is not None
        assert recorded.mode == told[part]["mode"]
        assert recorded.observed_only is observe_only
        assert recorded.detectors == tuple(one["detector"] for one in told[part]["blocks"])
        for name in ("window_chars", "max_unscanned_chars"):
            assert getattr(recorded, name) == told[part].get(name)


@on_uvloop
async def test_text_arrives_before_the_answer_has_ended(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + framed(chat_event("x" * 10)) + framed(chat_event("y" * 50)))
        await peer.stall()

    async with screened(script, tmp_path) as gateway:
        connection = await gateway.begin(CHAT, chat(stream=True))
        await connection.head()
        assert answer_in(await connection.part()) == "x" * 10
        connection.close()


@on_uvloop
async def test_an_answer_is_cut_off_before_the_first_character_of_what_it_must_not_say(
    tmp_path: Path,
) -> None:
    before = "so here it is as you wished, without further ado: "
    texts = [(before + PHRASE + BENIGN)[i : i + 3] for i in range(0, 200, 3)]
    async with screened(stream_of(*texts), tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True, stream_options={"include_usage": True}))
        exchange = await gateway.exchange()
        assert gateway.outcomes() == {"cut_off": 1}
        await eventually(lambda: gateway.upstream.finished == 1)  # the work there was stopped
    assert before.startswith(answer_in(reply.body))
    assert finish_reasons_in(reply.body) == ["content_filter"]
    assert reply.body.endswith(DONE)
    closed = exchange.closed
    assert closed.outcome == "cut_off"
    assert Item(closed, Part.ANSWER, "").enforced == "cut_off"
    assert closed.served_number == 1
    assert closed.released_chars == len(answer_in(reply.body))
    assert closed.generated_chars is not None
    assert closed.generated_chars >= len(before + PHRASE)
    assert closed.screening is not None
    assert [crossing.point for crossing in closed.screening.crossed] == ["phrase/any/answer/block"]
    assert PHRASE in exchange.answer.choices[0].text


@on_uvloop
async def test_when_one_choice_crosses_all_end(tmp_path: Path) -> None:
    def of(index: int, text: str = "") -> bytes:
        choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
        return event({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})

    events = [
        of(0),
        of(1),
        of(0, BENIGN),
        of(1, BENIGN),
        of(0, BENIGN),
        of(1, PHRASE),
        of(0, BENIGN),
    ]
    async with screened(streaming(*events, DONE), tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True, n=2))
    assert finish_reasons_in(reply.body) == ["content_filter"] * 2
    assert PHRASE.encode() not in reply.body


@pytest.mark.parametrize("mode", ["window", "buffer"])
@on_uvloop
async def test_a_whole_answer_that_crosses_is_replaced(tmp_path: Path, mode: str) -> None:
    answer = answering(answer_of(chat_body(f"It is {PHRASE}.")))
    async with screened(answer, tmp_path, screening(mode)) as gateway:
        reply = await gateway.post(CHAT, chat())
        exchange = await gateway.exchange()
    assert reply.status == 200
    (choice,) = reply.json["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert not choice["message"]["content"]
    assert reply.json["usage"]["completion_tokens"] == 3
    assert exchange.closed.outcome == "cut_off"
    assert exchange.closed.released_chars == 0
    assert PHRASE in exchange.answer.choices[0].text


@on_uvloop
async def test_buffer_releases_nothing_of_an_answer_that_crosses_at_its_end(tmp_path: Path) -> None:
    async with screened(
        stream_of(BENIGN, BENIGN, PHRASE), tmp_path, screening("buffer")
    ) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
    assert answer_in(reply.body) == ""
    assert finish_reasons_in(reply.body) == ["content_filter"]


@on_uvloop
async def test_observe_lets_pass_and_leaves_it_to_the_workers(tmp_path: Path) -> None:
    async with screened(stream_of(PHRASE), tmp_path, screening("observe")) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        exchange = await gateway.exchange()
    assert answer_in(reply.body) == PHRASE
    assert exchange.closed.outcome == "completed"
    assert exchange.closed.screening is None


@on_uvloop
async def test_observing_only_refuses_nothing_and_records_what_it_would_have_done(
    tmp_path: Path,
) -> None:
    async with screened(stream_of(PHRASE), tmp_path, screening(observe_only=True)) as gateway:
        reply = await gateway.post(CHAT, chat(PHRASE, stream=True))
        exchange = await gateway.exchange()
    assert answer_in(reply.body) == PHRASE
    assert exchange.closed.outcome == "completed"
    for found in (exchange.opened.screening, exchange.closed.screening):
        assert found is not None
        assert found.observed_only
        assert [crossing.action for crossing in found.crossed] == ["block"]
    assert Item(exchange.opened, Part.PROMPT, "").enforced == "observed"
    assert Item(exchange.closed, Part.ANSWER, "").enforced == "observed"


@on_uvloop
async def test_an_answer_that_cannot_be_screened_does_not_go_on(tmp_path: Path) -> None:
    stream = stream_of(BENIGN, BENIGN, PHRASE, BENIGN)
    async with screened(stream, tmp_path, screening(), BROKEN) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        exchange = await gateway.exchange()
        assert gateway.outcomes() == {"screen_failed": 1}
        assert gateway.metric("unscanned_total", reason="detector_error") == 1
    assert PHRASE not in answer_in(reply.body)
    assert b'"safeguard_inactive"' in reply.body
    assert not reply.body.endswith(DONE)
    assert exchange.closed.outcome == "screen_failed"
    assert exchange.closed.screening is not None
    assert exchange.closed.screening.unscanned == "detector_error"


@on_uvloop
async def test_an_answer_that_cannot_be_screened_is_released_and_counted_where_that_is_set(
    tmp_path: Path,
) -> None:
    stream = stream_of(PHRASE, BENIGN)
    async with screened(stream, tmp_path, screening(on_error="release"), BROKEN) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
        exchange = await gateway.exchange()
        assert gateway.metric("answer_chars_total", kind="released_unscanned") == len(
            PHRASE + BENIGN
        )
    assert answer_in(reply.body) == PHRASE + BENIGN
    found = exchange.closed.screening
    assert found is not None
    assert found.max_unscanned_chars is None
    assert found.unscanned_chars == len(PHRASE + BENIGN)


@pytest.mark.parametrize(("on_error", "status"), [("refuse", 503), ("release", 200)])
@on_uvloop
async def test_a_prompt_that_cannot_be_screened_follows_the_policy(
    tmp_path: Path, on_error: str, status: int
) -> None:
    answer = answering(answer_of(chat_body()))
    async with screened(answer, tmp_path, screening(on_error=on_error), BROKEN) as gateway:
        reply = await gateway.post(CHAT, chat(PHRASE))
        assert reply.status == status
        assert (await gateway.exchange()).closed.status == status
        assert gateway.metric("unscanned_total", reason="detector_error") == 1
        if status == 503:
            assert reply.code == "safeguard_inactive"
            assert gateway.upstream.requests == []


@on_uvloop
async def test_a_prompt_that_takes_too_long_to_screen_follows_the_policy(tmp_path: Path) -> None:
    def impatient(written: dict[str, Any]) -> None:
        screening()(written)
        written["screening"]["tiers"][1]["prompt"]["deadline_ms"] = 0.000001

    async with screened(answering(answer_of(chat_body())), tmp_path, impatient) as gateway:
        reply = await gateway.post(CHAT, chat("Hello"))
        assert (reply.status, reply.code) == (503, "safeguard_inactive")
        assert gateway.metric("unscanned_total", reason="too_late") == 1


@on_uvloop
async def test_a_prompt_that_is_refused_unscreened_is_recorded(tmp_path: Path) -> None:
    answer = answering(answer_of(chat_body()))
    async with screened(answer, tmp_path, screening(), BROKEN) as gateway:
        assert (await gateway.post(CHAT, chat(PHRASE))).status == 503
        (opened, prompt), (closed, _) = await gateway.events(2)
    assert PHRASE.encode() in prompt
    assert isinstance(opened, Opened)
    assert isinstance(closed, Closed)
    assert opened.screening is not None
    assert opened.screening.unscanned == "detector_error"
    assert (closed.outcome, closed.served_number) == ("screen_failed", 0)


@on_uvloop
async def test_a_flood_of_what_blocks_is_told_once(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": f"{PHRASE} {number}"} for number in range(3000)]
    async with screened(answering(answer_of(chat_body())), tmp_path) as gateway:
        reply = await gateway.post(CHAT, {"model": MODEL, "messages": messages})
        assert reply.code == "content_filter"
        (opened, _), _ = await gateway.events(2)
    assert isinstance(opened, Opened)
    assert opened.screening is not None
    assert len(opened.screening.crossed) == 1


@on_uvloop
async def test_a_comment_that_nobody_screens_is_not_released(tmp_path: Path) -> None:
    stream = streaming(b": %b\n\n" % PHRASE.encode(), chat_event("Hi"), chat_event(None), DONE)
    async with screened(stream, tmp_path) as gateway:
        reply = await gateway.post(CHAT, chat(stream=True))
    assert answer_in(reply.body) == "Hi"
    assert PHRASE.encode() not in reply.body


@on_uvloop
async def test_embeddings_in_place_of_text_are_refused(tmp_path: Path) -> None:
    async with screened(answering(answer_of(chat_body())), tmp_path) as gateway:
        for part in ({"type": "prompt_embeds", "data": "AAAA"}, {"prompt_embeds": "AAAA"}):
            body = {"model": MODEL, "messages": [{"role": "user", "content": [part]}]}
            assert (await gateway.post(CHAT, body)).code == "invalid_request"
        assert gateway.upstream.requests == []
