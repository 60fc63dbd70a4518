"""Who may use the admin API: whoever shows its token. See docs/admin-api.md."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from service.console.problems import error_response

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

_SCHEME: Final = b"bearer "
_REFUSAL: Final = "Send 'Authorization: Bearer TOKEN' with the admin token."


class TokenGuard:
    """Stands before everything: no path answers without the token, not even 404."""

    def __init__(self, app: ASGIApp, token: bytes, on_refusal: Callable[[], None]) -> None:
        """Guard an application; `on_refusal` counts."""
        self._app = app
        self._token = token
        self._on_refusal = on_refusal

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        """Let a request with the token through."""
        if scope["type"] == "http" and not self._shows_token(scope["headers"]):
            self._on_refusal()
            challenge = {"www-authenticate": "Bearer"}
            refusal = error_response(401, "invalid_admin_token", _REFUSAL, headers=challenge)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _shows_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1 or given[0][: len(_SCHEME)].lower() != _SCHEME:
            return False
        return hmac.compare_digest(given[0][len(_SCHEME) :].strip(), self._token)
