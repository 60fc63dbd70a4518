"""The gateway's server protocol: one connection of a caller, on httptools.

uvicorn's server runs it (sockets, signals, lifespan, drain). A subclass of uvicorn's protocol took
3 of 18 µs more for a request. What is here and not there:
- A head is bounded in bytes, in headers and in time, and so is what frames a body; one lazy timer
  keeps the times and keep-alive.
- Over a number of connections a new one is told so and closed.
- Host, Authorization and Content-Length may come once, and a Host must come.
- A caller who stops reading its answer is let go.
- Pipelined requests are not served: the connection closes after the answer to the first.
- A wish to upgrade (websocket, h2c) is passed over; uvicorn would take the body for a request.
- The application can learn at once that its caller has gone, whether a body needs waiting for, and
  write without a coroutine: see the extensions in asgi.py.
- What cannot be served is answered with an OpenAI error object.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.gateway import asgi
from service.gateway.asgi import App, Header, Message, Scope
from service.gateway.caps import TURNED_AWAY
from service.gateway.http_cycle import Cycle
from service.gateway.http_deadline import Deadline
from service.gateway.http_flow import Flow
from service.gateway.http_head import (
    Refused,
    RequestLimits,
    check_head,
    check_size,
    connection_scope,
    head_without_upgrade,
    read_target,
    too_large,
)
from service.gateway.http_phase import Phase
from service.gateway.http_repeat import KnownRequest

__all__ = ["GatewayProtocol", "RequestLimits"]

_TALKATIVE: Final = (400, "The body comes in chunks that say too much about too little.")


class GatewayProtocol(asyncio.Protocol):
    """One connection of a caller."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002  (uvicorn gives it; our lifespan has none)
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: RequestLimits,
    ) -> None:
        """Be made by uvicorn, for each connection."""
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until connected
        self.flow: Flow = None  # type: ignore[assignment]  # until connected
        self.server = server_state
        self._app: App = config.loaded_app
        self._limits = limits
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._phase = Phase.HEAD
        self._framing_bytes = 0  # that came since the last byte of a body
        self._target = b""
        self._headers: list[Header] = []
        self._scope: dict[str, Any] = {}  # what is the same for all requests
        self._cycle: Cycle = None  # type: ignore[assignment]  # until the first head is complete
        self._on_gone: Callable[[], None] | None = None
        self._known: KnownRequest | None = None
        self._deadline = Deadline(self._loop, self._on_due)

    # What the application calls.

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back if the caller goes away before the answer is complete."""
        if self._cycle.disconnected:
            callback()
        else:
            self._on_gone = callback

    def body_now(self) -> bytes | None:
        """Return the body of the request if all of it is here, else None."""
        return self._cycle.body_now()

    def send_now(self, message: Message) -> bool:
        """Take the next message of the answer; say whether the caller keeps up."""
        return self._cycle.send_now(message)

    def send_whole(self, status: int, headers: list[Header], body: bytes) -> bool:
        """Take a whole answer, if the caller keeps up; say whether it was taken."""
        return self._cycle.send_whole(status, headers, body)

    # What the cycle calls.

    def on_response_complete(self) -> None:
        """Await the rest of the request, if it was answered early, or the next one."""
        self.server.total_requests += 1
        self._on_gone = None
        if self.transport.is_closing():
            self._deadline.set(self._limits.stall_timeout_s)
            return
        self.flow.resume_reading()
        if self._cycle.has_body_come:
            self._await_next()
        else:
            self._phase = Phase.REST
            self._deadline.set(self._limits.header_timeout_s)

    # What the server calls.

    def shutdown(self) -> None:
        """Close, after the answer to a request that is being served."""
        if self._phase in {Phase.SERVING, Phase.DEAF}:
            self._cycle.keep_alive = False
        else:
            self.transport.close()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a head, unless there are too many connections already."""
        self.transport = cast("asyncio.Transport", transport)  # TCP: it reads and writes
        self.server.connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own
        self.flow = Flow(self.transport, self._loop, self._limits.stall_timeout_s)
        self._scope = connection_scope(self.transport)
        self._scope["extensions"] = {
            asgi.ON_DISCONNECT: self.on_disconnect,
            asgi.BODY_NOW: self.body_now,
            asgi.SEND_NOW: self.send_now,
            asgi.SEND_WHOLE: self.send_whole,
        }
        cap = self._limits.connections
        if cap is not None and not cap.admits(len(self.server.connections)):
            self.transport.write(TURNED_AWAY)
            self.transport.close()
            return
        self._deadline.set(self._limits.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell whoever works for this caller."""
        self.server.connections.discard(self)
        self._deadline.stop()
        if self._cycle is not None:
            self._cycle.drop()
        self.flow.resume_writing()
        callback, self._on_gone = self._on_gone, None
        self._scope = self._parser = None  # type: ignore[assignment]  # they refer back to self
        self._known = None
        if callback is not None:
            callback()

    def pause_writing(self) -> None:
        """Let the application wait before it writes on."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Let it write on."""
        self.flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse; refuse what cannot be served."""
        if self._phase is Phase.DEAF or self.transport.is_closing():
            return
        if self._phase is Phase.IDLE:
            if self._known is not None and (request := self._known.read(data)) is not None:
                self._serve_whole(*request)
                return
            self._begin_head()
        begins = self._phase is Phase.HEAD and not self._framing_bytes
        self._framing_bytes += len(data)
        try:
            self._feed(data)
            if self._framing_bytes > self._limits.max_header_bytes:
                raise too_large(self._limits) if self._phase is Phase.HEAD else Refused(*_TALKATIVE)
        except Refused as refusal:
            self._refuse(refusal)
        if begins and self._phase is Phase.SERVING and self._cycle.has_body_come:
            self._known = KnownRequest.of(data, self._cycle.scope)

    # What the parser calls; exceptions come out of its feed_data as the context of its own.

    def on_message_begin(self) -> None:
        """Begin a request, unless another is still being served."""
        if self._phase is Phase.IDLE:  # it came in one piece with the rest of the one before
            self._begin_head()
        elif self._phase is not Phase.HEAD:
            raise Refused(400, "Requests must not be pipelined.")
        self._target = b""
        self._headers = []

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer ends up in a list that nobody reads."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head and start the application."""
        if self._parser.should_upgrade():
            return  # parsed once more without the wish, see _feed
        version, headers = self._parser.get_http_version(), self._headers
        if self._framing_bytes > self._limits.max_header_bytes:  # a body may be among them
            check_size(self._target, headers, self._limits)
        fields = check_head(headers, version, self._limits)
        target = read_target(self._target)
        scope = self._scope | target | {"http_version": version, "headers": headers, asgi.MEMO: {}}
        scope["method"] = self._parser.get_method().decode("ascii")
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        expects_continue = fields.get(b"expect", b"").lower() == b"100-continue"
        self._serve(Cycle(self, scope, keep_alive=keep_alive, expects_continue=expects_continue))

    def on_body(self, data: bytes) -> None:
        """Give a part of the body to the application, unless it has answered already."""
        self._framing_bytes = 0
        if self._phase is Phase.SERVING:
            self._cycle.feed(data)

    def on_message_complete(self) -> None:
        """Note that the request has come whole."""
        if self._phase is Phase.HEAD:
            return  # the wish to upgrade
        self._cycle.end_body()
        if self._phase is Phase.REST:
            self._await_next()

    def _serve_whole(self, scope: Scope, body: bytes) -> None:
        """Serve a request that came whole, with a head that is known."""
        cycle = Cycle(self, scope, keep_alive=True, expects_continue=False)
        cycle.take_whole(body)
        self._serve(cycle)

    def _serve(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._phase = Phase.SERVING
        self._deadline.lift()
        self._framing_bytes = 0
        self._headers = []
        cycle.task = task = self._loop.create_task(cycle.run(self._app))
        self.server.tasks.add(task)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Refused):
                raise error.__context__ from None
            raise Refused(400, "The request is not valid HTTP/1.1.") from None

    def _feed_without_upgrade(self, rest: bytes) -> None:
        method, version = self._parser.get_method(), self._parser.get_http_version()
        if method == b"CONNECT":
            raise Refused(400, "This is no proxy: CONNECT is not served.")
        head = head_without_upgrade(method, self._target, version, self._headers)
        self._parser = httptools.HttpRequestParser(self)
        self._feed(head + rest)

    def _refuse(self, refusal: Refused) -> None:
        """Answer what can still be answered, and close."""
        cycle = self._cycle
        if self._phase is not Phase.SERVING:
            if self._phase is not Phase.REST:  # which has had its answer
                self.transport.write(refusal.render())
            self.transport.close()
        elif cycle.has_body_come:  # bytes behind a good request: answer that one, then close
            self._phase = Phase.DEAF
            cycle.keep_alive = False
        else:
            if not cycle.response_started:
                self.transport.write(refusal.render())
            cycle.drop()
            self.transport.close()

    def _begin_head(self) -> None:
        self._phase = Phase.HEAD
        self._known = None
        self._framing_bytes = 0
        self._deadline.set(self._limits.header_timeout_s)

    def _await_next(self) -> None:
        self._phase = Phase.IDLE
        self._deadline.set(self._limits.keep_alive_s)

    def _on_due(self) -> None:
        if self._phase is Phase.HEAD and self._framing_bytes:
            self._refuse(Refused(408, "The header did not arrive in time.", "request_timeout"))
        elif self.flow.check_reader():
            self._deadline.set(self._limits.stall_timeout_s)
        else:
            self.transport.close()
