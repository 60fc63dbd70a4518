"""Requests and answers of /v1/messages, Anthropic's API."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces.answers import START, Place, answer_text
from service.core.surfaces.messages import COUNT_TOKENS, MESSAGES
from service.core.surfaces.messages_answers import MessagesAnswerReader
from service.core.surfaces.prompts import PromptText, prompt_text
from service.core.surfaces.shape import Surface, check_parameters, parse, to_upstream
from service.errors import InvalidRequest

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
USAGE = {"input_tokens": 3, "output_tokens": 0}


def body(*content: Any, **fields: Any) -> bytes:  # noqa: ANN401
    messages = [{"role": "user", "content": list(content) or "hi"}]
    return msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": messages} | fields)


def check(data: bytes, *, strict: bool = True, surface: Surface = MESSAGES) -> None:
    check_parameters(parse(data), surface, strict=strict)


def refused(data: bytes, *, strict: bool = True, surface: Surface = MESSAGES) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        check(data, strict=strict, surface=surface)
    return caught.value.param


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def result(*content: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "tool_result", "tool_use_id": "t-1", "content": list(content)}


def read_prompt(**fields: Any) -> PromptText:  # noqa: ANN401
    return prompt_text(MESSAGES, body(**fields))


# --- requests


def test_a_conversation_with_tools_is_accepted() -> None:
    use = {"type": "tool_use", "id": "t-1", "name": "f", "input": {"q": "x"}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "0f"}
    messages = [
        {"role": "user", "content": [text("hi") | {"cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [thought, use]},
        {"role": "user", "content": [result(text("found"), IMAGE), IMAGE]},
    ]
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    check(body(messages=messages, tools=tools, system=[text("be brief")], stream=True))


@pytest.mark.parametrize("surface", [MESSAGES, COUNT_TOKENS])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "f-1"}},
        {"type": "image"},
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}},
        result({"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}),
        result(result({"type": "web_search_result"})),
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "server_tool_use"},
        {"text": "no type"},
        "no block",
    ],
)
def test_content_that_cannot_be_read_is_refused_on_every_tier(
    surface: Surface,
    strict: bool,
    block: Any,  # noqa: ANN401
) -> None:
    data = msgspec.json.encode(
        {"model": "m", "messages": [{"role": "user", "content": [text("hi"), block]}]}
    )
    assert refused(data, strict=strict, surface=surface) == "messages"


def test_only_the_user_tells_a_tools_result() -> None:
    messages = [
        {"role": "assistant", "content": [result(text("x"))]},
        {"role": "user", "content": "y"},
    ]
    assert refused(body(messages=messages)) == "messages"


@pytest.mark.parametrize(
    "messages", [None, 3, [3], [{"role": "user"}], [{"role": "tool", "content": "x"}]]
)
def test_messages_that_are_none_are_refused(messages: Any) -> None:  # noqa: ANN401
    assert refused(body(messages=messages)) == "messages"


@pytest.mark.parametrize("system", [3, {}, [{"type": "file"}], ["x"]])
def test_a_system_prompt_that_is_no_text_is_refused(system: Any) -> None:  # noqa: ANN401
    assert refused(body(system=system)) == "system"


def test_an_answer_cannot_be_begun_for_the_model_from_tier_1_on() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Sure, "}]
    for messages in (turns, [*turns, {"role": "system", "content": "x"}]):
        assert refused(body(messages=messages)) == "messages"
        check(body(messages=messages), strict=False)
    counted = msgspec.json.encode({"model": "m", "messages": turns})
    check(counted, surface=COUNT_TOKENS)


@pytest.mark.parametrize("name", ["vllm_xargs", "kv_transfer_params", "ec_transfer_params"])
def test_fields_that_reach_into_the_engine_are_refused(name: str) -> None:
    assert refused(body(**{name: {}}), strict=False) == name


@pytest.mark.parametrize("name", ["cache_salt", "mcp_servers", "container", "n"])
def test_unknown_fields_are_refused_where_parameters_are_strict(name: str) -> None:
    assert refused(body(**{name: "x"})) == name
    check(body(**{name: "x"}), strict=False)


def test_a_stream_is_not_asked_for_usage_which_this_api_always_tells() -> None:
    data = body(stream=True)
    assert to_upstream(parse(data), MESSAGES, "m") == data


def test_all_texts_of_a_prompt_are_read_one_segment_a_message() -> None:
    messages = [
        {"role": "user", "content": [text("one"), IMAGE, result(text("two"), IMAGE)]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "three"}]},
    ]
    tools = [{"name": "f", "description": "four", "input_schema": {"properties": {"five": {}}}}]
    found = read_prompt(system="zero", messages=messages, tools=tools)
    assert found.segments[0] == "zero"
    assert found.segments[1].split("\n")[0] == "one"
    assert "two" in found.segments[1]
    assert found.segments[2:] == ("three", "f\nfour\nfive")
    assert found.unscanned == {"image"}
    assert len(found.media) == 2
    assert "AAAA" not in found.text


def test_a_document_of_text_is_text_and_another_is_a_file() -> None:
    plain = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "hidden"},
    }
    pdf = {"type": "document", "source": {"type": "base64", "data": "AAAA"}, "title": "shown"}
    found = read_prompt(messages=[{"role": "user", "content": [plain, pdf]}])
    assert "hidden" in found.text
    assert "shown" in found.text
    assert found.unscanned == {"file"}


@given(st.recursive(st.just("hidden"), lambda inner: st.lists(inner, min_size=1, max_size=2)))
def test_nothing_passes_for_an_image_that_is_none(value: Any) -> None:  # noqa: ANN401
    for block in (
        {"type": "image", "source": {"type": "other", "data": value}},
        {"type": "text", "source": {"type": "base64", "data": value}},
        {"type": "image_url", "image_url": value},
    ):
        assert "hidden" in read_prompt(messages=[{"role": "user", "content": [block]}]).text


# --- answers


def event(kind: str, **fields: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.encode({"type": kind} | fields)


def start(index: int, **block: Any) -> bytes:  # noqa: ANN401
    return event("content_block_start", index=index, content_block=block)


def delta(index: int, **delta: Any) -> bytes:  # noqa: ANN401
    return event("content_block_delta", index=index, delta=delta)


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m",
    "stop_reason": None, "stop_sequence": None, "usage": USAGE,
}  # fmt: skip
BEGIN = event("message_start", message=MESSAGE)
TEXT = (start(0, type="text", text=""), delta(0, type="text_delta", text="said"), stop(0))
CALL = (
    start(1, type="tool_use", id="t-1", name="f", input={}),
    delta(1, type="input_json_delta", partial_json='{"q":'),
    delta(1, type="input_json_delta", partial_json='"x"}'),
    stop(1),
)
END = (
    event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None},
          usage={"input_tokens": 2, "cache_read_input_tokens": 1, "output_tokens": 5}),
    event("message_stop"),
)  # fmt: skip


def read(*events: bytes) -> tuple[MessagesAnswerReader, list[tuple[str, str, int]]]:
    reader = MessagesAnswerReader()
    found: list[tuple[str, str, int]] = []
    for one in events:
        assert not reader.read(one)
        found += [(p.part, p.text, p.call) for p in reader.pieces]
    return reader, found


def test_a_streamed_answer_is_read_piece_by_piece_to_its_end() -> None:
    thought = (
        start(0, type="thinking", thinking=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="0f"),
        stop(0),
    )
    reader, found = read(BEGIN, *thought, *TEXT, *CALL, event("ping"), *END)
    assert found == [
        ("reasoning", "hm", -1),
        ("text", "said", -1),
        ("tool_calls", "\nf ", 1),
        ("tool_calls", '{"q":', 1),
        ("tool_calls", '"x"}', 1),
    ]
    assert reader.ended
    assert reader.finish_reasons == {0: "tool_use"}
    assert answer_text(reader.content()) == 'hm\nsaid\n\nf {"q":"x"}'


def test_tokens_of_the_cache_are_tokens_of_the_prompt() -> None:
    reader, _ = read(BEGIN)
    assert reader.usage is not None
    assert reader.usage.prompt_tokens == 3
    reader.read(END[0])
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 5)


def test_usage_that_tells_of_the_output_alone_keeps_the_prompts() -> None:
    reader, _ = read(BEGIN, event("message_delta", delta={}, usage={"output_tokens": 5}))
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 5)


def test_a_whole_answer_is_read_with_everything_in_it() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "0f"},
        {"type": "text", "text": "said"},
        {"type": "tool_use", "id": "t-1", "name": "f", "input": {"q": "x"}},
    ]
    whole = MESSAGE | {"content": content, "stop_reason": "tool_use"}
    reader, found = read(msgspec.json.encode(whole).replace(b'"x"', b'"\\u0068idden"'))
    assert [text for _, text, _ in found] == ["hm", "said", "\nf ", '{"q":"hidden"}']
    assert reader.finish_reasons == {0: "tool_use"}


def test_an_error_in_a_stream_is_noticed() -> None:
    assert read(event("error", error={"type": "x", "message": "y"}))[0].broke
    with pytest.raises(msgspec.MsgspecError):
        read(b'{"error":{"message":"x"}}')


@pytest.mark.parametrize(
    "data",
    [
        start(0, type="redacted_thinking", data="hidden"),
        start(0, type="tool_use", id="functions.hidden:0", name="f", input={}),
        start(0, type="web_search_tool_result", content=[{"title": "hidden"}]),
        delta(0, type="citations_delta", citation={"cited_text": "hidden"}),
        event("message_start", message=MESSAGE | {"new": ["hidden"]}),
        event("new", new="hidden"),
    ],
)
def test_text_in_fields_that_nobody_told_us_of_is_text_of_the_answer(data: bytes) -> None:
    _, found = read(data)
    assert "hidden" in "".join(text for _, text, _ in found)


def events_of(stream: bytes) -> list[Any]:
    *events, rest = stream.split(b"\n\n")
    assert rest == b""
    told = []
    for one in events:
        kind, _, data = one.partition(b"\n")
        told.append(json.loads(data.removeprefix(b"data: ")))
        assert kind == b"event: " + told[-1]["type"].encode()
    return told


def test_a_stream_that_is_cut_off_closes_its_open_block_and_says_why() -> None:
    reader, _ = read(BEGIN, *TEXT, *CALL[:2])
    assert events_of(MESSAGES.cut_stream(reader, False)) == [
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "refusal", "stop_sequence": None},
            "usage": {"input_tokens": 3, "output_tokens": 3},
        },
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(("said", "told"), [(0, 2), (1, 2), (99, 99)])
def test_a_stream_that_is_cut_off_tells_at_least_as_many_tokens_as_texts_came(
    said: int, told: int
) -> None:
    usage = {"output_tokens": said}
    more = delta(0, type="text_delta", text=" more")
    reader, _ = read(BEGIN, *TEXT, more, event("message_delta", delta={}, usage=usage))
    delta_event, _ = events_of(MESSAGES.cut_stream(reader, False))
    assert delta_event["usage"] == {"input_tokens": 3, "output_tokens": told}


def test_a_stream_is_ended_where_what_was_released_ends() -> None:
    reader, _ = read(BEGIN, *TEXT)
    at = Place(begun=True)
    kinds = [e["type"] for e in events_of(MESSAGES.cut_stream(reader, True, at))]
    assert kinds == ["message_delta", "message_stop"]
    told = events_of(MESSAGES.cut_stream(reader, True, START))
    assert [e["type"] for e in told] == ["message_start", "message_delta", "message_stop"]
    assert told[0]["message"] == MESSAGE


def test_a_whole_answer_that_is_cut_holds_no_text() -> None:
    content = [{"type": "text", "text": "secret"}]
    whole = MESSAGE | {"content": content, "stop_sequence": "secret", "new": "secret"}
    told = json.loads(MESSAGES.cut_whole(msgspec.json.encode(whole)))
    assert told == MESSAGE | {"stop_reason": "refusal"}


def test_counting_tokens_answers_without_text() -> None:
    reader = COUNT_TOKENS.answer_reader()
    data = b'{"input_tokens":7,"context_management":{"original_input_tokens":7}}'
    assert not reader.read(data)
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.pieces) == (7, ())
    assert answer_text(reader.content()) == ""
    assert COUNT_TOKENS.cut_whole(data) == data
    assert COUNT_TOKENS.cut_stream(reader, True) == b""
