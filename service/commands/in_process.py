"""The admin API without a server: called by commands on the machine of the store."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from service.console.app import GROUPS, make_admin_app
from service.console.office import Office
from service.console.routes import ADMIN, PREFIX
from service.core.roles import Admin

Message = MutableMapping[str, Any]

_HEADERS: Final = [(b"content-type", b"application/json")]


class InProcess:
    """Asks the routes of a path's group in the name of an administrator."""

    def __init__(self, office: Office, admin: Admin) -> None:
        """Ask nothing yet."""
        self._office = office
        self._admin = admin

    def __call__(self, method: str, path: str, body: Any, params: Any) -> tuple[int, bytes]:  # noqa: ANN401  (JSON)
        """Return an answer's status and body."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "root_path": "",
            "query_string": urlencode(params).encode(),
            "headers": [] if body is None else _HEADERS,
            ADMIN: self._admin,
        }
        app = make_admin_app(self._office, [_group(path)])
        sent = b"" if body is None else json.dumps(body).encode()
        return asyncio.run(_ask(app, scope, sent))


async def _ask(app: Any, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:  # noqa: ANN401  (ASGI)
    """Call an application once, and gather what it answers."""
    received: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    status, answer = 0, bytearray()

    async def receive() -> Message:
        return received.pop() if received else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        answer.extend(message.get("body", b""))

    await app(scope, receive, send)
    return status, bytes(answer)


def _group(path: str) -> str:
    first = path.removeprefix(f"{PREFIX}/").partition("/")[0].replace("-", "_")
    return first if first in GROUPS else "status"
