"""How the APIs tell an error: as a body, and as an event in the middle of a stream."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from service.core.surfaces.answers import Place

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """What is told of an error."""

    status: int
    message: str
    type: str
    """Under OpenAI's names; Anthropic's follow from the status."""
    code: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """An API's way to tell errors."""

    body: Callable[[ErrorWords], bytes]
    event: Callable[[ErrorWords, Place], bytes]
    """A whole event, after what was released of a stream ends at the place."""


def sse(kind: str, data: object) -> bytes:
    """Return an event that names its kind, as the newer APIs send them."""
    return b"event: " + kind.encode() + b"\ndata: " + _encode(data) + b"\n\n"


def _openai_body(words: ErrorWords) -> bytes:
    return _encode(
        {
            "error": {
                "message": words.message,
                "type": words.type,
                "param": words.param,
                "code": words.code,
            }
        }
    )


def _openai_event(words: ErrorWords, _: Place) -> bytes:
    return b"data: " + _openai_body(words) + b"\n\n"


def _responses_event(words: ErrorWords, place: Place) -> bytes:
    return sse(
        "error",
        {
            "type": "error",
            "code": words.code,
            "message": words.message,
            "param": words.param,
            "sequence_number": place.sequence,
        },
    )


_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""https://docs.anthropic.com/en/api/errors; 529 is not one of ours, and 503 means the same."""


def _anthropic(words: ErrorWords) -> dict[str, object]:
    kind = _ANTHROPIC_TYPES.get(words.status, "api_error")
    told = {"type": kind, "message": words.message, "code": words.code}
    if words.param is not None:
        told["param"] = words.param
    return {"type": "error", "error": told}


def _anthropic_body(words: ErrorWords) -> bytes:
    return _encode(_anthropic(words))


def _anthropic_event(words: ErrorWords, _: Place) -> bytes:
    return sse("error", _anthropic(words))


OPENAI_ERRORS: Final = ErrorShape(_openai_body, _openai_event)
RESPONSES_ERRORS: Final = ErrorShape(_openai_body, _responses_event)
ANTHROPIC_ERRORS: Final = ErrorShape(_anthropic_body, _anthropic_event)
