"""POST /v1/messages and /v1/messages/count_tokens, Anthropic's API."""

from typing import Any, Final

import msgspec

from service.core.surfaces.answers import NoTextReader
from service.core.surfaces.errors import ANTHROPIC_ERRORS
from service.core.surfaces.media import take_anthropic_media
from service.core.surfaces.messages_answers import (
    MessagesAnswerReader,
    cut_messages_stream,
    cut_messages_whole,
)
from service.core.surfaces.shape import Fields, Surface, no_stream
from service.core.unreadable import UNREADABLE
from service.errors import InvalidRequest

_Content = str | list[dict[str, Any]]


class _Message(msgspec.Struct):
    role: str
    content: _Content


_messages_decoder: Final = msgspec.json.Decoder(list[_Message])
_system_decoder: Final = msgspec.json.Decoder(_Content | None)
_BLOCKS: Final = frozenset(
    {"document", "image", "text", "thinking", "tool_reference", "tool_result", "tool_use"}
)
"""The blocks of content of which all is seen that the model could."""
_SOURCES: Final = {"image": {"base64"}, "document": {"base64", "content", "text"}}


def _check_prompt(fields: Fields) -> None:
    """Refuse messages that are not messages, and content that the gateway cannot see."""
    if "messages" not in fields:
        raise InvalidRequest("The field 'messages' is missing.", param="messages")
    try:
        for message in _messages_decoder.decode(fields["messages"]):
            _check_message(message)
    except UNREADABLE:
        raise InvalidRequest(
            "The field 'messages' must be a list of messages, each with a role and a content of "
            "text or a list of blocks.",
            param="messages",
        ) from None
    try:
        _check_content(_system_decoder.decode(fields.get("system", b"null")), "system", "system")
    except UNREADABLE:
        raise InvalidRequest(
            "The field 'system' must be text or a list of blocks.", param="system"
        ) from None


def _check_message(message: _Message) -> None:
    if message.role not in {"assistant", "system", "user"}:
        raise InvalidRequest(
            "The role of a message must be 'user', 'assistant' or 'system'.", param="messages"
        )
    _check_content(message.content, "messages", message.role)


def _check_content(content: object, param: str, role: str) -> None:
    for block in content if isinstance(content, list) else ():
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in _BLOCKS or (kind == "tool_result" and role != "user"):
            raise InvalidRequest(
                f"A block of content of the type {str(kind)[:64]!r} cannot be read here.",
                param=param,
            )
        if kind in _SOURCES:
            _check_source(kind, block.get("source"), param, role)
        _check_content(block.get("content"), param, role)


def _check_source(kind: str, source: object, param: str, role: str) -> None:
    given = source.get("type") if isinstance(source, dict) else None
    if not isinstance(source, dict) or given not in _SOURCES[kind]:
        raise InvalidRequest(
            f"The source of a block of the type {kind!r} must be base64: what is elsewhere cannot "
            "be read.",
            param=param,
        )
    _check_content(source.get("content"), param, role)


def _check_prefill(fields: Fields) -> None:
    """Refuse a conversation that ends with the beginning of an answer."""
    messages = _messages_decoder.decode(fields["messages"])
    roles = [message.role for message in messages if message.role != "system"]
    if roles and roles[-1] == "assistant":
        raise InvalidRequest(
            "The last message must not be the assistant's: an answer cannot be begun for the "
            "model.",
            param="messages",
        )


_COUNTED: Final = frozenset(
    {
        "chat_template_kwargs",
        "messages",
        "model",
        "output_config",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
_PROMPT_FIELDS: Final = (
    "system",
    "messages",
    "tools",
    "output_config",
    "chat_template_kwargs",
)

MESSAGES: Final = Surface(
    name="messages",
    path="/v1/messages",
    parameters=_COUNTED
    | {
        "cache_control",
        "max_tokens",
        "metadata",
        "service_tier",
        "stop_sequences",
        "stream",
        "temperature",
        "top_k",
        "top_p",
    },
    prompt_fields=_PROMPT_FIELDS,
    check_prompt=_check_prompt,
    check_prefill=_check_prefill,
    answer_reader=MessagesAnswerReader,
    cut_stream=cut_messages_stream,
    cut_whole=cut_messages_whole,
    errors=ANTHROPIC_ERRORS,
    take_media=take_anthropic_media,
    max_tokens_fields=("max_tokens",),
    end_user_fields=("metadata",),
)
COUNT_TOKENS: Final = Surface(
    name="count_tokens",
    path="/v1/messages/count_tokens",
    parameters=_COUNTED,
    prompt_fields=_PROMPT_FIELDS,
    check_prompt=_check_prompt,
    answer_reader=NoTextReader,
    cut_stream=no_stream,
    cut_whole=bytes,
    errors=ANTHROPIC_ERRORS,
    take_media=take_anthropic_media,
    end_user_fields=(),
    costs_tokens=False,
)
