"""Callers who mean harm with how they come: slowly, in masses, half, or not at all."""

import asyncio
import gc
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

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
    compact,
    framed,
    gateway_before,
    rendered,
    streaming,
)
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, answering, eventually

ANSWERS: Final = answering(answer_of(chat_body()))
IDLE_CONNECTIONS: Final = 2000
MAX_IDLE_BYTES: Final = 32 * 1024
"""What an idle connection may take of the gateway's memory."""
STALLED_CALLERS: Final = 8
MAX_STALLED_BYTES: Final = 16 * 1024 * 1024
"""What a caller who reads nothing may make the gateway hold: what the system took for it, some MiB,
is kept until it is recorded. Without a bound each would come to 1 GiB here."""


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process as many files as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 3 * IDLE_CONNECTIONS, f"'ulimit -Hn' must be at least {3 * IDLE_CONNECTIONS}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * IDLE_CONNECTIONS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def serves(gateway: RunningGateway) -> None:
    """Check that another caller is served meanwhile."""
    async with asyncio.timeout(5):
        assert (await gateway.post(CHAT, chat())).status == 200


async def connected(gateway: RunningGateway, count: int, first: bytes = b"") -> list[socket.socket]:
    """Open connections that cost the test's own process next to nothing."""
    found: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    for _ in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, ("127.0.0.1", gateway.port))
        if first:
            await loop.sock_sendall(sock, first)
        found.append(sock)
    return found


@on_uvloop
async def test_a_request_that_comes_byte_by_byte_is_served(tmp_path: Path) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        connection = await gateway.connect()
        sock = connection._writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(2):
            for byte in rendered(CHAT, chat(str(number))):
                await connection.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await connection.reply()).status == 200
        (_, first), _, (_, second), _ = await gateway.events(4)
        assert (first, second) == (compact(chat("0")), compact(chat("1")))


@on_uvloop
async def test_waiting_for_a_body_that_comes_late_is_not_the_gateways_own_time(
    tmp_path: Path,
) -> None:
    late_s = 0.3
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        connection = await gateway.connect()
        whole = rendered(CHAT, chat())
        await connection.send(whole[:-1])
        await asyncio.sleep(late_s)
        await connection.send(whole[-1:])
        assert (await connection.reply()).status == 200
        took_s = gateway.metric("request_duration_seconds_sum")
        assert took_s - gateway.metric("overhead_seconds_sum", phase="before") >= late_s


HEAD: Final = rendered(CHAT, headers=[("content-length", "1000")])
CHUNKED: Final = rendered(CHAT, headers=[("transfer-encoding", "chunked")])


@pytest.mark.parametrize(
    ("first", "drip"),
    [(b"POST / HT", b"x"), (HEAD, b"x"), (CHUNKED, b"1\r\nx\r\n"), (CHUNKED + b"1;", b"x")],
)
@on_uvloop
async def test_hundreds_of_dripping_callers_are_let_go_in_time_and_others_are_served(
    tmp_path: Path, first: bytes, drip: bytes
) -> None:
    def impatient(written: dict[str, Any]) -> None:
        written["gateway"] |= {"header_timeout_s": 0.5, "body_timeout_s": 0.5}

    async with gateway_before(ANSWERS, folder=tmp_path, change=impatient) as gateway:
        callers = await connected(gateway, 200, first)
        dripping = asyncio.create_task(drip_on(callers, drip))
        await serves(gateway)
        await eventually(lambda: not gateway.server.server_state.connections, deadline_s=10)
        await serves(gateway)
        dripping.cancel()
        assert gateway.pipeline.meters.in_flight == 0
        assert gateway.kinds().count("opened") == 2


async def drip_on(callers: list[socket.socket], drip: bytes) -> None:
    loop = asyncio.get_running_loop()
    left = list(callers)
    while left:
        for caller in list(left):
            try:
                await loop.sock_sendall(caller, drip)
            except ConnectionError:
                left.remove(caller)
                caller.close()
        await asyncio.sleep(0.02)


@pytest.mark.usefixtures("many_files")
@on_uvloop
async def test_thousands_of_idle_connections_take_little_memory_and_hinder_nobody(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with gateway_before(ANSWERS, folder=tmp_path) as gateway:
        for caller in await connected(gateway, 200):
            caller.close()  # what the first connections cost once is not theirs
        await asyncio.sleep(0.1)
        await eventually(lambda: not gateway.server.server_state.connections)
        gc.collect()
        before = resident_bytes()
        callers = await connected(gateway, IDLE_CONNECTIONS)
        await eventually(lambda: len(gateway.server.server_state.connections) == IDLE_CONNECTIONS)
        each = (resident_bytes() - before) / IDLE_CONNECTIONS
        record_property("bytes_of_an_idle_connection", each)
        assert each < MAX_IDLE_BYTES
        await serves(gateway)
        for caller in callers:
            caller.close()
        await eventually(lambda: not gateway.server.server_state.connections)


@on_uvloop
async def test_callers_who_never_read_are_let_go_and_make_the_gateway_hold_little(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def strict(written: dict[str, Any]) -> None:
        written["gateway"] |= {"stall_timeout_s": 1, "max_answer_bytes": 2**30}

    async def endless(peer: Peer) -> None:
        request = await peer.request()
        if b"never" not in request:
            await peer.send(answer_of(chat_body()))
            return
        await peer.send(STREAM_HEAD)
        while True:
            await peer.send(framed(chat_event("x" * 100_000)))

    async with gateway_before(endless, folder=tmp_path, change=strict) as gateway:
        request = rendered(CHAT, chat("never", stream=True))
        gc.collect()
        before = resident_bytes()
        callers = await connected(gateway, STALLED_CALLERS, request)
        most = 0

        def are_gone() -> bool:
            nonlocal most
            most = max(most, resident_bytes())
            return gateway.outcomes() == {"client_gone": STALLED_CALLERS}

        await eventually(are_gone)
        record_property("bytes_of_a_stalled_caller", (most - before) / STALLED_CALLERS)
        assert (most - before) / STALLED_CALLERS < MAX_STALLED_BYTES
        await serves(gateway)
        assert gateway.outcomes() == {"client_gone": STALLED_CALLERS, "completed": 1}
        await gateway.events(2 * STALLED_CALLERS + 2)
        for caller in callers:
            caller.close()


# Half-closed: see docs/operations.md, "Callers".


@on_uvloop
async def test_a_caller_who_closes_its_side_has_gone(tmp_path: Path) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.stall()

    async with gateway_before(silent, folder=tmp_path) as gateway:
        connection = await gateway.begin(CHAT, chat())
        await eventually(lambda: bool(gateway.upstream.requests))
        connection._writer.write_eof()
        await eventually(lambda: gateway.upstream.finished == 1, deadline_s=1)
        assert await connection.is_closed()
        assert (await gateway.exchange()).closed.outcome == "client_gone"


# Resets in each phase.


async def in_the_head(gateway: RunningGateway) -> None:
    connection = await gateway.connect()
    await connection.send(rendered(CHAT, chat())[:40])
    connection.close()


async def in_the_body(gateway: RunningGateway) -> None:
    connection = await gateway.connect()
    await connection.send(rendered(CHAT, chat())[:-5])
    await eventually(lambda: gateway.pipeline.meters.in_flight == 1)
    connection.close()


async def after_the_request(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat(stream=True))
    connection.close()


async def after_the_head_of_the_answer(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat(stream=True))
    await connection.head()
    connection.close()


async def in_mid_answer(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat(stream=True))
    await connection.head()
    await connection.part()
    connection.close()


async def after_the_answer(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat(stream=True))
    await connection.reply()
    connection.close()


async def with_two_requests(gateway: RunningGateway) -> None:
    connection = await gateway.begin(CHAT, chat(stream=True))
    await connection.send(rendered(CHAT, chat(stream=True)))
    connection.close()


@pytest.mark.parametrize(
    "leave",
    [in_the_head, in_the_body, after_the_request, after_the_head_of_the_answer, in_mid_answer,
     after_the_answer, with_two_requests],
)  # fmt: skip
@on_uvloop
async def test_whenever_a_caller_resets_nothing_is_left_and_all_is_recorded(
    tmp_path: Path, leave: Callable[[RunningGateway], Awaitable[None]]
) -> None:
    script = streaming(*[chat_event("Hi")] * 20, DONE)
    async with gateway_before(script, folder=tmp_path) as gateway:
        for _ in range(20):
            await leave(gateway)
        await eventually(lambda: not gateway.server.server_state.connections)
        await eventually(lambda: gateway.pipeline.meters.in_flight == 0)
        await eventually(lambda: gateway.evidence.undecided == 0)
        assert gateway.parts.journal.open_exchanges() == []
        served = gateway.metric("exchanges_served_total")
        await eventually(lambda: gateway.metric("exchanges_recorded_total") == served)
        assert set(gateway.outcomes()) <= {"client_gone", "completed"}
        await eventually(lambda: gateway.kinds().count("opened") == gateway.kinds().count("closed"))


@on_uvloop
async def test_pipelined_requests_are_not_served_behind_a_stream(tmp_path: Path) -> None:
    script = streaming(chat_event("Hi"), DONE)
    async with gateway_before(script, folder=tmp_path) as gateway:
        connection = await gateway.connect()
        await connection.send(rendered(CHAT, chat(stream=True)) * 3)
        status, headers = await connection.head()
        assert (status, headers["connection"]) == (200, "close")
        assert (await connection.body(status, headers)).body.endswith(DONE)
        assert await connection.is_closed()
        await gateway.events(2)
        assert len(gateway.upstream.requests) == 1
