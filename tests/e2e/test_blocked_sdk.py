"""What the SDKs make of prompts that are refused and answers that are cut off.

The violation is a harmless stand-in. The model is made to say it by a schema that allows no other
answer; the points on answers are of models of their own, for the schema is part of the prompt.
"""

from collections.abc import Iterator
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.real_parts.sdks import Watched
from tests.real_parts.watchgate import MISUSE, Watchgate

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

REFUSING: Final = "refusing"
CUTTING: Final = ("windowed", "buffered")
SCREENINGS: Final = {
    REFUSING: {},
    "windowed": {"answer": {"mode": "window", "window_chars": 100}},
    "buffered": {"answer": {"mode": "buffer"}},
}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"reply": {"type": "string", "enum": [MISUSE]}},
    "required": ["reply"],
    "additionalProperties": False,
}
ASKED: Final = "Hello"
MAX_TOKENS: Final = 64
CUT_AT: Final = 0.3
"""The shipped detector scores the stand-in about 0.34 in an answer, and harmless words 0.2."""


@pytest.fixture(scope="module")
def blocking(real_vllm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """An installation that refuses prompts for one model, and cuts off answers of the others."""
    sections: dict[str, object] = {
        "models": [
            {
                "name": name,
                "upstream": "local",
                "upstream_model": "smollm2",
                "tier": 1,
                "screening": screening,
            }
            for name, screening in SCREENINGS.items()
        ],
        "operating_points": [
            blocks("prompt", 0.9, REFUSING),
            blocks("answer", CUT_AT, *CUTTING),
        ],
    }
    watchgate = Watchgate(tmp_path_factory.mktemp("blocking"), real_vllm, **sections)
    key = watchgate.create_key("acme")
    with watchgate:
        yield Watched(watchgate, key, real_vllm)


def blocks(part: str, threshold: float, *models: str) -> dict[str, object]:
    point = {"detector": "lexical", "category": "any", "action": "block", "models": list(models)}
    return {**point, "part": part, "threshold": threshold}


streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
cutting = pytest.mark.parametrize("model", CUTTING)

# Prompts


@streams
def test_a_blocked_chat_is_a_bad_request(blocking: Watched, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        blocking.openai().chat.completions.create(
            model=REFUSING, messages=[{"role": "user", "content": MISUSE}], stream=stream
        )
    assert caught.value.code == "content_filter"


@streams
def test_a_blocked_completion_is_a_bad_request(blocking: Watched, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        blocking.openai().completions.create(model=REFUSING, prompt=MISUSE, stream=stream)
    assert caught.value.code == "content_filter"


@streams
def test_a_blocked_response_is_a_bad_request(blocking: Watched, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        blocking.openai().responses.create(model=REFUSING, input=MISUSE, stream=stream)
    assert caught.value.code == "content_filter"


@streams
def test_a_blocked_message_is_a_bad_request_in_the_shape_of_the_api(
    blocking: Watched, stream: bool
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        blocking.anthropic().messages.create(
            model=REFUSING,
            messages=[{"role": "user", "content": MISUSE}],
            max_tokens=4,
            stream=stream,
        )
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.body["error"]["code"] == "content_filter"


def test_a_blocked_prompt_is_not_tried_again(blocking: Watched) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        blocking.openai().chat.completions.create(
            model=REFUSING, messages=[{"role": "system", "content": MISUSE}]
        )
    assert caught.value.response.headers["x-should-retry"] == "false"


# Answers


@cutting
def test_a_chat_that_is_cut_off_ends_for_the_content_filter(blocking: Watched, model: str) -> None:
    answer = blocking.openai().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": ASKED}],
        response_format={"type": "json_schema", "json_schema": {"name": "r", "schema": SCHEMA}},
        max_tokens=MAX_TOKENS,
        temperature=0,
    )
    [choice] = answer.choices
    assert choice.finish_reason == "content_filter"
    assert not choice.message.content


@cutting
def test_a_streamed_chat_that_is_cut_off_ends_for_the_content_filter(
    blocking: Watched, model: str
) -> None:
    chunks = list(
        blocking.openai().chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": ASKED}],
            response_format={"type": "json_schema", "json_schema": {"name": "r", "schema": SCHEMA}},
            max_tokens=MAX_TOKENS,
            temperature=0,
            stream=True,
        )
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert choices[-1].finish_reason == "content_filter"
    assert not "".join(choice.delta.content or "" for choice in choices)
    blocking.wait_until_idle()


@cutting
def test_a_response_that_is_cut_off_is_incomplete_for_the_content_filter(
    blocking: Watched, model: str
) -> None:
    answer = blocking.openai().responses.create(
        model=model,
        input=ASKED,
        text={"format": {"type": "json_schema", "name": "reply", "schema": SCHEMA}},
        max_output_tokens=MAX_TOKENS,
        temperature=0,
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "content_filter"
    assert not answer.output_text


@cutting
def test_a_streamed_response_that_is_cut_off_ends_as_incomplete(
    blocking: Watched, model: str
) -> None:
    events = list(
        blocking.openai().responses.create(
            model=model,
            input=ASKED,
            text={"format": {"type": "json_schema", "name": "reply", "schema": SCHEMA}},
            max_output_tokens=MAX_TOKENS,
            temperature=0,
            stream=True,
        )
    )
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "content_filter"
    assert not [event for event in events if event.type == "response.output_text.delta"]


@cutting
def test_a_message_that_is_cut_off_ends_with_a_refusal(blocking: Watched, model: str) -> None:
    answer = blocking.anthropic().messages.create(
        model=model,
        messages=[{"role": "user", "content": ASKED}],
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        max_tokens=MAX_TOKENS,
        extra_body={"temperature": 0},
    )
    assert answer.stop_reason == "refusal"
    assert not answer.content


@cutting
def test_a_streamed_message_that_is_cut_off_ends_with_a_refusal(
    blocking: Watched, model: str
) -> None:
    with blocking.anthropic().messages.stream(
        model=model,
        messages=[{"role": "user", "content": ASKED}],
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        max_tokens=MAX_TOKENS,
        extra_body={"temperature": 0},
    ) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert answer.stop_reason == "refusal"
    assert not text


@cutting
def test_a_tools_call_that_is_cut_off_is_not_released(blocking: Watched, model: str) -> None:
    chunks = list(
        blocking.openai().chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": ASKED}],
            tools=[
                {
                    "type": "function",
                    "function": {"name": "reply", "strict": True, "parameters": SCHEMA},
                }
            ],
            tool_choice={"type": "function", "function": {"name": "reply"}},
            max_tokens=MAX_TOKENS * 2,
            stream=True,
        )
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert choices[-1].finish_reason == "content_filter"
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert not [call for call in calls if call.function and call.function.arguments]
