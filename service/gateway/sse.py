"""Server-sent events, split at their borders without changing a byte.

https://html.spec.whatwg.org/multipage/server-sent-events.html: a line ends with LF, CRLF or CR,
and an event with an empty line. vLLM sends one `data: ` line and LF alone; the rest of the
standard is here so that what a client would read as an event is never passed on unread.
"""

import re
from typing import Final

from service.errors import UpstreamBroke

DONE: Final = b"[DONE]"
"""The data of the event that ends a stream."""

_DATA: Final = b"data: "
_LF_BORDER: Final = b"\n\n"
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BORDER: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n])){2}")
"""Two line ends; a CR counts once the next byte tells that it is no half of a CRLF."""
_HALF_BORDER_BYTES: Final = 3
_OTHER_FIELDS: Final = frozenset({b"", b"event", b"id", b"retry"})
"""Fields that hold no part of an answer; a comment's name is empty."""


class EventSplitter:
    """Cuts a stream of bytes into whole events, each with its empty line."""

    __slots__ = ("_near", "_parts")

    def __init__(self) -> None:
        """Start between two events."""
        self._parts: list[bytes] = []
        self._near = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that these bytes complete; the rest waits for more.

        Takes time in proportion to `data` alone, however long an event grows.
        """
        if not self._parts and 0 <= data.find(_LF_BORDER) == len(data) - 2 and b"\r" not in data:
            return [data]  # one event in one piece, as vLLM sends them
        near = self._near + data  # a border may begin in what came before
        if _BORDER.search(near) is None:
            self._keep(data, near)
            return []
        whole = b"".join((*self._parts, data))
        return self._cut(whole, len(whole) - len(near))

    def _cut(self, whole: bytes, searched: int) -> list[bytes]:
        events: list[bytes] = []
        start = 0
        for border in _BORDER.finditer(whole, searched):
            events.append(whole[start : border.end()])
            start = border.end()
        self._parts.clear()
        self._keep(whole[start:], whole[start:])
        return events

    def _keep(self, data: bytes, near: bytes) -> None:
        if data:
            self._parts.append(data)
        self._near = near[-_HALF_BORDER_BYTES:]


def event_data(event: bytes) -> bytes | None:
    """Return an event's data, None for comments and what else holds no part of an answer.

    Raises:
        UpstreamBroke: a line is of no field that the standard knows.
    """
    if event.startswith(_DATA) and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[len(_DATA) : -2]
    lines: list[bytes] = []
    for line in _LINE_END.split(event):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
        elif name not in _OTHER_FIELDS:
            raise UpstreamBroke("the answer holds an event that cannot be read")
    return b"\n".join(lines) if lines else None
