"""Answers of /v1/responses: reading them as they pass, and ending them early.

A stream tells every text several times: in deltas, when its part is done, when its item is done,
and with the whole response. What was told already is no piece again.
"""

from typing import Any, Final

import msgspec

from service.core.surfaces.answers import (
    AnswerReader,
    Gatherer,
    PartName,
    Place,
    Usage,
    is_made_up,
    texts_below,
)
from service.core.surfaces.errors import sse
from service.core.surfaces.logprobs import token_pieces

_encode: Final = msgspec.json.Encoder().encode
_NULL: Final = msgspec.Raw(b"null")
FILTERED: Final = "content_filter"
_ENDS: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "error"},
)
_SILENT: Final = frozenset(
    {
        "content_index", "logprobs", "obfuscation", "output_index", "phase", "role",
        "sequence_number", "status", "summary_index", "type",
    }
)  # fmt: skip
"""Fields of events and items that say nothing, or repeat the text beside them."""
_IDS: Final = frozenset({"call_id", "id", "item_id"})
_ECHOED: Final = frozenset(
    {
        "background", "completed_at", "conversation", "created_at", "ec_transfer_params", "error",
        "frequency_penalty", "id", "incomplete_details", "input_messages", "instructions",
        "kv_transfer_params", "max_output_tokens", "max_tool_calls", "metadata", "metrics", "model",
        "object", "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt",
        "prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier",
        "service_tier", "status", "store", "temperature", "text", "tool_choice", "tools",
        "top_logprobs", "top_p", "truncation", "usage", "user",
    }
)  # fmt: skip
"""Fields of a response that hold nothing that the model has said; most repeat the request."""


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Most events: something is added to a text."""

    type: str
    delta: str
    sequence_number: int = 0
    output_index: int = 0
    item_id: object = None
    content_index: object = None
    summary_index: object = None
    logprobs: object = None
    obfuscation: object = None


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int | None = None


class _Response(msgspec.Struct):
    """What is read of a response besides its text."""

    status: str | None = None
    error: object = None
    incomplete_details: dict[str, Any] | None = None
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    """Any other event, or a whole response."""

    type: str = ""
    sequence_number: int = 0
    output_index: int = 0
    item: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    error: object = None


_delta_decoder: Final = msgspec.json.Decoder(_Delta)


class ResponsesAnswerReader(Gatherer):
    """Reads answers of /v1/responses. Their one choice is 0, a call is its item's index."""

    __slots__ = ()

    def read(self, data: bytes) -> bool:
        """Read a body or an event's data; it is never a chunk of usage alone.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is not of the API's shape.
        """
        self._begin(data)
        try:
            delta = _delta_decoder.decode(data)
        except msgspec.ValidationError:
            self._read_loosely(msgspec.json.decode(data, type=dict[str, Any]))
        else:
            self._read_delta(delta)
        return False

    def _read_delta(self, delta: _Delta) -> None:
        part = _part_of(delta.type)
        self._add(0, part, delta.delta, delta.output_index if part == "tool_calls" else -1)
        if delta.logprobs:
            self.pieces += token_pieces(0, delta.logprobs)
        self.place = Place(begun=True, sequence=delta.sequence_number + 1)

    def _read_loosely(self, fields: dict[str, Any]) -> None:
        """Read an event that is no delta, or one with fields that nobody told us of."""
        if not isinstance(fields.get("delta"), str):
            self._read_other(fields)
            return
        known = {name: v for name, v in fields.items() if name in _Delta.__struct_fields__}
        others = {name: v for name, v in fields.items() if name not in known}
        self._read_delta(msgspec.convert(known, _Delta))
        self._add(0, "other", "\n".join(text for _, text in texts_below(others)))

    def _read_other(self, fields: dict[str, Any]) -> None:
        if fields.get("object") == "response":
            self._read_response(fields)
            return
        event = msgspec.convert(fields, _Event)
        self.ended = event.type in _ENDS
        self.broke = event.type in {"error", "response.failed"} or event.error is not None
        self.place = Place(begun=True, sequence=event.sequence_number + 1)
        if self.broke:
            return
        self.pieces += token_pieces(0, fields.get("logprobs"))
        if event.response is not None:
            self._read_response(event.response)
        self._read_item(event.item, event.output_index)
        others = {name: v for name, v in fields.items() if name not in _Event.__struct_fields__}
        self._read_texts(others, _part_of(event.type), event.output_index)

    def _read_response(self, fields: dict[str, Any]) -> None:
        response = msgspec.convert(fields, _Response)
        # a thousand calls of many pieces each would be looked through for each call
        self._parts = {key: ["".join(pieces)] for key, pieces in self._parts.items()}
        output = fields.get("output")
        for index, item in enumerate(output if isinstance(output, list) else ()):
            self._read_item(item, index, whole=True)
        others = {n: v for n, v in fields.items() if n not in _ECHOED and n != "output"}
        self._read_texts(others, "text", 0, whole=True)
        if response.error is not None or response.status == "failed":
            self.broke = True
        if response.usage is not None:
            self.usage = Usage(response.usage.input_tokens, response.usage.output_tokens)
        if response.status == "incomplete":
            reason = str((response.incomplete_details or {}).get("reason", response.status))
            self.finish_reasons[0] = reason
        elif response.status == "completed":
            self.finish_reasons[0] = response.status

    def _read_item(self, item: object, index: int, *, whole: bool = False) -> None:
        kind = str(item.get("type")) if isinstance(item, dict) else ""
        self._read_texts(item, _part_of(kind), index, whole=whole)

    def _read_texts(
        self, value: object, part: PartName, index: int, *, whole: bool = False
    ) -> None:
        for name, text in texts_below(value, _SILENT):
            if name in _IDS and is_made_up(text):
                continue
            if name == "name":
                self._add_new("tool_calls", f"\n{text} ", index, whole=whole)
            else:
                self._add_new("refusal" if name == "refusal" else part, text, index, whole=whole)

    def _add_new(self, part: PartName, text: str, index: int, *, whole: bool) -> None:
        """Add a text, in a stream only if it was not told already.

        Calls are told apart by their items' indices, but for those in a whole response, which may
        be numbered in another way than the stream before it.
        """
        call = index if part == "tool_calls" else -1
        before = "".join(
            piece
            for (_, kind, of_call), pieces in self._parts.items()
            if kind == part and (whole or of_call == call)
            for piece in pieces
        )
        if not self.place.begun or text not in before:
            self._add(0, part, text, call)


def _part_of(kind: str) -> PartName:
    """Return what an event, or an item, of this type is of."""
    if "reasoning" in kind:
        return "reasoning"
    if "refusal" in kind:
        return "refusal"
    return "tool_calls" if "call" in kind else "text"


def cut_responses_stream(
    reader: AnswerReader, wants_usage: bool, place: Place | None = None
) -> bytes:
    """End a stream of /v1/responses, see `Surface.cut_stream`; usage is told if it is known.

    The response in the last event has no output: what was released of it, the caller has.
    """
    del wants_usage
    stands = reader.place if place is None else place
    first = msgspec.json.decode(reader.first or b"{}", type=dict[str, Any])
    response = first.get("response") or {}
    events = []
    if not stands.begun:
        begun = response | {"status": "in_progress", "output": [], "usage": None}
        events.append(_event("response.created", begun, 0))
    usage = {"usage": _usage(reader.usage)} if reader.usage is not None else {}
    end = _emptied(response) | usage
    events.append(_event("response.incomplete", end, stands.sequence + len(events)))
    return b"".join(events)


def _event(kind: str, response: dict[str, Any], number: int) -> bytes:
    return sse(kind, {"type": kind, "sequence_number": number, "response": response})


def _usage(usage: Usage) -> dict[str, Any]:
    output = usage.completion_tokens or 0
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + output,
    }


def cut_responses_whole(body: bytes) -> bytes:
    """Empty an answer of /v1/responses, see `Surface.cut_whole`."""
    return _encode(_emptied(msgspec.json.decode(body, type=dict[str, Any])))


def _emptied(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response with what says nothing, or the request said, and no output."""
    kept = {name: value for name, value in response.items() if name in _ECHOED}
    return kept | {
        "object": "response",
        "output": [],
        "status": "incomplete",
        "incomplete_details": {"reason": FILTERED},
        "error": None,
    }
