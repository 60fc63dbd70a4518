"""What was said, as spans hold it where `traces.content` of the settings asks for it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from service.core.surfaces.answers import Answer, AnswerReader
from service.core.surfaces.prompts import prompt_text
from service.core.surfaces.shape import Request, Surface
from service.core.unreadable import UNREADABLE

MAX_CHARS: Final = 10_000
"""Of a prompt or an answer: a span that is too large is refused, and all that are sent with it."""
_MAX_BODY_BYTES: Final = 1024 * 1024
"""A larger body is not read once more, on the event loop, for its beginning."""


def input_messages(surface: Surface, request: Request) -> str:
    """Return the texts of a prompt as JSON, in the form of `gen_ai.input.messages`.

    They are told as parts of one message of the user: APIs differ in what roles are.
    """
    if len(request.body) > _MAX_BODY_BYTES:
        return "[]"
    try:
        segments = prompt_text(surface, request.body).segments
    except UNREADABLE:
        return "[]"
    return _json([_message("user", segments)])


def output_messages(reader: AnswerReader) -> str:
    """Return an answer as JSON, a message a choice, in the form of `gen_ai.output.messages`."""
    messages = []
    for choice in msgspec.json.decode(reader.content(), type=Answer).choices:
        texts = (choice.reasoning, choice.text, choice.refusal, choice.tool_calls)
        message = _message("assistant", [text for text in texts if text])
        messages.append({**message, "finish_reason": choice.finish_reason or ""})
    return _json(messages)


def _message(role: str, texts: Sequence[str]) -> dict[str, Any]:
    left, parts = MAX_CHARS, []
    for text in texts:
        parts.append({"type": "text", "content": text[:left]})
        left -= len(text)
        if left <= 0:
            break
    return {"role": role, "parts": parts}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
