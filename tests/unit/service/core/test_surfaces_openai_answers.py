"""Pieces of streamed answers of chat and completions, and ending such answers early."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces import SURFACES
from service.core.surfaces.answers import START, AnswerReader, Place, answer_text
from service.core.surfaces.chat import CHAT
from service.core.surfaces.completions import COMPLETIONS
from service.core.surfaces.openai_answers import OpenAIAnswerReader
from service.core.surfaces.shape import Surface

HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
Found = list[tuple[int, str, str, int]]


def chunk(*choices: dict[str, Any], **fields: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.encode(HEAD | {"choices": list(choices)} | fields)


def said(text: str, index: int = 0, finish: str | None = None) -> bytes:
    return chunk({"index": index, "delta": {"content": text}, "finish_reason": finish})


def read(*events: bytes) -> tuple[OpenAIAnswerReader, Found]:
    reader = OpenAIAnswerReader()
    found: Found = []
    for event in events:
        reader.read(event)
        found += [(p.choice, p.part, p.text, p.call) for p in reader.pieces]
    return reader, found


def events_of(stream: bytes) -> list[Any]:
    """Return the data of a stream's events; each must be whole."""
    *events, end, rest = stream.split(b"\n\n")
    assert (end, rest) == (b"data: [DONE]", b"")
    assert all(event.startswith(b"data: ") for event in events)
    return [json.loads(event[6:]) for event in events]


def test_each_event_has_the_pieces_that_it_adds_and_no_others() -> None:
    reader, found = read(said("a"), said("b", 1), chunk({"index": 0, "delta": {}}))
    assert found == [(0, "text", "a", -1), (1, "text", "b", -1)]
    assert reader.pieces == ()


def test_parallel_calls_of_tools_are_told_apart_and_stand_together_in_the_record() -> None:
    def calls(*given: tuple[int, dict[str, str]]) -> bytes:
        told = [{"index": index, "function": function} for index, function in given]
        return chunk({"index": 0, "delta": {"tool_calls": told}})

    reader, found = read(
        calls((0, {"name": "f", "arguments": ""}), (1, {"name": "g"})),
        calls((1, {"arguments": "{1}"}), (0, {"arguments": "{0}"})),
    )
    assert [(text, call) for _, _, text, call in found] == [
        ("\nf ", 0), ("\ng ", 1), ("{1}", 1), ("{0}", 0),
    ]  # fmt: skip
    assert answer_text(reader.content()) == "\nf {0}\ng {1}"


@given(
    st.sampled_from(["delta", "message", "choice", "body", "call", "function"]),
    st.recursive(st.just("hidden"), lambda inner: st.lists(inner, min_size=1, max_size=2)),
)
def test_text_in_fields_that_nobody_told_us_of_is_text_of_the_answer(
    where: str,
    value: Any,  # noqa: ANN401
) -> None:
    function = {"name": "f"} | ({"new": value} if where == "function" else {})
    call = {"index": 0, "function": function} | ({"new": value} if where == "call" else {})
    message = {"tool_calls": [call]} | ({"new": value} if where in {"delta", "message"} else {})
    name = "message" if where == "message" else "delta"
    choice = {"index": 2, name: message} | ({"new": value} if where == "choice" else {})
    reader, found = read(chunk(choice, **({"new": {"x": value}} if where == "body" else {})))
    assert "hidden" in "".join(text for _, _, text, _ in found)
    assert "f" in answer_text(reader.content())


@pytest.mark.parametrize("name", ["audio", "annotations"])
def test_text_beside_the_content_is_text(name: str) -> None:
    _, found = read(chunk({"index": 0, "delta": {name: {"transcript": "spoken"}}}))
    assert found == [(0, "text", "spoken", -1)]


def test_a_choice_with_a_delta_and_a_message_hides_neither() -> None:
    choice = {"delta": {"content": "a", "reasoning": "b", "reasoning_content": "c"}}
    _, found = read(chunk(choice | {"message": {"content": "d"}}))
    assert [text for _, _, text, _ in found] == ["a", "b", "c", "d"]


def test_unknown_fields_without_text_change_nothing() -> None:
    _, found = read(chunk({"index": 0, "delta": {"content": "a"}, "new": [1, None]}, newer=True))
    assert found == [(0, "text", "a", -1)]


def logprobs(*tokens: str) -> dict[str, Any]:
    other = [{"token": "other"}]
    return {"content": [{"token": token, "top_logprobs": other} for token in tokens]}


def test_tokens_and_what_they_might_have_been_are_texts_beside_the_text() -> None:
    beside = {"index": 0, "delta": {"content": "so so"}, "logprobs": logprobs("so", " so")}
    alone = {"index": 0, "delta": {}, "logprobs": logprobs("{", '"q"')}
    reader, found = read(chunk(beside), chunk(alone))
    others = (0, "alternatives", " other other", -1)
    assert found == [
        (0, "text", "so so", -1), (0, "tokens", "so so", -1), others,
        (0, "tokens", '{"q"', -1), others,
    ]  # fmt: skip
    assert answer_text(reader.content()) == "so so"
    completions = {
        "index": 0,
        "text": "",
        "logprobs": {
            "tokens": ["a", "b"], "token_logprobs": [-1.0, -2.0], "text_offset": [0, 1],
            "top_logprobs": [{"a": -1.0, "c": -2.0}, {"b": -2.0}],
        },
    }  # fmt: skip
    assert read(chunk(completions))[1] == [
        (0, "tokens", "ab", -1), (0, "alternatives", " a c b", -1),
    ]  # fmt: skip


def test_an_id_that_the_model_may_have_written_is_text() -> None:
    def called(identifier: str) -> bytes:
        call = {"index": 0, "id": identifier, "function": {"name": "f"}}
        return chunk({"index": 0, "delta": {"tool_calls": [call]}})

    for made_up in ("call_1a2B", "chatcmpl-tool-0f3e", "c1", "abcDEF123"):
        assert read(called(made_up))[1] == [(0, "tool_calls", "\nf ", 0)]
    for written in ("functions.f:0", "how to do it:0", "a_b_c_d_e", "x" * 60):
        assert read(called(written))[1][0] == (0, "tool_calls", f"\n{written}", 0)


def test_the_place_of_a_stream_tells_which_choices_are_open() -> None:
    reader = OpenAIAnswerReader()
    places = [START]
    for event in (said("a"), said("b", 1), said("c"), said("", 0, "stop"), said("", 1, "length")):
        reader.read(event)
        places.append(reader.place)
    assert [place.unended for place in places] == [(), (0,), (0, 1), (0, 1), (1,), ()]
    assert [place.begun for place in places] == [False] + [True] * 5
    assert set(reader.finished) == {0, 1}


def cut(
    surface: Surface, reader: AnswerReader, *, usage: bool = False, at: Place | None = None
) -> list[Any]:
    return events_of(surface.cut_stream(reader, usage, at))


def test_a_stream_that_is_cut_off_ends_all_its_open_choices() -> None:
    reader, _ = read(said("a"), said("b", 1), said("", 1, "stop"), said("c", 2))
    ends = cut(CHAT, reader, usage=True)
    assert [(e["choices"][0]["index"], e["choices"][0]["finish_reason"]) for e in ends] == [
        (0, "content_filter"),
        (2, "content_filter"),
    ]
    assert all(HEAD.items() <= end.items() for end in ends)
    assert all(end["choices"][0]["delta"] == {} for end in ends)


def test_a_stream_is_ended_where_what_was_released_ends() -> None:
    reader, _ = read(said("a"))
    released = reader.place
    reader.read(said("b", 1, "stop"))
    reader.read(said("c", 0, "stop"))
    assert cut(CHAT, reader) == []
    (end,) = cut(CHAT, reader, at=released)
    assert end["choices"][0]["index"] == 0
    (first,) = cut(CHAT, reader, at=START)
    assert (first["choices"][0]["index"], first["id"]) == (0, "c-1")


def test_a_stream_of_which_nothing_was_read_ends_its_first_choice() -> None:
    (end,) = cut(COMPLETIONS, OpenAIAnswerReader())
    assert end["choices"] == [
        {"index": 0, "text": "", "logprobs": None, "finish_reason": "content_filter"}
    ]


def test_usage_ends_a_stream_that_is_cut_off_if_it_is_known_and_was_asked_for() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    reader, _ = read(chunk({"index": 0, "delta": {"content": "a"}}, usage=usage))
    assert cut(CHAT, reader, usage=True)[-1] == HEAD | {"choices": [], "usage": usage}
    assert len(cut(CHAT, reader)) == 1


@pytest.mark.parametrize("surface", [CHAT, COMPLETIONS])
def test_a_whole_answer_that_is_cut_holds_no_text_and_keeps_ids_and_usage(surface: Surface) -> None:
    choice = {
        "index": 1,
        "text": "secret",
        "message": {"content": "secret", "reasoning": "secret", "tool_calls": [{"id": "secret"}]},
        "logprobs": {"tokens": ["secret"]},
        "finish_reason": "stop",
        "new": "secret",
    }
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    body = chunk(choice, usage=usage, prompt_text="secret", new="secret")
    emptied = surface.cut_whole(body)
    assert b"secret" not in emptied
    told = json.loads(emptied)
    assert HEAD.items() <= told.items()
    assert told["usage"] == usage
    assert [(c["index"], c["finish_reason"]) for c in told["choices"]] == [(1, "content_filter")]
    reader = surface.answer_reader()
    reader.read(emptied)
    assert reader.pieces == ()


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize(
    "body", [b'{"error":{"message":"input_value=\'hidden\'"}}', b"hidden", b"\xffhidden"]
)
def test_an_error_that_the_upstream_answers_with_is_read_for_it_may_quote_the_model(
    name: str, body: bytes
) -> None:
    reader = SURFACES[name].answer_reader()
    reader.read_refusal(body)
    (piece,) = reader.pieces
    assert "hidden" in piece.text
    assert "hidden" in answer_text(reader.content())
    assert not reader.broke


def test_a_field_that_nobody_told_us_of_does_not_cut_the_text_to_pieces() -> None:
    choices = [{"index": 0, "delta": {"content": text, "news": "acme"}} for text in ("one ", "two")]
    reader, found = read(*map(chunk, choices))
    assert [text for _, part, text, _ in found if part == "text"] == ["one ", "two"]
    assert [part for _, part, _, _ in found if part != "text"] == ["other", "other"]
    assert answer_text(reader.content()) == "one twoacmeacme"
