"""A head that is known again is read as the parser reads it: the same, or not at all."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from service.gateway.asgi import BODY_NOW, MEMO, SEND_WHOLE, Receive, Scope, Send
from service.gateway.http_protocol import GatewayProtocol, RequestLimits
from service.gateway.http_repeat import RepeatedHead

LIMITS = RequestLimits(max_header_bytes=2048, max_headers=20, header_timeout_s=30, keep_alive_s=30)


class Wire:
    """The caller's end of a connection that is not there."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> object:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name)


class Caller:
    """Sends requests to an application that remembers them; `knows`: heads may be known again."""

    def __init__(self, *, knows: bool) -> None:
        self.seen: list[tuple[dict[str, Any], bytes]] = []
        self.memos: list[object] = []
        self.wire = Wire()
        self._knows = knows
        config: Any = SimpleNamespace(loaded_app=self._app)
        self._protocol = GatewayProtocol(config, ServerState(), {}, limits=LIMITS)
        self._protocol.connection_made(cast("asyncio.Transport", self.wire))

    async def _app(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        body = scope["extensions"][BODY_NOW]()
        said = {k: v for k, v in scope.items() if k not in {"extensions", MEMO}}
        self.seen.append((said, body))
        self.memos.append(scope[MEMO])
        scope["extensions"][SEND_WHOLE](200, [(b"x-a", b"b")], b"answer")

    async def say(self, *pieces: bytes) -> bytes:
        """Say something and return what is answered."""
        if not self._knows:
            self._protocol._known = None
        before = len(self.wire.written)
        for piece in pieces:
            self._protocol.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
        return self.wire.written[before:]

    def end(self) -> None:
        self._protocol.connection_lost(None)


def request(length: bytes, body: bytes, *more: bytes, name: bytes = b"Content-Length") -> bytes:
    lines = [b"POST /v1/a HTTP/1.1", b"Host: gateway", *more, name + b": " + length]
    return b"\r\n".join([*lines, b"Accept: */*", b"", body])


async def both(*requests: bytes) -> tuple[Caller, Caller]:
    """Let two callers say the same, of whom the second is never known again."""
    known, unknown = Caller(knows=True), Caller(knows=False)
    for one in requests:
        said, read = await known.say(one), await unknown.say(one)
        assert said == read
    assert known.seen == unknown.seen
    assert known.wire.closed == unknown.wire.closed
    for caller in (known, unknown):
        caller.end()
    return known, unknown


async def test_a_head_with_another_length_is_known_and_keeps_its_memo() -> None:
    known, unknown = await both(
        request(b"3", b"abc"), request(b"3", b"xyz"), request(b"12", b"x" * 12)
    )
    assert [body for _, body in known.seen] == [b"abc", b"xyz", b"x" * 12]
    lengths = [dict(scope["headers"])[b"content-length"] for scope, _ in known.seen]
    assert lengths == [b"3", b"3", b"12"]
    assert known.memos[0] is known.memos[1] is known.memos[2]
    assert unknown.memos[0] is not unknown.memos[1]


async def test_a_head_with_anything_else_in_it_is_another() -> None:
    first = request(b"3", b"abc", b"Authorization: Bearer a")
    for second in (
        request(b"3", b"abc", b"Authorization: Bearer b"),
        request(b"3", b"abc"),
        request(b"3", b"abc", b"Authorization: Bearer a", b"X: y"),
        first.replace(b"/v1/a", b"/v1/b"),
        first.replace(b"Accept", b"aCCEPT"),
    ):
        known, _ = await both(first, second)
        assert known.memos[0] is not known.memos[1]


async def test_a_head_is_never_served_as_another_that_came_between() -> None:
    first = request(b"3", b"abc", b"Authorization: Bearer a")
    other = request(b"5", b"hello", b"Authorization: Bearer b").replace(b"/v1/a", b"/v1/b")
    for pieces in ([other], [other[:-2], other[-2:]], [other[:30], other[30:]]):
        known, unknown = Caller(knows=True), Caller(knows=False)
        for caller in (known, unknown):
            await caller.say(first)
            await caller.say(*pieces)
            await caller.say(first)
            caller.end()
        assert known.seen == unknown.seen
        assert [scope["path"] for scope, _ in known.seen] == ["/v1/a", "/v1/b", "/v1/a"]
        assert known.memos[0] is not known.memos[1]
        assert known.memos[2] is not known.memos[1]


async def test_the_rest_of_a_request_that_comes_in_pieces_is_no_head() -> None:
    whole = request(b"5", b"hello")
    known = Caller(knows=True)
    await known.say(whole)
    await known.say(whole[:40], whole[40:-2], whole[-2:])
    await known.say(whole)
    assert [body for _, body in known.seen] == [b"hello"] * 3
    assert known.memos[0] is not known.memos[1]
    known.end()


@pytest.mark.parametrize(
    "second",
    [
        request(b"3", b"abcd"),  # bytes behind it
        request(b"3", b"abc") + request(b"3", b"abc"),
        request(b"4", b"abc"),  # not all of it
        request(b"+3", b"abc"),
        request(b"-3", b"abc"),
        request(b"3 ", b"abc"),
        request(b" 3", b"abc"),
        request(b"\t3", b"abc"),
        request(b"3,3", b"abc"),
        request(b"0x3", b"abc"),
        request(b"", b""),
        request(b"003", b"abc"),
        request(b"0", b""),
        request(b"00000000000000000003", b"abc"),
        request(b"99999999999999999999", b"abc"),
        request("٣".encode(), b"abc"),
        request(b"3\r\nContent-Length: 4", b"abc"),
        request(b"3\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        request(b"3\n", b"abc"),
        request(b"3", b"abc").replace(b"\r\n", b"\n"),
        request(b"3", b"\r\n\r"),
        b"",
        b"\r\n",
        b"POST ",
    ],
)
async def test_whatever_follows_a_good_request_is_read_as_the_parser_reads_it(
    second: bytes,
) -> None:
    await both(request(b"3", b"abc"), second)


lengths = st.one_of(
    st.integers(0, 40).map(lambda n: b"%d" % n),
    st.binary(max_size=4),
    st.sampled_from([b"3 ", b" 3", b"03", b"3\r\nx: y", b"3\r\n", b"3\r\n\r\n"]),
)
lines = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue",
                b"Upgrade: h2c", b"Transfer-Encoding: chunked", b"Content-Length: 3",
                b"content-length: 3", b"Host: other", b"X: \r\n folded", b"X : y",
                b"Trailer: x", b"X:", b"X: Content-Length: 3",
            ]
        ),
        st.binary(max_size=6),
    ),
    max_size=2,
)  # fmt: skip
names = st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"])


@given(lines=lines, name=names, length=lengths, body=st.binary(max_size=12), fits=st.booleans())
async def test_no_head_makes_a_difference(
    lines: list[bytes],
    name: bytes,
    length: bytes,
    body: bytes,
    fits: bool,
) -> None:
    first = request(b"3", b"abc", *lines, name=name)
    length = b"%d" % len(body) if fits else length
    await both(first, request(length, body, *lines, name=name), first)


def test_only_what_frames_its_body_by_its_length_is_kept() -> None:
    def of(data: bytes, *headers: tuple[bytes, bytes]) -> RepeatedHead | None:
        return RepeatedHead.of(data, list(headers))

    length = (b"content-length", b"3")
    assert of(request(b"3", b"abc"), length) is not None
    assert of(request(b"3", b"ab"), length) is None
    assert of(request(b"3", b"abc")) is None
    assert of(request(b"3", b"abc"), length, length) is None
    assert of(request(b"3", b"abc"), length, (b"expect", b"100-continue")) is None
    assert of(request(b"3", b"abc"), length, (b"upgrade", b"h2c")) is None
    assert of(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (b"host", b"a")) is None
