"""Errors as callers see them: the one place that knows status codes and error objects."""

import logging
import math
from dataclasses import dataclass, replace
from typing import Final

from service.core.surfaces.answers import START, Place
from service.core.surfaces.errors import OPENAI_ERRORS, ErrorShape, ErrorWords
from service.errors import (
    AccountSuspended,
    AddressNotAllowed,
    BudgetExceeded,
    Interrupted,
    InvalidApiKey,
    InvalidRequest,
    JournalBroken,
    JournalFull,
    LimitReached,
    MethodNotAllowed,
    ModelNotAllowed,
    ModelNotFound,
    NotFound,
    PromptBlocked,
    RateLimitExceeded,
    Refusal,
    RequestTimeout,
    RequestTooLarge,
    SafeguardInactive,
    SurfaceNotAllowed,
    TooManyConnections,
    UpstreamBroke,
    UpstreamTimeout,
    UpstreamUnavailable,
    WatchgateError,
)
from service.events.schema import Outcome
from service.gateway.asgi import Header, Send, send_whole

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """How one kind of error is told."""

    status: int
    code: str
    type: str
    message: str = ""
    """Told in place of the error's own words, where those are for operators."""
    retry_after_s: int | None = None
    challenge: bytes | None = None
    """How to authenticate: `www-authenticate`."""
    is_final: bool = False
    """Another try would end alike: `x-should-retry: false`."""


_INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"
_EVIDENCE: Final = "The safeguard 'evidence' is not active: the exchange cannot be recorded."

PROBLEMS: Final[dict[type[WatchgateError], Problem]] = {
    InvalidApiKey: Problem(
        401, "invalid_api_key", "authentication_error", challenge=b'Bearer realm="watchgate"'
    ),
    AccountSuspended: Problem(403, "account_suspended", "permission_error", is_final=True),
    AddressNotAllowed: Problem(403, "address_not_allowed", "permission_error"),
    ModelNotAllowed: Problem(403, "model_not_allowed", "permission_error"),
    SurfaceNotAllowed: Problem(403, "surface_not_allowed", "permission_error"),
    ModelNotFound: Problem(404, "model_not_found", _INVALID),
    NotFound: Problem(404, "not_found", _INVALID),
    MethodNotAllowed: Problem(405, "method_not_allowed", _INVALID),
    PromptBlocked: Problem(
        400,
        "content_filter",
        _INVALID,
        "The prompt was blocked by a safeguard of this model.",
        is_final=True,
    ),
    InvalidRequest: Problem(400, "invalid_request", _INVALID),
    RequestTooLarge: Problem(413, "request_too_large", _INVALID),
    RequestTimeout: Problem(408, "request_timeout", _INVALID),
    RateLimitExceeded: Problem(429, "rate_limit_exceeded", "rate_limit_error", retry_after_s=1),
    BudgetExceeded: Problem(429, "budget_exceeded", "rate_limit_error", is_final=True),
    TooManyConnections: Problem(503, "too_many_connections", _SERVER, retry_after_s=1),
    SafeguardInactive: Problem(503, "safeguard_inactive", _SERVER, retry_after_s=5),
    JournalFull: Problem(503, "safeguard_inactive", _SERVER, _EVIDENCE, retry_after_s=5),
    JournalBroken: Problem(503, "safeguard_inactive", _SERVER, _EVIDENCE, retry_after_s=30),
    Interrupted: Problem(
        503, "interrupted", _SERVER, "The gateway is stopping: try again.", retry_after_s=1
    ),
    UpstreamUnavailable: Problem(
        502, "upstream_unavailable", _SERVER, "The model's server is away, or has failed."
    ),
    UpstreamTimeout: Problem(
        504, "upstream_timeout", _SERVER, "The model's server took too long to answer."
    ),
    UpstreamBroke: Problem(
        502, "upstream_unavailable", _SERVER, "The model's server broke off its answer."
    ),
}
_ENDED_BY: Final[dict[Outcome, type[WatchgateError]]] = {
    "blocked": PromptBlocked,
    "screen_failed": SafeguardInactive,
    "upstream_unavailable": UpstreamUnavailable,
    "upstream_timeout": UpstreamTimeout,
    "upstream_broke": UpstreamBroke,
}
_INTERNAL: Final = Problem(500, "internal_error", _SERVER, "The gateway failed.")
CODES: Final = frozenset(it.code for it in (*PROBLEMS.values(), _INTERNAL))
"""Every code that a caller may see."""


def problem_of(error: BaseException) -> Problem:
    """Return how an error is told; what nobody foresaw is an internal error without details."""
    kinds = (PROBLEMS.get(kind) for kind in type(error).__mro__)
    problem = next((problem for problem in kinds if problem is not None), _INTERNAL)
    return _of_limit(problem, error) if isinstance(error, LimitReached) else problem


def _of_limit(problem: Problem, error: LimitReached) -> Problem:
    """Tell what a limit itself says of another try."""
    if error.is_final:
        return replace(problem, retry_after_s=None, is_final=True)
    if error.retry_after_s is None:
        return problem
    return replace(problem, retry_after_s=max(1, math.ceil(error.retry_after_s)))


def status_of(outcome: Outcome) -> int | None:
    """Return the status that tells a caller of an outcome; None: nothing is told, or it varies."""
    kind = _ENDED_BY.get(outcome)
    return None if kind is None else PROBLEMS[kind].status


def words_of(error: BaseException) -> ErrorWords:
    """Return what a caller is told of an error."""
    problem = problem_of(error)
    param = error.param if isinstance(error, Refusal) else None
    return ErrorWords(
        problem.status, problem.message or str(error), problem.type, problem.code, param
    )


def error_body(error: BaseException, shape: ErrorShape = OPENAI_ERRORS) -> bytes:
    """Return the error object of an error, in the shape of the API that was called."""
    return shape.body(words_of(error))


def error_event(
    error: BaseException, shape: ErrorShape = OPENAI_ERRORS, at: Place = START
) -> bytes:
    """Return the server-sent event that tells of an error in the middle of a stream.

    `at` is the place where what was released of the stream ends.
    """
    return shape.event(words_of(error), at)


def error_headers(error: BaseException) -> list[Header]:
    """Return the headers that go with an error's body."""
    problem = problem_of(error)
    headers = [(b"content-type", b"application/json")]
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    if problem.challenge is not None:
        headers.append((b"www-authenticate", problem.challenge))
    if problem.is_final:
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, LimitReached):
        headers += error.headers
    return headers


async def send_error(
    send: Send, error: Exception, headers: list[Header], shape: ErrorShape = OPENAI_ERRORS
) -> None:
    """Answer with an error, where nothing was sent yet."""
    status = problem_of(error).status
    await send_whole(send, status, [*headers, *error_headers(error)], error_body(error, shape))


def log_unforeseen(error: Exception, exchange_id: str) -> None:
    """Log what no caller is told the details of."""
    if not isinstance(error, WatchgateError):
        # its kind and its place alone: its words might hold what a caller wrote
        extra = {"exchange_id": exchange_id, "error": type(error).__name__, "place": _place(error)}
        _log.error("a request failed", extra=extra)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
