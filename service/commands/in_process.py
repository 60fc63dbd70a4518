"""The admin API without a server: called by commands on the machine of the store."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import httpx

from service.console.app import GROUPS, make_admin_app
from service.console.office import Office
from service.console.routes import ADMIN, PREFIX
from service.core.roles import Admin, Role
from service.settings import Settings
from service.store import Store
from service.wiring.office import make_office

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


class InProcess(httpx.BaseTransport):
    """Carries requests to the routes of their group, which are made when first asked."""

    def __init__(self, office: Office, admin: Admin) -> None:
        """Ask in the name of an administrator."""
        self._office = office
        self._admin = admin
        self._runner = asyncio.Runner()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, read to its end."""
        return self._runner.run(self._answer(request))

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        app = self._in_name_of_admin(make_admin_app(self._office, [_group(request.url.path)]))
        answer = await httpx.ASGITransport(app=app).handle_async_request(request)
        body = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    def _in_name_of_admin(self, app: ASGIApp) -> ASGIApp:
        async def named(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
            await app({**scope, ADMIN: self._admin}, receive, send)

        return named


@contextmanager
def client_for(settings: Settings, store: Store, actor: str) -> Iterator[httpx.Client]:
    """Give a client of the admin API of this store."""
    transport = InProcess(make_office(settings, store), Admin(actor, Role.ADMIN))
    with httpx.Client(base_url="http://in-process", transport=transport) as client:
        yield client


def _group(path: str) -> str:
    first = path.removeprefix(f"{PREFIX}/").partition("/")[0].replace("-", "_")
    return first if first in GROUPS else "status"
