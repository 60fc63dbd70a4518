"""docs/admin-openapi.json, and the tables of docs/admin-api.md: made from the routes themselves."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi.routing import APIRoute

from scripts.docs_tables import Table, code, sentence
from service.console.app import make_admin_app
from service.console.office import Office
from service.console.routes import permission_of
from service.core.roles import ROLES, Permission, Role


def document() -> str:
    """Return the OpenAPI document of the admin API, as the file holds it."""
    return json.dumps(_app().openapi(), indent=1) + "\n"


def roles() -> Sequence[Table]:
    """Each permission, and the roles that hold it."""
    rows = [
        [code(permission), *["yes" if role in ROLES[permission] else "" for role in Role]]
        for permission in Permission
    ]
    return [Table(["permission", *map(code, Role)], rows, words="for")]


def routes() -> Sequence[Table]:
    """Each route, with the permission that it asks for."""
    rows = [
        [code(f"{method} {route.path_format}"), code(permission_of(route)), _first_line(route)]
        for route in _app().routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]
    return [Table(["route", "permission", "does"], rows)]


def _app() -> Any:  # noqa: ANN401  (FastAPI, of whose routes alone something is told)
    nothing: Any = None  # no route is called
    return make_admin_app(Office(nothing, (), "", lambda: 0.0, nothing))


def _first_line(route: APIRoute) -> str:
    return sentence(route.endpoint.__doc__).rstrip(".")
