"""POST /v1/chat/completions."""

from typing import Any, Final

import msgspec

from service.core.surfaces.errors import OPENAI_ERRORS
from service.core.surfaces.media import take_openai_media
from service.core.surfaces.openai_answers import (
    OpenAIAnswerReader,
    cut_chat_stream,
    cut_chat_whole,
)
from service.core.surfaces.parts import check_part
from service.core.surfaces.shape import Fields, Surface
from service.core.unreadable import UNREADABLE
from service.errors import InvalidRequest


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any] | str] | None = None


_messages_decoder: Final = msgspec.json.Decoder(list[_Message])


def _check_prompt(fields: Fields) -> None:
    """Refuse messages that are not messages, and content that the gateway cannot see."""
    if "messages" not in fields:
        raise InvalidRequest("The field 'messages' is missing.", param="messages")
    try:
        messages = _messages_decoder.decode(fields["messages"])
        for message in messages:
            if isinstance(message.content, list):
                for part in message.content:
                    check_part(part, "messages")
    except UNREADABLE:
        raise InvalidRequest(
            "The field 'messages' must be a list of messages, each with a role and a content of "
            "text or a list of parts.",
            param="messages",
        ) from None


CHAT: Final = Surface(
    name="chat",
    path="/v1/chat/completions",
    parameters=frozenset(
        {
            "chat_template_kwargs",
            "frequency_penalty",
            "function_call",
            "functions",
            "include_reasoning",
            "length_penalty",
            "logit_bias",
            "logprobs",
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "metadata",
            "min_p",
            "min_tokens",
            "modalities",
            "model",
            "n",
            "parallel_tool_calls",
            "presence_penalty",
            "prompt_cache_key",
            "prompt_cache_retention",
            "reasoning_effort",
            "repetition_penalty",
            "response_format",
            "safety_identifier",
            "seed",
            "service_tier",
            "stop",
            "stop_token_ids",
            "store",
            "stream",
            "stream_options",
            "temperature",
            "tool_choice",
            "tools",
            "top_k",
            "top_logprobs",
            "top_p",
            "user",
            "verbosity",
        }
    ),
    prompt_fields=(
        "messages",
        "tools",
        "functions",
        "response_format",
        "chat_template_kwargs",
        "chat_template",
        "documents",
    ),
    check_prompt=_check_prompt,
    answer_reader=OpenAIAnswerReader,
    cut_stream=cut_chat_stream,
    cut_whole=cut_chat_whole,
    errors=OPENAI_ERRORS,
    take_media=take_openai_media,
    asks_for_usage=True,
    max_tokens_fields=("max_tokens", "max_completion_tokens"),
)
