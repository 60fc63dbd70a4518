"""A gateway that stays up for many examples of a property test, and what must hold after each.

with standing_gateway(folder) as standing:
    standing.run(some_coroutine(standing))
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import uvloop

from service.core.surfaces.answers import Answer as RecordedAnswer
from service.events.journal import JournalReader
from service.events.log import Topic
from service.events.schema import Closed, Opened, to_event
from tests.real_parts.gateway import RecordedExchange, Reply, RunningGateway, gateway_before
from tests.real_parts.scripted import Peer, eventually

T = TypeVar("T")
Play = Callable[[Peer, bytes], Awaitable[bool]]
"""Answers one request of a connection; says whether the connection stays open."""

DEADLINE_S: Final = 10.0
"""The longest that anything may hang."""
FORESEEN: Final = {502, 503, 504}
"""Statuses over 500 that tell of the upstream or of a safeguard, not of a fault of ours."""


class Faults(logging.Handler):
    """Gathers what nobody foresaw: errors that were logged, or that the loop caught."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        shown = {name: getattr(record, name, None) for name in ("error", "place")}
        self.seen.append(f"{record.name}: {record.getMessage()} {shown} {record.exc_info}")

    def of_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.seen.append(f"loop: {context}")


class Standing:
    """The gateway, its loop, and what it has recorded since the last look."""

    def __init__(self, gateway: RunningGateway, runner: asyncio.Runner, faults: Faults) -> None:
        self.gateway = gateway
        self.play: Play = _closes_at_once
        self._runner = runner
        self._faults = faults
        self._reader = JournalReader(
            gateway.settings.data_dir / "journal", "tests", [Topic.EXCHANGES]
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run an example to its end, which must come in time."""

        async def bounded() -> T:
            await self._forget()
            async with asyncio.timeout(3 * DEADLINE_S):
                return await work

        return self._runner.run(bounded())

    async def talk(self, *parts: bytes, then: bytes = b"") -> list[Reply]:
        """Send bytes on a new connection; return all answers up to its end.

        If the connection stays open after the first answer, `then` is sent and must end it.
        """
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
            got = bytearray()
            try:
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0)
                while not replies_in(got) and (more := await reader.read(65536)):
                    got += more
                if then:
                    writer.write(then)
                while more := await reader.read(65536):
                    got += more
            except ConnectionError:
                pass  # it was closed with bytes of ours unread
            finally:
                writer.transport.abort()
        return replies_in(got, whole=True)

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        gateway = self.gateway
        await eventually(lambda: gateway.pipeline.meters.in_flight == 0, DEADLINE_S)
        await eventually(lambda: gateway.evidence.undecided == 0, DEADLINE_S)

    async def recorded(self, exchanges: int) -> list[RecordedExchange]:
        """Return what was recorded since the last look: so many exchanges, each opened and closed.

        Nothing may be under way, and nothing unforeseen may have happened.
        """
        await self.settled()
        opened: dict[str, tuple[Opened, bytes]] = {}
        found: list[RecordedExchange] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(found) < exchanges or len(opened) > len(found):
                for one in self._reader.poll(0):
                    event, content = to_event(one.record), one.record.content or b""
                    if isinstance(event, Opened):
                        opened[event.exchange_id] = (event, content)
                    elif isinstance(event, Closed):
                        answer = msgspec.json.decode(content, type=RecordedAnswer)
                        found.append(RecordedExchange(*opened[event.exchange_id], event, answer))
                await asyncio.sleep(0.001)
        assert not self._reader.poll(0)
        assert (len(opened), len(found)) == (exchanges, exchanges)
        assert self._faults.seen == []
        return found

    async def _forget(self) -> None:
        """Begin anew, whatever an example that failed has left behind."""
        self.gateway.upstream.requests.clear()
        self._faults.seen.clear()
        await self.settled()
        while self._reader.poll(0):
            pass

    def close(self) -> None:
        self._reader.close()


async def _closes_at_once(_peer: Peer, _request: bytes) -> bool:
    return False


@contextmanager
def standing_gateway(
    folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None
) -> Iterator[Standing]:
    """Run a gateway whose upstream plays what the example wants, on a loop that waits meanwhile."""
    faults = Faults()

    async def script(peer: Peer) -> None:
        while await standing.play(peer, await peer.request()):
            pass

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(faults.of_loop)
        context = gateway_before(script, folder=folder, change=change)
        gateway = runner.run(context.__aenter__())
        standing = Standing(gateway, runner, faults)
        logging.getLogger().addHandler(faults)
        try:
            yield standing
        finally:
            logging.getLogger().removeHandler(faults)
            standing.close()
            runner.run(context.__aexit__(None, None, None))
    assert faults.seen == []


def replies_in(data: bytes | bytearray, *, whole: bool = False) -> list[Reply]:
    """Read answers strictly, one behind the other; `whole`: nothing may be left over.

    The body of an answer that ends with its connection is all the rest.
    """
    replies: list[Reply] = []
    rest = bytes(data)
    while rest:
        head, border, rest = rest.partition(b"\r\n\r\n")
        if not border:
            assert not whole, head
            break
        status, headers = _head(head)
        if status == 100:
            continue
        body, rest, is_complete = _body(headers, rest)
        if not (is_complete or whole):
            break
        replies.append(Reply(status, headers, body))
    return replies


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    assert first.startswith("HTTP/1.1 "), first
    return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines)


def _body(headers: dict[str, str], rest: bytes) -> tuple[bytes, bytes, bool]:
    """Return a body, what comes after it, and whether the body is all there."""
    if headers.get("transfer-encoding") == "chunked":
        return _chunks(rest)
    if "content-length" in headers:
        size = int(headers["content-length"])
        return rest[:size], rest[size:], len(rest) >= size
    return rest, b"", False


def _chunks(rest: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        line, border, rest = rest.partition(b"\r\n")
        if not border:
            return body, b"", False
        size = int(line, 16)
        if len(rest) < size + 2:
            return body + rest, b"", False
        assert rest[size : size + 2] == b"\r\n"
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            return body, rest, True


def must_be_foreseen(replies: Sequence[Reply], relayed: Collection[int] = ()) -> None:
    """Check that no answer is a fault of the gateway's, and that errors have their shape.

    `relayed` are the statuses by which the upstream may speak to the caller.
    """
    for reply in replies:
        assert reply.status < 500 or reply.status in FORESEEN, reply
        if reply.status >= 400 and reply.status not in relayed and reply.body:
            assert reply.headers["content-type"] == "application/json"
            assert reply.code != "internal_error"


def exact(data: bytes) -> Any:  # noqa: ANN401  (whatever JSON holds)
    """Read JSON as written: an object is a tuple of its pairs, a number its digits."""
    return json.loads(data, object_pairs_hook=tuple, parse_int=str, parse_float=str)
