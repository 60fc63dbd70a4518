import json
import urllib.error
import urllib.request
from typing import Any

import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

ANSWER_LIMIT_S = 120.0
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def post(base_url: str, body: dict[str, Any], **headers: str) -> bytes:
    request = urllib.request.Request(  # noqa: S310 — our own http URL
        f"{base_url}/v1/chat/completions",
        json.dumps({"model": "smollm2", "temperature": 0, "max_tokens": 16, **body}).encode(),
        {"Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as answer:  # noqa: S310
        return bytes(answer.read())


def refusal(base_url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(base_url, body)
    with caught.value as answer:
        return answer.code, json.loads(answer.read())["error"]


def test_the_small_model_gives_a_sensible_answer_under_the_request_id_it_was_sent(
    real_vllm: str,
) -> None:
    answer = json.loads(post(real_vllm, {"messages": QUESTION}, **{"X-Request-Id": "abc"}))

    assert answer["id"].startswith("chatcmpl-abc")
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 0


def test_a_stream_brings_the_same_answer_in_pieces_then_usage_then_done(real_vllm: str) -> None:
    body = {"messages": QUESTION, "stream": True, "stream_options": {"include_usage": True}}

    lines = [line for line in post(real_vllm, body).decode().split("\n\n") if line]

    assert all(line.startswith("data: ") for line in lines)
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1])
    assert "Paris" in text


def test_an_unknown_model_is_404(real_vllm: str) -> None:
    code, error = refusal(real_vllm, {"messages": QUESTION, "model": "nope"})

    assert (code, error["code"], error["type"]) == (404, 404, "NotFoundError")


def test_a_prompt_longer_than_the_context_is_400_even_when_streaming(real_vllm: str) -> None:
    messages = [{"role": "user", "content": "word " * 3000}]

    code, error = refusal(real_vllm, {"messages": messages, "stream": True})

    assert (code, error["code"], error["param"]) == (400, 400, "input_tokens")
