"""What the admin API answers when it cannot do what it was asked: error objects."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from service.console.words import told
from service.errors import AdminRefusal, ConfigError, Conflict, NotPermitted, NotThere, Unacceptable

_log = logging.getLogger(__name__)

_NO_PATH: Final = "There is no such path: GET /admin/v1/openapi.json names all that there are."
_HTTP: Final[Mapping[int, tuple[int, str, str]]] = {
    400: (422, "invalid_request", "The body is not JSON that can be read."),
    404: (404, "not_found", _NO_PATH),
    405: (405, "method_not_allowed", "This path takes other methods: see the header allow."),
}
_UNPROCESSABLE: Final = 422
_FAILED: Final = 500

_REFUSALS: Final[Mapping[type[AdminRefusal], tuple[int, str]]] = {
    NotThere: (404, "not_found"),
    Conflict: (409, "conflict"),
    Unacceptable: (_UNPROCESSABLE, "invalid_request"),
    NotPermitted: (403, "forbidden"),
}
_WORDS: Final = {
    401: "Without a valid credential.",
    403: "The role does not hold the permission.",
    404: "There is nothing of this name.",
    409: "It cannot be done as things stand.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    _UNPROCESSABLE: "A parameter is wrong.",
}
_ERROR: Final = {"schema": {"$ref": "#/components/schemas/ErrorView"}}
_ANY: Final = (401, 403, 413, 415, _UNPROCESSABLE)
"""Every route may answer these."""


class ErrorDetail(BaseModel):
    """Why a request was refused; `code` is for programs, `param` names the parameter at fault."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorView(BaseModel):
    """An error, in the shape of OpenAI's."""

    error: ErrorDetail


class PrivateJSON(JSONResponse):
    """JSON that nobody on the way is to keep."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Say so."""
        super().init_headers({"cache-control": "no-store"} | dict(headers or {}))


def errors_of(more: Iterable[int] = ()) -> dict[int | str, dict[str, Any]]:
    """Return the errors that the OpenAPI document names for a path."""
    statuses = sorted({*_ANY, *more})
    found: dict[int | str, dict[str, Any]] = {
        status: {"description": _WORDS[status], "content": {"application/json": _ERROR}}
        for status in statuses
    }
    # once with the model itself, which costs each route a millisecond when it is made
    found[_UNPROCESSABLE] = {"description": _WORDS[_UNPROCESSABLE], "model": ErrorView}
    return found


def tell_errors(app: FastAPI) -> None:
    """Have an application answer with error objects in place of FastAPI's own."""

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> JSONResponse:
        status, code, message = _HTTP[error.status_code]
        param = "body" if status == _UNPROCESSABLE else None
        return error_response(status, code, message, param=param, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def parameter(_request: Request, error: RequestValidationError) -> JSONResponse:
        name, message = told(error.errors()[0])
        return error_response(_UNPROCESSABLE, "invalid_request", message, param=name)

    @app.exception_handler(AdminRefusal)
    async def refusal(_request: Request, error: AdminRefusal) -> JSONResponse:
        status, code = _REFUSALS[type(error)]
        param = error.param if isinstance(error, Unacceptable) else None
        return error_response(status, code, str(error), param=param)

    @app.exception_handler(Exception)
    async def fault(_request: Request, error: Exception) -> JSONResponse:
        return failure(error)


def failure(error: Exception) -> JSONResponse:
    """Log a fault by its kind alone, for its words might hold anything, and answer with 500.

    Wrong settings are for who runs a command here, and is told the words themselves.
    """
    if not isinstance(error, ConfigError):
        _log.error("the admin API failed", extra={"error": type(error).__name__})
    return error_response(_FAILED, "internal_error", "The admin API failed.")


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an answer that holds an error object."""
    kind = "server_error" if status >= _FAILED else "invalid_request_error"
    detail = ErrorDetail(message=message, type=kind, param=param, code=code)
    return PrivateJSON(ErrorView(error=detail).model_dump(), status, headers)
