"""The routes of the admin API: each says once which permission it asks for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.console.problems import errors_of
from service.console.words import quoted
from service.core.roles import Admin, Permission, holders, may
from service.errors import NotPermitted, Unacceptable

PREFIX: Final = "/admin/v1"
ADMIN: Final = "watchgate.admin"
"""Where a request's scope has the `Admin` who asks: `TokenGuard` puts it there."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path below `PREFIX`, and what answers there; its docstring describes it."""

    method: str
    path: str
    permission: Permission
    endpoint: Callable[..., Any]
    status: int = 200
    refusals: tuple[int, ...] = ()
    """Statuses of errors beyond those that every route may answer."""


Routes = Sequence[Route]


async def who_asks(request: Request) -> Admin:
    """Return who asks; a request that passed no guard has nobody, and ends here.

    This and what follows is `async` only to be spared a thread: it waits for nothing.
    """
    admin: Admin = request.scope[ADMIN]
    return admin


Who = Annotated[Admin, Depends(who_asks)]


class Needs:
    """Refuses who does not hold a permission."""

    def __init__(self, permission: Permission) -> None:
        """Refuse nobody yet."""
        self.permission = permission

    async def __call__(self, who: Who) -> None:
        """Let the roles pass that hold the permission.

        Raises:
            NotPermitted: it is another role.
        """
        if not may(who.role, self.permission):
            raise NotPermitted(
                f"This needs the permission {self.permission}, which the role {who.role} "
                f"does not hold; there hold it: {holders(self.permission)}."
            )


async def keep_private(response: Response) -> None:
    """Say that nobody on the way is to keep an answer; errors say so themselves."""
    response.headers["cache-control"] = "no-store"


async def only_known_parameters(request: Request) -> None:
    """Refuse what a route would pass over: a filter that is misspelt must not show all.

    Raises:
        Unacceptable: a parameter has another name than those that the route takes, or comes twice.
    """
    route: APIRoute = request.scope["route"]
    known = set(_parameters(route.dependant))
    for name in request.query_params:
        if name not in known:
            there_are = ", ".join(sorted(known)) or "none"
            raise Unacceptable(
                quoted(name),
                f"No parameter of this path has this name; there are: {there_are}.",
            )
        if len(request.query_params.getlist(name)) > 1:
            raise Unacceptable(name, "This parameter comes more than once.")


def _parameters(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _parameters(inner)


def add_routes(app: FastAPI, group: str, routes: Routes) -> None:
    """Have an application answer on these routes."""
    for route in routes:
        name = route.endpoint.__name__
        app.add_api_route(
            PREFIX + route.path,
            route.endpoint,
            methods=[route.method],
            status_code=route.status,
            dependencies=[
                Depends(Needs(route.permission)),
                Depends(only_known_parameters),
                Depends(keep_private),
            ],
            operation_id=f"{group}_{name}",
            summary=f"{group.replace('_', ' ').capitalize()}: {name.replace('_', ' ')}",
            tags=[group.replace("_", " ")],
            responses=errors_of(route.refusals),
            openapi_extra={"x-permission": str(route.permission)},
        )


def permission_of(route: APIRoute) -> Permission | None:
    """Return what a route asks for; None: whoever made it forgot to say."""
    asked = [it.dependency for it in route.dependencies]
    found = [it.permission for it in asked if isinstance(it, Needs)]
    return found[0] if len(found) == 1 else None
