"""docs/tutorials, word for word, in front of what answers as vLLM does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.real_parts.documents import DOCS, Document
from tests.real_parts.kafka_broker import free_port
from tests.real_parts.reader import Reader
from tests.real_parts.vllm_like import VllmLike

WALKED: Final = ("first-alert.md", "threshold.md", "answer-an-alert.md")
"""In the order of a reader: each goes on where the one before has ended."""
NOT_RUN: Final = {
    "make setup\n",
    'export PATH="$PWD/.venv/bin:$PATH"\n',
    "watchgate vllm --prepare\n",
    "watchgate vllm\n",
}
"""The installation: `make test` begins with it, and starts that vLLM for other tests."""
ANSWER: Final[dict[str, Any]] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "smollm2",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Of a capital: Paris."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody on a machine with a vLLM that runs, and other ports than the documents name."""
    answers = {"/v1/chat/completions": ANSWER}
    with VllmLike(models=("smollm2",), answers=answers) as vllm:
        ports = {name: free_port() for name in (8080, 8081, 9464, 9090)}
        with Reader(tmp_path, {8000: vllm.port, **ports}) as one:
            yield one


@pytest.mark.timeout(600)  # half a minute where nothing else runs
def test_the_tutorials_can_be_followed_word_for_word(reader: Reader) -> None:
    for name in WALKED:
        reader.follow(Document(f"tutorials/{name}"))


def test_every_tutorial_is_walked() -> None:
    assert {path.name for path in (DOCS / "tutorials").glob("*.md")} == set(WALKED)


@pytest.mark.parametrize("name", WALKED)
def test_what_is_to_be_typed_is_run_but_for_the_installation(name: str) -> None:
    document = Document(f"tutorials/{name}")
    typed = {line for block in document.blocks("sh") for line in block.splitlines(keepends=True)}

    assert typed <= NOT_RUN
    languages = re.findall(r"^```(\w*)", document.text, re.MULTILINE)
    assert set(languages) - {""} <= {"sh", "console", "yaml", "python"}
    assert document.blocks("console")
