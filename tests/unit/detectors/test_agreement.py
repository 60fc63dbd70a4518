"""What the evaluation says when production scores and training's part."""

from typing import Any

import numpy as np
import pytest

from detectors.agreement import disagreements
from detectors.api import Part, Sample
from detectors.data import Row
from detectors.lexical import Head, Lexical
from detectors.log_odds import straight
from detectors.native import Library, NativeWeights
from detectors.plain import OfKind, PlainWeights

TEXTS = [
    "",
    "...",
    "one two",
    "Où est la gare?",
    "one two three " * 400,
    " ".join(map(str, range(700))),
    "b25lIHR3byB0aHJlZSBmb3VyIGZpdmU=",
    "今天天气怎么样",
]

SHIFT = 1.5


@pytest.fixture(params=["python", "native"])
def detector(request: pytest.FixtureRequest, random_weights: list[int]) -> Lexical:
    library: Library = request.getfixturevalue("library")
    kinds = [OfKind(random_weights, SHIFT, 0.5)]
    words = PlainWeights(kinds) if request.param == "python" else NativeWeights(library, kinds)
    return Lexical({Part.PROMPT: Head(words, straight(2, -1))}, "1", request.param)


@pytest.fixture
def rows() -> list[Row]:
    return [Row(str(n), text, 0, "stand-in", "MIT") for n, text in enumerate(TEXTS)]


def content_of(weights: list[int]) -> dict[str, Any]:
    return {
        "prompt": {
            "kinds": {
                "request": {
                    "weights": np.array(weights, np.int16),
                    "shift": SHIFT,
                    "intercept": 0.5,
                }
            },
            "mean": False,
        }
    }


def test_scores_of_the_same_weights_agree_on_both_engines(
    detector: Lexical, rows: list[Row], random_weights: list[int]
) -> None:
    assert rows[0].sample == Sample("", Part.PROMPT)
    assert disagreements(detector, content_of(random_weights), rows) == []


def test_a_part_without_rows_has_nothing_to_disagree_on(
    detector: Lexical, random_weights: list[int]
) -> None:
    assert disagreements(detector, content_of(random_weights), []) == []


def test_each_way_of_scoring_that_disagrees_is_named(
    detector: Lexical, rows: list[Row], random_weights: list[int]
) -> None:
    other = [-it for it in random_weights]

    at_once, growing = disagreements(detector, content_of(other), rows)

    assert at_once.startswith("prompt: a text at once is ")
    assert growing.startswith("prompt: a growing text is ")
