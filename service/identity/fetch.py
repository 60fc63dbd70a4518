"""One GET, bounded in time and in size, that follows neither redirects nor proxies."""

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httptools

from service.errors import KeysNotRead

TIMEOUT_S: Final = 10.0
"""For all of it: the name, the connection, TLS and the last byte."""
MAX_BYTES: Final = 64 * 1024
_MAX_FRAMING_BYTES: Final = 64 * 1024
_OK: Final = 200
_PORTS: Final = {"http": 80, "https": 443}


def is_private_way(url: str) -> bool:
    """Whether nobody on the way can change what comes from there: TLS, or this very machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.username is not None or not host or not url.isascii() or not url.isprintable():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def get(
    url: str,
    tls: ssl.SSLContext | None,
    headers: Mapping[str, str] = MappingProxyType({}),
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """Return the body at an address, from a thread that may wait.

    Raises:
        KeysNotRead: it did not come, was too large, or had another status than 200.
    """
    try:
        return asyncio.run(_get(urlsplit(url), tls, headers, timeout_s))
    except TimeoutError:
        raise KeysNotRead("timeout") from None
    except OSError:
        raise KeysNotRead("unreachable") from None
    except httptools.HttpParserError:
        raise KeysNotRead("malformed") from None


async def _get(
    url: SplitResult, tls: ssl.SSLContext | None, headers: Mapping[str, str], timeout_s: float
) -> bytes:
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(
            url.hostname, url.port or _PORTS[url.scheme], ssl=tls if url.scheme == "https" else None
        )
        try:
            writer.write(_request(url, headers))
            return await _read(reader)
        finally:
            writer.transport.abort()


def _request(url: SplitResult, headers: Mapping[str, str]) -> bytes:
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    fields = {"host": url.netloc, "accept": "application/json", "connection": "close", **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return the body; one that ends early is found out by who reads what it says."""
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    came = 0
    while not answer.is_complete and (data := await reader.read(MAX_BYTES)):
        came += len(data)
        parser.feed_data(data)
        if answer.is_begun and parser.get_status_code() != _OK:
            raise KeysNotRead("bad_status")
        if len(answer.body) > MAX_BYTES or came > MAX_BYTES + _MAX_FRAMING_BYTES:
            raise KeysNotRead("too_large")
    if not answer.is_begun:
        raise KeysNotRead("unreachable")
    return bytes(answer.body)


class _Answer:
    """What the parser has found so far."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_begun = False
        self.is_complete = False

    def on_headers_complete(self) -> None:
        self.is_begun = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
