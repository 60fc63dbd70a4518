"""The text of a prompt: whatever in a request's body reaches the model as text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from service.core.surfaces.shape import Surface


@dataclass(frozen=True, slots=True)
class PromptText:
    """The text that a model was given."""

    text: str
    unscanned: frozenset[str]
    """What is in the prompt and is not text: "image", "audio", "file"."""


_MEDIA: Final[Mapping[str, str]] = {
    "image_url": "image",
    "input_image": "image",
    "image_embeds": "image",
    "image_pil": "image",
    "video_url": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio_embeds": "audio",
    "file": "file",
    "input_file": "file",
}
"""The types of parts of a message that are no text, which also name the field that holds them."""
_CONSTANTS: Final[Mapping[str, frozenset[str]]] = {
    "role": frozenset({"system", "developer", "user", "assistant", "tool", "function"}),
    "type": frozenset(
        {
            "array", "boolean", "function", "image_url", "input_audio", "input_text", "integer",
            "json_object", "json_schema", "null", "number", "object", "string", "text",
        }
    ),
}  # fmt: skip
"""Values that say nothing by themselves. Any other role or type is text like any text."""
_FIELDS: Final = frozenset(
    {
        "additionalProperties", "arguments", "content", "default", "description", "enum",
        "function", "id", "items", "json_schema", "name", "parameters", "properties", "refusal",
        "reasoning", "reasoning_content", "required", "role", "schema", "strict", "text",
        "tool_call_id", "tool_calls", "type",
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
    unscanned: set[str] = set()
    prompt = {name: fields[name] for name in surface.prompt_fields if name in fields}
    if "messages" in prompt:
        prompt["messages"] = _without_media(prompt["messages"], unscanned)
    texts = [text for value in prompt.values() for text in _texts(value)]
    return PromptText("\n".join(texts), frozenset(unscanned))


def _without_media(messages: Any, unscanned: set[str]) -> Any:  # noqa: ANN401  (whatever JSON holds)
    """Return messages without the parts of their contents that are no text."""
    if not isinstance(messages, list):
        return messages
    return [
        {**message, "content": [_without_medium(part, unscanned) for part in message["content"]]}
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        else message
        for message in messages
    ]


def _without_medium(part: Any, unscanned: set[str]) -> Any:  # noqa: ANN401  (as above)
    if not isinstance(part, dict):
        return part
    media = {name for name in (*part, str(part.get("type"))) if name in _MEDIA}
    unscanned |= {_MEDIA[name] for name in media}
    return {name: value for name, value in part.items() if name not in media}


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
    except (msgspec.MsgspecError, RecursionError):
        return arguments
