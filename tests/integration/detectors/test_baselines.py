import sys
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest

from detectors.api import Category, Detector, Part, Sample
from detectors.baselines import MAKERS, PROFANITY, Baseline, baselines
from detectors.data import Row

ROWS = [
    Row(f"{label}{answer}{n}", f"{word} number {n}", label, word, "MIT", answer and f"{word} {n}")
    for label, word in ((0, "bake"), (1, "badthing"))
    for answer in (None, "yes")
    for n in range(12)
]


@pytest.fixture(scope="module")
def trained() -> list[Detector]:
    return ours(ROWS)


def ours(rows: Sequence[Row]) -> list[Detector]:
    """What is trained here, without what may be installed."""
    return [it for it in baselines(rows, lambda _: None) if isinstance(it, Baseline)]


def test_each_baseline_learns_prompts_and_answers(trained: list[Detector]) -> None:
    for detector in trained:
        assert detector.parts == {Part.PROMPT, Part.ANSWER}
        samples = [Sample(text, part) for part in detector.parts for text in ("bake", "badthing")]
        scores = [it[Category.ANY] for it in detector.score(samples)]
        assert scores[0] < 0.5 < scores[1]
        assert scores[2] < 0.5 < scores[3]


def test_the_same_rows_give_the_same_scores(trained: list[Detector]) -> None:
    again = ours(ROWS)

    assert [it.name for it in trained] == list(MAKERS)
    for one, other in zip(trained, again, strict=True):
        samples = [Sample("bake a badthing", Part.PROMPT), Sample("", Part.PROMPT)]
        assert one.score(samples) == other.score(samples)
        assert one.score([]) == []


def test_a_part_of_one_label_is_left_out() -> None:
    rows = [row for row in ROWS if row.response is None or row.label == 0]

    assert {it.parts for it in ours(rows)} == {frozenset({Part.PROMPT})}


def test_alt_profanity_check_joins_in_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in = ModuleType(PROFANITY)
    vars(stand_in)["predict_prob"] = lambda texts: np.full(len(texts), 0.25)
    vars(stand_in)["__spec__"] = sys.__spec__
    monkeypatch.setitem(sys.modules, PROFANITY, stand_in)

    [found] = baselines([], lambda _: None)

    assert found.name == "baseline alt-profanity-check"
    assert found.score([Sample("a", Part.PROMPT)]) == [{Category.ANY: 0.25}]
    assert found.score([]) == []
