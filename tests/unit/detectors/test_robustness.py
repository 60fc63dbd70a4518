"""The battery, with detectors whose weaknesses are known."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from detectors.api import Category, Part, Sample
from detectors.battery import BATTERY
from detectors.data import Row
from detectors.estimates import Estimate, Key, Needs, Options
from detectors.evaluation import evaluate
from detectors.robustness import PLAIN

OPTIONS = Options(needs=Needs(rows=10, above=1), battery_rows=20)
BAD = "badthing"
"""A harmless stand-in for misuse."""
RECALL, KEPT = "recall_at_1pct", "recall_kept"
FLAGGED = "flagged_at_1pct"


class Rule:
    """Gives 0.9 to texts that a rule finds, 0.1 to others."""

    name = "rule"
    version = "1"
    parts = frozenset(Part)

    def __init__(self, finds: Callable[[str], bool]) -> None:
        self._finds = finds

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [{Category.ANY: 0.9 if self._finds(it.text) else 0.1} for it in samples]


ROWS = [
    Row(f"{source}-{number}", f"please {word} number {number}", label, source, "MIT")
    for source, label, word in (("calm", 0, "bake"), ("loud", 1, BAD), ("shrill", 1, BAD))
    for number in range(200 if label == 0 else 30)
]


def battery(finds: Callable[[str], bool], options: Options = OPTIONS) -> dict[Key, Estimate]:
    reports = evaluate(Rule(finds), ROWS, lambda _: None, options=options)
    figures = reports[Part.PROMPT].figures
    return {key: it for key, it in figures.items() if key[0] == "robustness"}


def test_a_word_is_lost_when_it_is_written_otherwise_and_kept_when_it_is_not() -> None:
    found = battery(lambda text: BAD in text)

    assert found["robustness", PLAIN, RECALL].value == 1
    assert found["robustness", "upper case", KEPT].value == 0
    assert found["robustness", "base64", KEPT].value == 0
    assert found["robustness", "padded before 8k", KEPT].value == 1
    assert found["robustness", "split over turns", KEPT].value == 1
    assert {key[1] for key in found} == {PLAIN, *BATTERY}


def test_who_flags_whatever_is_encoded_is_seen_to() -> None:
    found = battery(lambda text: BAD in text or " " not in text)

    assert found["robustness", "base64", KEPT].value == 1
    assert found["robustness", "base64", FLAGGED].value == 1
    assert found["robustness", "base64", "auroc"].value == 0.5
    assert found["robustness", PLAIN, FLAGGED].value == 0


def test_a_recall_of_nothing_has_the_exact_interval() -> None:
    found = battery(lambda text: BAD in text)["robustness", "rot13", RECALL]

    assert found.exact
    assert found.low == 0
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 40))


def test_who_finds_nothing_as_it_is_has_nothing_to_keep() -> None:
    assert ("robustness", "base64", KEPT) not in battery(lambda _: False)


def test_the_battery_can_be_left_out_and_says_so() -> None:
    options = Options(needs=OPTIONS.needs, battery_rows=0)

    reports = evaluate(Rule(lambda _: False), ROWS, lambda _: None, options=options)

    assert "robustness" not in {key[0] for key in reports[Part.PROMPT].figures}
    lack = reports[Part.PROMPT].lacking["robustness", PLAIN, RECALL]
    assert lack == "the battery was left out"


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (Needs(rows=31, above=1), "no source has 31 misuse rows"),
        (Needs(rows=10, above=10), "200 benign rows, but 1,000 are needed"),
    ],
)
def test_too_few_rows_leave_the_battery_out(needs: Needs, words: str) -> None:
    seen: list[str] = []

    def finds(text: str) -> bool:
        seen.append(text)
        return False

    reports = evaluate(Rule(finds), ROWS, lambda _: None, options=Options(needs=needs))

    assert reports[Part.PROMPT].lacking["robustness", PLAIN, RECALL] == words
    assert len(seen) == len(ROWS)


def test_of_an_exchange_the_answer_is_written_otherwise() -> None:
    rows = [
        Row(row.id, "a question", row.label, row.source, "MIT", response=row.text) for row in ROWS
    ]
    prompts: set[str] = set()

    class Watching(Rule):
        parts = frozenset({Part.EXCHANGE})

        def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
            prompts.update(sample.prompt for sample in samples)
            return super().score(samples)

    reports = evaluate(Watching(lambda it: BAD in it), rows, lambda _: None, options=OPTIONS)

    assert reports[Part.EXCHANGE].figures["robustness", "rot13", KEPT].value == 0
    assert prompts == {"a question"}
