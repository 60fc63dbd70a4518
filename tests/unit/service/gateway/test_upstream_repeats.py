"""An answer whose head is known again is read as the parser reads it."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import UpstreamError
from service.gateway.http_answer import Answer
from service.gateway.http_connection import Connection, ConnectionLimits

LIMITS = ConnectionLimits(read_timeout_s=30, keep_alive_s=30)


class Wire:
    """The upstream's end of a connection that is not there."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        """Take it."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """As above."""


class Upstream:
    """Answers what the test says; `knows`: heads may be known again."""

    def __init__(self, *, knows: bool) -> None:
        self.wire = Wire()
        self._knows = knows
        self.connection = Connection(LIMITS, self._ignore, self._ignore)
        self.connection.connection_made(cast("asyncio.Transport", self.wire))

    def _ignore(self, _: Connection) -> None:
        """Nobody pools it."""

    async def answer(self, *pieces: bytes) -> Any:  # noqa: ANN401
        """Send a request, answer it with these bytes, and return all that was made of them."""
        if self.wire.closed:
            return "closed"
        if not self._knows:
            self.connection._repeated = None
        due = asyncio.get_running_loop().time() + 60
        waiting = asyncio.ensure_future(
            self.connection.exchange(b"head", b"body", due=due, answer_has_body=True)
        )
        await asyncio.sleep(0)
        for piece in pieces:
            if not self.wire.closed:
                self.connection.data_received(piece)
        await asyncio.sleep(0)
        if not waiting.done():
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return "no head"
        if (error := waiting.exception()) is not None:
            return type(error)
        return await _read(waiting.result())


async def _read(answer: Answer) -> Any:  # noqa: ANN401
    try:
        async with asyncio.timeout(0):
            body: object = await answer.read_all(1000)
    except (UpstreamError, TimeoutError) as error:
        body = type(error)
    return answer.status, answer.headers, body


async def both(*answers: bytes) -> list[Any]:
    """Let two upstreams give the same answers, of which the second is never known again."""
    known, unknown = Upstream(knows=True), Upstream(knows=False)
    results = []
    for one in answers:
        results.append(await known.answer(one))
        assert results[-1] == await unknown.answer(one)
        assert known.wire.closed == unknown.wire.closed
    return results


def response(length: bytes, body: bytes, *more: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Server: u", *more, b"Content-Length: " + length]
    return b"\r\n".join([*lines, b"X: y", b"", body])


async def test_answers_of_other_lengths_and_of_other_kinds() -> None:
    first = response(b"3", b"abc")
    results = await both(
        first,
        response(b"5", b"hello"),
        response(b"0", b""),
        response(b"3", b"abc", status=b"400 Bad Request"),
        first,
        response(b"3", b"xyz", b"Date: now"),
    )
    assert [status for status, _, _ in results] == [200, 200, 200, 400, 200, 200]
    assert [body for _, _, body in results] == [b"abc", b"hello", b"", b"abc", b"abc", b"xyz"]
    assert (b"content-length", b"5") in results[1][1]


@pytest.mark.parametrize(
    "second",
    [
        response(b"3", b"abcd"),
        response(b"4", b"abc"),
        response(b"3", b"abc") + response(b"3", b"abc"),
        response(b"+3", b"abc"),
        response(b"3 ", b"abc"),
        response(b"003", b"abc"),
        response(b"", b""),
        response(b"3\r\nContent-Length: 4", b"abc"),
        response(b"3\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        response(b"3\r\nConnection: close", b"abc"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(b"3", b"abc"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"garbage",
    ],
)
async def test_whatever_follows_a_good_answer(second: bytes) -> None:
    await both(response(b"3", b"abc"), second, response(b"3", b"abc"))


async def test_an_answer_in_pieces_is_no_head_and_the_next_one_is_read() -> None:
    upstream = Upstream(knows=True)
    whole = response(b"5", b"hello")
    for pieces in ([whole], [whole[:20], whole[20:]], [whole[:-2], whole[-2:]], [whole]):
        assert (await upstream.answer(*pieces))[2] == b"hello"


@given(
    more=st.lists(
        st.sampled_from(
            [
                b"Connection: close", b"Connection: keep-alive", b"Transfer-Encoding: chunked",
                b"Content-Length: 3", b"Upgrade: h2c", b"X: \r\n folded", b"Trailer: t",
            ]
        ),
        max_size=2,
    ),
    length=st.one_of(st.integers(0, 20).map(lambda n: b"%d" % n), st.binary(max_size=3)),
    body=st.binary(max_size=10),
    fits=st.booleans(),
)  # fmt: skip
async def test_no_head_makes_a_difference(
    more: list[bytes], length: bytes, body: bytes, fits: bool
) -> None:
    length = b"%d" % len(body) if fits else length
    first = response(b"3", b"abc", *more)
    await both(first, response(length, body, *more), first)
