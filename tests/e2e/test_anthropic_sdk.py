"""Anthropic's SDK on /v1/messages: whole, streamed, with tools, counted, refused, abandoned."""

import asyncio
import json
from typing import Literal

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, ToolChoiceToolParam, ToolParam
from pydantic import BaseModel

from tests.real_parts.sdks import MODEL, WRONG_KEY, Watched

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

QUESTION: list[MessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
STORY: list[MessageParam] = [
    {"role": "user", "content": "Write a very long story about the sea."},
]
TOOL: ToolParam = {
    "name": "weather",
    "description": "The weather in a city",
    "strict": True,
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
WEATHER: ToolChoiceToolParam = {"type": "tool", "name": "weather"}
TOOL_TOKENS = 64
GREEDY = {"temperature": 0}
"""The SDK has no argument for it any more."""


class Capital(BaseModel):
    """What the model has to answer with."""

    city: Literal["Paris", "Rome"]


def test_a_message_is_answered_and_recorded(watched: Watched) -> None:
    raw = watched.anthropic().messages.with_raw_response.create(
        model=MODEL, messages=QUESTION, max_tokens=16, extra_body=GREEDY
    )
    answer = raw.parse()
    [block] = answer.content
    assert block.type == "text"
    assert "Paris" in block.text
    assert answer.model == MODEL
    assert answer.usage.output_tokens > 0
    assert recorded(watched, raw.headers["x-watchgate-receipt"]) == block.text


def test_a_streamed_message_comes_in_pieces_and_is_recorded_whole(watched: Watched) -> None:
    with watched.anthropic().messages.stream(
        model=MODEL, messages=QUESTION, max_tokens=16, extra_body=GREEDY
    ) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
        receipt = stream.response.headers["x-watchgate-receipt"]
    assert len(pieces) > 3
    assert "Paris" in "".join(pieces)
    assert message.model == MODEL
    assert message.usage.output_tokens > 3
    assert recorded(watched, receipt) == "".join(pieces)


def test_the_events_of_a_stream_are_those_of_the_api(watched: Watched) -> None:
    stream = watched.anthropic().messages.create(
        model=MODEL, messages=QUESTION, max_tokens=2, stream=True
    )
    kinds = [event.type for event in stream]
    assert list(dict.fromkeys(kinds)) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_system_prompt_reaches_the_model_and_the_record(watched: Watched) -> None:
    client = watched.anthropic()
    raw = client.messages.with_raw_response.create(
        model=MODEL, messages=QUESTION, system="You answer in one word.", max_tokens=4
    )
    alone = client.messages.create(model=MODEL, messages=QUESTION, max_tokens=4)
    with_system = raw.parse()
    assert with_system.usage.input_tokens != alone.usage.input_tokens
    prompt = contents(watched, raw.headers["x-watchgate-receipt"])[0]
    assert json.loads(prompt)["system"] == "You answer in one word."


def test_a_tool_that_is_asked_for_is_called(watched: Watched) -> None:
    answer = watched.anthropic().messages.create(
        model=MODEL, messages=QUESTION, tools=[TOOL], tool_choice=WEATHER, extra_body=GREEDY,
        max_tokens=TOOL_TOKENS,
    )  # fmt: skip
    [block] = answer.content
    assert block.type == "tool_use"
    assert block.name == "weather"
    assert block.input["city"] in {"Paris", "Rome"}
    assert answer.stop_reason == "tool_use"


def test_a_tools_call_comes_in_pieces_when_it_is_streamed(watched: Watched) -> None:
    with watched.anthropic().messages.stream(
        model=MODEL, messages=QUESTION, tools=[TOOL], tool_choice=WEATHER, extra_body=GREEDY,
        max_tokens=TOOL_TOKENS,
    ) as stream:  # fmt: skip
        kinds = {event.type for event in stream}
        [block] = stream.get_final_message().content
    assert "input_json" in kinds
    assert block.type == "tool_use"
    assert block.input["city"] in {"Paris", "Rome"}


def test_a_tools_result_is_part_of_the_conversation(watched: Watched) -> None:
    answer = watched.anthropic().messages.create(
        model=MODEL,
        messages=[
            *QUESTION,
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}}
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Sunny."}],
            },
        ],
        tools=[TOOL],
        tool_choice={"type": "none"},
        max_tokens=4,
    )
    assert answer.content


def test_the_tokens_of_a_message_are_counted_as_vllm_counts_them(watched: Watched) -> None:
    client = watched.anthropic()
    counted = client.messages.count_tokens(model=MODEL, messages=QUESTION, system="One word.")
    answer = client.messages.create(
        model=MODEL, messages=QUESTION, system="One word.", max_tokens=1
    )
    assert counted.input_tokens == answer.usage.input_tokens


def test_the_key_may_come_as_a_bearer_token(watched: Watched) -> None:
    answer = watched.anthropic_by_bearer().messages.create(
        model=MODEL, messages=QUESTION, max_tokens=1
    )
    assert answer.content


def test_an_answer_is_parsed_into_the_callers_own_class(watched: Watched) -> None:
    answer = watched.anthropic().messages.parse(
        model=MODEL, messages=QUESTION, output_format=Capital, max_tokens=32
    )
    assert isinstance(answer.parsed_output, Capital)


def test_its_beta_calls_go_the_same_way(watched: Watched) -> None:
    answer = watched.anthropic().beta.messages.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello"}], max_tokens=1, betas=["x"]
    )
    assert answer.content


def test_its_asynchronous_client_works(watched: Watched) -> None:
    async def text() -> str:
        async with (
            AsyncAnthropic(base_url=watched.watchgate.url, api_key=watched.key) as client,
            client.messages.stream(model=MODEL, messages=QUESTION, max_tokens=4) as stream,
        ):
            return await stream.get_final_text()

    assert asyncio.run(text())


# Errors


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_wrong_key_is_refused_in_the_shape_of_the_api(watched: Watched, stream: bool) -> None:
    with pytest.raises(anthropic.AuthenticationError) as caught:
        watched.anthropic(WRONG_KEY).messages.create(
            model=MODEL, messages=QUESTION, max_tokens=4, stream=stream
        )
    assert error(caught.value)["type"] == "authentication_error"
    assert error(caught.value)["code"] == "invalid_api_key"


def test_an_unknown_model_is_not_found(watched: Watched) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        watched.anthropic().messages.create(model="other", messages=QUESTION, max_tokens=4)
    assert error(caught.value)["code"] == "model_not_found"


def test_a_parameter_that_is_not_known_is_a_bad_request_that_names_it(watched: Watched) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        watched.anthropic().messages.create(
            model=MODEL, messages=QUESTION, max_tokens=4, extra_body={"vllm_xargs": {}}
        )
    assert error(caught.value)["code"] == "invalid_request"
    assert "vllm_xargs" in caught.value.message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_value_out_of_range_is_a_bad_request_in_vllms_words(
    watched: Watched, stream: bool
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        watched.anthropic().messages.create(
            model=MODEL,
            messages=QUESTION,
            max_tokens=4,
            extra_body={"temperature": -1},
            stream=stream,
        )
    assert "temperature" in caught.value.message


def test_an_answer_that_was_refused_has_a_receipt(watched: Watched) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        watched.anthropic(WRONG_KEY).messages.create(model=MODEL, messages=QUESTION, max_tokens=1)
    assert caught.value.response.headers["x-watchgate-receipt"].startswith("ex-")


def test_what_the_gateway_does_not_serve_is_not_found_in_the_shape_of_the_api(
    watched: Watched,
) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        watched.anthropic().messages.batches.retrieve("batch-1")
    assert error(caught.value)["code"] == "not_found"


# Callers who go away


def test_vllm_stops_when_the_caller_of_a_stream_goes_away(watched: Watched) -> None:
    with watched.anthropic().messages.stream(
        model=MODEL, messages=STORY, max_tokens=1500, extra_body=GREEDY
    ) as stream:
        assert next(iter(stream.text_stream))
        assert watched.works()
    watched.wait_until_idle()


def test_vllm_stops_when_the_caller_of_a_whole_answer_gives_up(watched: Watched) -> None:
    with pytest.raises(anthropic.APITimeoutError):
        watched.anthropic().with_options(timeout=1.0).messages.create(
            model=MODEL, messages=STORY, max_tokens=1500, extra_body=GREEDY
        )
    watched.wait_until_idle()


def error(caught: anthropic.APIStatusError) -> dict[str, str]:
    """Return the error object of an answer that has the API's shape."""
    assert isinstance(caught.body, dict)
    assert caught.body["type"] == "error"
    found: dict[str, str] = caught.body["error"]
    return found


def contents(watched: Watched, receipt: str) -> list[bytes]:
    """Return what is recorded of an exchange: its prompt, then its answer."""
    found = watched.watchgate.records(receipt)
    return [one.record.content for one in found if one.record.content]


def recorded(watched: Watched, receipt: str) -> str:
    """Return the recorded text of an answer."""
    [choice] = json.loads(contents(watched, receipt)[-1])["choices"]
    text: str = choice["text"]
    return text
