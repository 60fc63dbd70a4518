"""docs/tutorials, word for word, in front of what answers as vLLM does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.real_parts.documents import DOCS, Document, ids_of_run
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


KEY = "sk-wg-" + "k" * 43


@pytest.mark.parametrize(
    ("expected", "printed", "ids"),
    [
        ("2 rows\n", "17 rows", {}),
        ("begin\n…\nend 1", "begin\nanything\nend 2\n", {}),
        ("begin …", "begin", {}),
        ('"key": "sk-wg-abcdef…", …', f'"key": "{KEY}", 1', {"sk-wg-abcdef…": KEY}),
        ("op_111111111111 op_111111111111", "op_aaaaaaaaaaaa " * 2,
         {"op_111111111111": "op_aaaaaaaaaaaa"}),
        ("op_111111111111 op_111111111111", "op_aaaaaaaaaaaa op_bbbbbbbbbbbb", None),
        ("2 rows", "2 lines", None),
        ("begin … end", "begin end of it", None),
        ("begin … end", "it begins: begin end", None),
    ],
)  # fmt: skip
def test_what_is_printed_is_held_to_the_document(
    expected: str, printed: str, ids: dict[str, str] | None
) -> None:
    assert ids_of_run(expected, printed) == ids


def test_an_id_that_is_known_must_come_again() -> None:
    said, real, other = "key_" + "1" * 12, "key_" + "a" * 12, "key_" + "b" * 12

    assert ids_of_run(said, real, {said: real}) == {said: real}
    assert ids_of_run(said, other, {said: real}) is None
