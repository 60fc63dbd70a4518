"""OpenAI's SDK on /v1/responses: whole, streamed, with tools, structured, refused, abandoned."""

import json
from enum import StrEnum

import openai
import pytest
from openai.types.responses import FunctionToolParam, ToolChoiceFunctionParam
from pydantic import BaseModel

from tests.real_parts.sdks import MODEL, WRONG_KEY, Watched

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

QUESTION = "What is the capital of France?"
TOOL: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
WEATHER: ToolChoiceFunctionParam = {"type": "function", "name": "weather"}
TOOL_TOKENS = 64


class City(StrEnum):
    PARIS = "Paris"
    ROME = "Rome"


class Capital(BaseModel):
    """What the model has to answer with."""

    city: City


def test_a_response_is_answered_and_recorded(watched: Watched) -> None:
    raw = watched.openai().responses.with_raw_response.create(
        model=MODEL, input=QUESTION, instructions="You answer in one word.", max_output_tokens=16,
        temperature=0,
    )  # fmt: skip
    answer = raw.parse()
    assert answer.model == MODEL
    assert answer.output_text
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0
    assert recorded(watched, raw.headers["x-watchgate-receipt"]) == answer.output_text


def test_a_streamed_response_comes_in_pieces_and_is_recorded_whole(watched: Watched) -> None:
    raw = watched.openai().responses.with_raw_response.create(
        model=MODEL, input=QUESTION, max_output_tokens=12, temperature=0, stream=True
    )
    events = list(raw.parse())
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(pieces) > 3
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "".join(pieces)
    assert recorded(watched, raw.headers["x-watchgate-receipt"]) == "".join(pieces)


def test_a_conversation_is_continued(watched: Watched) -> None:
    answer = watched.openai().responses.create(
        model=MODEL,
        input=[
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": "Hello, Ada."},
            {"role": "user", "content": [{"type": "input_text", "text": "What is my name?"}]},
        ],
        max_output_tokens=12,
    )
    assert answer.output_text


def test_the_output_of_a_call_is_part_of_the_conversation(watched: Watched) -> None:
    answer = watched.openai().responses.create(
        model=MODEL,
        input=[
            {"role": "user", "content": "What is the weather in Rome?"},
            {
                "type": "function_call",
                "call_id": "call-1",
                "name": "weather",
                "arguments": '{"city": "Rome"}',
            },
            {"type": "function_call_output", "call_id": "call-1", "output": "Sunny."},
        ],
        tools=[TOOL],
        tool_choice="none",
        max_output_tokens=8,
    )
    assert answer.output_text


def test_a_tool_that_is_asked_for_is_called(watched: Watched) -> None:
    answer = watched.openai().responses.create(
        model=MODEL, input=QUESTION, tools=[TOOL], tool_choice=WEATHER, temperature=0,
        max_output_tokens=TOOL_TOKENS,
    )  # fmt: skip
    [call] = [item for item in answer.output if item.type == "function_call"]
    assert json.loads(call.arguments)["city"] in set(City)


def test_a_tools_call_comes_in_pieces_when_it_is_streamed(watched: Watched) -> None:
    with watched.openai().responses.stream(
        model=MODEL, input=QUESTION, tools=[TOOL], tool_choice=WEATHER, temperature=0,
        max_output_tokens=TOOL_TOKENS,
    ) as stream:  # fmt: skip
        deltas = [e.delta for e in stream if e.type == "response.function_call_arguments.delta"]
        final = stream.get_final_response()
    [call] = [item for item in final.output if item.type == "function_call"]
    assert "".join(deltas) == call.arguments
    assert json.loads(call.arguments)["city"] in set(City)


def test_an_answer_is_parsed_into_the_callers_own_class(watched: Watched) -> None:
    answer = watched.openai().responses.parse(
        model=MODEL, input=QUESTION, text_format=Capital, max_output_tokens=32, temperature=0
    )
    assert answer.output_parsed is not None
    assert answer.output_parsed.city in set(City)


def test_an_earlier_response_is_refused_for_it_cannot_be_read(watched: Watched) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        watched.openai().responses.create(
            model=MODEL, input=QUESTION, previous_response_id="resp_1"
        )
    assert (caught.value.code, caught.value.param) == ("invalid_request", "previous_response_id")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_value_out_of_range_is_a_bad_request_in_vllms_words(
    watched: Watched, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        watched.openai().responses.create(
            model=MODEL, input=QUESTION, temperature=-1, stream=stream
        )
    assert "temperature" in caught.value.message


def test_a_wrong_key_is_refused(watched: Watched) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        watched.openai(WRONG_KEY).responses.create(model=MODEL, input=QUESTION)
    assert caught.value.code == "invalid_api_key"


def test_an_unknown_model_is_not_found(watched: Watched) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        watched.openai().responses.create(model="gpt-4o", input=QUESTION)
    assert caught.value.code == "model_not_found"


def test_responses_cannot_be_asked_for_later(watched: Watched) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        watched.openai().responses.retrieve("resp_1")
    assert caught.value.code == "not_found"


def test_vllm_stops_when_the_caller_of_a_stream_goes_away(watched: Watched) -> None:
    with watched.openai().responses.create(
        model=MODEL, input="Write a very long story about the sea.", max_output_tokens=1500,
        temperature=0, stream=True,
    ) as stream:  # fmt: skip
        next(event for event in stream if event.type == "response.output_text.delta")
        assert watched.works()
    watched.wait_until_idle()


def recorded(watched: Watched, receipt: str) -> str:
    """Return the recorded text of an answer."""
    *_, answer = (
        one.record.content for one in watched.watchgate.records(receipt) if one.record.content
    )
    [choice] = json.loads(answer)["choices"]
    text: str = choice["text"]
    return text
