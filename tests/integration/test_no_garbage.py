"""What a connection leaves behind: nothing that waits for the garbage collector.

The gateway lets it run seldom: what names itself in a circle stays until then.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.real_parts.gateway import (
    CHAT,
    DONE,
    STREAM_HEAD,
    RunningGateway,
    answer_of,
    chat,
    chat_body,
    chat_event,
    framed,
    gateway_before,
    rendered,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.probed_vllm import ProbedVllm, probed_gateway
from tests.real_parts.scripted import Peer, eventually

TIMES: Final = 20

Caller = Callable[[RunningGateway], Awaitable[None]]


async def upstream(peer: Peer) -> None:
    """Do as the prompt says."""
    while True:
        request = await peer.request()
        if b"never" in request:
            await peer.stall()
        elif b"whole" in request:
            await peer.send(answer_of(chat_body()))
        else:
            await peer.send(STREAM_HEAD + framed(chat_event("x")))
            if b"broken" in request:
                peer.reset()
                return
            if b"endless" in request:
                await peer.stall()
            await peer.send(framed(chat_event("y")) + framed(DONE) + framed(b""))


async def asks_for_the_whole(gateway: RunningGateway) -> None:
    assert (await gateway.post(CHAT, chat("whole"))).status == 200


async def streams_twice(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat("stream", stream=True))
    assert (await connection.reply()).status == 200
    await connection.send(rendered(CHAT, chat("stream", stream=True)))
    assert (await connection.reply()).status == 200
    connection.close()


async def hangs_up_amid_an_answer(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat("endless", stream=True))
    await connection.head()
    await connection.part()
    connection.close()


async def hangs_up_before_an_answer(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat("never"))
    await asyncio.sleep(0.05)
    connection.close()


async def hangs_up_at_once(gateway: RunningGateway) -> None:
    (await gateway.begin(CHAT, chat("never"))).close()


async def hangs_up_amid_a_body(gateway: RunningGateway) -> None:
    connection = await gateway.connect()
    await connection.send(rendered(CHAT, chat("never"))[:-1])
    await asyncio.sleep(0.01)
    connection.close()


async def has_a_wrong_key(gateway: RunningGateway) -> None:
    assert (await gateway.post(CHAT, chat(), key="sk-wg-wrong")).status == 401


async def sends_nonsense(gateway: RunningGateway) -> None:
    connection = await gateway.connect()
    await connection.send(b"GET / NONSENSE\r\n\r\n")
    assert (await connection.reply()).status == 400
    connection.close()


async def is_broken_off_by_the_upstream(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat("broken", stream=True))
    assert b"upstream" in (await connection.reply()).body
    connection.close()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let the garbage collector run only when it is called, and keep what it finds."""
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    "caller",
    [
        asks_for_the_whole,
        streams_twice,
        hangs_up_amid_an_answer,
        hangs_up_before_an_answer,
        hangs_up_at_once,
        hangs_up_amid_a_body,
        has_a_wrong_key,
        sends_nonsense,
        is_broken_off_by_the_upstream,
    ],
)
@on_uvloop
async def test_a_connection_leaves_nothing_behind(caller: Caller, tmp_path: Path) -> None:
    async with gateway_before(upstream, folder=tmp_path) as gateway:
        await leaves_nothing_behind(gateway, caller)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("stream", [True, False])
@on_uvloop
async def test_an_answer_that_probes_cut_off_leaves_nothing_behind(
    tmp_path: Path, stream: bool
) -> None:
    async def is_cut_off(gateway: RunningGateway) -> None:
        assert b"content_filter" in (await gateway.post(CHAT, chat(stream=stream))).body

    async with probed_gateway(ProbedVllm(), tmp_path) as gateway:
        await leaves_nothing_behind(gateway, is_cut_off)


async def leaves_nothing_behind(gateway: RunningGateway, caller: Caller) -> None:
    await caller(gateway)
    await all_have_gone(gateway)
    gc.collect()

    gc.set_debug(gc.DEBUG_SAVEALL)
    await asyncio.gather(*(caller(gateway) for _ in range(TIMES)))
    await all_have_gone(gateway)
    gc.collect()
    left = Counter(type(it).__name__ for it in gc.garbage if is_ours(it))
    assert not left


async def all_have_gone(gateway: RunningGateway) -> None:
    state, meters = gateway.server.server_state, gateway.pipeline.meters
    await eventually(lambda: not state.connections and not state.tasks and not meters.in_flight)
    gateway.open_connections.clear()
    await asyncio.sleep(0.05)  # the upstream's end


def is_ours(thing: object) -> bool:
    return type(thing).__module__.startswith("service.")
