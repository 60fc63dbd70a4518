"""Header lines on the wire, for both of the gateway's edges."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
"""Of every status that has a name: the gateway answers with no other."""


def render_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write header lines, each with its line end.

    Raises:
        ValueError: a name or a value holds CR, LF or NUL.
    """
    parts: list[bytes] = []
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    lines = b"".join(parts)
    expected = len(parts) // 4
    if lines.count(b"\n") != expected or lines.count(b"\r") != expected or b"\0" in lines:
        raise ValueError("the name or the value of a header holds CR, LF or NUL")
    return lines
