from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces.answers import Answer, answer_text
from service.core.surfaces.openai_answers import OpenAIAnswerReader


def gathered(*events: dict[str, Any]) -> OpenAIAnswerReader:
    reader = OpenAIAnswerReader()
    for event in events:
        reader.read(msgspec.json.encode(event))
    return reader


def choices(reader: OpenAIAnswerReader) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(reader.content())["choices"]
    return found


def delta(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def message(**message: Any) -> dict[str, Any]:  # noqa: ANN401
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": "stop"}
    return {"choices": [choice]}


CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": "x"}'}}


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_streamed_answer_is_what_its_pieces_make_together(pieces: list[str]) -> None:
    reader = gathered(delta(role="assistant"), *(delta(content=p) for p in pieces))
    assert answer_text(reader.content()) == "".join(pieces)


def test_a_whole_answer_is_read_with_everything_in_it() -> None:
    whole = message(
        content="said", reasoning_content="thought", refusal="refused", tool_calls=[CALL]
    )
    text = answer_text(gathered(whole).content())
    for part in ("said", "thought", "refused", "look_up", '{"q": "x"}'):
        assert part in text


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_is_text_under_either_name(name: str) -> None:
    thoughts = [{"choices": [{"delta": {name: piece}}]} for piece in ("step one, ", "two")]
    reader = gathered(*thoughts, delta(content="so"))
    (choice,) = choices(reader)
    assert (choice["reasoning"], choice["text"]) == ("step one, two", "so")


def test_a_delta_that_carries_several_things_loses_none() -> None:
    reader = gathered(delta(content="a", reasoning="b", refusal="c", tool_calls=[CALL]))
    (choice,) = choices(reader)
    assert (choice["text"], choice["reasoning"], choice["refusal"]) == ("a", "b", "c")
    assert "look_up" in choice["tool_calls"]


def test_streamed_tool_calls_are_put_together() -> None:
    first = {"index": 0, "function": {"name": "look_up", "arguments": '{"q"'}}
    rest = {"index": 0, "function": {"arguments": ': "x"}'}}
    (choice,) = choices(gathered(delta(tool_calls=[first]), delta(tool_calls=[rest])))
    assert choice["tool_calls"] == '\nlook_up {"q": "x"}'


def test_several_choices_stay_apart_and_are_all_in_the_text() -> None:
    reader = gathered(
        delta(1, content="b"),
        delta(0, content="a"),
        delta(1, "length", content="B"),
        delta(0, "stop"),
    )
    assert [(c["index"], c.get("text"), c["finish_reason"]) for c in choices(reader)] == [
        (0, "a", "stop"),
        (1, "bB", "length"),
    ]
    assert answer_text(reader.content()) == "a\nbB"
    assert reader.finish_reasons == {1: "length", 0: "stop"}


def test_text_completions_are_read() -> None:
    reader = gathered(
        {"choices": [{"index": 0, "text": "once upon "}]}, {"choices": [{"text": "a time"}]}
    )
    assert answer_text(reader.content()) == "once upon a time"


def test_usage_is_told_and_a_chunk_of_usage_alone_is_recognised() -> None:
    reader = OpenAIAnswerReader()
    assert not reader.read(b'{"choices":[{"index":0,"delta":{"content":"a"}}]}')
    assert reader.read(b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}')
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 4)


def test_an_error_in_the_answer_is_noticed() -> None:
    assert gathered({"error": {"message": "out of memory"}}).broke
    assert not gathered(message(content="fine")).broke


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"choices":3}', b'{"choices":[{"text":3}]}'])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        OpenAIAnswerReader().read(data)


def test_of_an_answer_without_text_the_end_is_recorded() -> None:
    reader = gathered(delta(0, "content_filter"))
    assert answer_text(reader.content()) == ""
    assert choices(reader) == [{"index": 0, "finish_reason": "content_filter"}]
    assert answer_text(msgspec.json.encode(Answer([]))) == ""
