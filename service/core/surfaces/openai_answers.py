"""Answers of chat and completions: reading them as they pass, and ending them early."""

from typing import Any, Final

import msgspec

from service.core.surfaces.answers import (
    AnswerReader,
    Gatherer,
    Nested,
    Place,
    Usage,
    sift,
    texts_below,
)
from service.core.surfaces.logprobs import token_pieces

_encode: Final = msgspec.json.Encoder().encode
_NULL: Final = msgspec.Raw(b"null")
FILTERED: Final = "content_filter"


class _Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message, or the part of one that an event carries."""

    role: str | None = None
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    audio: object = None
    annotations: object = None


class _Choice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: object = None
    # What follows repeats the text as numbers, or tells of the prompt or of the caller's `stop`.
    stop_reason: object = None
    token_ids: object = None
    routed_experts: object = None
    prompt_logprobs: object = None
    prompt_token_ids: object = None


class _Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    choices: list[_Choice] = []
    usage: Usage | None = None
    error: object = None
    # What follows holds nothing that the model has said.
    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    service_tier: Any = None
    system_fingerprint: Any = None
    prompt_logprobs: Any = None
    prompt_token_ids: Any = None
    prompt_text: Any = None
    kv_transfer_params: Any = None
    ec_transfer_params: Any = None
    metrics: Any = None


_decoder: Final = msgspec.json.Decoder(_Body)
_NESTED: Final[Nested] = {
    _Choice: {"delta": _Message, "message": _Message},
    _Message: {"tool_calls": _ToolCall, "function_call": _Function},
    _ToolCall: {"function": _Function},
}


class OpenAIAnswerReader(Gatherer):
    """Reads answers of chat and completions."""

    __slots__ = ()

    def read(self, data: bytes) -> bool:
        """Read a body or an event's data; say whether it is a stream's chunk of usage alone.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is not of the API's shape.
        """
        self._begin(data)
        try:
            body = _decoder.decode(data)
        except msgspec.ValidationError:
            body = self._read_unknown(data)
        if body.error is not None:
            self.broke = True
        if body.usage is not None:
            self.usage = body.usage
        for choice in body.choices:
            self._read_choice(choice)
        return not body.choices and body.usage is not None

    def _read_unknown(self, data: bytes) -> _Body:
        """Read what has fields that nobody told us of: any text in them is text of the answer."""
        body: Any = msgspec.json.decode(data)
        self._add(0, "other", "\n".join(sift(body, _Body, {})))
        choices = body.get("choices") if isinstance(body, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            text = "\n".join(sift(choice, _Choice, _NESTED))
            index = choice.get("index", 0) if isinstance(choice, dict) else 0
            self._add(index if isinstance(index, int) else 0, "other", text)
        return _decoder.decode(_encode(body))

    def _read_choice(self, choice: _Choice) -> None:
        index = choice.index
        if choice.text:
            self._add(index, "text", choice.text)
        if choice.delta is not None:
            self._read_message(index, choice.delta)
        if choice.message is not None:
            self._read_message(index, choice.message)
        if choice.logprobs is not None:
            # screened, and not recorded: in the record the text would stand twice
            self.pieces += token_pieces(index, choice.logprobs)
        if choice.finish_reason is not None:
            self.finish_reasons[index] = choice.finish_reason
            self._move(index)
        elif index not in self.place.unended:
            self._move(index)

    def _move(self, index: int) -> None:
        """Bring the place up to date with a choice that was read."""
        is_open = index in self.place.unended
        if index in self.finish_reasons:
            if is_open or not self.place.begun:
                others = tuple(other for other in self.place.unended if other != index)
                self.place = Place(begun=True, unended=others)
        elif not is_open:
            self.place = Place(begun=True, unended=(*self.place.unended, index))

    def _read_message(self, index: int, message: _Message) -> None:
        if message.content:
            self._add(index, "text", message.content)
        if message.reasoning:
            self._add(index, "reasoning", message.reasoning)
        if message.reasoning_content and message.reasoning_content != message.reasoning:
            self._add(index, "reasoning", message.reasoning_content)
        if message.refusal:
            self._add(index, "refusal", message.refusal)
        for number, call in enumerate(message.tool_calls or ()):
            of_call = number if call.index is None else call.index
            self._add_id(index, call.id, of_call)
            if (function := call.function) is not None:
                self._add_call(index, function.name, function.arguments, of_call)
        if (function := message.function_call) is not None:
            self._add_call(index, function.name, function.arguments, 0)
        for medium in (message.audio, message.annotations):
            if medium is not None:
                self._add(index, "text", "\n".join(text for _, text in texts_below(medium)))


class _Head(msgspec.Struct):
    """What every chunk of a stream repeats."""

    id: str = ""
    object: str = "chat.completion.chunk"
    created: int = 0
    model: str = ""


def _cut_stream(
    reader: AnswerReader, choice_end: dict[str, Any], place: Place | None, *, wants_usage: bool
) -> bytes:
    head = msgspec.to_builtins(_head_decoder.decode(reader.first or b"{}"))
    stands = place or reader.place
    ends = [
        {**head, "choices": [{"index": index, **choice_end, "finish_reason": FILTERED}]}
        for index in (stands.unended if stands.begun else (0,))
    ]
    if wants_usage and (usage := reader.usage) is not None:
        ends.append({**head, "choices": [], "usage": _usage(usage)})
    return b"".join(b"data: " + _encode(end) + b"\n\n" for end in ends) + b"data: [DONE]\n\n"


def _usage(usage: Usage) -> dict[str, int]:
    completion = usage.completion_tokens or 0
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": usage.prompt_tokens + completion,
    }


def cut_chat_stream(reader: AnswerReader, wants_usage: bool, place: Place | None = None) -> bytes:
    """End a stream of /v1/chat/completions, see `Surface.cut_stream`."""
    return _cut_stream(reader, {"delta": {}, "logprobs": None}, place, wants_usage=wants_usage)


def cut_completions_stream(
    reader: AnswerReader, wants_usage: bool, place: Place | None = None
) -> bytes:
    """End a stream of /v1/completions, see `Surface.cut_stream`."""
    return _cut_stream(reader, {"text": "", "logprobs": None}, place, wants_usage=wants_usage)


class _WholeChoice(msgspec.Struct):
    index: int = 0


class _Whole(msgspec.Struct, omit_defaults=True):
    """What of a body is not of the answer's text."""

    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    choices: list[_WholeChoice] = []
    usage: msgspec.Raw = _NULL


def _cut_whole(body: bytes, choice_end: dict[str, Any]) -> bytes:
    whole = _whole_decoder.decode(body)
    choices = [
        {"index": choice.index, **choice_end, "logprobs": None, "finish_reason": FILTERED}
        for choice in whole.choices
    ]
    return _encode({**msgspec.structs.asdict(whole), "choices": choices})


def cut_chat_whole(body: bytes) -> bytes:
    """Empty an answer of /v1/chat/completions, see `Surface.cut_whole`."""
    return _cut_whole(body, {"message": {"role": "assistant", "content": ""}})


def cut_completions_whole(body: bytes) -> bytes:
    """Empty an answer of /v1/completions, see `Surface.cut_whole`."""
    return _cut_whole(body, {"text": ""})


_head_decoder: Final = msgspec.json.Decoder(_Head)
_whole_decoder: Final = msgspec.json.Decoder(_Whole)
