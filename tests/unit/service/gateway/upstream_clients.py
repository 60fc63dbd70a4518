"""What the tests of the upstream client share."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.gateway.upstream import Answer, UpstreamClient, UpstreamTarget

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@asynccontextmanager
async def client_of(  # noqa: PLR0913
    port: int,
    *,
    scheme: str = "http",
    tls: ssl.SSLContext | None = None,
    prefix: str = "",
    connect_timeout_s: float = 10,
    read_timeout_s: float = 10,
    total_timeout_s: float = 30,
    max_connections: int = 10,
    keep_alive_s: float = 10,
) -> AsyncIterator[UpstreamClient]:
    """Open a client for a server on this machine, closed at the end."""
    url = f"{scheme}://127.0.0.1:{port}{prefix}"
    client = UpstreamClient(
        UpstreamTarget.from_url("test", url, tls=tls, api_key="stand-in"),
        connect_timeout_s=connect_timeout_s,
        read_timeout_s=read_timeout_s,
        total_timeout_s=total_timeout_s,
        max_connections=max_connections,
        keep_alive_s=keep_alive_s,
    )
    try:
        yield client
    finally:
        await client.close()


async def post(client: UpstreamClient, body: bytes = b"{}") -> Answer:
    """Send a small request."""
    headers = [(b"content-type", b"application/json")]
    return await client.send(b"POST", b"/v1/chat/completions", headers, body)


async def post_and_read(client: UpstreamClient, body: bytes = b"{}") -> bytes:
    """Send a small request and return the body of its answer."""
    answer = await post(client, body)
    return await answer.read_all(10_000_000)
