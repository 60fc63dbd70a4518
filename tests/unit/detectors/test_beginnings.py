"""Beginnings of answers, with a detector that takes fright at certain first words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from detectors import beginnings
from detectors.api import Category, Part, Sample
from detectors.beginnings import BEGUN, CROSSED, KIND, POINT, WHOLE, lengths_chars
from detectors.data import Row
from detectors.estimates import Needs, Options
from detectors.evaluation import as_json, evaluate
from detectors.tables import markdown, tables

FRIGHT = "frightful"
SCREENING = Path(__file__).resolve().parents[3] / "docs" / "screening.md"
OPTIONS = Options(needs=Needs(rows=10, above=1), battery_rows=40)


def score(text: str) -> Mapping[Category, float]:
    """High while a text is the word of fright and little more."""
    return {Category.ANY: POINT if FRIGHT in text and len(text) < 20 else 0.1}


class Timid:
    """Scores whole texts."""

    name, version = "timid", "1"
    parts = frozenset(Part)

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [score(it.text) for it in samples]


class Inline(Timid):
    """Scores growing ones, too."""

    engine, max_chars = "python", 10_000

    def score_text(self, text: str, _part: Part) -> Mapping[Category, float]:
        return score(text)

    def growing(self, _part: Part) -> "Growing":
        return Growing()


class Growing:
    """A text so far."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, text: str) -> Mapping[Category, float]:
        self._text += text
        return score(self._text)


def rows_of(*starts: str, each: int = 10) -> list[Row]:
    return [
        Row(f"{start}-{n}", "what?", 0, "calm", "MIT", f"{start} and then much that is harmless")
        for start in starts
        for n in range(each)
    ]


@pytest.mark.parametrize("part", [Part.ANSWER, Part.EXCHANGE])
def test_what_first_words_cross_is_told_beside_what_the_whole_does(part: Part) -> None:
    found = beginnings.measure(Inline(), rows_of(FRIGHT, "fine", "good", "well"), part, OPTIONS)

    whole, begun = (found.figures[KIND, name, CROSSED] for name in (WHOLE, BEGUN))
    assert (whole.value, begun.value) == (0, 0.25)
    assert (round(begun.low, 4), round(begun.high, 4)) == (0.1269, 0.4120)  # 10 of 40
    assert begun.exact
    assert found.rows == {(KIND, WHOLE): 40, (KIND, BEGUN): 40}


def test_a_whole_that_crosses_is_a_beginning_of_itself() -> None:
    rows = [Row(str(n), "what?", 0, "calm", "MIT", FRIGHT) for n in range(10)]
    found = beginnings.measure(Inline(), rows, Part.ANSWER, OPTIONS)

    assert {it.value for it in found.figures.values()} == {1}


def test_so_many_rows_of_a_source_are_taken_and_none_of_misuse() -> None:
    bad = [Row(str(n), "what?", 1, "loud", "MIT", FRIGHT) for n in range(30)]
    found = beginnings.measure(Inline(), [*rows_of("fine", each=90), *bad], Part.ANSWER, OPTIONS)

    assert found.rows[KIND, BEGUN] == 40
    assert found.figures[KIND, BEGUN, CROSSED].value == 0


@pytest.mark.parametrize(
    ("detector", "rows", "options", "why"),
    [
        (Timid(), 40, OPTIONS, "scores no growing text"),
        (Inline(), 40, Options(battery_rows=0), "the battery was left out"),
        (Inline(), 9, OPTIONS, "9 benign rows, but 10 are needed"),
    ],
)
def test_what_is_not_measured_says_why(
    detector: Timid, rows: int, options: Options, why: str
) -> None:
    found = beginnings.measure(detector, rows_of("fine", each=rows), Part.ANSWER, options)

    assert not found.figures
    assert why in found.lacking[KIND, BEGUN, CROSSED]


def test_prompts_come_as_a_whole() -> None:
    found = beginnings.measure(Timid(), rows_of("fine", each=40), Part.PROMPT, OPTIONS)

    assert found == beginnings.Beginnings()


def test_the_report_tells_it() -> None:
    reports = evaluate(Inline(), rows_of(FRIGHT, "fine"), lambda _: None, options=OPTIONS)
    lines = [line for it in tables(reports[Part.ANSWER]) for line in markdown(it)]

    assert "### Beginnings of harmless answers" in lines
    assert f"| {BEGUN} | 20 | 0.500 (0.272 to 0.728) † |" in lines
    assert as_json(reports[Part.ANSWER])[KIND][BEGUN][CROSSED][0] == 0.5


def test_the_report_says_that_it_is_not_measured() -> None:
    reports = evaluate(Timid(), rows_of("fine", each=40), lambda _: None, options=OPTIONS)
    lines = [line for it in tables(reports[Part.ANSWER]) for line in markdown(it)]

    assert any(line.startswith("- This cannot be measured: it scores no growing") for line in lines)


def test_the_beginnings_of_an_exchange_are_few() -> None:
    lengths = list(lengths_chars(10_000))

    assert lengths[:3] == [4, 8, 12]
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == 10_000
    assert sum(lengths) < 10 * 10_000
    assert list(lengths_chars(0)) == []


def test_the_point_is_that_of_the_example() -> None:
    _, _, rest = SCREENING.read_text().partition("```yaml\n")
    example = yaml.safe_load(rest.partition("```")[0])

    thresholds = {it["threshold"] for it in example["operating_points"] if it["part"] == "answer"}
    assert thresholds == {POINT}
