"""POST /v1/responses."""

from typing import Any, Final

import msgspec

from service.core.surfaces.errors import RESPONSES_ERRORS
from service.core.surfaces.media import take_openai_media
from service.core.surfaces.parts import check_part
from service.core.surfaces.responses_answers import (
    ResponsesAnswerReader,
    cut_responses_stream,
    cut_responses_whole,
)
from service.core.surfaces.shape import Fields, Surface
from service.core.unreadable import UNREADABLE
from service.errors import InvalidRequest

_Item = dict[str, Any]

_input_decoder: Final = msgspec.json.Decoder(str | list[_Item])
_tools_decoder: Final = msgspec.json.Decoder(list[_Item] | None)
_ELSEWHERE: Final = ("background", "conversation", "previous_response_id", "prompt")
"""Fields that ask for what is kept elsewhere, or to keep it."""
_EMPTY: Final = frozenset({b"null", b"false"})
_ITEMS: Final = frozenset(
    {
        "custom_tool_call",
        "custom_tool_call_output",
        "function_call",
        "function_call_output",
        "message",
        "reasoning",
    }
)
_TOOLS: Final = frozenset({"custom", "function", "namespace"})
"""Tools that the caller runs; what others bring to the model passes the gateway by."""
_UNFINISHED: Final = frozenset({"in_progress", "incomplete"})


def _check_prompt(fields: Fields) -> None:
    """Refuse input that the gateway cannot see, or that is not of the API's shape."""
    for name in _ELSEWHERE:
        if name in fields and bytes(fields[name]) not in _EMPTY:
            raise InvalidRequest(
                f"The parameter {name!r} is not accepted: send the whole conversation as 'input'.",
                param=name,
            )
    if "input" not in fields:
        raise InvalidRequest("The field 'input' is missing.", param="input")
    try:
        given = _input_decoder.decode(fields["input"])
        tools = _tools_decoder.decode(fields.get("tools", b"null"))
    except UNREADABLE:
        raise InvalidRequest(
            "The field 'input' must be text or a list of items, and 'tools' a list of tools.",
            param="input",
        ) from None
    for item in given if isinstance(given, list) else ():
        _check_item(item)
    for tool in tools or ():
        _check_tool(tool)


def _check_item(item: _Item) -> None:
    kind = item.get("type", "message")
    if kind not in _ITEMS or (kind == "message" and not isinstance(item.get("role"), str)):
        raise InvalidRequest(
            f"An item of the type {str(kind)[:64]!r} cannot be read here.", param="input"
        )
    if item.get("encrypted_content") is not None:
        raise InvalidRequest("Encrypted content cannot be read.", param="input")
    for name in ("content", "output"):
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else ():
            check_part(part, "input")


def _check_tool(tool: _Item) -> None:
    kind = tool.get("type")
    if kind not in _TOOLS:
        raise InvalidRequest(
            f"A tool of the type {str(kind)[:64]!r} is not accepted: what it brings to the model "
            "cannot be read.",
            param="tools",
        )


def _check_prefill(fields: Fields) -> None:
    """Refuse a last item that the engine would go on with."""
    given = _input_decoder.decode(fields["input"])
    if isinstance(given, list) and given and given[-1].get("status") in _UNFINISHED:
        raise InvalidRequest(
            "The last item must not be unfinished: an answer cannot be begun for the model.",
            param="input",
        )


RESPONSES: Final = Surface(
    name="responses",
    path="/v1/responses",
    id_field=("request_id", "resp_"),
    parameters=frozenset(
        {
            "background",
            "chat_template_kwargs",
            "conversation",
            "frequency_penalty",
            "include",
            "include_reasoning",
            "input",
            "instructions",
            "logit_bias",
            "max_output_tokens",
            "max_tool_calls",
            "metadata",
            "min_p",
            "model",
            "parallel_tool_calls",
            "presence_penalty",
            "previous_response_id",
            "prompt",
            "prompt_cache_key",
            "prompt_cache_retention",
            "reasoning",
            "repetition_penalty",
            "safety_identifier",
            "seed",
            "service_tier",
            "stop",
            "stop_token_ids",
            "store",
            "stream",
            "stream_options",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_k",
            "top_logprobs",
            "top_p",
            "truncation",
            "user",
        }
    ),
    prompt_fields=(
        "instructions",
        "input",
        "tools",
        "text",
        "chat_template_kwargs",
        "previous_input_messages",
    ),
    check_prompt=_check_prompt,
    check_prefill=_check_prefill,
    answer_reader=ResponsesAnswerReader,
    cut_stream=cut_responses_stream,
    cut_whole=cut_responses_whole,
    errors=RESPONSES_ERRORS,
    take_media=take_openai_media,
    max_tokens_fields=("max_output_tokens",),
)
