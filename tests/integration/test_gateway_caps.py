"""How many connections, and how many requests of one key, a gateway takes at once."""

import json
import time
from pathlib import Path
from typing import Any

from service.core.callers import digest_key, make_key
from service.settings import Settings
from service.store import load_pepper
from service.store.keys import StoredKey, add_key
from tests.real_parts.gateway import (
    CHAT,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    gateway_before,
    opened,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, answering, eventually

GOOD = answering(answer_of(chat_body()))
OTHER_KEY = make_key(b"o" * 32)


async def waits(peer: Peer) -> None:
    await peer.request()
    await peer.stall()


def add_other_key(given: Settings) -> None:
    with opened(given) as store, store.begin() as connection:
        key = StoredKey("key_other", "other", OTHER_KEY[:12], time.time(), "tests")
        add_key(connection, key, digest_key(load_pepper(given.data_dir, None), OTHER_KEY))


def two_connections(written: dict[str, Any]) -> None:
    written["gateway"]["max_connections"] = 2


def two_each(written: dict[str, Any]) -> None:
    written["gateway"]["max_connections_per_key"] = 2


def limited(gateway: RunningGateway, kind: str) -> float:
    return gateway.metric("rate_limited_total", kind=kind)


@on_uvloop
async def test_a_connection_over_the_limit_is_told_so_and_closed(tmp_path: Path) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=two_connections) as gateway:
        first, second = await gateway.connect(), await gateway.connect()
        connections = gateway.server.server_state.connections
        await eventually(lambda: len(connections) == 2)
        third = await gateway.connect()
        reply = await third.reply()
        assert (reply.status, reply.code) == (503, "too_many_connections")
        assert reply.headers["retry-after"] == "1"
        assert reply.headers["connection"] == "close"
        assert await third.is_closed()
        assert limited(gateway, "connections") == 1
        for connection in (first, second):
            connection.close()
        await eventually(lambda: not connections)
        assert (await gateway.post(CHAT, chat())).status == 200
        assert limited(gateway, "connections") == 1


@on_uvloop
async def test_connections_that_are_open_go_on_while_others_are_turned_away(
    tmp_path: Path,
) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=two_connections) as gateway:
        kept = await gateway.begin(CHAT, chat())
        assert (await kept.reply()).status == 200
        await gateway.connect()
        await eventually(lambda: len(gateway.server.server_state.connections) == 2)
        for _ in range(3):
            assert (await (await gateway.connect()).reply()).status == 503
        await kept.send(b"GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n")
        assert (await kept.reply()).status == 401


@on_uvloop
async def test_a_key_with_too_many_requests_in_flight_is_told_to_try_again(
    tmp_path: Path,
) -> None:
    async with gateway_before(
        waits, folder=tmp_path, change=two_each, prepare=add_other_key
    ) as gateway:
        held = [await gateway.begin(CHAT, chat()) for _ in range(2)]
        await eventually(lambda: len(gateway.upstream.requests) == 2)
        reply = await gateway.post(CHAT, chat())
        assert (reply.status, reply.code) == (429, "rate_limit_exceeded")
        assert reply.json["error"]["type"] == "rate_limit_error"
        assert reply.headers["retry-after"] == "1"
        assert "x-watchgate-receipt" in reply.headers
        assert limited(gateway, "requests_per_key") == 1
        other = await gateway.begin(CHAT, chat(), key=OTHER_KEY)
        await eventually(lambda: len(gateway.upstream.requests) == 3)
        for connection in (*held, other):
            connection.close()
        await eventually(lambda: gateway.pipeline.meters.in_flight == 0)
        assert (await gateway.get("/v1/models")).status == 200
        assert gateway.pipeline.keys._counts == {}


@on_uvloop
async def test_however_a_request_ends_its_place_is_free_again(tmp_path: Path) -> None:
    async with gateway_before(GOOD, folder=tmp_path, change=two_each) as gateway:
        bodies: list[object] = [chat(), {"model": "none"}, b"{", chat(stream=1)]
        for body in bodies * 3:
            await gateway.post(CHAT, body)
            await gateway.get("/nowhere")
            await gateway.post(CHAT, body, key="sk-wg-wrong")
        assert gateway.pipeline.keys._counts == {}
        assert limited(gateway, "requests_per_key") == 0
        assert json.loads((await gateway.post(CHAT, chat())).body)["choices"]
