"""What builders do with LangChain works through the gateway."""

import asyncio
from typing import Literal

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, SecretStr

from tests.real_parts.sdks import ANSWER_S, MODEL, WRONG_KEY, Watched

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

QUESTION = [SystemMessage("You answer in one word."), HumanMessage("The capital of France?")]
TOOL_TOKENS = 64


def model(
    watched: Watched, *, max_tokens: int = 16, key: str | None = None, responses: bool = False
) -> ChatOpenAI:
    return ChatOpenAI(
        model=MODEL,
        base_url=f"{watched.watchgate.url}/v1",
        api_key=SecretStr(key or watched.key),
        max_retries=0,
        timeout=ANSWER_S,
        temperature=0,
        max_completion_tokens=max_tokens,
        use_responses_api=responses,
    )


class Capital(BaseModel):
    """The capital of a country."""

    city: str = Field(pattern="^(Paris|Rome)$")


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


def test_invoke_returns_an_answer_with_its_usage(watched: Watched) -> None:
    answer = model(watched).invoke(QUESTION)
    assert isinstance(answer.content, str)
    assert "Paris" in answer.content
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.response_metadata["model_name"] == MODEL


def test_stream_returns_an_answer_in_pieces(watched: Watched) -> None:
    pieces = list(model(watched).stream(QUESTION))
    assert len(pieces) > 2
    assert "Paris" in "".join(str(piece.content) for piece in pieces)


def test_stream_returns_the_usage_where_it_is_asked_for(watched: Watched) -> None:
    pieces = list(model(watched).stream(QUESTION, stream_usage=True))
    [usage] = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
    assert usage["output_tokens"] > 0


def test_several_prompts_are_answered_at_once(watched: Watched) -> None:
    answers = model(watched, max_tokens=4).batch(["One", "Two", "Three"])
    assert all(answer.content for answer in answers)


def test_its_asynchronous_calls_work(watched: Watched) -> None:
    async def pieces() -> list[str]:
        stream = model(watched, max_tokens=4).astream("Hello")
        return [str(piece.content) async for piece in stream]

    assert "".join(asyncio.run(pieces()))


def test_a_bound_tool_is_called(watched: Watched) -> None:
    bound = model(watched, max_tokens=TOOL_TOKENS).bind_tools(
        [weather], tool_choice="weather", strict=True
    )
    answer = bound.invoke("What is the weather in Paris?")
    assert isinstance(answer, AIMessage)
    [call] = answer.tool_calls
    assert call["name"] == "weather"
    assert set(call["args"]) == {"city"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_answer_becomes_the_callers_own_class(
    watched: Watched, method: Literal["json_schema", "function_calling"]
) -> None:
    structured = model(watched, max_tokens=TOOL_TOKENS).with_structured_output(
        Capital, method=method, strict=True
    )
    answer = structured.invoke("What is the capital of France?")
    assert isinstance(answer, Capital)


def test_it_works_over_responses_too(watched: Watched) -> None:
    over_responses = model(watched, responses=True)
    answer = over_responses.invoke(QUESTION)
    pieces = list(over_responses.stream(QUESTION))
    assert "Paris" in answer.text
    assert "".join(piece.text for piece in pieces) == answer.text
    assert len(pieces) > 2


def test_a_wrong_key_is_an_authentication_error(watched: Watched) -> None:
    with pytest.raises(openai.AuthenticationError):
        model(watched, key=WRONG_KEY).invoke("Hello")
