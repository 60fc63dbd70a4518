"""What the gateway's real server refuses, bounds and tells, on a real socket."""

import asyncio
import http.client
import json
import operator
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.gateway.asgi import ON_DISCONNECT, SEND_NOW, SEND_WHOLE, Receive, Scope, Send
from service.gateway.http_protocol import RequestLimits
from service.gateway.server import listening_socket
from tests.real_parts.certificates import self_signed
from tests.real_parts.serving import RawClient, serving, until

LIMITS = RequestLimits(max_header_bytes=2048, max_headers=20, header_timeout_s=30, keep_alive_s=30)
IMPATIENT = RequestLimits(
    max_header_bytes=2048, max_headers=20, header_timeout_s=0.3, keep_alive_s=0.3
)
HOST = b"host: gateway\r\n"
LARGE_BYTES = 30_000_000  # more than the sockets' buffers hold


class Application:
    """Does what the path says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.gone = 0
        self.finished = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        seen = {name: scope[name] for name in ("method", "path", "query_string", "headers")}
        self.seen.append(seen)
        try:
            await getattr(self, "do_" + scope["path"].strip("/"), self.do_echo)(
                scope, receive, send
            )
        finally:
            self.finished += 1

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    async def do_echo(self, _scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.seen[-1]["body"] = body
        await _answer(send, 200, b"echo:" + body)

    async def do_early(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _answer(send, 413, b"too large")

    async def do_chunked(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    async def do_hold(self, scope: Scope, _receive: Receive, send: Send) -> None:
        gone = asyncio.Event()

        def on_gone() -> None:
            self.gone += 1
            gone.set()

        scope["extensions"][ON_DISCONNECT](on_gone)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await gone.wait()

    async def do_read_and_hold(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await self.do_hold(scope, receive, send)

    async def do_watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        def on_gone() -> None:
            self.gone += 1

        scope["extensions"][ON_DISCONNECT](on_gone)
        await self.do_echo(scope, receive, send)

    async def do_slow(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.5)  # longer than every limit of IMPATIENT
        await _answer(send, 200, b"slow")

    async def do_large(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        assert scope["extensions"][SEND_WHOLE](200, [], b"x" * LARGE_BYTES)

    async def do_flood(self, scope: Scope, _receive: Receive, send: Send) -> None:
        send_now = scope["extensions"][SEND_NOW]
        part = {"type": "http.response.body", "body": b"x" * 65536, "more_body": True}
        assert send_now({"type": "http.response.start", "status": 200, "headers": []})
        parts = 1
        while send_now(part):  # until the caller, who does not read, is behind
            parts += 1
        await send(part)  # which waits for the caller
        self.seen[-1]["sent_bytes"] = 65536 * (parts + 1)
        await send({"type": "http.response.body"})

    async def do_fail(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("on purpose")

    async def do_inject(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"x-bad", b"a\r\nset-cookie: stolen")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def do_short(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"short"})

    async def do_none(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[int, Application]]:
    app = Application()
    with serving(app, LIMITS) as (port, _):
        yield port, app


@pytest.fixture
def server(shared: tuple[int, Application]) -> tuple[int, Application]:
    port, app = shared
    until(lambda: app.finished == len(app.seen))
    app.seen.clear()
    app.gone = app.finished = 0
    return port, app


def refused(port: int, request: bytes, status: int, code: str = "invalid_request") -> str:
    """Send it; check that one error object comes and the connection closes; give its message."""
    with RawClient(port) as client:
        client.send(request)
        got, headers, body = client.answer()
        assert got == status
        assert headers[b"content-type"] == b"application/json"
        assert headers[b"connection"] == b"close"
        error = json.loads(body)["error"]
        assert (error["type"], error["param"], error["code"]) == (
            "invalid_request_error",
            None,
            code,
        )
        assert client.rest() == b""
        return str(error["message"])


# Heads.


def test_a_request_is_served_and_its_connection_kept(server: tuple[int, Application]) -> None:
    port, app = server
    with RawClient(port) as client:
        for body in (b"", b"x", b"y" * 300_000):
            length = b"content-length: %d\r\n\r\n" % len(body)
            client.send(b"POST /a%20b?c=d HTTP/1.1\r\n" + HOST + length + body)
            status, headers, answer = client.answer()
            assert (status, answer) == (200, b"echo:" + body)
            assert b"date" in headers
            assert b"server" not in headers
    assert [(seen["method"], seen["path"], seen["query_string"]) for seen in app.seen] == [
        ("POST", "/a b", b"c=d")
    ] * 3


@pytest.mark.parametrize("pieces", [1, 50])
def test_headers_over_the_size_limit_are_refused(
    server: tuple[int, Application], pieces: int
) -> None:
    port, app = server
    filler = b"".join(b"x-%d: %b\r\n" % (n, b"y" * (4000 // pieces)) for n in range(pieces))
    message = refused(port, b"GET / HTTP/1.1\r\n" + HOST + filler + b"\r\n", 431)
    assert "2048 bytes" in message
    assert app.seen == []


def test_a_request_line_over_the_size_limit_is_refused(server: tuple[int, Application]) -> None:
    refused(server[0], b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431)


@pytest.mark.parametrize(
    ("unfinished", "filler"),
    [
        (b"GET /", b"a"),
        (b"GET / HTTP/1.1\r\nx: ", b"a"),
        (b"GET / HTTP/1.1\r\n", b"a"),
        (b"", b"\r\n"),
    ],
)
def test_a_head_that_never_ends_is_refused_at_the_size_limit(
    server: tuple[int, Application], unfinished: bytes, filler: bytes
) -> None:
    refused(server[0], unfinished + filler * 3000, 431)


def test_a_large_body_in_one_packet_with_its_head_is_no_large_header(
    server: tuple[int, Application],
) -> None:
    with RawClient(server[0]) as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 20000\r\n\r\n" + b"b" * 20000)
        assert client.answer()[0] == 200


def test_too_many_headers_are_refused(server: tuple[int, Application]) -> None:
    filler = b"".join(b"x-%d: y\r\n" % n for n in range(20))
    message = refused(server[0], b"GET / HTTP/1.1\r\n" + HOST + filler + b"\r\n", 431)
    assert "20 headers" in message


@pytest.mark.parametrize(
    "head",
    [
        HOST + HOST,
        HOST + b"Host: other\r\n",
        HOST + b"authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        HOST + b"content-length: 0\r\ncontent-length: 0\r\n",
        b"x: no host\r\n",
    ],
)
def test_headers_that_must_come_once_are_refused_otherwise(
    server: tuple[int, Application], head: bytes
) -> None:
    port, app = server
    refused(port, b"POST / HTTP/1.1\r\n" + head + b"\r\n", 400)
    assert app.seen == []


# Smuggling.


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\n" + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \x0bchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nx: y\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\n\0transfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5;\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551616\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length : 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nx: one\r\n two\r\n\r\n",
        b"POST / HTTP/1.1\r\n host: a\r\nhost: b\r\n\r\n",
        b"POST / HTTP/1.1\nhost: a\n\n",
        b"POST / HTTP/1.1\rhost: a\r\r",
        b"POST / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\n: no name\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nx(y): z\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nx: \x01\r\n\r\n",
        b"POST /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1 \r\nhost: a\r\n\r\n",
        b"POST\t/ HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.2\r\nhost: a\r\n\r\n",
        b"POST / http/1.1\r\nhost: a\r\n\r\n",
        b"post / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET http://user:word@elsewhere:99999/ HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nx: one\ny: two\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nx: o\0ne\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nx: one\ry: two\r\n\r\n",
        b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT elsewhere:80 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_a_request_with_two_readings_is_refused(
    server: tuple[int, Application], request_: bytes
) -> None:
    port, app = server
    refused(port, request_, 400)
    assert app.seen == []


BODY_AND_NEXT = b"hello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.parametrize(
    "chunk",
    [
        b"5\nhello\r\n",
        b"zz\r\n",
        b"5\r\nhelloXX",
        b"-1\r\n",
        b"+5\r\n" + BODY_AND_NEXT,
        b"0x5\r\n" + BODY_AND_NEXT,
        b" 5\r\n" + BODY_AND_NEXT,
        b"5 \r\n" + BODY_AND_NEXT,
        b"\r\n5\r\n" + BODY_AND_NEXT,
        b"1" + b"0" * 15 + b"5\r\n" + BODY_AND_NEXT,
        b"5;x\n" + BODY_AND_NEXT,
        b"5;x\ry\r\n" + BODY_AND_NEXT,
        b"5\r\nhello\r\n0\r\nx: y\n\r\n",
        b"5\r\nhello\r\n0\r\nx\0: y\r\n\r\n",
        b"5\r\nhello\r\n0\r\n folded\r\n\r\n",
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    ],
)
def test_a_broken_chunk_is_refused_and_the_application_sees_the_caller_leave(
    server: tuple[int, Application], chunk: bytes
) -> None:
    port, app = server
    refused(
        port, b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n" + chunk, 400
    )
    until(lambda: app.finished == len(app.seen))
    assert all("body" not in seen for seen in app.seen)


CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /one HTTP/1.1\r\nhost: a\r\ncontent-length: 0000000005\r\n\r\nhello",
        b"POST /one HTTP/1.1\r\nhost: a\r\ncontent-length:\t5 \r\n\r\nhello",
        b"POST /one HTTP/1.1\r\nhost: a\r\ntransfer_encoding: x\r\ncontent-length: 5\r\n\r\nhello",
        b"POST /one HTTP/1.1\r\n"
        + HOST
        + b"TRANSFER-Encoding:\tChunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /one HTTP/1.1\r\nhost: a\r\n" + CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;d\r\n\r\n',
        b"POST /one HTTP/1.1\r\nhost: a\r\n" + CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n",
        b"POST /one HTTP/1.1\r\nhost: a\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\nx: y\r\n\r\n",
        b"GET /one HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        b"POST http://elsewhere/one HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        b"\r\n\r\nPOST /one HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        b"POST  /one HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    ],
)
def test_an_odd_request_with_one_reading_is_served_as_one(
    server: tuple[int, Application], request_: bytes
) -> None:
    port, app = server
    with RawClient(port) as client:
        for _ in range(2):
            client.send(request_)
            assert client.answer()[::2] == (200, b"echo:hello")
    assert [seen["path"] for seen in app.seen] == ["/one"] * 2


def test_a_trailer_is_no_header(server: tuple[int, Application]) -> None:
    port, app = server
    trailers = b"authorization: Bearer other\r\nhost: other\r\n" + b"x: y\r\n" * 500
    with RawClient(port) as client:
        client.send(
            b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
        )
        assert client.answer()[::2] == (200, b"echo:hello")
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"x: kept\r\n\r\n")
        assert client.answer()[0] == 200
    assert [dict(seen["headers"]) for seen in app.seen] == [
        {b"host": b"gateway", b"transfer-encoding": b"chunked"},
        {b"host": b"gateway", b"x": b"kept"},
    ]


@pytest.mark.parametrize(
    "framing",
    [b"5;" + b"x" * 5000, b"0\r\n" + b"x: y\r\n" * 1000, b"0\r\nx: " + b"y" * 5000],
)
def test_a_body_whose_framing_never_ends_is_refused_at_the_size_of_a_head(
    server: tuple[int, Application], framing: bytes
) -> None:
    port, app = server
    with RawClient(port) as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n")
        until(lambda: len(app.seen) == 1)
        client.send(framing)
        status, headers, body = client.answer()
        assert (status, headers[b"connection"]) == (400, b"close")
        assert "chunks" in json.loads(body)["error"]["message"]
        assert client.rest() == b""
    until(lambda: app.finished == 1)
    assert "body" not in app.seen[0]


def test_trailers_are_no_headers(server: tuple[int, Application]) -> None:
    port, app = server
    with RawClient(port) as client:
        client.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n"
        )
        client.send(b"0\r\nauthorization: Bearer late\r\n\r\n")
        assert client.answer()[2] == b"echo:hi"
    assert [name for name, _ in app.seen[0]["headers"]] == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize("wish", [b"h2c", b"websocket"])
@pytest.mark.parametrize("cut", [0, 20, 150, -3])
def test_a_wish_to_upgrade_is_passed_over_and_the_body_stays_a_body(
    server: tuple[int, Application], wish: bytes, cut: int
) -> None:
    port, app = server
    inner = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
    request = (
        b"POST /outer HTTP/1.1\r\n" + HOST + b"connection: Upgrade, HTTP2-Settings\r\n"
        b"upgrade: %b\r\nhttp2-settings: AAMAAABk\r\ncontent-length: %d\r\n\r\n%b"
        % (wish, len(inner), inner)
    )
    with RawClient(port) as client:
        client.send(request[:cut])
        if cut:
            time.sleep(0.02)  # so that the two parts travel apart
        client.send(request[cut:])
        assert client.answer()[::2] == (200, b"echo:" + inner)
        client.send(b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[0] == 200
    assert [seen["path"] for seen in app.seen] == ["/outer", "/next"]


def test_pipelined_requests_end_with_the_first_answer(server: tuple[int, Application]) -> None:
    port, app = server
    with RawClient(port) as client:
        client.send((b"GET /first HTTP/1.1\r\n" + HOST + b"\r\n") * 3)
        status, headers, _ = client.answer()
        assert (status, headers[b"connection"]) == (200, b"close")
        assert client.rest() == b""
    assert len(app.seen) == 1


def test_garbage_behind_a_request_does_not_disturb_its_answer(
    server: tuple[int, Application],
) -> None:
    with RawClient(server[0]) as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\nhi<garbage>")
        status, headers, body = client.answer()
        assert (status, headers[b"connection"], body) == (200, b"close", b"echo:hi")
        assert client.rest() == b""


# Time.


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", None), (b"GET / HT", 408), (b"GET / HTTP/1.1\r\n" + HOST, 408), (b"\r\n", 408)],
)
def test_a_head_that_does_not_come_in_time_ends_the_connection(
    sent: bytes, status: int | None
) -> None:
    with serving(Application(), IMPATIENT) as (port, _):
        if status is not None:
            refused(port, sent, status, "request_timeout")
            return
        with RawClient(port) as client:
            assert client.rest() == b""


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("drip", [b"x", b"\r\n"])
def test_a_dripping_head_gets_no_more_time_than_a_silent_one(kept: bool, drip: bytes) -> None:
    app = Application()
    with serving(app, IMPATIENT) as (port, _), RawClient(port) as client:
        if kept:
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert client.answer()[0] == 200
        started = time.monotonic()
        try:
            while time.monotonic() < started + 15:
                client.send(drip)
                time.sleep(0.02)
        except ConnectionError:
            pass
        assert time.monotonic() < started + 10
        assert len(app.seen) == int(kept)


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with serving(Application(), IMPATIENT) as (port, _), RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[0] == 200
        assert client.rest() == b""


def test_a_slow_application_is_not_hurried_by_the_limits_of_the_head() -> None:
    with serving(Application(), IMPATIENT) as (port, _), RawClient(port) as client:
        for _ in range(2):
            client.send(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
            assert client.answer()[2] == b"slow"


def test_a_caller_who_reads_none_of_a_whole_answer_is_let_go() -> None:
    limits = replace(IMPATIENT, stall_timeout_s=0.3)
    for more in (b"", b"connection: close\r\n"):
        with serving(Application(), limits) as (port, server), RawClient(port) as client:
            client.send(b"GET /large HTTP/1.1\r\n" + HOST + more + b"\r\n")
            connections = server.server_state.connections
            until(partial(bool, connections))
            until(partial(operator.not_, connections))
            assert server.server_state.total_requests == 1


def test_a_caller_who_reads_a_whole_answer_slowly_gets_all_of_it() -> None:
    limits = replace(IMPATIENT, stall_timeout_s=0.6)
    with serving(Application(), limits) as (port, _), RawClient(port) as client:
        client.send(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        got = 0
        while got < LARGE_BYTES:
            before = got
            while got - before < LARGE_BYTES // 10 and got < LARGE_BYTES:
                data = client.sock.recv(2**20)
                assert data
                got += len(data)
            time.sleep(0.1)


@pytest.mark.parametrize("kib", [10, 100, 200])
def test_a_caller_who_goes_away_is_noticed_however_large_its_request_was(
    server: tuple[int, Application], kib: int
) -> None:
    port, app = server
    gone = app.gone
    with RawClient(port) as client:
        head = HOST + b"content-length: %d\r\n\r\n" % (kib * 1024)
        client.send(b"POST /read_and_hold HTTP/1.1\r\n" + head + b"b" * kib * 1024)
        assert client.sock.recv(10_000)
    until(lambda: app.gone == gone + 1)


def test_the_rest_of_a_request_that_was_answered_early_is_taken_in(
    server: tuple[int, Application],
) -> None:
    with RawClient(server[0]) as client:
        client.send(b"POST /early HTTP/1.1\r\n" + HOST + b"content-length: 300000\r\n\r\n")
        assert client.answer()[0] == 413
        client.send(b"b" * 300000)
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[0] == 200


def test_the_rest_of_a_request_that_was_answered_early_is_not_awaited_for_ever() -> None:
    with serving(Application(), IMPATIENT) as (port, _), RawClient(port) as client:
        client.send(b"POST /early HTTP/1.1\r\n" + HOST + b"content-length: 300000\r\n\r\n")
        assert client.answer()[0] == 413
        assert client.rest() == b""


def test_a_broken_rest_of_a_request_that_was_answered_early_gets_no_second_answer(
    server: tuple[int, Application],
) -> None:
    chunked = HOST + b"transfer-encoding: chunked\r\n\r\n"
    with RawClient(server[0]) as client:
        client.send(b"POST /early HTTP/1.1\r\n" + chunked)
        assert client.answer()[0] == 413
        client.send(b"no chunk")
        assert client.rest() == b""


def test_the_next_request_may_come_with_the_rest_of_one_that_was_answered_early(
    server: tuple[int, Application],
) -> None:
    with RawClient(server[0]) as client:
        client.send(b"POST /early HTTP/1.1\r\n" + HOST + b"content-length: 5\r\n\r\n")
        assert client.answer()[0] == 413
        client.send(b"hello" + b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[::2] == (200, b"echo:")


def test_an_unanswered_expectation_closes_the_connection(server: tuple[int, Application]) -> None:
    expecting = HOST + b"content-length: 5\r\nexpect: 100-continue\r\n\r\n"
    with RawClient(server[0]) as client:
        client.send(b"POST /early HTTP/1.1\r\n" + expecting)
        status, headers, _ = client.answer()
        assert (status, headers[b"connection"]) == (413, b"close")
    with RawClient(server[0]) as client:
        client.send(b"POST / HTTP/1.1\r\n" + expecting)
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert client.answer()[2] == b"echo:hello"


# Answers.


def test_a_body_without_a_length_is_chunked(server: tuple[int, Application]) -> None:
    with RawClient(server[0]) as client:
        for _ in range(2):
            client.send(b"GET /chunked HTTP/1.1\r\n" + HOST + b"\r\n")
            assert client.answer()[::2] == (200, b"onetwo")


def test_who_sends_at_once_learns_when_the_caller_is_behind(
    server: tuple[int, Application],
) -> None:
    port, app = server
    with RawClient(port) as client:
        client.send(b"GET /flood HTTP/1.1\r\n" + HOST + b"\r\n")
        body = client.answer()[2]
    until(lambda: app.finished == 1)
    assert len(body) == app.seen[0]["sent_bytes"]


def test_http_1_0_gets_a_body_that_ends_with_the_connection(
    server: tuple[int, Application],
) -> None:
    with RawClient(server[0]) as client:
        client.send(b"GET /chunked HTTP/1.0\r\n\r\n")
        head = client.read_until(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert client.rest() == b"onetwo"


def test_answers_without_a_body_have_none(server: tuple[int, Application]) -> None:
    with RawClient(server[0]) as client:
        client.send(b"GET /none HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[0] == 204
        client.send(b"HEAD /echo HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"content-length: 5\r\n" in client.read_until(b"\r\n\r\n")
        client.send(b"GET /none HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.answer()[0] == 204


@pytest.mark.parametrize("path", [b"fail", b"inject"])
def test_an_application_that_fails_before_its_first_byte_is_an_internal_error(
    server: tuple[int, Application], path: bytes
) -> None:
    with RawClient(server[0]) as client:
        client.send(b"GET /" + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        status, headers, body = client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (500, "internal_error")
        assert b"purpose" not in body
        assert b"set-cookie" not in headers
        assert client.rest() == b""


def test_a_body_shorter_than_announced_closes_the_connection(
    server: tuple[int, Application],
) -> None:
    with RawClient(server[0]) as client:
        client.send(b"GET /short HTTP/1.1\r\n" + HOST + b"\r\n")
        assert client.rest().endswith(b"short")


# Callers who leave, and servers that do.


def test_the_application_learns_at_once_that_its_caller_has_gone(
    server: tuple[int, Application],
) -> None:
    port, app = server
    with RawClient(port) as client:
        client.send(b"GET /hold HTTP/1.1\r\n" + HOST + b"\r\n")
        client.read_until(b"begun")
        assert app.gone == 0
    until(lambda: app.gone == 1)
    until(lambda: app.finished == 1)


def test_a_caller_who_leaves_after_the_answer_is_not_reported(
    server: tuple[int, Application],
) -> None:
    port, app = server
    with RawClient(port) as client:
        client.send(b"POST /watched HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\nhi")
        assert client.answer()[2] == b"echo:hi"
    with RawClient(port) as client:
        client.send(b"GET /hold HTTP/1.1\r\n" + HOST + b"\r\n")
        client.read_until(b"begun")
    until(lambda: app.finished == 2)
    assert app.gone == 1


def test_a_stopping_server_lets_an_answer_finish() -> None:
    with serving(Application(), LIMITS) as (port, server), RawClient(port) as client:
        client.send(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        until(lambda: len(server.server_state.tasks) == 1)
        server.should_exit = True
        status, headers, body = client.answer()
        assert (status, headers[b"connection"], body) == (200, b"close", b"slow")


def test_a_stopping_server_does_not_wait_for_ever() -> None:
    with serving(Application(), LIMITS, drain_s=1) as (port, server), RawClient(port) as client:
        client.send(b"GET /hold HTTP/1.1\r\n" + HOST + b"\r\n")
        client.read_until(b"begun")
        server.should_exit = True
        assert not client.rest().endswith(b"0\r\n\r\n")


def test_tls_is_served(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "IP:127.0.0.1")
    with serving(Application(), LIMITS, tls_cert=made.certificate, tls_key=made.key) as (port, _):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, context=made.client_context(), timeout=20
        )
        for _ in range(2):
            connection.request("POST", "/", body=b"x" * 100_000)
            assert connection.getresponse().read() == b"echo:" + b"x" * 100_000
        assert isinstance(connection.sock, ssl.SSLSocket)
        connection.close()


def test_several_sockets_may_share_a_port_when_asked() -> None:
    with listening_socket("127.0.0.1", 0, reuse_port=True) as first:
        port = first.getsockname()[1]
        with listening_socket("127.0.0.1", port, reuse_port=True) as second:
            assert second.getsockname()[1] == port
        with pytest.raises(OSError, match="use"):
            listening_socket("127.0.0.1", port)
