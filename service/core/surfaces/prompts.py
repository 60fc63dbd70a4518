"""The text of a prompt: whatever in a request's body reaches the model as text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from service.core.surfaces.media import Medium
from service.core.surfaces.shape import Surface, TakeMedia
from service.core.unreadable import UNREADABLE


@dataclass(frozen=True, slots=True)
class PromptText:
    """The text that a model was given."""

    segments: tuple[str, ...]
    """The texts of each message, tool, input or other field, in order: who resends a conversation
    resends the same segments."""
    media: tuple[Medium, ...] = ()

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(self.segments)

    @property
    def unscanned(self) -> frozenset[str]:
        """What is in the prompt and is not text: "image", "audio", "file"."""
        return frozenset(medium.kind for medium in self.media)


_WITH_PARTS: Final = frozenset({"input", "messages"})
"""Fields of which the units are messages, whose contents may be lists of parts."""
_PARTS: Final = ("content", "output")
_CONSTANTS: Final[Mapping[str, frozenset[str]]] = {
    "role": frozenset({"system", "developer", "user", "assistant", "tool", "function"}),
    "type": frozenset(
        {
            "array", "base64", "boolean", "custom", "custom_tool_call", "custom_tool_call_output",
            "document", "ephemeral", "function", "function_call", "function_call_output", "image",
            "image_url", "input_audio", "input_text", "integer", "json_object", "json_schema",
            "message", "null", "number", "object", "output_text", "reasoning", "reasoning_text",
            "string", "summary_text", "text", "thinking", "tool_result", "tool_use",
        }
    ),
    "status": frozenset({"completed", "in_progress", "incomplete"}),
    "effort": frozenset({"high", "low", "max", "medium", "minimal", "none", "xhigh"}),
    "detail": frozenset({"auto", "high", "low"}),
    "verbosity": frozenset({"high", "low", "medium"}),
    "media_type": frozenset(
        {"application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain"}
    ),
}  # fmt: skip
"""Values that say nothing by themselves. Any other role or type is text like any text."""
_FIELDS: Final = frozenset(
    {
        "additionalProperties", "annotations", "arguments", "cache_control", "call_id", "content",
        "default", "description", "detail", "effort", "encrypted_content", "enum", "format",
        "function", "id", "input", "input_schema", "is_error", "items", "json_schema", "media_type",
        "name", "output", "parameters", "properties", "reasoning", "reasoning_content",
        "refusal", "required", "role", "schema", "signature", "source", "status", "strict",
        "summary", "text", "thinking", "tool_call_id", "tool_calls", "tool_use_id", "type",
        "verbosity",
    }
)  # fmt: skip
"""Names of fields that say nothing by themselves. Any other name is text like any text."""


def prompt_text(surface: Surface, body: bytes) -> PromptText:
    """Collect every text of a recorded body that reaches the model, whatever it is nested in.

    Only well-known names of roles, types and fields, and what is no text in a message's parts,
    are left out: nothing hides in a place that we did not think of.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is no JSON object.
    """
    fields = msgspec.json.decode(body, type=dict[str, Any])
    media: list[Medium] = []
    segments: list[str] = []
    for name in surface.prompt_fields:
        if name in fields:
            for unit in _units(fields[name]):
                if name in _WITH_PARTS and surface.take_media is not None:
                    _take_media(unit, surface.take_media, media)
                if texts := list(_texts(unit)):
                    segments.append("\n".join(texts))
    return PromptText(tuple(segments), tuple(media))


class _PlainMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message that is nothing but a well-known role and a text: most are."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str


_plain_decoder: Final = msgspec.json.Decoder(_PlainMessage)


def segment_text(surface: Surface, name: str, raw: msgspec.Raw) -> str:
    """Return the text of one message, tool or other field, as `prompt_text` gives it.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: as `prompt_text`.
    """
    if name == "messages":
        try:
            return _plain_decoder.decode(raw).content
        except msgspec.ValidationError:
            pass
    return prompt_text(surface, b'{"%b":[%b]}' % (name.encode(), bytes(raw))).text


def _units(value: object) -> list[object]:
    """Return what a field is made of: its messages, tools, items, or itself."""
    return value if isinstance(value, list) else [value]


def _take_media(unit: object, take: TakeMedia, media: list[Medium]) -> None:
    """Take what is no text from the parts of a message, and of the results of tools in it."""
    for name in _PARTS:
        parts = unit.get(name) if isinstance(unit, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                media += take(part)
                _take_media(part, take, media)


def _texts(root: object) -> Iterator[str]:
    """Yield the texts below a JSON value in order, however deep."""
    stack: list[tuple[str, object]] = [("", root)]
    while stack:
        name, value = stack.pop()
        if name == "arguments" and isinstance(value, str):
            value = _decoded(value)
        if isinstance(value, str):
            if value not in _CONSTANTS.get(name, ()):
                yield value
        elif isinstance(value, list):
            stack.extend((name, inner) for inner in reversed(value))
        elif isinstance(value, dict):
            for key in reversed(value):
                stack.append((key, value[key]))
                if key not in _FIELDS:
                    stack.append(("", key))


def _decoded(arguments: str) -> object:
    """Return a tool call's arguments as the model gets them: escapes in them hide nothing."""
    try:
        return msgspec.json.decode(arguments)
    except UNREADABLE:
        return arguments
