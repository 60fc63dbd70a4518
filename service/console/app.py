"""The admin API: what the store knows, and all that administrators change in it."""

import importlib
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from service.console.office import Office
from service.console.problems import tell_errors
from service.console.routes import PREFIX, Route, Routes, add_routes, permission_of
from service.core.roles import Permission

_SHOWS_TOKEN: Final = HTTPBearer(
    auto_error=False, description="An admin token, or a token of an issuer in the settings."
)
"""For the OpenAPI document alone: `TokenGuard` has looked before."""


class Group(Protocol):
    """Routes that belong together."""

    def routes(self) -> Routes:
        """Return what answers where."""
        ...


GROUPS: Final[Mapping[str, str]] = {
    "status": "Status",
    "organisations": "Organisations",
    "projects": "Projects",
    "service_accounts": "ServiceAccounts",
    "keys": "Keys",
    "limits": "LimitsDesk",
    "points": "Points",
    "labels": "Labels",
    "accounts": "Accounts",
    "tokens": "Tokens",
    "audit": "AuditEntries",
}
"""Modules of this package, and the class in each that has the routes. A command needs one of them,
so they are imported when they are asked for."""


def make_admin_app(office: Office, groups: Collection[str] = tuple(GROUPS)) -> FastAPI:
    """Return the application, which `TokenGuard` must stand before.

    Raises:
        ValueError: a route does not say which permission it asks for.
    """
    app = FastAPI(
        title="Watchgate admin API",
        version="1",
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_SHOWS_TOKEN)],
    )
    tell_errors(app)
    for name in groups:
        add_routes(app, name, _group(name, office).routes())
    add_routes(app, "openapi", [Route("GET", "/openapi.json", Permission.READ, _document(app))])
    check_permissions(app)
    return app


def check_permissions(app: FastAPI) -> None:
    """See that no route was added past the table of permissions.

    Raises:
        ValueError: one was.
    """
    for route in app.routes:
        if not isinstance(route, APIRoute) or permission_of(route) is None:
            named = getattr(route, "path", type(route).__name__)
            raise ValueError(f"{named} asks for no permission")


def _group(name: str, office: Office) -> Group:
    module = importlib.import_module(f"service.console.{name}")
    group: Group = getattr(module, GROUPS[name])(office)
    return group


def _document(app: FastAPI) -> Any:  # noqa: ANN401  (a route's function)
    def document() -> dict[str, Any]:
        """All of this, as OpenAPI."""
        return app.openapi()

    return document


__all__ = ["GROUPS", "PREFIX", "check_permissions", "make_admin_app"]
