"""Cross-origin requests of browsers, where the settings name origins: around the application.

Without the setting nothing of this runs. A preflight carries no key, so it is answered before
anyone is asked who calls; it tells no more than the settings allow. Cookies mean nothing to the
gateway, and credentials are never allowed.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from service.errors import MethodNotAllowed, NotFound
from service.gateway.asgi import (
    SEND_NOW,
    SEND_WHOLE,
    App,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    SendNow,
    SendWhole,
)
from service.gateway.routes import route

ANY: Final = "*"
_VARY: Final = (b"vary", b"Origin")
_NO_CONTENT: Final = 204
_ORIGIN: Final = re.compile(rb"https?://[!-~]{1,255}")
_SAY_EVERY_S: Final = 60.0
"""Anyone may ask, as often as they like: the log tells of one in a while."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Which pages of other origins may call."""

    allow_origins: Sequence[str]
    """Such as `https://app.example.org`; `*` is any."""
    allow_headers: Sequence[str]
    """That a request may carry; none named: whichever it asks for."""
    expose_headers: Sequence[str]
    """Of an answer that a page may read."""
    max_age_s: int
    """For so long a browser need not ask again."""


class Cors:
    """The application, with what browsers ask for."""

    def __init__(
        self, app: App, policy: CorsPolicy, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Stand around an application; `clock` gives seconds."""
        self._app = app
        self._clock = clock
        self._say_next_at = clock()
        self._origins = frozenset(origin.encode() for origin in policy.allow_origins)
        self._any = ANY in policy.allow_origins
        self._headers = ", ".join(policy.allow_headers).encode()
        self._exposed = ", ".join(policy.expose_headers).encode()
        self._max_age = b"%d" % policy.max_age_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight; add to other answers what lets a page read them."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        fields = dict(scope["headers"])
        allowed = self._allowed(fields.get(b"origin"))
        asked = fields.get(b"access-control-request-method")
        if allowed and asked and scope["method"] == "OPTIONS" and (method := _served(scope, asked)):
            headers = self._preflight(method, fields.get(b"access-control-request-headers"))
            await _send_empty(send, [*allowed, *headers])
            return
        if asked and not allowed and scope["method"] == "OPTIONS":
            self._say_refused(fields.get(b"origin", b""))
        if allowed and self._exposed:
            allowed = [*allowed, (b"access-control-expose-headers", self._exposed)]
        vary = [] if self._any else [_VARY]
        adding = _Adding(allowed or vary)
        extensions = scope["extensions"]
        now = adding.around_now(extensions[SEND_NOW])
        whole = adding.around_whole(extensions[SEND_WHOLE])
        answered = {**scope, "extensions": {**extensions, SEND_NOW: now, SEND_WHOLE: whole}}
        await self._app(answered, receive, adding.around(send))

    def _allowed(self, origin: bytes | None) -> list[Header]:
        """Return the headers that let a page of this origin read an answer; none: it may not."""
        name = b"access-control-allow-origin"
        if origin is None:
            return []
        if self._any:
            return [(name, b"*")]
        return [(name, origin), _VARY] if origin in self._origins else []

    def _say_refused(self, origin: bytes) -> None:
        """Tell the operator of a page that may not call: it may be one that should."""
        now = self._clock()
        if now < self._say_next_at or not _ORIGIN.fullmatch(origin):
            return
        self._say_next_at = now + _SAY_EVERY_S
        _log.warning(
            "a page of an origin that gateway.cors.allow_origins does not name may not call",
            extra={"origin": origin.decode("ascii")},
        )

    def _preflight(self, method: bytes, asked_headers: bytes | None) -> list[Header]:
        headers = [
            (b"access-control-allow-methods", method),
            (b"access-control-max-age", self._max_age),
        ]
        if may_carry := self._headers or asked_headers:
            headers.append((b"access-control-allow-headers", may_carry))
        return headers


def _served(scope: Scope, asked: bytes) -> bytes | None:
    """Return the method that the path takes if it is the one asked for."""
    try:
        route({"path": scope["path"], "method": asked.decode("latin-1")})
    except (NotFound, MethodNotAllowed):
        return None
    return asked


class _Adding:
    """Adds headers to the head of an answer, by whichever way that is sent."""

    def __init__(self, headers: Sequence[Header]) -> None:
        self._headers = headers

    def around(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            await send(self._with_headers(message))

        return sending

    def around_now(self, send_now: SendNow) -> SendNow:
        return lambda message: send_now(self._with_headers(message))

    def around_whole(self, send_whole: SendWhole) -> SendWhole:
        return lambda status, headers, body: send_whole(status, [*headers, *self._headers], body)

    def _with_headers(self, message: Message) -> Message:
        if message["type"] != "http.response.start":
            return message
        return {**message, "headers": [*message["headers"], *self._headers]}


async def _send_empty(send: Send, headers: list[Header]) -> None:
    await send({"type": "http.response.start", "status": _NO_CONTENT, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
