"""Who may use the admin API: whoever shows what proves a role. See docs/admin-api.md."""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Protocol

from starlette.concurrency import run_in_threadpool

from service.console.problems import error_response, failure
from service.console.routes import ADMIN
from service.core.roles import Admin

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

_SCHEME: Final = b"bearer "
_MAX_BEARER_BYTES: Final = 16 * 1024
MAX_HEADER_BYTES: Final = 32 * 1024
_TOO_LARGE: Final = f"The headers are larger than {MAX_HEADER_BYTES} bytes."
_REFUSAL: Final = "Send 'Authorization: Bearer TOKEN' with an admin token that is valid."


class AdminAuthenticator(Protocol):
    """Knows administrators by what they show. It may block: it is called in a thread."""

    def authenticate(self, bearer: str, now: float) -> Admin | None:
        """Return who shows this; None: it proves nothing to this authenticator."""
        ...


class TokenGuard:
    """Stands before everything: no path answers without a credential, not even 404."""

    def __init__(
        self,
        app: ASGIApp,
        authenticators: Sequence[AdminAuthenticator],
        on_refusal: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Guard an application; the first authenticator that knows somebody decides."""
        self._app = app
        self._authenticators = authenticators
        self._on_refusal = on_refusal
        self._clock = clock

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        """Let a request through with the name and role of who asks."""
        if scope["type"] != "http":
            return  # there is nothing else here, neither for strangers nor for friends
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            await error_response(431, "headers_too_large", _TOO_LARGE)(scope, receive, send)
            return
        try:
            admin = await run_in_threadpool(self._admin, scope["headers"])
        except Exception as error:  # noqa: BLE001  (whatever it was: nobody is let in)
            await failure(error)(scope, receive, send)
            return
        if admin is None:
            await self._refuse(scope, receive, send)
        else:
            await self._app({**scope, ADMIN: admin}, receive, send)

    async def _refuse(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        self._on_refusal()
        challenge = {"www-authenticate": "Bearer"}
        refusal = error_response(401, "invalid_admin_token", _REFUSAL, headers=challenge)
        await refusal(scope, receive, send)

    def _admin(self, headers: list[tuple[bytes, bytes]]) -> Admin | None:
        bearer = _bearer(headers)
        if bearer is None:
            return None
        now = self._clock()
        known = (it.authenticate(bearer, now) for it in self._authenticators)
        return next((admin for admin in known if admin is not None), None)


def _bearer(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return what the one field `authorization` shows, if it is plain ASCII and not too long."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1 or given[0][: len(_SCHEME)].lower() != _SCHEME:
        return None
    shown = given[0][len(_SCHEME) :].strip()
    return shown.decode() if shown.isascii() and len(shown) <= _MAX_BEARER_BYTES else None
