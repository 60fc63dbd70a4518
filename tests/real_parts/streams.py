"""Streamed answers of each API, as vLLM sends them, made from texts; and what a client reads."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

MODEL: Final = "org/behind"
CHAT_PARTS: Final = ("content", "reasoning", "refusal", "tool_calls")


@dataclass(frozen=True, slots=True)
class Said:
    """A token that the model has generated."""

    choice: int
    part: str
    text: str


class Shape(Protocol):
    """How one API streams."""

    @property
    def surface(self) -> str:
        """The surface's name."""
        ...

    @property
    def parts(self) -> Sequence[str]:
        """The parts of an answer that its events can hold."""
        ...

    @property
    def choices(self) -> int:
        """How many choices an answer may have."""
        ...

    def stream(self, said: Sequence[Said]) -> bytes:
        """Return the bytes of a whole stream."""
        ...

    def read(self, body: bytes) -> Mapping[tuple[int, str], str]:
        """Return the texts that a client has read, by choice and part."""
        ...


def sse(body: object, name: str = "") -> bytes:
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


def events_in(body: bytes) -> Iterator[Any]:
    """Yield the JSON of a stream's events."""
    for line in body.split(b"\n"):
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


class ChatShape:
    """/v1/chat/completions"""

    surface = "chat"
    parts = CHAT_PARTS
    choices = 3

    def stream(self, said: Sequence[Said]) -> bytes:
        indices = sorted({one.choice for one in said} | {0})
        events = [_chunk(i, {"role": "assistant", "content": ""}) for i in indices]
        events += [_chunk(one.choice, self._delta(one)) for one in said]
        events += [_chunk(i, {}, "stop") for i in indices]
        return b"".join(map(sse, events)) + b"data: [DONE]\n\n"

    def read(self, body: bytes) -> Mapping[tuple[int, str], str]:
        texts: dict[tuple[int, str], str] = defaultdict(str)
        for event in events_in(body):
            for choice in event.get("choices", ()):
                for part in self.parts:
                    value = choice["delta"].get(part)
                    if part == "tool_calls" and value:
                        value = value[0]["function"]["arguments"]
                    texts[choice["index"], part] += value or ""
        return texts

    @staticmethod
    def _delta(one: Said) -> dict[str, Any]:
        if one.part != "tool_calls":
            return {one.part: one.text}
        return {"tool_calls": [{"index": 0, "function": {"arguments": one.text}}]}


class CompletionsShape:
    """/v1/completions"""

    surface = "completions"
    parts = ("text",)
    choices = 3

    def stream(self, said: Sequence[Said]) -> bytes:
        def event(choice: int, text: str, reason: str | None = None) -> bytes:
            one = {"index": choice, "text": text, "logprobs": None, "finish_reason": reason}
            return sse({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL,
                        "choices": [one]})  # fmt: skip

        events = [event(one.choice, one.text) for one in said]
        events += [event(i, "", "stop") for i in sorted({one.choice for one in said})]
        return b"".join(events) + b"data: [DONE]\n\n"

    def read(self, body: bytes) -> Mapping[tuple[int, str], str]:
        texts: dict[tuple[int, str], str] = defaultdict(str)
        for event in events_in(body):
            for choice in event.get("choices", ()):
                texts[choice["index"], "text"] += choice["text"]
        return texts


def _chunk(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
            "choices": [choice]}  # fmt: skip


_BLOCKS: Final[Mapping[str, tuple[dict[str, Any], str, str]]] = {
    "text": ({"type": "text", "text": ""}, "text_delta", "text"),
    "thinking": (
        {"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking",
    ),
    "tool_use": (
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        "input_json_delta", "partial_json",
    ),
}  # fmt: skip
"""Part → the block as it starts, the type of its deltas, and the field that holds their text."""


class MessagesShape:
    """/v1/messages"""

    surface = "messages"
    parts = tuple(_BLOCKS)
    choices = 1

    def stream(self, said: Sequence[Said]) -> bytes:
        usage = {"input_tokens": 3, "output_tokens": 0}
        message: dict[str, Any] = {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": MODEL,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
        index, open_part = -1, ""
        for one in said:
            start, kind, field = _BLOCKS[one.part]
            if one.part != open_part:
                if open_part:
                    events.append({"type": "content_block_stop", "index": index})
                index, open_part = index + 1, one.part
                events.append(
                    {"type": "content_block_start", "index": index, "content_block": start}
                )
            delta = {"type": kind, field: one.text}
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        if open_part:
            events.append({"type": "content_block_stop", "index": index})
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        usage = {"input_tokens": 3, "output_tokens": len(said)}
        events += [
            {"type": "message_delta", "delta": end, "usage": usage},
            {"type": "message_stop"},
        ]
        return b"".join(sse(event, event["type"]) for event in events)

    def read(self, body: bytes) -> Mapping[tuple[int, str], str]:
        texts: dict[tuple[int, str], str] = defaultdict(str)
        for event in events_in(body):
            if event["type"] == "content_block_delta":
                for part, (_, kind, field) in _BLOCKS.items():
                    if event["delta"]["type"] == kind:
                        texts[0, part] += event["delta"][field]
        return texts


_RESPONSE_KINDS: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "message": (
        {"type": "message", "role": "assistant", "content": []}, "response.output_text",
    ),
    "reasoning": (
        {"type": "reasoning", "summary": [], "content": []}, "response.reasoning_text",
    ),
    "function_call": (
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
        "response.function_call_arguments",
    ),
}  # fmt: skip
"""Part → the item as it is added, and the name of its events."""


class ResponsesShape:
    """/v1/responses: each run of one part is an item; what is done is told again, whole."""

    surface = "responses"
    parts = tuple(_RESPONSE_KINDS)
    choices = 1

    def stream(self, said: Sequence[Said]) -> bytes:
        response: dict[str, Any] = {"id": "resp_1", "object": "response", "model": MODEL,
                                    "status": "in_progress", "output": []}  # fmt: skip
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": response},
            {"type": "response.in_progress", "response": response},
        ]
        output: list[dict[str, Any]] = []
        for part, texts in _runs(said):
            events += _item_events(part, texts, len(output))
            output.append(_done_item(part, "".join(texts)))
        usage = {"input_tokens": 3, "output_tokens": len(said), "total_tokens": 9}
        done = {**response, "status": "completed", "output": output, "usage": usage}
        events.append({"type": "response.completed", "response": done})
        return b"".join(
            sse({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events)
        )

    def read(self, body: bytes) -> Mapping[tuple[int, str], str]:
        """Return what deltas hold, and under `(0, "")` every other text of an item or a part."""
        texts: dict[tuple[int, str], str] = defaultdict(str)
        for event in events_in(body):
            for part, (_, name) in _RESPONSE_KINDS.items():
                if event["type"] == name + ".delta":
                    texts[0, part] += event["delta"]
        return texts


def _runs(said: Sequence[Said]) -> Iterator[tuple[str, list[str]]]:
    run: list[str] = []
    for i, one in enumerate(said):
        run.append(one.text)
        if i + 1 == len(said) or said[i + 1].part != one.part:
            yield one.part, run
            run = []


def _done_item(part: str, text: str) -> dict[str, Any]:
    item = {**_RESPONSE_KINDS[part][0], "id": "i1", "status": "completed"}
    if part == "function_call":
        return {**item, "arguments": text}
    kind = "output_text" if part == "message" else "reasoning_text"
    return {**item, "content": [{"type": kind, "text": text}]}


def _item_events(part: str, texts: Sequence[str], index: int) -> Iterator[dict[str, Any]]:
    start, name = _RESPONSE_KINDS[part]
    place = {"output_index": index, "item_id": "i1", "content_index": 0}
    field = "arguments" if part == "function_call" else "text"
    whole = "".join(texts)
    has_parts = part == "message"
    yield {"type": "response.output_item.added", "output_index": index,
           "item": {**start, "id": "i1", "status": "in_progress"}}  # fmt: skip
    if has_parts:
        yield {"type": "response.content_part.added", **place,
               "part": {"type": "output_text", "text": "", "annotations": []}}  # fmt: skip
    for text in texts:
        yield {"type": name + ".delta", **place, "delta": text}
    yield {"type": name + ".done", **place, field: whole}
    if has_parts:
        yield {"type": "response.content_part.done", **place,
               "part": {"type": "output_text", "text": whole, "annotations": []}}  # fmt: skip
    yield {"type": "response.output_item.done", "output_index": index,
           "item": _done_item(part, whole)}  # fmt: skip
