"""The few names of ASGI that the gateway uses, its own extensions, and reading a request's body."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from service.errors import ClientGone, InvalidRequest, RequestTimeout, RequestTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
SendNow = Callable[[Message], bool]
"""`send` where nobody can wait; returns whether the caller keeps up."""
SendWhole = Callable[[int, "list[Header]", bytes], bool]
"""Sends a whole answer where nobody need wait: status, headers, body."""
App = Callable[[Any, Any, Any], Awaitable[None]]
Header = tuple[bytes, bytes]
Fields = dict[bytes, bytes]
"""A request's headers, names in lower case; of one that comes twice the last (server.py refuses
those that must come once)."""

ON_DISCONNECT: Final = "watchgate.on_disconnect"
"""The ASGI extension: `scope["extensions"][ON_DISCONNECT](callback)`."""
BODY_NOW: Final = "watchgate.body_now"
"""The ASGI extension: `scope["extensions"][BODY_NOW]()` returns the whole body if all of it is
here, else None: then `receive` brings it."""
SEND_NOW: Final = "watchgate.send_now"
"""The ASGI extension: `scope["extensions"][SEND_NOW](message)` is `send` where nobody can wait; it
returns whether the caller keeps up, and if not, the next message should go by `send`."""
SEND_WHOLE: Final = "watchgate.send_whole"
"""The ASGI extension: `scope["extensions"][SEND_WHOLE](status, headers, body)` sends a whole answer
where nobody need wait; it returns False, and has sent nothing, where somebody must."""
MEMO: Final = "watchgate.memo"
"""`scope[MEMO]` is a dict in which the application may keep what it makes of a request's head: the
next requests on the connection have the same one, while only their content-length differs."""


def check_body(fields: Fields, size_bytes: int, max_bytes: int) -> None:
    """See that a body may be read.

    Raises:
        RequestTooLarge, InvalidRequest: it is too large, or compressed.
    """
    if size_bytes > max_bytes:
        raise _too_large(max_bytes)
    if fields.get(b"content-encoding", b"identity").lower() != b"identity":
        raise InvalidRequest("A compressed body is not accepted: send it as it is.")


async def read_body(fields: Fields, receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body, as it comes.

    Raises:
        RequestTooLarge, RequestTimeout, ClientGone, InvalidRequest: what the body was.
    """
    length = fields.get(b"content-length", b"0")
    check_body(fields, int(length.lstrip(b"0") or b"0"), max_bytes)  # int() counts digits
    timer = _Timer(timeout_s)
    try:
        return await _read_chunks(receive, max_bytes)
    except asyncio.CancelledError:
        if timer.expired:
            raise RequestTimeout(f"The body did not arrive within {timeout_s:g} s.") from None
        raise
    finally:
        timer.stop()


async def _read_chunks(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Timer:
    """Cancels the current task after a time; `asyncio.timeout` does this for 6 µs more."""

    def __init__(self, timeout_s: float) -> None:
        self.expired = False
        self._task = asyncio.current_task()
        self._handle = asyncio.get_running_loop().call_later(timeout_s, self._expire)

    def stop(self) -> None:
        self._handle.cancel()
        if self.expired and self._task is not None:
            self._task.uncancel()

    def _expire(self) -> None:
        if self._task is not None:
            self.expired = self._task.cancel()


def _too_large(max_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than {max_bytes} bytes.")


async def send_whole(send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    """Send an answer whose body is known."""
    framed = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": framed})
    await send({"type": "http.response.body", "body": body})
