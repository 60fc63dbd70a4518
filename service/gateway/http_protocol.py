"""The gateway's server protocol: uvicorn's, with the limits that uvicorn lacks.

What differs from `HttpToolsProtocol`:
- Over a number of connections a new one is told so and closed.
- A head is bounded in bytes, in headers and in time; one lazy timer keeps that and keep-alive.
- Host, Authorization and Content-Length may come once, and a Host must come.
- A caller who stops reading its answer is let go.
- Pipelined requests are not served: the connection closes after the answer to the first.
- A wish to upgrade (websocket, h2c) is passed over and the request served. uvicorn would take
  the body of such a request for another request.
- `scope["extensions"]["watchgate.on_disconnect"]` is a function that takes a callback, which is
  called if the caller goes away before the answer is complete.
- What cannot be served is answered with an OpenAI error object.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.gateway.caps import TURNED_AWAY, ConnectionCap
from service.gateway.http_cycle import Cycle, Refused

ON_DISCONNECT: Final = "watchgate.on_disconnect"
"""The ASGI extension: `scope["extensions"][ON_DISCONNECT](callback)`."""
BODY_HAS_COME: Final = "watchgate.body_has_come"
"""The ASGI extension: `scope["extensions"][BODY_HAS_COME]()` says whether all of it is here."""

_ONCE: Final = (b"authorization", b"content-length", b"host")
_LINE_OVERHEAD_BYTES: Final = 4  # ": " and the line end


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a caller may ask of a connection."""

    max_header_bytes: int
    """Request line and headers together; over it: 431."""
    max_headers: int
    """Over it: 431."""
    header_timeout_s: float
    """For a complete head, counted from its first byte, or from connecting; over it: 408."""
    keep_alive_s: float
    """How long a connection may be idle between two requests."""
    stall_timeout_s: float = 60.0
    """How long a caller may take none of an answer that waits for it; then the caller is gone."""
    connections: ConnectionCap | None = None
    """None: as many connections as may come."""


class GatewayProtocol(HttpToolsProtocol):
    """One connection of a caller."""

    cycle: Cycle

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: RequestLimits,
    ) -> None:
        """Be made by uvicorn, for each connection."""
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._head_bytes = 0
        self._is_in_head = True  # from the end of one request to the end of the next one's head
        self._is_kept = False  # idle after an answer
        self._is_deaf = False
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        self._on_gone: Callable[[], None] | None = None
        self._extensions: Any = {
            ON_DISCONNECT: self.on_disconnect,
            BODY_HAS_COME: self.body_has_come,
        }

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back if the caller goes away before the answer is complete."""
        if self.cycle.disconnected:
            callback()
        else:
            self._on_gone = callback

    def body_has_come(self) -> bool:
        """Say whether the whole body of the request is here: nobody needs to time its coming."""
        return not self.cycle.more_body

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head, unless there are too many connections already."""
        super().connection_made(transport)
        cap = self._limits.connections
        if cap is not None and not cap.admits(len(self.connections)):
            transport.write(TURNED_AWAY)
            transport.close()
            return
        self._set_due(self._limits.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for this caller."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        callback, self._on_gone = self._on_gone, None
        self._extensions = self.scope = None  # type: ignore[assignment]  # they refer back to self
        if callback is not None:
            callback()

    def data_received(self, data: bytes) -> None:
        """Parse; refuse what cannot be served."""
        if self._is_deaf or self.transport.is_closing():
            return
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._is_kept:
                self._is_kept = False
                self._set_due(self._limits.header_timeout_s)
        try:
            self._feed(data)
            if self._is_in_head and self._head_bytes > self._limits.max_header_bytes:
                raise self._too_large()
        except Refused as refusal:
            self._refuse(refusal)

    # What the parser calls; exceptions come out of its feed_data as the context of its own.

    def on_message_begin(self) -> None:
        """Begin a request, unless another is still being served."""
        if self._is_serving():
            raise Refused(400, "Requests must not be pipelined.")
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, but no trailer: one might pass for a header that was checked."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head and start the application."""
        if self.parser.should_upgrade():
            return  # parsed once more without the wish, see _feed
        version = self.parser.get_http_version()
        self._check_head(version)
        self._is_in_head = False
        self._due = math.inf
        self._fill_scope(version)
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version == "1.1" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self.cycle.stall_timeout_s = self._limits.stall_timeout_s
        self._start_asgi_task(self.cycle, self.app)

    def on_message_complete(self) -> None:
        """Note that the request has come whole."""
        if self.parser.should_upgrade():
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()
        if self.cycle.response_complete:
            self._await_next()

    def on_response_complete(self) -> None:
        """Await the rest of the request, if it was answered early, or the next one."""
        self.server_state.total_requests += 1
        self._on_gone = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.cycle.more_body:
            self._set_due(self._limits.header_timeout_s)
        else:
            self._await_next()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Refused):
                raise error.__context__ from None
            raise Refused(400, "The request is not valid HTTP/1.1.") from None

    def _feed_without_upgrade(self, rest: bytes) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise Refused(400, "This is no proxy: CONNECT is not served.")
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"\r\n".join([*lines, b"", rest]))

    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _check_head(self, version: str) -> None:
        limits = self._limits
        if self._head_bytes > limits.max_header_bytes and self._exact_head_bytes() > (
            limits.max_header_bytes
        ):
            raise self._too_large()
        if len(self.headers) > limits.max_headers:
            raise Refused(431, f"A request must not have more than {limits.max_headers} headers.")
        names = [name for name, _ in self.headers]
        for name in _ONCE:
            if names.count(name) > 1:
                raise Refused(400, f"The header {name.decode()} must come only once.")
        if version == "1.1" and b"host" not in names:
            raise Refused(400, "The header host is missing.")
        if version not in {"1.0", "1.1"}:
            raise Refused(400, "Only HTTP/1.1 and HTTP/1.0 are served.")
        if b"transfer-encoding" in names:
            self._check_coding(version)

    def _check_coding(self, version: str) -> None:
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings != [b"chunked"] or version == "1.0":
            raise Refused(400, "The only transfer coding served is chunked, on HTTP/1.1.")

    def _exact_head_bytes(self) -> int:
        lines = (len(name) + len(value) + _LINE_OVERHEAD_BYTES for name, value in self.headers)
        return len(self.url) + sum(lines)

    def _too_large(self) -> Refused:
        limit = self._limits.max_header_bytes
        return Refused(431, f"The request line and the headers must not exceed {limit} bytes.")

    def _fill_scope(self, version: str) -> None:
        try:
            url = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            raise Refused(400, "The request's target is not valid.") from None
        raw_path: bytes = url.path or b"/"
        path = raw_path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = raw_path
        self.scope["query_string"] = url.query or b""

    def _refuse(self, refusal: Refused) -> None:
        if not self._is_serving():
            self.transport.write(refusal.render())
            self.transport.close()
        elif not self.cycle.more_body:  # bytes behind a good request: answer that one, then close
            self._is_deaf = True
            self.cycle.keep_alive = False
        else:
            if not self.cycle.response_started:
                self.transport.write(refusal.render())
            self.cycle.drop()
            self.transport.close()

    # The timer: deadlines move all the time, but the timer only when one comes nearer.

    def _await_next(self) -> None:
        self._is_in_head = self._is_kept = True
        self._head_bytes = 0
        self._set_due(self._limits.keep_alive_s)

    def _set_due(self, delay_s: float) -> None:
        self._due = self.loop.time() + delay_s
        if self._due < self._timer_due:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = self._due
        self._timer = self.loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_due = math.inf
        if self._due > self.loop.time():
            if self._due < math.inf:
                self._arm()
        elif self._is_in_head and self._head_bytes:
            self._refuse(Refused(408, "The header did not arrive in time.", "request_timeout"))
        else:
            self.transport.close()
