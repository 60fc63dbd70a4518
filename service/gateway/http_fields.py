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
    if len(lines.splitlines()) != len(parts) // 4 or b"\0" in lines:
        raise ValueError("the name or the value of a header holds CR, LF or NUL")
    return lines


def ends_by_close(headers: list[tuple[bytes, bytes]]) -> bool:
    """Say whether the close of its connection is what ends an answer's body."""
    fields = dict(headers)
    coding = fields.get(b"transfer-encoding", b"").lower()
    return b"content-length" not in fields and not coding.endswith(b"chunked")


class Rendered:
    """Lines of headers that stay the same list for many answers, written once for each list."""

    def __init__(self) -> None:
        """Begin with no headers."""
        self._known: tuple[list[tuple[bytes, bytes]], bytes] = [], b""

    def __call__(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the lines as `render_headers` writes them."""
        known, lines = self._known
        if headers is not known:
            lines = render_headers(headers)
            self._known = headers, lines
        return lines
