"""One request and its answer on the gateway's own server."""

import asyncio
import json
import math
from http import HTTPStatus
from typing import cast

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.gateway.http_fields import render_headers

_BODYLESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def error_object(message: str, kind: str, code: str) -> bytes:
    """Return the body of an OpenAI error."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json.dumps({"error": error}).encode()


_INTERNAL_ERROR = error_object("The gateway failed.", "server_error", "internal_error")


class Refused(Exception):
    """A request that is answered here; the connection closes after it."""

    def __init__(self, status: int, message: str, code: str = "invalid_request") -> None:
        """Keep what the caller is told."""
        super().__init__(message)
        self.status = status
        self.code = code

    def render(self) -> bytes:
        """Return the whole answer."""
        body = error_object(str(self), "invalid_request_error", self.code)
        return STATUS_LINE[self.status] + (
            b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (len(body), body)
        )


class Cycle(RequestResponseCycle):
    """uvicorn's cycle, but the head leaves together with the first bytes of the body.

    ASGI asks for that: an application that fails before its first byte can still answer 500. An
    application that wants its head on the wire at once sends an empty body with `more_body`.
    """

    stall_timeout_s = 60.0
    """How long a caller may take none of what waits for it."""
    _head: bytes | None = None
    _body_left_bytes: float = math.inf

    async def send(self, message: ASGISendEvent) -> None:
        """Take the next message of the application's answer."""
        if self.flow.write_paused and not self.disconnected:
            await self._drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self._head is not None and not self.response_complete:
            self._send_body(cast("HTTPResponseBodyEvent", message))
        elif kind == "http.response.start" and not self.response_started:
            self._start(cast("HTTPResponseStartEvent", message))
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")

    async def send_500_response(self) -> None:
        """Tell the caller no more than that it failed."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(_INTERNAL_ERROR)),
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": _INTERNAL_ERROR})

    async def _drain(self) -> None:
        """Wait for a caller who reads more slowly than is written, and not for one who stopped."""
        try:
            async with asyncio.timeout(self.stall_timeout_s):
                await self.flow.drain()
        except TimeoutError:
            self.transport.abort()

    def drop(self) -> None:
        """Let the application believe that the caller has gone."""
        self.disconnected = True
        self.message_event.set()

    def _start(self, message: HTTPResponseStartEvent) -> None:
        status = message["status"]
        headers = [*self.default_headers, *message.get("headers", ())]
        if self.waiting_for_100_continue:  # the caller may or may not send its body now
            self.keep_alive = False
        closes = self._read_framing(headers)
        if self.chunked_encoding is None:
            self._choose_framing(status, headers)
        if not self.keep_alive and not closes:
            headers.append((b"connection", b"close"))
        self._head = STATUS_LINE[status] + render_headers(headers) + b"\r\n"

    def _read_framing(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Note how the application frames its body; say whether it closes the connection."""
        closes = False
        self.chunked_encoding = None
        self._body_left_bytes = math.inf
        for field, value in headers:
            name = field.lower()
            if name == b"content-length":
                self.chunked_encoding = False
                self._body_left_bytes = int(value)
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                self.chunked_encoding = True
            elif name == b"connection" and b"close" in value.lower():
                self.keep_alive = False
                closes = True
        return closes

    def _choose_framing(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.chunked_encoding = False
        if self.scope["http_version"] == "1.0":
            self.keep_alive = False  # the body ends with the connection
        elif not self._is_bodyless(status):
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))

    def _is_bodyless(self, status: int) -> bool:
        return status in _BODYLESS or self.scope["method"] == "HEAD"

    def _send_body(self, message: HTTPResponseBodyEvent) -> None:
        is_last = not message.get("more_body", False)
        data = self._framed(message.get("body", b""), is_last=is_last)
        if not self.response_started:
            self.response_started = True
            self.waiting_for_100_continue = False
            data = cast("bytes", self._head) + data
        if data:
            self.transport.write(data)
        if is_last:
            self._complete()

    def _framed(self, body: bytes, *, is_last: bool) -> bytes:
        if self.scope["method"] == "HEAD":
            self._body_left_bytes = 0
            return b""
        if self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + b"0\r\n\r\n" if is_last else chunk
        self._body_left_bytes -= len(body)
        if self._body_left_bytes < 0:
            raise RuntimeError("the body is longer than its Content-Length")
        return body

    def _complete(self) -> None:
        if self._body_left_bytes not in {0, math.inf}:
            raise RuntimeError("the body is shorter than its Content-Length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
