"""A gateway before several replicas of a model's server, some of which do not do their part."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from service.events.schema import Closed
from tests.real_parts.gateway import (
    CHAT,
    DONE,
    STREAM_END,
    STREAM_HEAD,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    framed,
    gateway_before,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, Script, ScriptedUpstream, answering, eventually

GOOD = answering(answer_of(chat_body()))
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def slow_stream(peer: Peer) -> None:
    await peer.request()
    await peer.send(STREAM_HEAD + framed(chat_event("Hi")))
    await peer.stall()


async def stalled(peer: Peer) -> None:
    await peer.request()
    await peer.stall()


class Replicas:
    """The gateway, and the servers that it chooses from."""

    def __init__(self, gateway: RunningGateway, servers: Sequence[ScriptedUpstream]) -> None:
        self.gateway = gateway
        self.servers = servers
        self.names = [f"127.0.0.1:{server.port}" for server in servers]

    async def served(self, count: int) -> Counter[str]:
        """Return which replicas are recorded to have served, once so many exchanges have ended."""
        events = [event for event, _ in await self.gateway.events(2 * count)]
        return Counter(str(it.replica) for it in events if isinstance(it, Closed))

    def up(self) -> list[float]:
        return [self.gateway.metric("upstream_up", replica=name) for name in self.names]

    def in_flight(self) -> list[float]:
        return [self.gateway.metric("upstream_in_flight", replica=name) for name in self.names]


@asynccontextmanager
async def replicas_of(
    *scripts: Script,
    folder: Path,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    **balancing: float,
) -> AsyncIterator[Replicas]:
    """Run a gateway before a replica for each script; `change` edits the upstream's settings."""
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(ScriptedUpstream(it)) for it in scripts[1:]]

        def with_replicas(written: dict[str, Any]) -> None:
            upstream = written["upstreams"][0]
            more = [f"http://127.0.0.1:{other.port}" for other in others]
            upstream["urls"] = [upstream.pop("url"), *more]
            upstream["balancing"] = balancing
            change(upstream)

        running = gateway_before(scripts[0], folder=folder, change=with_replicas)
        gateway = await stack.enter_async_context(running)
        yield Replicas(gateway, [gateway.upstream, *others])


@on_uvloop
async def test_each_exchange_is_recorded_with_the_replica_that_served_it(tmp_path: Path) -> None:
    async with replicas_of(GOOD, GOOD, folder=tmp_path, affinity_bytes=0) as site:
        for _ in range(6):
            assert (await site.gateway.post(CHAT, chat())).status == 200
        assert await site.served(6) == dict.fromkeys(site.names, 3)
        assert [len(server.requests) for server in site.servers] == [3, 3]
        assert site.up() == [1, 1]


@on_uvloop
async def test_conversations_stay_with_one_replica_each(tmp_path: Path) -> None:
    async with replicas_of(GOOD, GOOD, GOOD, folder=tmp_path, affinity_bytes=64) as site:
        for number in range(8):
            beginning = f"{number} is what this long conversation begins with. " * 2
            for turn in range(3):
                await site.gateway.post(CHAT, chat(beginning + "And then? " * turn))
        served = await site.served(24)
        assert all(count % 3 == 0 for count in served.values())
        assert len(served) > 1


@on_uvloop
async def test_when_a_replica_dies_only_answers_that_had_begun_are_lost(tmp_path: Path) -> None:
    async def mixed(peer: Peer) -> None:
        while True:
            request = await peer.request()
            if b"stream" in request:
                await peer.send(STREAM_HEAD + framed(chat_event("Hi")))
                await asyncio.Event().wait()
            await peer.send(answer_of(chat_body()))

    async with replicas_of(mixed, mixed, folder=tmp_path, affinity_bytes=0) as site:
        gateway = site.gateway
        streams = [await gateway.begin(CHAT, chat(stream=True)) for _ in range(2)]
        for stream in streams:
            await stream.head()
            await stream.part()
        for _ in range(4):  # so that connections to both are kept
            assert (await gateway.post(CHAT, chat())).status == 200
        await site.servers[1].__aexit__()
        statuses = [(await gateway.post(CHAT, chat())).status for _ in range(20)]
        assert statuses == [200] * 20
        assert site.up() == [1, 0]
        assert gateway.metric("upstream_ejections_total", replica=site.names[1]) == 1
        await eventually(lambda: gateway.outcomes().get("upstream_broke") == 1)
        assert gateway.outcomes() == {"completed": 24, "upstream_broke": 1}
        assert site.in_flight() == [1, 0]


@on_uvloop
async def test_requests_that_wait_on_kept_connections_survive_the_death_of_their_replica(
    tmp_path: Path,
) -> None:
    gates = {b"first": asyncio.Event(), b"second": asyncio.Event()}

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            await gates[b"first" if b"first" in request else b"second"].wait()
            await peer.send(answer_of(chat_body()))

    async with replicas_of(script, script, folder=tmp_path, affinity_bytes=0) as site:
        replies = []
        for number, name in enumerate((b"first", b"second")):
            callers = [await site.gateway.begin(CHAT, chat(name.decode())) for _ in range(8)]
            await eventually(
                lambda number=number: (
                    [len(it.requests) for it in site.servers]  # type: ignore[misc]
                    == [4 + 4 * number] * 2
                )
            )
            if name == b"second":
                await site.servers[1].__aexit__()
                await eventually(lambda: len(site.servers[0].requests) == 12)
            gates[name].set()
            replies += [await caller.reply() for caller in callers]
        assert [reply.status for reply in replies] == [200] * 16
        assert await site.served(16) == {site.names[0]: 12, site.names[1]: 4}


@on_uvloop
async def test_a_replica_that_returns_is_used_again(tmp_path: Path) -> None:
    async def asks_health(peer: Peer) -> None:
        while True:
            request = await peer.request()
            await peer.send(HEALTHY if request.startswith(b"GET") else answer_of(chat_body()))

    def checked(upstream: dict[str, Any]) -> None:
        upstream["health_interval_s"] = 0.02

    async with replicas_of(
        asks_health, asks_health, folder=tmp_path, change=checked,
        affinity_bytes=0, eject_first_s=3600, eject_longest_s=3600,
    ) as site:  # fmt: skip
        dead = site.servers[1]
        await dead.__aexit__()
        await eventually(lambda: site.up() == [1, 0])
        for _ in range(5):
            assert (await site.gateway.post(CHAT, chat())).status == 200
        assert site.gateway.metric("upstream_ejections_total", reason="health") == 1
        dead._server = await asyncio.start_server(dead._play, "127.0.0.1", dead.port)
        await eventually(lambda: site.up() == [1, 1])
        for _ in range(5):
            assert (await site.gateway.post(CHAT, chat())).status == 200
        served = await site.served(10)
        assert served[site.names[1]] >= 2


@on_uvloop
async def test_a_replica_that_stalls_gets_little_and_then_nothing(tmp_path: Path) -> None:
    def checked(upstream: dict[str, Any]) -> None:
        upstream |= {"health_interval_s": 0.05, "health_timeout_s": 0.05}

    async def asks_health(peer: Peer) -> None:
        while True:
            request = await peer.request()
            await peer.send(HEALTHY if request.startswith(b"GET") else answer_of(chat_body()))

    async with replicas_of(
        asks_health, stalled, folder=tmp_path, change=checked,
        affinity_bytes=0, eject_first_s=3600, eject_longest_s=3600,
    ) as site:  # fmt: skip
        await eventually(lambda: site.up() == [1, 0])
        for _ in range(10):
            assert (await site.gateway.post(CHAT, chat())).status == 200


@on_uvloop
async def test_requests_that_a_stalled_replica_holds_keep_others_away_from_it(
    tmp_path: Path,
) -> None:
    async with replicas_of(GOOD, stalled, folder=tmp_path, affinity_bytes=0) as site:
        gateway = site.gateway
        held = [await gateway.begin(CHAT, chat()) for _ in range(2)]
        await eventually(lambda: len(site.servers[1].requests) == 1)
        for _ in range(10):
            assert (await gateway.post(CHAT, chat())).status == 200
        assert len(site.servers[1].requests) == 1
        assert site.in_flight() == [0, 1]
        for connection in held:
            connection.close()
        await eventually(lambda: site.in_flight() == [0, 0])
        assert site.up() == [1, 1]


@on_uvloop
async def test_when_every_connection_is_taken_a_request_waits_and_is_told_in_the_end(
    tmp_path: Path,
) -> None:
    def narrow(upstream: dict[str, Any]) -> None:
        upstream |= {"max_connections": 1, "connect_timeout_s": 0.1}

    async with replicas_of(slow_stream, slow_stream, folder=tmp_path, change=narrow) as site:
        gateway = site.gateway
        streams = [await gateway.begin(CHAT, chat(str(n), stream=True)) for n in range(2)]
        for stream in streams:
            assert (await stream.head())[0] == 200
        reply = await gateway.post(CHAT, chat())
        assert (reply.status, reply.code) == (502, "upstream_unavailable")
        assert site.up() == [1, 1]
        assert site.in_flight() == [1, 1]


@on_uvloop
async def test_when_all_replicas_are_away_callers_are_told_and_the_gateway_stays_ready(
    tmp_path: Path,
) -> None:
    async with replicas_of(GOOD, GOOD, folder=tmp_path) as site:
        for server in site.servers:
            await server.__aexit__()
        for _ in range(8):
            reply = await site.gateway.post(CHAT, chat())
            assert (reply.status, reply.code) == (502, "upstream_unavailable")
        assert site.up() == [0, 0]
        assert site.gateway.parts.reasons() == []
        assert (await site.gateway.get("/v1/models")).status == 200


@on_uvloop
async def test_a_stream_from_a_replica_is_whole(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD + framed(chat_event("Hi")) + framed(DONE) + STREAM_END)

    async with replicas_of(script, script, folder=tmp_path) as site:
        reply = await site.gateway.post(CHAT, chat(stream=True))
        assert reply.body.endswith(DONE)
        assert site.in_flight() == [0, 0]
