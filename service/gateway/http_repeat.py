"""The head that the other end repeats: read once, and known again with the next message.

A client sends the same head with every request on a connection, but for the length of the body,
and a server, within a second, with every answer. To know it again takes a comparison of bytes; to
read it anew takes the parser a callback for each header, and everyone behind it the same work for
the same result.
"""

import re
from typing import Final, Self

from service.gateway.asgi import Header, Scope

_LENGTH: Final = re.compile(rb"\r\n(content-length):[ \t]*([0-9]{1,9})\r\n", re.IGNORECASE)
_MAX_DIGITS: Final = 9
_OTHER_FRAMING: Final = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
"""What makes of the bytes behind a head something else than its body."""


class RepeatedHead:
    """A head in two pieces, around the digits of its content-length, and its headers.

    Whatever has these two pieces around other digits is read by the parser as this head with
    another length: they hold the same lines.
    """

    __slots__ = ("_after", "_before", "_headers", "_length_at")

    def __init__(self, before: bytes, after: bytes, headers: list[Header], length_at: int) -> None:
        """Keep what `of` has found."""
        self._before = before
        self._after = after
        self._headers = headers
        self._length_at = length_at

    @classmethod
    def of(cls, data: bytes, headers: list[Header]) -> Self | None:
        """Return the head of a message that came whole, in one piece; None: it is not of the kind.

        `headers` are what the parser has read of it, names in lower case: it was found to be good.
        """
        names = [name for name, _ in headers]
        end = data.find(b"\r\n\r\n") + 2
        length = _LENGTH.search(data, 0, end)
        if length is None or end + 2 + int(length[2]) != len(data):
            return None
        if names.count(b"content-length") != 1 or not _OTHER_FRAMING.isdisjoint(names):
            return None
        before, after = data[: length.start(2)], data[length.end(2) : end + 2]
        return cls(before, after, headers, names.index(b"content-length"))

    def read(self, data: bytes) -> tuple[list[Header], bytes] | None:
        """Return the headers and the body if this is the head and all of its body, and no more.

        The headers are for reading alone.
        """
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        end = data.find(b"\r", len(before))
        digits = data[len(before) : end]
        if len(digits) > _MAX_DIGITS or not digits.isdigit() or not data.startswith(after, end):
            return None
        body = data[end + len(after) :]
        if len(body) != int(digits):
            return None
        headers = self._headers
        if headers[self._length_at][1] != digits:
            headers = headers.copy()
            headers[self._length_at] = (b"content-length", digits)
        return headers, body


class KnownRequest:
    """The head of a request, and the scope that was made of it: of this very one."""

    __slots__ = ("_head", "_scope")

    def __init__(self, head: RepeatedHead, scope: Scope) -> None:
        """Keep what `of` has found."""
        self._head = head
        self._scope = scope

    @classmethod
    def of(cls, data: bytes, scope: Scope) -> Self | None:
        """Return a request that came whole, in one piece; None: it is not of the kind."""
        head = RepeatedHead.of(data, scope["headers"])
        return None if head is None else cls(head, scope)

    def read(self, data: bytes) -> tuple[Scope, bytes] | None:
        """Return the scope and the body if this is the request again, whatever its body."""
        known = self._head.read(data)
        return None if known is None else ({**self._scope, "headers": known[0]}, known[1])
