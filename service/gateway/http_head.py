"""The head of a request: what must hold before anyone works for it, and what its target names."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import httptools

from service.gateway.asgi import Header
from service.gateway.caps import ConnectionCap
from service.gateway.http_fields import STATUS_LINES

_ONCE: Final = (b"authorization", b"content-length", b"host", b"x-api-key")
_VERSIONS: Final = ("1.1", "1.0")
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
        return STATUS_LINES[self.status] + (
            b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (len(body), body)
        )


def error_object(message: str, kind: str, code: str) -> bytes:
    """Return the body of an OpenAI error."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json.dumps({"error": error}).encode()


def too_large(limits: RequestLimits) -> Refused:
    """Return the refusal of a head over its limit of bytes."""
    limit = limits.max_header_bytes
    return Refused(431, f"The request line and the headers must not exceed {limit} bytes.")


def check_size(target: bytes, headers: list[Header], limits: RequestLimits) -> None:
    """See that a head is within its limit of bytes, but for the few of its method and version.

    Raises:
        Refused: it is not.
    """
    lines = (len(name) + len(value) + _LINE_OVERHEAD_BYTES for name, value in headers)
    if len(target) + sum(lines) > limits.max_header_bytes:
        raise too_large(limits)


def check_head(headers: list[Header], version: str, limits: RequestLimits) -> dict[bytes, bytes]:
    """See that a head has one reading, and return its headers by their names.

    Raises:
        Refused: it has several, or none that is served.
    """
    if len(headers) > limits.max_headers:
        raise Refused(431, f"A request must not have more than {limits.max_headers} headers.")
    fields = dict(headers)
    if len(fields) < len(headers):
        _check_once([name for name, _ in headers])
    if version not in _VERSIONS:
        raise Refused(400, "Only HTTP/1.1 and HTTP/1.0 are served.")
    if b"host" not in fields and version == "1.1":
        raise Refused(400, "The header host is missing.")
    if b"transfer-encoding" in fields:
        _check_coding(headers, version)
    return fields


def _check_once(names: list[bytes]) -> None:
    for name in _ONCE:
        if names.count(name) > 1:
            raise Refused(400, f"The header {name.decode()} must come only once.")


def _check_coding(headers: list[Header], version: str) -> None:
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings != [b"chunked"] or version == "1.0":
        raise Refused(400, "The only transfer coding served is chunked, on HTTP/1.1.")


def read_target(target: bytes) -> dict[str, Any]:
    """Return what an ASGI scope holds of a request's target.

    Raises:
        Refused: it is no target.
    """
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise Refused(400, "The request's target is not valid.") from None
    raw_path: bytes = url.path or b"/"
    path = raw_path.decode("ascii")
    return {
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": url.query or b"",
    }


def head_without_upgrade(
    method: bytes, target: bytes, version: str, headers: list[Header]
) -> bytes:
    """Write a head anew, without its wish to upgrade."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    lines += [b"%b: %b" % field for field in headers if field[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])


def connection_scope(transport: asyncio.Transport) -> dict[str, Any]:
    """Return what the ASGI scopes of all requests on one connection share."""
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        "client": client and client[:2],
        "server": server and server[:2],
        "root_path": "",
    }
