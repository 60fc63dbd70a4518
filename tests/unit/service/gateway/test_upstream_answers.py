"""How the upstream client reads answers, byte by byte."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import UpstreamBroke
from service.gateway.http_connection import HIGH_WATER_BYTES, MAX_FRAMING_BYTES
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, Script, ScriptedUpstream, answering, eventually
from tests.unit.service.gateway.upstream_clients import OK, client_of, post, post_and_read

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nX-Kind: one\r\nX-Kind: two\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;note=x\r\n world\r\n0\r\nx-trailer: t\r\n\r\n"
)
INTERIM_FIRST = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"


def closing_after(*parts: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        for part in parts:
            await peer.send(part)

    return script


@on_uvloop
async def test_a_request_goes_out_as_one_http_message() -> None:
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        client_of(upstream.port, prefix="/base/") as client,
    ):
        await client.send(b"POST", b"/v1/x?y=z", [(b"accept", b"*/*")], b'{"a":1}')
    assert upstream.requests == [
        b"POST /base/v1/x?y=z HTTP/1.1\r\n"
        b"host: 127.0.0.1:%d\r\nauthorization: Bearer stand-in\r\naccept: */*\r\n"
        b'content-length: 7\r\n\r\n{"a":1}' % upstream.port
    ]


@on_uvloop
async def test_a_large_body_arrives_whole() -> None:
    body = b"x" * 3_000_000
    async with ScriptedUpstream(answering(OK)) as upstream, client_of(upstream.port) as client:
        assert await post_and_read(client, body) == b"hi"
    assert upstream.requests[0].endswith(b"\r\n\r\n" + body)


@on_uvloop
async def test_a_chunked_answer_gives_its_body_without_framing_or_trailers() -> None:
    async with ScriptedUpstream(answering(CHUNKED)) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert answer.status == 200
        assert answer.headers == [
            (b"x-kind", b"one"),
            (b"x-kind", b"two"),
            (b"transfer-encoding", b"chunked"),
        ]
        assert await answer.read_all(100) == b"hello world"
        assert await answer.read() == b""
        assert len(answer.headers) == 3


@given(cuts=st.sets(st.integers(1, len(INTERIM_FIRST + CHUNKED) - 1), max_size=12))
@settings(max_examples=60, deadline=None)
@on_uvloop
async def test_an_answer_means_the_same_however_it_is_split(cuts: set[int]) -> None:
    whole = INTERIM_FIRST + CHUNKED
    edges = [0, *sorted(cuts), len(whole)]

    async def script(peer: Peer) -> None:
        await peer.request()
        for start, end in pairwise(edges):
            await peer.send(whole[start:end])
            await asyncio.sleep(0.001)  # so that the parts travel apart
        await peer.request()
        await peer.send(OK)

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert (answer.status, len(answer.headers)) == (200, 3)
        assert await answer.read_all(100) == b"hello world"
        assert await post_and_read(client) == b"hi"
    assert upstream.connections == 1


@on_uvloop
async def test_every_single_byte_may_travel_alone() -> None:
    whole = INTERIM_FIRST + CHUNKED

    async def script(peer: Peer) -> None:
        await peer.request()
        for index in range(len(whole)):
            await peer.send(whole[index : index + 1])
            await asyncio.sleep(0.001)

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        assert await post_and_read(client) == b"hello world"


@on_uvloop
async def test_parts_of_the_body_are_returned_as_they_come() -> None:
    may_go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await may_go_on.wait()
        await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert await answer.read() == b"one"
        may_go_on.set()
        assert await answer.read() == b"two"
        assert await answer.read() == b""


@pytest.mark.parametrize("half_close", [False, True])
@on_uvloop
async def test_a_body_without_a_length_ends_where_the_connection_ends(half_close: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall ")
        await peer.send(b"of it")
        if half_close:
            peer.half_close()
            await peer.stall()

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        assert await post_and_read(client) == b"all of it"
        assert client.open_connections == 0


@on_uvloop
async def test_a_body_without_a_length_that_ends_in_a_reset_is_broken() -> None:
    may_reset = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall ")
        await may_reset.wait()
        peer.reset()

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert await answer.read() == b"all "
        may_reset.set()
        with pytest.raises(UpstreamBroke):
            await answer.read()


@pytest.mark.parametrize(
    ("method", "head"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n"),
    ],
)
@on_uvloop
async def test_an_answer_that_never_has_a_body_ends_with_its_head(
    method: bytes, head: bytes
) -> None:
    async with ScriptedUpstream(answering(head)) as upstream, client_of(upstream.port) as client:
        for _ in range(2):
            answer = await client.send(method, b"/", [], b"")
            assert await answer.read() == b""


@pytest.mark.parametrize(
    ("whole", "status"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 500 Bad\r\nx: y\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi<garbage>", 200),
        (b"HTTP/1.1 201 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi<garbage>", 201),
    ],
)
@on_uvloop
async def test_bytes_after_an_answer_never_reach_the_next_request(
    whole: bytes, status: int
) -> None:
    async with (
        ScriptedUpstream(answering(whole), answering(OK)) as upstream,
        client_of(upstream.port) as client,
    ):
        answer = await post(client)
        assert (answer.status, await answer.read_all(100)) == (status, b"hi")
        assert all(name != b"x" for name, _ in answer.headers)
        assert await post_and_read(client) == b"hi"
    assert upstream.connections == 2


@on_uvloop
async def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    async def talkative(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await asyncio.sleep(0.01)
        await peer.send(OK)
        await peer.stall()

    async with ScriptedUpstream(talkative) as upstream, client_of(upstream.port) as client:
        assert await post_and_read(client) == b"hi"
        await eventually(lambda: upstream.finished == 1)
        assert client.open_connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (2 * MAX_FRAMING_BYTES),
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000,
        b"HTTP/1.1 200 OK\r\ncontent-le",
    ],
    ids=["ssh", "101", "length-and-chunked", "two-lengths", "long-head", "many-1xx", "cut-head"],
)
@on_uvloop
async def test_what_is_not_an_http_answer_is_broken(answer: bytes) -> None:
    async with (
        ScriptedUpstream(closing_after(answer)) as upstream,
        client_of(upstream.port) as client,
    ):
        with pytest.raises(UpstreamBroke):
            await post(client)
        assert client.open_connections == 0
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnot hex",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n"
         b"t: " + b"y" * (2 * MAX_FRAMING_BYTES),
    ],
    ids=["short", "no-last-chunk", "bad-chunk", "long-trailer"],
)  # fmt: skip
@on_uvloop
async def test_what_came_before_an_answer_broke_is_returned_first(answer: bytes) -> None:
    async with (
        ScriptedUpstream(closing_after(answer)) as upstream,
        client_of(upstream.port) as client,
    ):
        reader = await post(client)
        assert await reader.read() == b"half"
        for _ in range(2):
            with pytest.raises(UpstreamBroke):
                await reader.read()


@on_uvloop
async def test_an_answer_over_the_limit_is_given_up() -> None:
    async with ScriptedUpstream(answering(OK)) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        with pytest.raises(UpstreamBroke, match="limit"):
            await answer.read_all(1)


@on_uvloop
async def test_a_slow_reader_makes_the_upstream_wait() -> None:
    size = 40_000_000
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        await peer.send(b"x" * size)

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        await eventually(lambda: answer.buffered_bytes > HIGH_WATER_BYTES)
        for _ in range(20):  # rounds of the loop in which more could come, if it were read
            await asyncio.sleep(0.01)
        assert answer.buffered_bytes < 4 * HIGH_WATER_BYTES
        assert peers[0].unsent_bytes > size / 4
        assert len(await answer.read_all(size)) == size


class Basin:
    """Takes parts until one ends with a full stop; then wants no more for now."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def __call__(self, part: bytes) -> bool:
        self.parts.append(part)
        return not part.endswith(b".")


@on_uvloop
async def test_a_body_is_poured_part_by_part_until_its_end() -> None:
    basin = Basin()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nab")
        await eventually(lambda: basin.parts == [b"ab"])
        await peer.send(b"cd")
        await eventually(lambda: basin.parts == [b"ab", b"cd"])
        await peer.send(b"ef")

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert not await answer.pour(basin)
        assert basin.parts == [b"ab", b"cd", b"ef"]
        assert not await answer.pour(basin)


@on_uvloop
async def test_a_sink_that_wants_no_more_gets_the_rest_when_it_is_poured_again() -> None:
    basin = Basin()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na.")
        await eventually(lambda: bool(basin.parts))
        await peer.send(b"cd")
        await peer.send(b"e.")

    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert await answer.pour(basin)
        assert basin.parts == [b"a."]
        while await answer.pour(basin):
            pass
        assert b"".join(basin.parts) == b"a.cde."


@on_uvloop
async def test_what_a_sink_raises_comes_out_of_pouring() -> None:
    def fail(part: bytes) -> bool:
        raise LookupError(len(part))

    async with ScriptedUpstream(answering(CHUNKED)) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        with pytest.raises(LookupError, match="11"):
            await answer.pour(fail)


@on_uvloop
async def test_what_came_before_an_answer_broke_is_poured_first() -> None:
    basin = Basin()
    half = closing_after(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
    async with ScriptedUpstream(half) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        with pytest.raises(UpstreamBroke):
            await answer.pour(basin)
    assert basin.parts == [b"abc"]


@on_uvloop
async def test_pouring_that_is_cancelled_closes_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
        await peer.request()  # which never comes

    basin = Basin()
    async with ScriptedUpstream(script) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        pouring = asyncio.create_task(answer.pour(basin))
        await eventually(lambda: bool(basin.parts))
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        await eventually(lambda: client.open_connections == 0)
