"""What builders do with OpenAI's SDK works through the gateway as it does on vLLM."""

import asyncio
import json
from enum import StrEnum

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import (
    ChatCompletionMessageParam,
    ChatCompletionMessageToolCallUnionParam,
    ChatCompletionNamedToolChoiceParam,
    ChatCompletionToolParam,
)
from pydantic import BaseModel

from tests.real_parts.sdks import MODEL, WRONG_KEY, Watched

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You answer in one word."},
    {"role": "user", "content": "What is the capital of France?"},
]
TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
WEATHER: ChatCompletionNamedToolChoiceParam = {"type": "function", "function": {"name": "weather"}}
TOOL_TOKENS = 64


class City(StrEnum):
    PARIS = "Paris"
    ROME = "Rome"


class Capital(BaseModel):
    """What the model has to answer with."""

    city: City


# Tools and structure


def test_a_tool_that_is_asked_for_is_called(watched: Watched) -> None:
    answer = watched.openai().chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        tools=TOOLS,
        tool_choice=WEATHER,
        max_tokens=TOOL_TOKENS,
        temperature=0,
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in set(City)


def test_a_tools_call_comes_in_pieces_when_it_is_streamed(watched: Watched) -> None:
    with watched.openai().chat.completions.stream(
        model=MODEL,
        messages=QUESTION,
        tools=TOOLS,
        tool_choice=WEATHER,
        max_tokens=TOOL_TOKENS,
        temperature=0,
    ) as stream:
        kinds = [event.type for event in stream]
        [call] = stream.get_final_completion().choices[0].message.tool_calls or []
    assert "tool_calls.function.arguments.done" in kinds
    assert json.loads(call.function.arguments)["city"] in set(City)


def test_a_tools_result_is_part_of_the_conversation(watched: Watched) -> None:
    call: ChatCompletionMessageToolCallUnionParam = {
        "id": "call-1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
    }
    answer = watched.openai().chat.completions.create(
        model=MODEL,
        messages=[
            *QUESTION,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call-1", "content": "Sunny."},
        ],
        tools=TOOLS,
        tool_choice="none",
        max_tokens=4,
    )
    assert answer.choices[0].message.content


def test_an_answer_is_parsed_into_the_callers_own_class(watched: Watched) -> None:
    answer = watched.openai().chat.completions.parse(
        model=MODEL, messages=QUESTION, response_format=Capital, max_tokens=32, temperature=0
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    assert parsed.city in set(City)


def test_a_streamed_answer_is_parsed_into_the_callers_own_class(watched: Watched) -> None:
    with watched.openai().chat.completions.stream(
        model=MODEL, messages=QUESTION, response_format=Capital, max_tokens=32, temperature=0
    ) as stream:
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert parsed is not None
    assert parsed.city in set(City)


# Probabilities, choices, usage


def test_a_chat_has_log_probabilities_where_they_are_asked_for(watched: Watched) -> None:
    answer = watched.openai().chat.completions.create(
        model=MODEL, messages=QUESTION, logprobs=True, top_logprobs=2, max_tokens=4
    )
    [choice] = answer.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    assert all(token.logprob <= 0 and len(token.top_logprobs) >= 2 for token in tokens)


def test_a_streamed_chat_has_log_probabilities_for_each_piece(watched: Watched) -> None:
    stream = watched.openai().chat.completions.create(
        model=MODEL, messages=QUESTION, logprobs=True, max_tokens=4, stream=True
    )
    choices = [choice for chunk in stream for choice in chunk.choices]
    tokens = [one.token for c in choices if c.logprobs for one in c.logprobs.content or []]
    assert "".join(tokens) == "".join(choice.delta.content or "" for choice in choices)


def test_a_completion_has_log_probabilities_of_its_prompt_too(watched: Watched) -> None:
    answer = watched.openai().completions.create(
        model=MODEL, prompt="The capital of", echo=True, logprobs=1, max_tokens=4
    )
    [choice] = answer.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.tokens or []
    assert "".join(tokens) == choice.text
    assert choice.text.startswith("The capital of")


def test_all_choices_come_and_are_recorded(watched: Watched) -> None:
    raw = watched.openai().chat.completions.with_raw_response.create(
        model=MODEL, messages=QUESTION, n=3, max_tokens=6, seed=7
    )
    texts = [choice.message.content for choice in raw.parse().choices]
    assert len(texts) == 3
    assert recorded(watched, raw.headers["x-watchgate-receipt"]) == texts


def test_all_choices_of_a_stream_come_and_are_recorded(watched: Watched) -> None:
    raw = watched.openai().chat.completions.with_raw_response.create(
        model=MODEL, messages=QUESTION, n=3, max_tokens=6, seed=7, stream=True
    )
    texts = ["", "", ""]
    for chunk in raw.parse():
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert all(texts)
    assert recorded(watched, raw.headers["x-watchgate-receipt"]) == texts


def test_a_stream_ends_with_its_usage_where_it_is_asked_for(watched: Watched) -> None:
    chunks = list(
        watched.openai().completions.create(
            model=MODEL,
            prompt="One, two,",
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert [chunk.usage is not None for chunk in chunks[-2:]] == [False, True]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4
    assert chunks[-1].choices == []


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_a_stream_has_no_usage_where_it_is_not_asked_for(
    watched: Watched, options: dict[str, dict[str, bool]]
) -> None:
    chunks = list(
        watched.openai().completions.create(
            model=MODEL, prompt="One, two,", max_tokens=4, stream=True, extra_body=options
        )
    )
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_many_streams_at_once_do_not_mix(watched: Watched) -> None:
    async def stream(client: AsyncOpenAI, word: str) -> tuple[str, str]:
        stream = await client.completions.create(
            model=MODEL, prompt=word, echo=True, max_tokens=6, stream=True
        )
        return word, "".join([chunk.choices[0].text async for chunk in stream])

    async def streams() -> list[tuple[str, str]]:
        async with watched.openai_async() as client:
            words = [f"Number {number}" for number in range(8)]
            return await asyncio.gather(*(stream(client, word) for word in words))

    for word, text in asyncio.run(streams()):
        assert text.startswith(word)
        assert len(text) > len(word)


# Errors and ids


def test_the_sdk_knows_the_id_of_its_request(watched: Watched) -> None:
    client = watched.openai()
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=1)
    own = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=1, extra_headers={"x-request-id": "mine-1"}
    )
    assert (answer._request_id or "").startswith("ex-")
    assert own._request_id == "mine-1"


def test_a_parameter_that_is_not_known_is_a_bad_request_that_names_it(watched: Watched) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        watched.openai().chat.completions.create(
            model=MODEL, messages=QUESTION, extra_body={"vllm_xargs": {}}
        )
    assert (caught.value.code, caught.value.param) == ("invalid_request", "vllm_xargs")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_value_out_of_range_is_a_bad_request_in_vllms_words(
    watched: Watched, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        watched.openai().chat.completions.create(
            model=MODEL, messages=QUESTION, temperature=-1, stream=stream
        )
    assert "temperature" in caught.value.message
    assert caught.value.request_id


def test_a_prompt_of_token_ids_is_a_bad_request(watched: Watched) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        watched.openai().completions.create(model=MODEL, prompt=[1, 2, 3])
    assert caught.value.param == "prompt"


def test_what_the_gateway_does_not_serve_is_not_found(watched: Watched) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        watched.openai().moderations.create(model=MODEL, input="Hello")
    assert caught.value.code == "not_found"


def test_a_wrong_key_is_refused_in_a_stream_too(watched: Watched) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        watched.openai(WRONG_KEY).completions.create(model=MODEL, prompt="Hi", stream=True)
    assert caught.value.code == "invalid_api_key"


# Callers who go away


def test_vllm_stops_when_the_caller_of_a_stream_goes_away(watched: Watched) -> None:
    with watched.openai().completions.create(
        model=MODEL, prompt="Once upon a time", max_tokens=1500, n=2, stream=True,
        extra_body={"min_tokens": 1500},
    ) as stream:  # fmt: skip
        for _, chunk in zip(range(4), stream, strict=False):
            assert chunk.choices
        assert watched.works()
    watched.wait_until_idle()


def test_vllm_stops_when_the_caller_of_a_whole_answer_gives_up(watched: Watched) -> None:
    with pytest.raises(openai.APITimeoutError):
        watched.openai().with_options(timeout=1.0).chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=1500, extra_body={"min_tokens": 1500}
        )
    watched.wait_until_idle()


def recorded(watched: Watched, receipt: str) -> list[str]:
    """Return the texts of an exchange's recorded choices."""
    *_, answer = (
        one.record.content for one in watched.watchgate.records(receipt) if one.record.content
    )
    return [choice["text"] for choice in json.loads(answer)["choices"]]
