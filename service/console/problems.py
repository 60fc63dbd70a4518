"""What the admin API answers when it cannot do what it was asked: error objects."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.console.views import ErrorDetail, ErrorView

_log = logging.getLogger(__name__)

_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
_UNPROCESSABLE: Final = 422
_FAILED: Final = 500

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": ErrorView, "description": "Without the admin token."},
    _UNPROCESSABLE: {"model": ErrorView, "description": "A parameter is wrong."},
}
"""The errors that the OpenAPI document names for every path."""


def tell_errors(app: FastAPI) -> None:
    """Have an application answer with error objects in place of FastAPI's own."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "invalid_request")
        message = f"{error.detail}: {request.method[:16]} {request.url.path[:128]}"
        return error_response(error.status_code, code, message, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def parameter(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = str(first["loc"][-1])
        message = f"The parameter {name!r} is wrong: {first['msg']}."
        return error_response(_UNPROCESSABLE, "invalid_request", message, param=name)

    @app.exception_handler(Exception)
    async def fault(_request: Request, error: Exception) -> JSONResponse:
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
    return JSONResponse(ErrorView(error=detail).model_dump(), status, headers)
