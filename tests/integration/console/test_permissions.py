"""Every route that there is, for everybody who may not use it: a new route is tried by itself."""

from collections.abc import Iterator
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fastapi import APIRouter

from service.console.app import check_permissions
from service.core.roles import Permission, Role, may
from tests.real_parts.admin import AdminApi

NOBODY = [None, "", "wrong", "sk-wg-" + "a" * 43, "wg-admin-" + "a" * 43, "wg-admin-" + "ä" * 43]


@cache
def document() -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        one = AdminApi(f"sqlite:///{folder}/watchgate.db")
        described: dict[str, Any] = one.good("GET", "/openapi.json")
        one.close()
    return described


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path.removeprefix("/admin/v1"), operation


ROUTES = list(operations())
IDS = [f"{method} {path}" for method, path, _ in ROUTES]
FORBIDDEN = [
    (method, path, role)
    for method, path, operation in ROUTES
    for role in Role
    if not may(role, Permission(operation["x-permission"]))
]


def filled(path: str) -> str:
    return (
        path.replace("{name}", "n")
        .replace("{id}", "key_1")
        .replace("{account}", "n")
        .replace("{part}", "prompt")
    )


def test_there_are_routes_and_some_of_them_are_forbidden_to_each_lesser_role() -> None:
    assert len(ROUTES) > 35
    assert {role for _, _, role in FORBIDDEN} == {Role.VIEWER, Role.ANALYST, Role.OPERATOR}


@pytest.mark.parametrize(("method", "path", "operation"), ROUTES, ids=IDS)
@pytest.mark.parametrize("token", NOBODY)
def test_no_route_answers_without_a_valid_token(
    shared: AdminApi, method: str, path: str, operation: object, token: str | None
) -> None:
    before = shared.refusals
    headers = {} if token is None else {"authorization": f"Bearer {token}".encode()}
    answer = shared.ask(method, filled(path), {}, role=None, headers=headers)
    assert operation
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_admin_token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"
    assert shared.refusals == before + 1


@pytest.mark.parametrize(("method", "path", "role"), FORBIDDEN)
def test_no_route_answers_a_role_that_does_not_hold_its_permission(
    shared: AdminApi, method: str, path: str, role: Role
) -> None:
    before = shared.entries()
    answer = shared.ask(method, filled(path), {}, role=role)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert str(role) in answer.json()["error"]["message"]
    assert shared.entries() == before


@pytest.mark.parametrize(("method", "path", "operation"), ROUTES, ids=IDS)
def test_every_route_lets_the_roles_pass_that_hold_its_permission(
    shared: AdminApi, method: str, path: str, operation: dict[str, Any]
) -> None:
    for role in Role:
        if may(role, Permission(operation["x-permission"])):
            wrong = shared.ask(method, filled(path), params={"no_such_parameter": "1"}, role=role)
            assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/admin/v1", "/admin/v1/", "/admin/v1/status/", "/docs", "/%00"]
)
def test_not_even_a_path_that_is_not_there_answers_without_a_token(
    shared: AdminApi, path: str
) -> None:
    assert shared.send("GET", path).status_code == 401
    headers = {"authorization": f"Bearer {shared.tokens[Role.VIEWER]}"}
    assert shared.send("GET", path, headers=headers).status_code == 404


def test_a_route_without_a_permission_does_not_get_as_far_as_being_served(
    shared: AdminApi,
) -> None:
    original = list(shared.app.router.routes)
    shared.app.add_api_route("/backdoor", lambda: None)
    try:
        with pytest.raises(ValueError, match="/backdoor asks for no permission"):
            check_permissions(shared.app)
    finally:
        shared.app.router.routes[:] = original
    check_permissions(shared.app)


def test_neither_does_a_router_whose_routes_are_not_in_the_table(shared: AdminApi) -> None:
    original = list(shared.app.router.routes)
    router = APIRouter(prefix="/hidden")
    router.add_api_route("/backdoor", lambda: None)
    shared.app.include_router(router)
    try:
        with pytest.raises(ValueError, match="asks for no permission"):
            check_permissions(shared.app)
    finally:
        shared.app.router.routes[:] = original
