import hashlib
from pathlib import Path

import pytest

from detectors.errors import DataError
from detectors.retraining.rows import UNLABELLED, RowFile, read

LINES = b"""\
{"id": 1, "text": "bread", "label": 0}

{"id": "ex-2", "text": "ask", "response": "tell", "label": 1, "source": "desk", "licence": "MIT",
"""


def written(tmp_path: Path, blob: bytes) -> RowFile:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(blob)
    return RowFile(path, "ours")


def test_rows_are_read_and_files_described_without_a_text(tmp_path: Path) -> None:
    blob = LINES.replace(b",\n", b', "seen_by": "ann"}\n')
    found = read([written(tmp_path, blob)])

    first, second = found.rows
    assert (first.id, first.label, first.source, first.licence) == ("1", 0, "mine", "ours")
    assert (second.id, second.response, second.source, second.licence) == (
        "ex-2", "tell", "desk", "MIT",
    )  # fmt: skip
    [facts] = found.files
    assert (facts.name, facts.rows, facts.misuse) == ("mine.jsonl", 2, 1)
    assert facts.licences == ("MIT", "ours")
    assert facts.sha256 == hashlib.sha256(blob).hexdigest()


def test_rows_to_look_at_need_no_label(tmp_path: Path) -> None:
    file = written(tmp_path, b'{"id": 1, "text": "bread"}')

    assert read([file], labels_needed=False).rows[0].label == UNLABELLED
    with pytest.raises(DataError, match=r"line 1: label is missing, but must be 0"):
        read([file])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"id": 1, "text": "secret", "label": 2}', "label is 2, but must be 0"),
        (
            b'{"id": 1, "text": "secret", "label": "1"}',
            "its label is not a whole number; a right line",
        ),
        (b'{"id": 1, "label": 1}', "it has no text"),
        (b'{"id": 1, "text": "secret"', "line 1"),
        (b'{"id": 1, "text": "secret\xff", "label": 1}', "line 1"),
        (b"\n\n", "has no rows"),
    ],
)
def test_a_line_that_is_no_row_is_named_without_its_text(
    tmp_path: Path, line: bytes, words: str
) -> None:
    with pytest.raises(DataError) as raised:
        read([written(tmp_path, line)])

    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read"):
        read([RowFile(tmp_path / "none.jsonl")])
