"""One request and its answer on the gateway's own server: ASGI's `receive` and `send`."""

import asyncio
import logging
from typing import Final, Protocol

from uvicorn.server import ServerState

from service.gateway.asgi import App, Header, Message, Scope
from service.gateway.http_fields import STATUS_LINES, Rendered, render_headers
from service.gateway.http_flow import Flow
from service.gateway.http_head import error_object

HIGH_WATER_BYTES: Final = 64 * 1024
"""Reading pauses while so much of a body waits for the application."""

_BODYLESS: Final = frozenset({204, 304})
_INTERNAL_ERROR: Final = error_object("The gateway failed.", "server_error", "internal_error")
_common_lines: Final = Rendered()
_log = logging.getLogger(__name__)


class Connection(Protocol):
    """What a cycle needs of the connection that its request came on."""

    transport: asyncio.Transport
    flow: Flow
    server: ServerState

    def on_response_complete(self) -> None:
        """Go on to the next request."""


class Cycle:
    """Holds what came of a body, and writes the answer.

    The head of an answer leaves together with the first bytes of its body. ASGI asks for that: an
    application that fails before its first byte can still answer 500. An application that wants
    its head on the wire at once sends an empty body with `more_body`.
    """

    __slots__ = (
        "_body_left_bytes",
        "_buffered_bytes",
        "_chunks",
        "_connection",
        "_head",
        "_is_body_given",
        "_is_chunked",
        "_waiter",
        "disconnected",
        "expects_continue",
        "has_body_come",
        "keep_alive",
        "response_complete",
        "response_started",
        "scope",
        "task",
    )

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        """Begin when the head is complete."""
        self._connection = connection
        self.scope = scope
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._is_body_given = False
        self._waiter: asyncio.Future[None] | None = None
        self._head: bytes | None = None
        self._is_chunked = False
        self._body_left_bytes: int | None = None  # None: the head names no length
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        """Who works at it; the server waits for all of them before it ends."""
        self.expects_continue = expects_continue
        """The caller waits for "100 Continue" before it sends its body."""
        self.has_body_come = False
        """All of the request's body is here."""
        self.disconnected = False
        self.response_started = False
        """Bytes of it were written."""
        self.response_complete = False

    async def run(self, app: App) -> None:
        """Let the application answer, and answer in its stead if it fails."""
        try:
            await app(self.scope, self.receive, self.send)
            if not self.response_complete and not self.disconnected:
                raise RuntimeError("the application returned before its answer was complete")
        except (Exception, asyncio.CancelledError):  # noqa: BLE001  (callers get an error object)
            _log.exception("a request failed")
            await self._fail()
        finally:
            self._connection.server.tasks.discard(self.task)
            self.scope = {}
            self._part()

    def _part(self) -> None:
        """Forget the connection when it has gone and the work is over.

        They name each other, in the scope as well: what is left of them would wait for the garbage
        collector, which comes seldom.
        """
        if self.disconnected and not self.scope:
            self._connection = None  # type: ignore[assignment]  # nothing is called any more

    async def _fail(self) -> None:
        """Tell the caller no more than that it failed, or that the answer is not whole."""
        if self.response_started:
            self._connection.transport.close()
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(_INTERNAL_ERROR)),
            (b"connection", b"close"),
        ]
        self._head = None
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": _INTERNAL_ERROR})

    # What the connection calls.

    def feed(self, data: bytes) -> None:
        """Take a part of the body."""
        self._chunks.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes > HIGH_WATER_BYTES:
            self._connection.flow.pause_reading()
        self._wake()

    def take_whole(self, body: bytes) -> None:
        """Take a body that is here whole."""
        self._chunks.append(body)
        self.has_body_come = True

    def end_body(self) -> None:
        """Note that the body is whole; read on, to learn if the caller goes away."""
        self.has_body_come = True
        self._connection.flow.resume_reading()
        self._wake()

    def drop(self) -> None:
        """Let the application know that the caller has gone."""
        self.disconnected = True
        self._wake()
        self._part()

    # What the application calls.

    async def receive(self) -> Message:
        """Return what came of the body since the last call, or that nobody awaits the answer."""
        if self.expects_continue:
            self.expects_continue = False
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._has_news() or self.disconnected or self.response_complete):
            self._connection.flow.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._take(), "more_body": not self.has_body_come}

    def body_now(self) -> bytes | None:
        """Return the whole body if all of it is here, and nothing of it was given yet."""
        if not self.has_body_come or self._is_body_given or self.disconnected:
            return None
        return self._take()

    async def send(self, message: Message) -> None:
        """Take the next message of the answer, once the caller has kept up with those before."""
        if self._connection.flow.is_write_paused and not self.disconnected:
            await self._connection.flow.drain()
        self.send_now(message)

    def send_now(self, message: Message) -> bool:
        """Take the next message of the answer; say whether the caller keeps up.

        If not, the next one should wait: `send` does.
        """
        if self.disconnected:
            return False
        kind = message["type"]
        if kind == "http.response.body" and self._head is not None and not self.response_complete:
            self._send_body(message.get("body", b""), is_last=not message.get("more_body", False))
        elif kind == "http.response.start" and not self.response_started:
            self._start(message["status"], list(message.get("headers", ())))
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")
        return not self._connection.flow.is_write_paused

    def send_whole(self, status: int, headers: list[Header], body: bytes) -> bool:
        """Take a whole answer, unless the caller is behind: then it has to go by `send`.

        `headers` name no length, nor anything else of the connection.
        """
        if self._connection.flow.is_write_paused:
            return False
        if self.disconnected:
            return True
        self._start(status, headers, b"%d" % len(body))
        self._send_body(body, is_last=True)
        return True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _has_news(self) -> bool:
        return bool(self._chunks) or (self.has_body_come and not self._is_body_given)

    def _take(self) -> bytes:
        chunks = self._chunks
        self._chunks = []
        self._buffered_bytes = 0
        self._is_body_given = self.has_body_come
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _start(self, status: int, given: list[Header], length: bytes | None = None) -> None:
        """Write the head; `length` is given here if it is not among the headers."""
        fields = dict(given)  # ASGI wants names in lower case
        self._choose_framing(status, fields.get(b"content-length", length))
        more = b"" if length is None else b"content-length: %b\r\n" % length
        if self._is_chunked:
            more = b"transfer-encoding: chunked\r\n"
        if self.expects_continue:  # the caller may or may not send its body now
            self.keep_alive = False
        if fields.get(b"connection") == b"close":
            self.keep_alive = False
        elif not self.keep_alive:
            more += b"connection: close\r\n"
        common = _common_lines(self._connection.server.default_headers)
        self._head = b"%b%b%b%b\r\n" % (STATUS_LINES[status], common, render_headers(given), more)

    def _choose_framing(self, status: int, length: bytes | None) -> None:
        self._is_chunked = False
        if self.scope["method"] == "HEAD" or status in _BODYLESS:
            self._body_left_bytes = 0
        elif length is not None:
            self._body_left_bytes = int(length)
        elif self.scope["http_version"] == "1.1":
            self._is_chunked = True
        else:
            self.keep_alive = False  # the body ends with the connection

    def _send_body(self, body: bytes, *, is_last: bool) -> None:
        data = self._framed(body, is_last=is_last)
        if not self.response_started:
            self.response_started = True
            self.expects_continue = False
            data = self._head + data  # type: ignore[operator]  # there is one: see `send`
        if data:
            self._connection.transport.write(data)
        if is_last:
            self._complete()

    def _framed(self, body: bytes, *, is_last: bool) -> bytes:
        if self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + b"0\r\n\r\n" if is_last else chunk
        if self._body_left_bytes is None:
            return body
        if self.scope["method"] == "HEAD":
            return b""
        self._body_left_bytes -= len(body)
        if self._body_left_bytes < 0:
            raise RuntimeError("the body is longer than its Content-Length")
        return body

    def _complete(self) -> None:
        if self._body_left_bytes:
            raise RuntimeError("the body is shorter than its Content-Length")
        self.response_complete = True
        self._wake()
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.on_response_complete()
