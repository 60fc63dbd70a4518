"""Requests and answers of /v1/responses."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.surfaces.answers import START, answer_text
from service.core.surfaces.prompts import PromptText, prompt_text
from service.core.surfaces.responses import RESPONSES
from service.core.surfaces.responses_answers import ResponsesAnswerReader
from service.core.surfaces.shape import check_parameters, parse, to_upstream
from service.errors import InvalidRequest

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
CALL = {"type": "function_call", "call_id": "c-1", "name": "f", "arguments": '{"q":"x"}'}


def body(given: Any = "hi", **fields: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.encode({"model": "m", "input": given} | fields)


def user(*parts: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"role": "user", "content": list(parts)}


def check(data: bytes, *, strict: bool = True) -> None:
    check_parameters(parse(data), RESPONSES, strict=strict)


def refused(data: bytes, *, strict: bool = True) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        check(data, strict=strict)
    return caught.value.param


def read_prompt(given: Any = "hi", **fields: Any) -> PromptText:  # noqa: ANN401
    return prompt_text(RESPONSES, body(given, **fields))


# --- requests


def test_a_conversation_with_tools_is_accepted() -> None:
    items = [
        {"type": "message", "role": "developer", "content": "be brief"},
        user({"type": "input_text", "text": "hi"}, IMAGE),
        {"type": "reasoning", "id": "r-1", "summary": [], "encrypted_content": None},
        CALL,
        {"type": "function_call_output", "call_id": "c-1", "output": "found"},
        {"type": "function_call_output", "call_id": "c-1", "output": [IMAGE]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "so"}]},
    ]
    tools = [{"type": "function", "name": "f", "parameters": {}}, {"type": "custom", "name": "g"}]
    given = {"previous_response_id": None, "background": False, "conversation": None}
    check(body(items, tools=tools, store=True, stream=True, text={"format": {}}, **given))
    check(body("hi", store=False))


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("background", True),
        ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1"}),
        ("tools", [{"type": "web_search"}]),
        ("tools", [{"type": "mcp", "server_url": "https://example.org"}]),
        ("tools", [{"name": "no type"}]),
    ],
)
def test_what_brings_content_past_the_gateway_is_refused_on_every_tier(
    strict: bool,
    name: str,
    value: Any,  # noqa: ANN401
) -> None:
    assert refused(body(**{name: value}), strict=strict) == name


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        {"type": "message", "content": "no role"},
        {"type": "file_search_call", "id": "x"},
        {"type": "reasoning", "summary": [], "encrypted_content": "AAAA"},
        user({"type": "input_image", "image_url": "https://example.org/a.png"}),
        user({"type": "input_image", "file_id": "f-1"}),
        user({"type": "input_file", "file_url": "https://example.org/a.pdf"}),
        user({"type": "file", "file": {"file_id": "f-1"}}),
        user({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
        user(3),
        {"type": "function_call_output", "output": [{"type": "input_image", "file_id": "f-1"}]},
    ],
)
def test_items_that_cannot_be_read_are_refused_on_every_tier(
    strict: bool,
    item: Any,  # noqa: ANN401
) -> None:
    assert refused(body([user("hi"), item]), strict=strict) == "input"


@pytest.mark.parametrize("given", [None, 3, {}, [1, 2], [[1]], ["x"]])
def test_input_that_is_no_text_and_no_items_is_refused(given: Any) -> None:  # noqa: ANN401
    assert refused(body(given)) == "input"
    assert refused(b'{"model":"m"}') == "input"


@pytest.mark.parametrize("status", ["in_progress", "incomplete"])
def test_an_answer_cannot_be_begun_for_the_model_from_tier_1_on(status: str) -> None:
    begun = {"type": "message", "role": "assistant", "content": "Sure, ", "status": status}
    assert refused(body([user("hi"), begun])) == "input"
    check(body([user("hi"), begun]), strict=False)
    check(body([begun, user("hi")]))


@pytest.mark.parametrize(
    "name", ["previous_input_messages", "request_id", "structured_outputs", "x"]
)
def test_unknown_fields_are_refused_where_parameters_are_strict(name: str) -> None:
    assert refused(body(**{name: "x"})) == name


def test_a_stream_is_not_asked_for_usage_which_this_api_always_tells() -> None:
    data = body(stream=True)
    assert to_upstream(parse(data), RESPONSES, "m") == data


@pytest.mark.parametrize("own", [{}, {"request_id": "resp_of_another"}])
def test_an_id_that_is_needed_takes_the_place_of_the_callers(own: dict[str, str]) -> None:
    sent = to_upstream(parse(body(**own)), RESPONSES, "m", request_id="ex-1")
    assert json.loads(sent) == {**json.loads(body()), "request_id": "resp_ex-1"}


def test_all_texts_of_a_prompt_are_read_one_segment_an_item() -> None:
    items = [
        user({"type": "input_text", "text": "two"}, IMAGE),
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "three"}]},
        CALL | {"arguments": '{"q":"\\u0066our"}'},
        {"type": "function_call_output", "call_id": "c-1", "output": "five"},
    ]
    form = {"format": {"type": "json_schema", "schema": {"description": "six"}}}
    found = read_prompt(items, instructions="one", text=form)
    assert found.segments == ("one", "two", "three", "c-1\nf\nq\nfour", "c-1\nfive", "six")
    assert found.unscanned == {"image"}
    assert [medium.kind for medium in found.media] == ["image"]
    assert read_prompt("hi").segments == ("hi",)


def test_a_file_in_the_input_is_no_text() -> None:
    part = {"type": "input_file", "filename": "a.pdf", "file_data": "data:;base64,AAAA"}
    found = read_prompt([user(part)])
    assert found.unscanned == {"file"}
    assert "AAAA" not in found.text
    assert "a.pdf" in found.text


@given(
    st.recursive(st.just("hidden"), lambda inner: st.lists(inner, min_size=1, max_size=2)),
    st.sampled_from(["content", "output", "summary", "x", "arguments", "encrypted_content"]),
)
def test_no_text_hides_in_an_item(value: Any, name: str) -> None:  # noqa: ANN401
    assert "hidden" in read_prompt([{"role": "user", name: value}]).text
    assert "hidden" in read_prompt([user({"type": "input_text", name: value})]).text


# --- answers


RESPONSE = {
    "id": "resp_1", "created_at": 7, "incomplete_details": None, "instructions": "secret rules",
    "metadata": None, "model": "m", "object": "response", "output": [], "status": "in_progress",
    "tools": [], "usage": None,
}  # fmt: skip
USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def numbered(*events: dict[str, Any]) -> list[bytes]:
    return [msgspec.json.encode(event | {"sequence_number": n}) for n, event in enumerate(events)]


def begun() -> dict[str, Any]:
    return {"type": "response.created", "response": RESPONSE}


def in_item(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": f"response.{kind}", "output_index": index, "item_id": "i-1"} | fields


def done(kind: str = "completed", **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    response = RESPONSE | {"status": kind, "usage": USAGE} | fields
    return {"type": f"response.{kind}", "response": response}


def message(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}


def read(*events: dict[str, Any]) -> tuple[ResponsesAnswerReader, list[tuple[str, str, int]]]:
    reader = ResponsesAnswerReader()
    found: list[tuple[str, str, int]] = []
    for one in numbered(*events):
        assert not reader.read(one)
        found += [(p.part, p.text, p.call) for p in reader.pieces]
    return reader, found


def test_a_streamed_text_that_is_told_five_times_is_read_once() -> None:
    reader, found = read(
        begun(),
        in_item("output_item.added", item={"type": "message", "content": []}),
        in_item("content_part.added", part={"type": "output_text", "text": ""}),
        in_item("output_text.delta", delta="said ", content_index=0, logprobs=[]),
        in_item("output_text.delta", delta="so", content_index=0, logprobs=[]),
        in_item("output_text.done", text="said so"),
        in_item("content_part.done", part={"type": "output_text", "text": "said so"}),
        in_item("output_item.done", item=message("said so")),
        done(output=[message("said so")]),
    )
    assert found == [("text", "said ", -1), ("text", "so", -1)]
    assert (reader.ended, reader.broke) == (True, False)
    assert reader.finish_reasons == {0: "completed"}
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 4)
    assert answer_text(reader.content()) == "said so"


def test_streamed_calls_and_reasoning_are_read_and_stay_apart() -> None:
    calls = [CALL, CALL | {"call_id": "c-2"}]
    events = [in_item("reasoning_text.delta", delta="hm")]
    for index, call in enumerate(calls, start=1):
        arguments = call["arguments"]
        events += [
            in_item("output_item.added", index, item=call | {"arguments": ""}),
            in_item("function_call_arguments.delta", index, delta=arguments),
            in_item("function_call_arguments.done", index, arguments=arguments, name="f"),
            in_item("output_item.done", index, item=call),
        ]
    reader, found = read(begun(), *events, done(output=calls))
    assert found == [
        ("reasoning", "hm", -1),
        ("tool_calls", "\nf ", 1),
        ("tool_calls", '{"q":"x"}', 1),
        ("tool_calls", "\nf ", 2),
        ("tool_calls", '{"q":"x"}', 2),
    ]
    assert answer_text(reader.content()) == 'hm\n\nf {"q":"x"}\nf {"q":"x"}'


@pytest.mark.parametrize(
    "event",
    [
        in_item("output_text.done", text="hidden"),
        in_item("output_item.done", item=message("hidden")),
        in_item("output_text.annotation.added", annotation={"title": "hidden"}),
        in_item("output_item.added", item=CALL | {"call_id": "functions.hidden:0"}),
        in_item("new.delta", delta="hidden"),
        in_item("output_text.delta", delta="said", new="hidden"),
        in_item("mcp_call.completed", item={"type": "mcp_call", "output": "hidden"}),
        in_item("code_interpreter_call_code.delta", delta="hidden"),
        in_item("refusal.delta", delta="hidden"),
        done(output=[message("hidden")]),
        done(new=["hidden"]),
        done(output_messages=[{"content": "hidden"}]),
    ],
)
def test_a_text_that_is_told_for_the_first_time_is_read_wherever_it_stands(
    event: dict[str, Any],
) -> None:
    _, found = read(begun(), in_item("output_text.delta", delta="said"), event)
    assert "hidden" in "".join(text for _, text, _ in found)


def test_a_whole_answer_is_read_with_everything_in_it() -> None:
    reasoning = {"type": "reasoning", "summary": [], "content": [{"text": "hm"}]}
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    output = [reasoning, message("said"), refusal, CALL, CALL]
    whole = RESPONSE | {"output": output, "status": "incomplete", "usage": USAGE}
    whole |= {"incomplete_details": {"reason": "max_output_tokens"}}
    reader = ResponsesAnswerReader()
    assert not reader.read(msgspec.json.encode(whole))
    assert [(p.part, p.text) for p in reader.pieces] == [
        ("reasoning", "hm"), ("text", "said"), ("refusal", "no"),
        ("tool_calls", "\nf "), ("tool_calls", '{"q":"x"}'),
        ("tool_calls", "\nf "), ("tool_calls", '{"q":"x"}'),
    ]  # fmt: skip
    assert reader.finish_reasons == {0: "max_output_tokens"}
    assert "rules" not in answer_text(reader.content())


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "x", "message": "y", "param": None},
        {"type": "response.failed", "response": RESPONSE | {"status": "failed"}},
        {"error": {"message": "x"}},
    ],
)
def test_an_error_in_the_answer_is_noticed_and_is_no_text(event: dict[str, Any]) -> None:
    reader, found = read(begun(), event)
    assert reader.broke
    assert found == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"type":3}', b'{"type":"x","response":3}'])
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        ResponsesAnswerReader().read(data)


def events_of(stream: bytes) -> list[Any]:
    *events, rest = stream.split(b"\n\n")
    assert rest == b""
    told = []
    for one in events:
        kind, _, data = one.partition(b"\n")
        told.append(json.loads(data.removeprefix(b"data: ")))
        assert kind == b"event: " + told[-1]["type"].encode()
    return told


def test_a_stream_that_is_cut_off_is_incomplete() -> None:
    reader, _ = read(begun(), in_item("output_text.delta", delta="secret"))
    (end,) = events_of(RESPONSES.cut_stream(reader, False))
    assert (end["type"], end["sequence_number"]) == ("response.incomplete", 2)
    assert end["response"] == RESPONSE | {
        "status": "incomplete",
        "incomplete_details": {"reason": "content_filter"},
        "error": None,
    }


def test_a_stream_is_ended_where_what_was_released_ends() -> None:
    reader, _ = read(begun())
    released = reader.place
    reader.read(numbered(begun(), in_item("output_text.delta", delta="x"), done())[2])
    (end,) = events_of(RESPONSES.cut_stream(reader, True, released))
    assert end["sequence_number"] == 1
    assert end["response"]["usage"]["total_tokens"] == 7
    first, end = events_of(RESPONSES.cut_stream(reader, True, START))
    assert (first["type"], first["sequence_number"]) == ("response.created", 0)
    assert (end["type"], end["sequence_number"]) == ("response.incomplete", 1)


def test_a_whole_answer_that_is_cut_holds_no_text() -> None:
    whole = RESPONSE | {"output": [message("hidden"), CALL], "usage": USAGE, "status": "completed"}
    told = json.loads(RESPONSES.cut_whole(msgspec.json.encode(whole | {"new": "hidden"})))
    assert "hidden" not in json.dumps(told)
    assert (told["id"], told["model"], told["usage"]) == ("resp_1", "m", USAGE)
    assert (told["output"], told["status"]) == ([], "incomplete")
    assert told["incomplete_details"] == {"reason": "content_filter"}


def test_a_delta_with_a_field_that_nobody_told_us_of_is_told_whole_though_it_repeats() -> None:
    name = "response.output_text.delta"
    deltas = [{"type": name, "delta": text, "news": None} for text in ("so hard. ", "so ", "hard")]
    reader, found = read(*deltas)
    assert [text for part, text, _ in found if part == "text"] == ["so hard. ", "so ", "hard"]
    assert answer_text(reader.content()) == "so hard. so hard"


def test_the_tokens_of_a_delta_are_a_text_beside_it() -> None:
    tokens = [{"token": " ahead", "logprob": -1.0, "top_logprobs": [{"token": " back"}]}]
    delta = {"type": "response.output_text.delta", "delta": "", "logprobs": tokens}
    assert read(delta)[1] == [("tokens", " ahead", -1), ("alternatives", "  back", -1)]
