"""What the admin API takes in: JSON, whole, and not too much of it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from service.console.problems import error_response

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
Message = MutableMapping[str, Any]

MAX_BODY_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = f"The body is larger than {MAX_BODY_BYTES} bytes."
_NOT_JSON: Final = "Send the body with 'Content-Type: application/json'."


class Intake:
    """Reads each body before anything looks at the request."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an application."""
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        """Pass a request on with the whole of its body, or refuse it."""
        body = await _body(receive)
        if body is None:
            refusal = error_response(413, "request_too_large", _TOO_LARGE)
            await refusal(scope, receive, send)
        elif body and _content_type(scope) != b"application/json":
            await error_response(415, "unsupported_media_type", _NOT_JSON)(scope, receive, send)
        else:
            await self._app(scope, _once(body, receive), send)


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes | None:
    """Return all of a body; None: it is too large, or its sender is gone."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        more = message.get("more_body", False)
    return bytes(body)


def _once(
    body: bytes, receive: Callable[[], Awaitable[Message]]
) -> Callable[[], Awaitable[Message]]:
    """Return a `receive` that gives the body first."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


def _content_type(scope: MutableMapping[str, Any]) -> bytes:
    given: list[bytes] = [value for name, value in scope["headers"] if name == b"content-type"]
    return given[0].partition(b";")[0].strip().lower() if len(given) == 1 else b""
