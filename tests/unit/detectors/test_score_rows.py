import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part, Sample
from detectors.errors import DataError
from detectors.score_rows import BATCH_ROWS, score_rows


class Lengths:
    """Scores a text by its length; keeps what it was asked."""

    name, version = "lengths", "1"

    def __init__(self, *parts: Part, category: Category = Category.ANY) -> None:
        self.parts = frozenset(parts)
        self.asked: list[Sample] = []
        self._category = category

    def score(self, samples: Sequence[Sample]) -> Sequence[Mapping[Category, float]]:
        self.asked += samples
        return [{self._category: min(1.0, len(it.text) / 10), Category.BIO: 0.5} for it in samples]


def file_of(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def scored(detector: Lengths, source: Path) -> list[dict[str, Any]]:
    target = source.with_name("scores.jsonl")
    count = score_rows(detector, source, target, show_progress=False)
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert len(lines) == count
    return lines


def test_each_row_has_a_line_with_its_id(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "text": "x" * (n % 10), "more": [1]} for n in range(BATCH_ROWS * 2 + 3)]
    lines = scored(Lengths(*Part), file_of(tmp_path, *rows))
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert lines[3] == {"id": "r3", "misuse": 0.3, "categories": {"bio": 0.5}}


@pytest.mark.parametrize(
    ("parts", "sample"),
    [
        ({Part.ANSWER, Part.EXCHANGE}, Sample("answer", Part.EXCHANGE, "question")),
        ({Part.ANSWER}, Sample("answer", Part.ANSWER)),
    ],
)
def test_a_row_with_a_response_is_an_exchange_where_they_are_judged(
    tmp_path: Path, parts: set[Part], sample: Sample
) -> None:
    detector = Lengths(*parts)
    scored(detector, file_of(tmp_path, {"id": 7, "text": "question", "response": "answer"}))
    assert detector.asked == [sample]


def test_without_a_score_of_any_the_highest_category_is_the_misuse(tmp_path: Path) -> None:
    rows = file_of(tmp_path, {"id": 1, "text": "x" * 8}, {"id": 2, "text": ""})
    lines = scored(Lengths(Part.PROMPT, category=Category.CYBER), rows)
    assert [(it["misuse"], it["categories"]["cyber"]) for it in lines] == [(0.8, 0.8), (0.5, 0.0)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id": 1}', "line 2: it has no text"),
        (b'"secret"', "line 2: it is not a JSON object"),
        (b"not json", r"line 2: it is not JSON; a right line is \{\"id\": 1"),
        (b'{"id": 1, "text": "secret \xe2"}', "line 2: it is not UTF-8"),
        (
            b'{"id": [], "text": "secret"}',
            "line 2: its id is not a string or a whole number; a right line",
        ),
        (
            b'{"id": 1, "text": "secret", "response": "x"}',
            "line 2: .*the part answer; scored are: prompt",
        ),
    ],
)
def test_a_line_that_is_no_row_is_named_and_no_half_of_a_file_is_left(
    tmp_path: Path, line: bytes, words: str
) -> None:
    source, target = tmp_path / "rows.jsonl", tmp_path / "scores.jsonl"
    source.write_bytes(b'{"id": 0, "text": "fine"}\n' + line + b"\n")
    with pytest.raises(DataError, match=words) as caught:
        score_rows(Lengths(Part.PROMPT), source, target, show_progress=False)
    assert "secret" not in str(caught.value)
    assert [it.name for it in tmp_path.iterdir()] == ["rows.jsonl"]


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.jsonl"):
        score_rows(Lengths(*Part), tmp_path / "absent.jsonl", tmp_path / "x", show_progress=False)
    source = file_of(tmp_path, {"id": 1, "text": ""})
    for target, words in (
        (tmp_path / "nowhere" / "x", "nowhere/x cannot be written"),
        (tmp_path, "cannot be written: name a file"),
        (tmp_path / "." / source.name, "holds the rows"),
    ):
        before = source.read_bytes()
        with pytest.raises(DataError, match=words):
            score_rows(Lengths(*Part), source, target, show_progress=False)
        assert source.read_bytes() == before
