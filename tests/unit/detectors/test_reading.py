from pathlib import Path

import msgspec
import pytest

from detectors.data import RIGHT as RIGHT_FOR_EVALUATION
from detectors.data import Row
from detectors.reading import no_row, unreadable
from detectors.retraining.rows import RIGHT as RIGHT_FOR_TRAINING
from detectors.retraining.rows import OwnRow
from detectors.score_rows import RIGHT as RIGHT_FOR_SCORING
from detectors.score_rows import Given

RIGHTS = [(RIGHT_FOR_SCORING, Given), (RIGHT_FOR_TRAINING, OwnRow), (RIGHT_FOR_EVALUATION, Row)]


@pytest.mark.parametrize(("right", "row"), RIGHTS)
def test_the_line_that_is_called_right_is_right(right: str, row: type[msgspec.Struct]) -> None:
    line, _, _ = right.partition(", with ")

    msgspec.json.decode(line, type=row)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"id": 1, "text": "secret"', "it is not JSON"),
        (b'{"id": 1, "text": "secret \xe2"}', "it is not UTF-8"),
        (b"[" * 100_000, "it is not JSON"),
        (b'["secret"]', "it is not a JSON object"),
        (b'{"secret": 1}', "it has no id"),
        (b'{"id": 1, "text": null}', "its text is not a string"),
        (
            b'{"id": 1, "text": "secret", "categories": ["secret", 1]}',
            "its categories is not a list",
        ),
        (b'{"id": 1, "text": "secret", "label": "secret"}', "its label is not a whole number"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_without_a_word_of_it(line: bytes, why: str) -> None:
    told = no_row(line, OwnRow, "like this")

    assert told.startswith(why)
    assert told.endswith("; a right line is like this")
    assert "secret" not in told


def test_a_file_that_is_not_utf8_is_named_with_the_place() -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        b"secret \xe2".decode()

    told = str(unreadable(Path("x.txt"), caught.value, "a file of UTF-8 text"))

    assert told == "x.txt is not UTF-8: unexpected end of data at byte 7; name a file of UTF-8 text"
