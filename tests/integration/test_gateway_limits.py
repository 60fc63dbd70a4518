"""Limits and budgets at a running gateway; the counting itself is tested with core/limits."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.core.directory import Limits, Scope
from service.settings import Settings
from tests.real_parts.directory import PROJECT, set_limits
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    KEY_ID,
    MODEL,
    STREAM_END,
    STREAM_HEAD,
    Reply,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    framed,
    gateway_before,
    usage_event,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, Script, answering, eventually

ANSWERS = answering(answer_of(chat_body()))  # usage: 5 tokens of prompt, 3 of answer
USED = 8


def limited(limits: Limits, **whose: Any) -> Callable[[Settings], None]:  # noqa: ANN401
    return lambda settings: set_limits(settings, limits, **whose)


def left(reply: Reply, unit: str) -> tuple[int, int]:
    """Return a limit and what remains of it."""
    limit, remaining = (
        reply.headers[f"x-ratelimit-{name}-{unit}"] for name in ("limit", "remaining")
    )
    return int(limit), int(remaining)


def known_context(written: dict[str, Any]) -> None:
    written["models"][0]["context_tokens"] = 1000


@on_uvloop
async def test_requests_over_the_limit_are_refused_before_the_upstream_is_called(
    tmp_path: Path,
) -> None:
    prepare = limited(Limits(requests_per_min=2))
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        first, second, third = [await gateway.post(CHAT, chat()) for _ in range(3)]
        assert [it.status for it in (first, second, third)] == [200, 200, 429]
        assert [left(it, "requests") for it in (first, second, third)] == [(2, 1), (2, 0), (2, 0)]
        assert third.code == "rate_limit_exceeded"
        assert "2 requests a minute of project 'project'" in third.json["error"]["message"]
        assert 58 <= int(third.headers["retry-after"]) <= 61
        assert len(gateway.upstream.requests) == 2
        assert gateway.metric("rate_limited_total", kind="requests") == 1
        assert gateway.outcomes() == {"completed": 2, "rate_limit_exceeded": 1}


WHOSE = [
    ({}, "project 'project'"),
    ({"model": MODEL}, f"project 'project' for model '{MODEL}'"),
    ({"scope": Scope.ORGANISATION, "subject": "default"}, "organisation 'default'"),
    ({"scope": Scope.KEY, "subject": KEY_ID}, "this key"),
    ({"scope": Scope.END_USER}, "this end user"),
    ({"scope": Scope.MODEL, "subject": MODEL}, f"model '{MODEL}'"),
]


@pytest.mark.parametrize(("whose", "words"), WHOSE)
@on_uvloop
async def test_the_limit_that_is_reached_is_named(
    tmp_path: Path, whose: dict[str, Any], words: str
) -> None:
    prepare = limited(Limits(requests_per_min=1), **whose)
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        assert (await gateway.post(CHAT, chat(user="alice"))).status == 200
        refused = await gateway.post(CHAT, chat(user="alice"))
        assert f"1 requests a minute of {words} is" in refused.json["error"]["message"]
        other = await gateway.post(CHAT, chat(user="bob"))
        assert (other.status == 200) == (whose.get("scope") is Scope.END_USER)


@on_uvloop
async def test_a_limit_on_another_model_or_project_does_not_count(tmp_path: Path) -> None:
    def prepare(settings: Settings) -> None:
        set_limits(settings, Limits(requests_per_min=0), model="another")
        set_limits(settings, Limits(requests_per_min=0), subject="another")
        set_limits(settings, Limits(requests_per_min=0), scope=Scope.KEY, subject=PROJECT)

    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        reply = await gateway.post(CHAT, chat())
        assert reply.status == 200
        assert not [name for name in reply.headers if name.startswith("x-ratelimit")]


@on_uvloop
async def test_tokens_are_reserved_and_what_was_not_used_is_given_back(tmp_path: Path) -> None:
    prepare = limited(Limits(tokens_per_min=1000, tokens_per_day=5000))
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        body = chat(max_tokens=500)
        reserved = len(json.dumps(body, separators=(",", ":"))) + 500
        first = await gateway.post(CHAT, body)
        assert left(first, "tokens") == (1000, 1000 - reserved)
        second = await gateway.post(CHAT, body)
        assert left(second, "tokens") == (1000, 1000 - USED - reserved)
        set_limits(gateway.settings, Limits(tokens_per_day=5000))
        await eventually_limited(gateway, body, (5000, 5000 - 2 * USED - reserved))


async def eventually_limited(
    gateway: RunningGateway, body: dict[str, object], expected: tuple[int, int]
) -> None:
    """See the day's budget once the minute's limit is gone; each try takes of it too."""
    async with asyncio.timeout(5):
        taken = 0
        while True:
            reply = await gateway.post(CHAT, body)
            limit, remaining = left(reply, "tokens")
            if limit == expected[0]:
                break
            taken += USED if reply.status == 200 else 0
        assert remaining == expected[1] - taken


@on_uvloop
async def test_a_request_that_may_take_more_than_the_limit_is_told_what_to_do(
    tmp_path: Path,
) -> None:
    prepare = limited(Limits(tokens_per_min=400))
    async with gateway_before(
        ANSWERS, folder=tmp_path, prepare=prepare, change=known_context
    ) as gateway:
        reply = await gateway.post(CHAT, chat())
        assert (reply.status, reply.code) == (429, "rate_limit_exceeded")
        assert reply.headers["x-should-retry"] == "false"
        assert "retry-after" not in reply.headers
        assert "max_tokens" in reply.json["error"]["message"]
        assert (await gateway.post(CHAT, chat(max_tokens=100))).status == 200


@on_uvloop
async def test_where_nothing_bounds_an_answer_the_request_has_to(tmp_path: Path) -> None:
    prepare = limited(Limits(tokens_per_min=400))
    async with gateway_before(ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        reply = await gateway.post(CHAT, chat())
        error = reply.json["error"]
        assert (reply.status, reply.code, error["param"]) == (400, "invalid_request", "max_tokens")


@pytest.mark.parametrize("limits", [Limits(tokens_per_day=200), Limits(tokens_per_month=200)])
@on_uvloop
async def test_a_budget_that_is_used_up_is_not_to_be_tried_again(
    tmp_path: Path, limits: Limits
) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    answers = answering(answer_of(chat_body(usage=usage)))
    async with gateway_before(answers, folder=tmp_path, prepare=limited(limits)) as gateway:
        assert (await gateway.post(CHAT, chat(max_tokens=50))).status == 200
        reply = await gateway.post(CHAT, chat(max_tokens=50))
        assert (reply.status, reply.code) == (429, "budget_exceeded")
        assert reply.headers["x-should-retry"] == "false"
        assert int(reply.headers["retry-after"]) <= 31 * 86400


def waiting(go_on: asyncio.Event, *, usage: bool = True) -> Script:
    """Stream an event, and go on once the test says so."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + framed(chat_event("one ")))
        await go_on.wait()
        await peer.send(framed(chat_event(None)) + (framed(usage_event()) if usage else b""))
        await peer.send(framed(DONE) + STREAM_END)

    return script


@on_uvloop
async def test_requests_at_once_are_limited_until_one_of_them_has_ended(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    prepare = limited(Limits(concurrent_requests=1))
    async with gateway_before(waiting(go_on), ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        caller = await gateway.begin(CHAT, chat(stream=True))
        await caller.head()
        refused = await gateway.post(CHAT, chat())
        assert (refused.status, refused.code) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) >= 1
        go_on.set()
        await eventually(lambda: gateway.outcomes().get("completed") == 1)
        assert (await gateway.post(CHAT, chat())).status == 200


@on_uvloop
async def test_whatever_becomes_of_a_request_its_place_is_given_back(tmp_path: Path) -> None:
    breaking = answering(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    prepare = limited(Limits(concurrent_requests=1, tokens_per_min=10_000))
    async with gateway_before(
        breaking, waiting(asyncio.Event()), ANSWERS, folder=tmp_path, prepare=prepare
    ) as gateway:
        failed = await gateway.post(CHAT, chat(max_tokens=10))
        assert failed.status == 502
        assert "x-ratelimit-limit-tokens" in failed.headers
        leaving = await gateway.begin(CHAT, chat(stream=True, max_tokens=10))
        await leaving.head()
        leaving.close()
        await eventually(lambda: gateway.outcomes().get("client_gone") == 1)
        assert (await gateway.post(CHAT, chat(max_tokens=10))).status == 200


@on_uvloop
async def test_a_caller_who_leaves_before_the_answer_has_taken_all_that_was_reserved(
    tmp_path: Path,
) -> None:
    asked = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await asyncio.Event().wait()

    prepare = limited(Limits(tokens_per_min=100_000))
    async with gateway_before(silent, ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        leaving = await gateway.begin(CHAT, chat(max_tokens=50_000))
        await asked.wait()
        leaving.close()
        await eventually(lambda: gateway.outcomes().get("client_gone") == 1)
        _, remaining = left(await gateway.post(CHAT, chat(max_tokens=10)), "tokens")
        assert remaining < 50_000


@on_uvloop
async def test_an_answer_without_usage_counts_what_came_of_it(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    go_on.set()
    prepare = limited(Limits(tokens_per_min=100_000))
    async with gateway_before(
        waiting(go_on, usage=False), ANSWERS, folder=tmp_path, prepare=prepare
    ) as gateway:
        body = chat(stream=True, max_tokens=50_000)
        caller = await gateway.begin(CHAT, body)
        await caller.reply()
        await eventually(lambda: gateway.outcomes().get("completed") == 1)
        sent = len(json.dumps(body, separators=(",", ":")))
        again = chat(max_tokens=1)
        bound = len(json.dumps(again, separators=(",", ":"))) + 1
        _, remaining = left(await gateway.post(CHAT, again), "tokens")
        taken = 100_000 - remaining - bound
        assert sent < taken < sent + 500


@on_uvloop
async def test_who_hangs_up_before_the_answer_comes_has_used_what_was_reserved(
    tmp_path: Path,
) -> None:
    prepare = limited(Limits(tokens_per_day=100_000))
    async with gateway_before(silent, ANSWERS, folder=tmp_path, prepare=prepare) as gateway:
        caller = await gateway.begin(CHAT, chat(max_tokens=50_000))
        await eventually(lambda: len(gateway.upstream.requests) == 1)
        caller.close()
        await eventually(lambda: gateway.outcomes().get("client_gone") == 1)
        again = await gateway.post(CHAT, chat(max_tokens=1))
        assert left(again, "tokens")[1] < 50_000


@on_uvloop
async def test_embeddings_reserve_their_texts_however_many_these_are(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    answers = answering(answer_of({"object": "list", "data": [vector], "usage": usage}))
    prepare = limited(Limits(tokens_per_min=4000))
    async with gateway_before(
        answers, folder=tmp_path, prepare=prepare, change=known_context
    ) as gateway:
        reply = await gateway.post("/v1/embeddings", {"model": MODEL, "input": ["a" * 700] * 3})
        assert 4000 - 3 * 1000 < left(reply, "tokens")[1] < 4000 - 3 * 700
        reply = await gateway.post("/v1/embeddings", {"model": MODEL, "input": ["a" * 700] * 6})
        assert (reply.status, reply.headers["x-should-retry"]) == (429, "false")


async def silent(peer: Peer) -> None:
    """Take a request, and be at work on its answer until the caller is gone."""
    await peer.request()
    await peer.stall()


@on_uvloop
async def test_counting_tokens_of_a_prompt_takes_none(tmp_path: Path) -> None:
    answers = answering(answer_of({"input_tokens": 500}))
    prepare = limited(Limits(tokens_per_min=100, requests_per_min=5))
    async with gateway_before(answers, folder=tmp_path, prepare=prepare) as gateway:
        reply = await gateway.post("/v1/messages/count_tokens", chat())
        assert left(reply, "tokens") == (100, 100)
        assert left(await gateway.post("/v1/messages/count_tokens", chat()), "requests") == (5, 3)
