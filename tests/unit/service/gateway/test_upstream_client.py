"""How the upstream client keeps connections, tries again, gives up and cleans up."""

import asyncio
import gc
import socket
from pathlib import Path

import pytest

from service.errors import UpstreamBroke, UpstreamTimeout, UpstreamUnavailable
from service.gateway.http_connection import Connection
from service.gateway.http_fields import render_headers
from service.gateway.upstream import UpstreamTarget
from tests.real_parts.certificates import self_signed
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import Peer, ScriptedUpstream, answering, eventually
from tests.unit.service.gateway.upstream_clients import OK, client_of, post, post_and_read

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.stall()


async def one_answer_then_close(peer: Peer) -> None:
    await peer.request()
    await peer.send(OK)
    await peer.request()


async def close_unanswered(peer: Peer) -> None:
    await peer.request()


async def half_an_answer(peer: Peer) -> None:
    await peer.request()
    await peer.send(STREAM_HEAD + b"4\r\nhalf\r\n")
    await peer.stall()


# Keeping connections.


@on_uvloop
async def test_requests_one_after_another_share_a_connection() -> None:
    async with ScriptedUpstream(answering(OK)) as upstream, client_of(upstream.port) as client:
        for _ in range(5):
            assert await post_and_read(client) == b"hi"
        assert client.open_connections == 1
    assert upstream.connections == 1


@on_uvloop
async def test_the_connection_used_last_is_used_first() -> None:
    async def which(peer: Peer) -> None:
        number = upstream.connections
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % number)

    async with ScriptedUpstream(which) as upstream, client_of(upstream.port) as client:
        await asyncio.gather(*(post_and_read(client) for _ in range(3)))
        last = await post_and_read(client)
        assert {await post_and_read(client) for _ in range(3)} == {last}


@on_uvloop
async def test_an_upstream_that_says_close_gets_a_new_connection_next_time() -> None:
    closing = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"
    async with ScriptedUpstream(answering(closing)) as upstream, client_of(upstream.port) as client:
        for _ in range(3):
            assert await post_and_read(client) == b"hi"
        assert client.open_connections == 0
    assert upstream.connections == 3


@on_uvloop
async def test_an_answer_that_came_before_its_request_was_sent_ends_the_connection() -> None:
    async def hasty(peer: Peer) -> None:
        await peer.first_bytes()
        await peer.send(OK)
        await asyncio.Event().wait()

    async with (
        ScriptedUpstream(hasty, answering(OK)) as upstream,
        client_of(upstream.port) as client,
    ):
        assert await post_and_read(client, b"x" * 20_000_000) == b"hi"
        assert await post_and_read(client) == b"hi"
    assert upstream.connections == 2


@on_uvloop
async def test_connections_are_bounded_and_waiting_requests_are_served_in_order() -> None:
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        client_of(upstream.port, max_connections=2) as client,
    ):
        served: list[int] = []

        async def one(number: int) -> None:
            await post_and_read(client)
            served.append(number)

        await asyncio.gather(*(one(number) for number in range(40)))
        assert sorted(served) == list(range(40))
        assert max(abs(place - number) for place, number in enumerate(served)) <= 2
    assert upstream.connections == 2


@on_uvloop
async def test_a_request_that_finds_no_free_connection_in_time_is_refused() -> None:
    async with (
        ScriptedUpstream(silent) as upstream,
        client_of(upstream.port, max_connections=1, connect_timeout_s=0.1) as client,
    ):
        holder = asyncio.create_task(post(client))
        await eventually(lambda: len(upstream.requests) == 1)
        with pytest.raises(UpstreamUnavailable):
            await post(client)
        holder.cancel()
        await asyncio.wait([holder])
    assert upstream.connections == 1


@on_uvloop
async def test_a_slot_is_passed_on_when_its_connection_dies() -> None:
    async with (
        ScriptedUpstream(silent, answering(OK)) as upstream,
        client_of(upstream.port, max_connections=1) as client,
    ):
        holder = asyncio.create_task(post(client))
        await eventually(lambda: len(upstream.requests) == 1)
        waiting = [asyncio.create_task(post_and_read(client)) for _ in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        holder.cancel()
        await asyncio.wait([holder, waiting[0]])
        assert await asyncio.gather(*waiting[1:]) == [b"hi"] * 3
    assert upstream.connections == 2


@on_uvloop
async def test_an_idle_connection_is_closed_after_its_keep_alive() -> None:
    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        client_of(upstream.port, keep_alive_s=0.05) as client,
    ):
        assert await post_and_read(client) == b"hi"
        assert client.open_connections == 1
        await eventually(lambda: client.open_connections == 0)
        await eventually(lambda: upstream.finished == 1)


# Trying again.


@on_uvloop
async def test_a_kept_connection_that_was_closed_meanwhile_costs_one_quiet_retry() -> None:
    async with (
        ScriptedUpstream(one_answer_then_close, answering(OK)) as upstream,
        client_of(upstream.port) as client,
    ):
        for _ in range(2):
            assert await post_and_read(client) == b"hi"
    assert upstream.connections == 2
    assert len(upstream.requests) == 3


@on_uvloop
async def test_a_request_is_sent_at_most_twice() -> None:
    async with (
        ScriptedUpstream(one_answer_then_close, close_unanswered) as upstream,
        client_of(upstream.port) as client,
    ):
        assert await post_and_read(client) == b"hi"
        with pytest.raises(UpstreamUnavailable):
            await post(client)
    assert len(upstream.requests) == 3


@on_uvloop
async def test_a_fresh_connection_that_closes_unanswered_is_not_tried_again() -> None:
    async with (
        ScriptedUpstream(close_unanswered) as upstream,
        client_of(upstream.port) as client,
    ):
        with pytest.raises(UpstreamUnavailable):
            await post(client)
    assert upstream.connections == 1


@on_uvloop
async def test_a_kept_connection_that_breaks_within_its_answer_is_not_tried_again() -> None:
    async def second_breaks(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"H")

    async with ScriptedUpstream(second_breaks) as upstream, client_of(upstream.port) as client:
        assert await post_and_read(client) == b"hi"
        with pytest.raises(UpstreamBroke):
            await post(client)
    assert upstream.connections == 1


@on_uvloop
async def test_after_an_upstream_restarts_every_waiting_request_still_succeeds() -> None:
    async with (
        ScriptedUpstream(*[one_answer_then_close] * 5, answering(OK)) as upstream,
        client_of(upstream.port) as client,
    ):
        for _ in range(2):
            answers = await asyncio.gather(*(post_and_read(client) for _ in range(5)))
            assert answers == [b"hi"] * 5


@on_uvloop
async def test_a_refused_connection_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client_of(port, max_connections=1) as client:
        for _ in range(3):
            with pytest.raises(UpstreamUnavailable, match="no connection"):
                await post(client)


@on_uvloop
async def test_an_upstream_that_never_accepts_is_unavailable() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        async with client_of(address[1], connect_timeout_s=0.2) as client:
            with pytest.raises(UpstreamUnavailable, match="in time"):
                await post(client)
        for filler in fillers:
            filler.close()


# Giving up.


@on_uvloop
async def test_silence_before_the_answer_is_a_timeout() -> None:
    async with (
        ScriptedUpstream(silent) as upstream,
        client_of(upstream.port, read_timeout_s=0.1) as client,
    ):
        with pytest.raises(UpstreamTimeout, match="nothing"):
            await post(client)
        await eventually(lambda: upstream.finished == 1)


@on_uvloop
async def test_silence_within_the_answer_is_a_timeout_after_what_came() -> None:
    async with (
        ScriptedUpstream(half_an_answer) as upstream,
        client_of(upstream.port, read_timeout_s=0.1) as client,
    ):
        answer = await post(client)
        assert await answer.read() == b"half"
        with pytest.raises(UpstreamTimeout, match="nothing"):
            await answer.read()
        await eventually(lambda: upstream.finished == 1)


@on_uvloop
async def test_an_answer_that_drips_for_ever_is_ended_by_the_total_timeout() -> None:
    async def dripping(peer: Peer) -> None:
        await peer.request()
        await peer.send(STREAM_HEAD)
        while True:
            await peer.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    async with (
        ScriptedUpstream(dripping) as upstream,
        client_of(upstream.port, read_timeout_s=5, total_timeout_s=0.2) as client,
    ):
        answer = await post(client)
        with pytest.raises(UpstreamTimeout, match="complete"):
            await answer.read_all(1_000_000)


@on_uvloop
async def test_a_slow_reader_is_no_silence_of_the_upstream() -> None:
    size = 30_000_000

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        await peer.send(b"x" * size)
        await peer.stall()

    async with (
        ScriptedUpstream(script) as upstream,
        client_of(upstream.port, read_timeout_s=0.2) as client,
    ):
        answer = await post(client)
        await asyncio.sleep(0.6)  # three times the timeout, in which we do not read
        assert len(await answer.read_all(size)) == size


@on_uvloop
async def test_cancelling_a_request_closes_its_connection() -> None:
    async with ScriptedUpstream(silent) as upstream, client_of(upstream.port) as client:
        task = asyncio.create_task(post(client))
        await eventually(lambda: len(upstream.requests) == 1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await eventually(lambda: upstream.finished == 1)
        assert client.open_connections == 0


@on_uvloop
async def test_cancelling_a_read_closes_its_connection() -> None:
    async with ScriptedUpstream(half_an_answer) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert await answer.read() == b"half"
        task = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await eventually(lambda: upstream.finished == 1)


@on_uvloop
async def test_abort_closes_the_connection_and_wakes_the_reader() -> None:
    async with ScriptedUpstream(half_an_answer) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert await answer.read() == b"half"
        task = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        answer.abort()
        answer.abort()
        with pytest.raises(UpstreamBroke):
            await task
        await eventually(lambda: upstream.finished == 1)


@on_uvloop
async def test_abort_after_the_end_spares_the_kept_connection() -> None:
    async with ScriptedUpstream(answering(OK)) as upstream, client_of(upstream.port) as client:
        answer = await post(client)
        assert await answer.read_all(100) == b"hi"
        answer.abort()
        assert await post_and_read(client) == b"hi"
    assert upstream.connections == 1


@on_uvloop
async def test_a_closed_client_ends_what_is_under_way_and_opens_nothing() -> None:
    async with (
        ScriptedUpstream(silent) as upstream,
        client_of(upstream.port, max_connections=1) as client,
    ):
        tasks = [asyncio.create_task(post(client)) for _ in range(3)]
        await eventually(lambda: len(upstream.requests) == 1)
        await client.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [UpstreamUnavailable] * 3
        with pytest.raises(UpstreamUnavailable):
            await post(client)
        await eventually(lambda: upstream.finished == 1)
    assert upstream.connections == 1


# Staying inside the lines.


@pytest.mark.parametrize("bad", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b", b"\n", b"a\r"])
def test_a_header_cannot_break_out_of_its_line(bad: bytes) -> None:
    for field in [(b"name", bad), (bad, b"value")]:
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            render_headers([(b"first", b"1"), field])


@pytest.mark.parametrize("bad", [b"/a b", b"/a\r\nx: y", b"/a\r\n", b"/a ", b"/\0", b"/a\tb"])
@on_uvloop
async def test_a_path_cannot_break_out_of_the_request_line(bad: bytes) -> None:
    async with client_of(1) as client:
        with pytest.raises(ValueError, match="path"):
            await client.send(b"GET", bad, [], b"")
        with pytest.raises(ValueError, match="method"):
            await client.send(b"GET /x HTTP/1.1\r\n", b"/", [], b"")


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://", "host:80", "http://u:p@host", "http://host/?q", "http://h:x"]
)
def test_a_url_that_is_no_upstream_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"[Pp]ort|url"):
        UpstreamTarget.from_url("test", url)


def test_a_url_gives_host_port_and_prefix() -> None:
    target = UpstreamTarget.from_url("test", "http://[::1]:8000/v/")
    assert (target.host, target.port, target.base_path) == ("::1", 8000, "/v")
    assert target.headers == b"host: [::1]:8000\r\n"
    assert UpstreamTarget.from_url("test", "https://h").port == 443


# TLS.


@on_uvloop
async def _serve_over_tls(folder: Path, name: str, *, trusted: bool) -> None:
    made = self_signed(folder, name)
    async with (
        ScriptedUpstream(answering(OK), tls=made.server_context()) as upstream,
        client_of(
            upstream.port, scheme="https", tls=made.client_context() if trusted else None
        ) as client,
    ):
        for body in (b"{}", b"x" * 2_000_000):
            assert await post_and_read(client, body) == b"hi"
    assert upstream.connections == 1


def test_a_tls_upstream_with_a_trusted_certificate_is_served(tmp_path: Path) -> None:
    _serve_over_tls(tmp_path, "IP:127.0.0.1", trusted=True)


@pytest.mark.parametrize(
    ("name", "trusted"), [("IP:127.0.0.1", False), ("DNS:elsewhere.example", True)]
)
def test_a_tls_upstream_that_cannot_be_verified_is_unavailable(
    tmp_path: Path, name: str, trusted: bool
) -> None:
    with pytest.raises(UpstreamUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        _serve_over_tls(tmp_path, name, trusted=trusted)


# Nothing grows.


@on_uvloop
async def test_two_thousand_requests_leave_no_growing_state() -> None:
    async def some(count: int) -> None:
        for _ in range(count):
            assert await post_and_read(client) == b"hi"

    async with (
        ScriptedUpstream(answering(OK)) as upstream,
        client_of(upstream.port, max_connections=4) as client,
    ):
        await asyncio.gather(*(some(50) for _ in range(8)))
        upstream.requests.clear()
        gc.collect()
        before = len(gc.get_objects())
        await asyncio.gather(*(some(250) for _ in range(8)))
        assert len(upstream.requests) == 2000
        upstream.requests.clear()
        gc.collect()
        assert len(gc.get_objects()) - before < 200
        assert upstream.connections == client.open_connections == 4


@on_uvloop
async def test_connections_that_are_gone_are_forgotten() -> None:
    closing = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"
    async with ScriptedUpstream(answering(closing)) as upstream, client_of(upstream.port) as client:
        for _ in range(50):
            assert await post_and_read(client) == b"hi"
        await eventually(lambda: upstream.finished == 50)
        gc.collect()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Connection)]
