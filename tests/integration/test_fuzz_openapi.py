"""The gateway holds to docs/openapi.json, whatever it is asked."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tests.real_parts.gateway import KEY, MODEL, answer_of, chat_body, gateway_before
from tests.real_parts.loops import on_uvloop
from tests.real_parts.scripted import answering

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
OPERATIONS: Final = [
    (path, method)
    for path, methods in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
    for method in methods
]
MESSAGE: Final = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
ANSWERS: Final[dict[str, object]] = {
    "/v1/messages": MESSAGE,
    "/v1/messages/count_tokens": {"input_tokens": 1},
    "/v1/responses": {"id": "r", "object": "response", "status": "completed", "output": []},
    "/v1/embeddings": {"object": "list", "data": [], "model": "m"},
}
"""Of the surfaces whose answers are no chat's."""
HEADERS: Final = {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@on_uvloop
async def test_every_answer_is_one_that_the_document_names(
    tmp_path: Path, path: str, method: str, mode: GenerationMode
) -> None:
    document = schemathesis.openapi.from_path(DOCUMENT)
    operation = document[path][method]

    answer = answer_of(ANSWERS.get(path, chat_body()))
    async with gateway_before(answering(answer), folder=tmp_path) as gateway:

        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case[Any]) -> None:
            if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
                case.body["model"] = MODEL  # else nearly all would end as model_not_found
            address = f"http://127.0.0.1:{gateway.port}"
            case.call_and_validate(address, headers=HEADERS, timeout=10)

        await asyncio.to_thread(ask)
