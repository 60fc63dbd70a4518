"""The gateway's client for one upstream: HTTP/1.1, pooled, on httptools and asyncio protocols.

It exists because the processor time of a request is a feature: a general client costs more than
all the rest of the gateway.
"""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from service.gateway.http_answer import Answer
from service.gateway.http_connection import ConnectionLimits, UpstreamSilent
from service.gateway.http_fields import render_headers
from service.gateway.http_pool import ConnectionPool

__all__ = ["Answer", "UpstreamClient", "UpstreamTarget"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_STARTS = 64


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """Where an upstream is and what every request to it carries."""

    name: str
    host: str
    port: int
    base_path: str
    """Goes before every path: "" or "/prefix", without a slash at its end."""
    tls: ssl.SSLContext | None
    headers: bytes
    """Complete lines: Host, and Authorization where the upstream wants it."""

    @classmethod
    def from_url(
        cls, name: str, url: str, *, api_key: str | None = None, tls: ssl.SSLContext | None = None
    ) -> "UpstreamTarget":
        """Read an http or https URL; https without a context verifies by the system's CAs.

        Raises:
            ValueError: the URL is not http(s)://host[:port][/prefix], or the key is no header.
        """
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
            raise ValueError("an upstream's url must be http(s)://host[:port][/prefix]")
        if parts.query or parts.fragment:
            raise ValueError("an upstream's url must not have a query or a fragment")
        if parts.scheme == "https":
            tls = tls or ssl.create_default_context()
        fields = [(b"host", parts.netloc.encode("ascii"))]
        if api_key is not None:
            fields.append((b"authorization", b"Bearer " + api_key.encode("ascii")))
        return cls(
            name=name,
            host=parts.hostname,
            port=parts.port or _DEFAULT_PORTS[parts.scheme],
            base_path=parts.path.rstrip("/"),
            tls=tls if parts.scheme == "https" else None,
            headers=render_headers(fields),
        )


class UpstreamClient:
    """Sends requests to one upstream over kept connections. Belongs to one event loop.

    A request is sent a second time, once, only if the first was never sent or went over a kept
    connection that closed without a byte of answer.

    Args:
        target: the upstream.
        connect_timeout_s: the longest wait for a connection, free or new.
        read_timeout_s: the longest silence before and within an answer.
        total_timeout_s: the longest time from sending to the last byte of the answer.
        max_connections: how many may be open; further requests wait, first come first served.
        keep_alive_s: how long an idle connection is kept. Less than the upstream keeps it: vLLM
            closes after 5 s unless `VLLM_HTTP_TIMEOUT_KEEP_ALIVE` says otherwise.
    """

    def __init__(  # noqa: PLR0913  each is named where it is given
        self,
        target: UpstreamTarget,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        total_timeout_s: float,
        max_connections: int,
        keep_alive_s: float,
    ) -> None:
        """Open nothing yet."""
        self.target = target
        self._base_path = target.base_path.encode("ascii")
        self._starts: dict[tuple[bytes, bytes], bytes] = {}
        self._total_timeout_s = total_timeout_s
        self._pool = ConnectionPool(
            target.host,
            target.port,
            target.tls,
            ConnectionLimits(read_timeout_s, keep_alive_s),
            connect_timeout_s=min(connect_timeout_s, total_timeout_s),
            max_connections=max_connections,
        )

    async def send(
        self, method: bytes, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> Answer:
        """Send a request and return its answer when the answer's header is complete.

        `path` may carry a query. Content-Length is added here; `headers` must hold neither it,
        nor Transfer-Encoding, nor what the target's headers hold. Cancelling closes the
        connection.

        Raises:
            UpstreamUnavailable: no connection, or it closed before a byte of answer came.
            UpstreamTimeout: the answer was too slow.
            UpstreamBroke: what came is not an HTTP answer.
            ValueError: a method, path or header would break out of its place in the request.
        """
        head = self._head(method, path, headers, len(body))
        due = asyncio.get_running_loop().time() + self._total_timeout_s
        has_body = method != b"HEAD"
        try:
            connection = self._pool.take_idle() or await self._pool.take()
            return await connection.exchange(head, body, due=due, answer_has_body=has_body)
        except UpstreamSilent:
            self._pool.drop_idle()
        connection = await self._pool.take()
        return await connection.exchange(head, body, due=due, answer_has_body=has_body)

    async def close(self) -> None:
        """Close every connection, in the middle of an answer too."""
        self._pool.close()
        await asyncio.sleep(0)  # the transports close in the loop's next round

    @property
    def open_connections(self) -> int:
        """How many connections are open, busy or idle."""
        return self._pool.open_connections

    def _head(
        self,
        method: bytes,
        path: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body_bytes: int,
    ) -> bytes:
        start = self._starts.get((method, path)) or self._start(method, path)
        return b"%b%bcontent-length: %d\r\n\r\n" % (start, render_headers(headers), body_bytes)

    def _start(self, method: bytes, path: bytes) -> bytes:
        """Write what all requests of a kind begin with, and keep it: there are a few kinds."""
        target = self._base_path + path
        if not method.isalpha() or target.split() != [target] or b"\0" in target:
            raise ValueError("a method must be letters and a path must have no blanks")
        start = b"%b %b HTTP/1.1\r\n%b" % (method, target, self.target.headers)
        if len(self._starts) < _MAX_STARTS:
            self._starts[method, path] = start
        return start
