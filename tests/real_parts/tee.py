"""A recorder between the gateway and its upstream: what the one sent and the other answered."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import httptools

START_S: Final = 20.0
_READ_BYTES: Final = 2**16
_ID_HEADER: Final = b"x-request-id"


@dataclass(slots=True)
class Message:
    """A request or an answer, its body without chunked framing."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    is_complete: bool = False


@dataclass(slots=True)
class Forwarded:
    """An exchange as the upstream saw it."""

    path: str
    request: Message
    answer: Message
    status: int = 0


class Tee:
    """Passes bytes on unchanged, both ways, and keeps every exchange by its X-Request-Id."""

    def __init__(self, host: str, port: int) -> None:
        """Forward to this upstream, once it is started."""
        self.port = 0
        self._target = (host, port)
        self._exchanges: dict[str, Forwarded] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._started = threading.Event()

    @property
    def url(self) -> str:
        """Where the gateway finds its upstream."""
        return f"http://127.0.0.1:{self.port}"

    def exchange(self, request_id: str) -> Forwarded | None:
        """Return an exchange, None if its request was not forwarded."""
        return self._exchanges.get(request_id)

    def keep(self, exchange: Forwarded) -> None:
        """Keep an exchange whose request has come whole."""
        if (request_id := exchange.request.headers.get(_ID_HEADER)) is not None:
            self._exchanges[request_id.decode()] = exchange

    async def serve(self) -> None:
        """Forward until it is stopped."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopping.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()

    def wait_started(self) -> None:
        """Return once it listens."""
        assert self._started.wait(START_S), "the tee did not start"

    def stop(self) -> None:
        """Break what is open and serve no more."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection; when either side closes it, close the other."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        recorder = _Recorder(self)
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        try:
            ways = (
                asyncio.create_task(_pump(reader, upstream_writer, recorder.requests)),
                asyncio.create_task(_pump(upstream_reader, writer, recorder.answers)),
            )
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(task)
            for way in ways:
                way.cancel()
            for end in (writer, upstream_writer):
                end.close()


@contextlib.contextmanager
def tee_before(host: str, port: int) -> Iterator[Tee]:
    """Run a tee in a thread of its own until the block ends."""
    tee = Tee(host, port)
    thread = threading.Thread(target=asyncio.run, args=[tee.serve()], name="tee")
    thread.start()
    try:
        tee.wait_started()
        yield tee
    finally:
        tee.stop()
        thread.join(START_S)


async def _pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    parser: "httptools.HttpRequestParser | httptools.HttpResponseParser",
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(_READ_BYTES):
            parser.feed_data(data)
            sink.write(data)
            await sink.drain()


class _Recorder:
    """Parses what passes on one connection, where exchanges follow one another."""

    def __init__(self, tee: Tee) -> None:
        self._tee = tee
        self._unanswered: deque[Forwarded] = deque()
        self.requests = httptools.HttpRequestParser(_Requests(self))
        self.answers = httptools.HttpResponseParser(_Answers(self))

    def begin(self) -> Forwarded:
        """Return an exchange whose request begins now."""
        exchange = Forwarded("", Message(), Message())
        self._unanswered.append(exchange)
        return exchange

    def requested(self, exchange: Forwarded) -> None:
        """Take note that a request is whole."""
        exchange.request.is_complete = True
        self._tee.keep(exchange)

    def answered(self) -> None:
        """Take note that the oldest exchange's answer is whole."""
        self._unanswered.popleft().answer.is_complete = True

    @property
    def current(self) -> Forwarded:
        """The exchange that the upstream answers now."""
        return self._unanswered[0]


class _Requests:
    """What httptools calls on a request's parts."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    def on_message_begin(self) -> None:
        self._exchange = self._recorder.begin()

    def on_url(self, url: bytes) -> None:
        self._exchange.path += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._exchange.request.headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self._exchange.request.body += data

    def on_message_complete(self) -> None:
        self._recorder.requested(self._exchange)


class _Answers:
    """What httptools calls on an answer's parts."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    def on_header(self, name: bytes, value: bytes) -> None:
        self._recorder.current.answer.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._recorder.current.status = self._recorder.answers.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._recorder.current.answer.body += data

    def on_message_complete(self) -> None:
        self._recorder.answered()
