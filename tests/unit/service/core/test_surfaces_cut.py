"""Wherever a stream is cut off, what the caller gets is a whole stream of its API."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces import SURFACES
from service.core.surfaces.answers import AnswerReader, answer_text
from service.gateway.sse import DONE, EventSplitter, event_data

Events = list[dict[str, Any]]


def chunks(name: str, choices: list[int]) -> Events:
    """Return a stream in which these choices speak in turn, and then end."""
    head = {"id": "c-1", "object": "chunk", "created": 7, "model": "m"}
    key, said, silent = ("delta", {"content": "x"}, {}) if name == "chat" else ("text", "x", "")
    told: list[dict[str, Any]] = [{"index": index, key: said} for index in choices]
    told += [
        {"index": index, key: silent, "finish_reason": "stop"} for index in dict.fromkeys(choices)
    ]
    return [head | {"choices": [choice]} for choice in told]


def blocks(kinds: list[int]) -> Events:
    """Return a message of a block of text for each, with so many pieces."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m"}
    usage = {"input_tokens": 3, "output_tokens": 1}
    events: Events = [{"type": "message_start", "message": message | {"usage": usage}}]
    for index, pieces in enumerate(kinds):
        block = {"type": "text", "text": ""}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        delta = {"type": "text_delta", "text": "x"}
        events += [{"type": "content_block_delta", "index": index, "delta": delta}] * pieces
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})
    return [*events, {"type": "message_stop"}]


def items(kinds: list[int]) -> Events:
    """Return a response of an item for each, with so many pieces."""
    response = {"id": "resp_1", "object": "response", "model": "m", "output": []}
    events: Events = [{"type": "response.created", "response": response}]
    for index, pieces in enumerate(kinds):
        added: dict[str, Any] = {
            "type": "response.output_item.added",
            "item": {"type": "message", "content": []},
        }
        delta = {"type": "response.output_text.delta", "delta": "x"}
        events += [event | {"output_index": index} for event in [added, *[delta] * pieces]]
    events.append({"type": "response.completed", "response": response | {"status": "completed"}})
    return [event | {"sequence_number": n} for n, event in enumerate(events)]


def stream_of(name: str, shape: list[int]) -> list[bytes]:
    if name == "messages":
        events = blocks(shape)
    elif name == "responses":
        events = items(shape)
    else:
        events = chunks(name, shape)
    return [msgspec.json.encode(event) for event in events]


def followed(reader: AnswerReader, stream: bytes) -> bool:
    """Read events as a caller would; return whether they end as the API's streams do."""
    *events, last = [event_data(event) for event in EventSplitter().feed(stream)]
    for data in events:
        assert data is not None
        reader.read(data)
        assert not reader.ended
    assert last is not None
    if last != DONE:
        reader.read(last)
    return last == DONE or reader.ended


@given(
    st.sampled_from(["chat", "completions", "messages", "responses"]),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.data(),
)
def test_a_stream_that_is_cut_off_anywhere_is_whole(
    name: str, shape: list[int], data: st.DataObject
) -> None:
    surface = SURFACES[name]
    events = stream_of(name, shape)[:-1]
    read = data.draw(st.integers(1, len(events)), "read")
    released = data.draw(st.integers(0, read), "released")
    ours, callers = surface.answer_reader(), surface.answer_reader()
    place = ours.place
    for number, event in enumerate(events[:read], start=1):
        ours.read(event)
        if number <= released:
            place = ours.place
            callers.read(event)
    text_before = answer_text(callers.content())
    assert followed(callers, surface.cut_stream(ours, True, place))
    assert callers.place.unended == ()
    assert answer_text(callers.content()) == text_before
    assert set(callers.finish_reasons.values()) & {"content_filter", "refusal", "stop"}
    assert not callers.broke


@pytest.mark.parametrize("name", ["chat", "completions", "messages", "responses"])
def test_the_numbers_of_a_stream_of_responses_have_no_hole_where_it_is_cut(name: str) -> None:
    surface = SURFACES[name]
    for released in (0, 1, 2):
        reader = surface.answer_reader()
        places = [reader.place]
        events = stream_of(name, [2, 1])
        for event in events:
            reader.read(event)
            places.append(reader.place)
        stream = surface.cut_stream(reader, False, places[released])
        told = [json.loads(data) for e in EventSplitter().feed(stream)
                if (data := event_data(e)) not in {None, DONE}]  # fmt: skip
        numbers = [event["sequence_number"] for event in told if "sequence_number" in event]
        assert numbers == list(range(released, released + len(numbers)))
        assert bool(numbers) == (name == "responses")
