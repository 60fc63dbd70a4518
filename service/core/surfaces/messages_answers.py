"""Answers of /v1/messages: reading them as they pass, and ending them early."""

from typing import Any, Final

import msgspec

from service.core.surfaces.answers import (
    AnswerReader,
    Gatherer,
    Nested,
    Place,
    Usage,
    sift,
)
from service.core.surfaces.errors import sse

_encode: Final = msgspec.json.Encoder().encode
_NULL: Final = msgspec.Raw(b"null")
REFUSAL: Final = "refusal"


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Block(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A block of content, or what an event adds to one, or how a message ends."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    name: str | None = None
    called_with: object = msgspec.field(default=None, name="input")
    partial_json: str | None = None
    stop_reason: str | None = None
    id: str | None = None
    # What follows says nothing: it is made up, or the caller's own `stop_sequences`.
    signature: msgspec.Raw = _NULL
    stop_sequence: msgspec.Raw = _NULL


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A message; its fields and those of events have different names, so one struct does."""

    type: str
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: _Usage | None = None
    error: object = None
    index: int = 0
    message: "_Message | None" = None
    content_block: _Block | None = None
    delta: _Block | None = None
    # What follows says nothing.
    id: msgspec.Raw = _NULL
    role: msgspec.Raw = _NULL
    model: msgspec.Raw = _NULL
    stop_sequence: msgspec.Raw = _NULL
    kv_transfer_params: msgspec.Raw = _NULL
    ec_transfer_params: msgspec.Raw = _NULL


_decoder: Final = msgspec.json.Decoder(_Message)
_NESTED: Final[Nested] = {
    _Message: {
        "message": _Message,
        "content": _Block,
        "content_block": _Block,
        "delta": _Block,
    },
}


class MessagesAnswerReader(Gatherer):
    """Reads answers of /v1/messages. Their one choice is 0, a tool's call is its block's index."""

    __slots__ = ()

    def read(self, data: bytes) -> bool:
        """Read a body or an event's data; it is never a chunk of usage alone.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is not of the API's shape.
        """
        self._begin(data)
        try:
            message = _decoder.decode(data)
        except msgspec.ValidationError:
            message = self._read_unknown(data)
        self._read_message(message)
        return False

    def _read_unknown(self, data: bytes) -> _Message:
        """Read what has fields that nobody told us of: any text in them is text of the answer."""
        message: Any = msgspec.json.decode(data)
        self._add(0, "other", "\n".join(sift(message, _Message, _NESTED)))
        return _decoder.decode(_encode(message))

    def _read_message(self, message: _Message) -> None:
        if message.type == "error" or message.error is not None:
            self.broke = True
        if message.message is not None:
            self._read_message(message.message)
            self.place = Place(begun=True)
        for index, block in enumerate(message.content):
            self._read_block(index, block)
        for change in (message.content_block, message.delta):
            if change is not None:
                self._read_block(message.index, change)
        self._read_end(message)

    def _read_block(self, index: int, block: _Block) -> None:
        if block.text:
            self._add(0, "text", block.text)
        if block.thinking:
            self._add(0, "reasoning", block.thinking)
        self._add_id(0, block.id, index)
        arguments = block.partial_json or ""
        if block.called_with:  # decoded and encoded again: escapes in it hide nothing
            arguments += _encode(block.called_with).decode()
        self._add_call(0, block.name, arguments, index)
        if block.stop_reason is not None:
            self.finish_reasons[0] = block.stop_reason

    def _read_end(self, message: _Message) -> None:
        if message.stop_reason is not None:
            self.finish_reasons[0] = message.stop_reason
        if message.usage is not None:
            self.usage = _summed(message.usage, self.usage)
        if message.type == "content_block_start":
            self.place = Place(begun=True, unended=(message.index,))
        elif message.type == "content_block_stop":
            self.place = Place(begun=True)
        elif message.type == "message_stop":
            self.ended = True


def _summed(told: _Usage, before: Usage | None) -> Usage:
    """Return usage under vLLM's names, where tokens from the cache are tokens of the prompt."""
    usage = before or Usage()
    prompt = usage.prompt_tokens
    if told.input_tokens is not None:
        cached = (told.cache_creation_input_tokens or 0) + (told.cache_read_input_tokens or 0)
        prompt = told.input_tokens + cached
    completion = usage.completion_tokens if told.output_tokens is None else told.output_tokens
    return Usage(prompt, completion)


class _Whole(msgspec.Struct, omit_defaults=True):
    """What of a message is not of the answer's text."""

    id: str = ""
    model: str = ""
    usage: msgspec.Raw = _NULL


class _Start(msgspec.Struct):
    """An event that begins a message."""

    message: _Whole = msgspec.field(default_factory=_Whole)


def cut_messages_stream(
    reader: AnswerReader, wants_usage: bool, place: Place | None = None
) -> bytes:
    """End a stream of /v1/messages, see `Surface.cut_stream`; usage is always told.

    The API and clients of it want a number of output tokens, and until its end vLLM says 0: told
    are at least as many as pieces of text came.
    """
    del wants_usage
    stands = reader.place if place is None else place
    usage = reader.usage or Usage()
    events = [] if stands.begun else [_start(reader)]
    events += [
        sse("content_block_stop", {"type": "content_block_stop", "index": index})
        for index in stands.unended
    ]
    told = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": max(usage.completion_tokens or 0, reader.deltas),
    }
    delta = {"stop_reason": REFUSAL, "stop_sequence": None}
    events += [
        sse("message_delta", {"type": "message_delta", "delta": delta, "usage": told}),
        sse("message_stop", {"type": "message_stop"}),
    ]
    return b"".join(events)


def _start(reader: AnswerReader) -> bytes:
    whole = _start_decoder.decode(reader.first or b"{}").message
    message = _emptied(whole) | {"stop_reason": None}
    return sse("message_start", {"type": "message_start", "message": message})


def cut_messages_whole(body: bytes) -> bytes:
    """Empty an answer of /v1/messages, see `Surface.cut_whole`."""
    return _encode(_emptied(_whole_decoder.decode(body)))


def _emptied(whole: _Whole) -> dict[str, Any]:
    return {
        "id": whole.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": whole.model,
        "stop_reason": REFUSAL,
        "stop_sequence": None,
        "usage": whole.usage,
    }


_whole_decoder: Final = msgspec.json.Decoder(_Whole)
_start_decoder: Final = msgspec.json.Decoder(_Start)
