"""Verdicts on what probes inside the model read: with the end of an exchange, and never made up."""

from collections.abc import Mapping, Sequence

import pytest
from msgspec import structs

from detectors.api import Category, Part, Reading, Sample
from detectors.cascade import Cascade, Stage
from service.core import probed
from service.core.screening import Point
from service.events.log import Received
from service.events.schema import ReadByProbes, Verdict
from tests.unit.service.workers.screening_parts import (
    Screening,
    WordDetector,
    answer_content,
    closed,
    prompt,
    received,
)

DIGEST = "d" * 64
PROMPT, ANSWER = probed.Reading(30, 30, (0.9,)), probed.Reading(20, 19, (0.4,))
PAGE = Point("probe/any/prompt/page", "probe", Category.ANY, Part.PROMPT, 0.5, "page", frozenset())


class ReadingOnly:
    """Takes the first number of a reading for the score."""

    name, version, probes = "probe", "1", DIGEST
    parts = frozenset({Part.PROMPT, Part.ANSWER, Part.EXCHANGE})
    categories = frozenset({Category.ANY})

    def categories_of(self, part: Part) -> frozenset[Category]:
        return self.categories if part in self.parts else frozenset()

    def understands(self, reading: Reading | None) -> bool:
        return (
            reading is not None and reading.probes == DIGEST and reading.read * 2 > reading.tokens
        )

    def score_reading(self, reading: Reading, part: Part) -> Mapping[Category, float]:
        assert part in self.parts
        return {Category.ANY: reading.log_odds[0]}

    def score(self, samples: Sequence[Sample]) -> Sequence[Mapping[Category, float]]:
        return [
            self.score_reading(it.reading, it.part)
            if it.reading is not None and self.understands(it.reading)
            else {}
            for it in samples
        ]


def ended(
    told: probed.Probed | None, text: str = "an answer", key_id: str | None = None, served: int = 1
) -> Received:
    event = structs.replace(closed(served_number=served), probed=told)
    return received(event, answer_content(text), key_id=key_id)


TOLD = probed.Probed(DIGEST, ("any",), PROMPT, ANSWER)


def by_part(verdicts: Sequence[Verdict], detector: str = "probe") -> dict[str, Verdict]:
    return {it.part: it for it in verdicts if it.detector == detector}


def test_a_prompt_is_judged_by_what_was_read_once_its_exchange_has_ended() -> None:
    screening = Screening(WordDetector(), ReadingOnly(), points=[PAGE])
    first = screening(prompt("a question"))
    assert [it.detector for it in first] == ["words"]
    assert first[-1].completes
    found = by_part(screening(ended(TOLD)))
    assert {part: it.scores for part, it in found.items()} == {
        "prompt": {"any": 0.9},
        "answer": {"any": 0.4},
        "exchange": {"any": 0.4},
    }
    assert found["prompt"].read == ReadByProbes(DIGEST, 30, 30)
    assert found["answer"].read == ReadByProbes(DIGEST, 20, 19)
    assert [it.point for it in found["prompt"].crossed] == [PAGE.name]
    assert not found["prompt"].completes  # what was said of its text did


def test_a_text_is_covered_by_who_reads_it_and_not_by_a_reading_that_is_missing() -> None:
    nothing = probed.Probed("", ())
    verdicts = Screening(WordDetector(), ReadingOnly())(ended(nothing))
    assert {(it.part, it.unscanned) for it in verdicts if it.detector == "probe"} == {
        ("prompt", "no_reading"),
        ("answer", "no_reading"),
        ("exchange", "no_reading"),
    }
    assert [it.part for it in verdicts if it.completes] == ["answer"]
    alone = Screening(ReadingOnly())(ended(nothing))
    assert not any(it.completes for it in alone)
    assert "no_detector" in {it.unscanned for it in alone}


@pytest.mark.parametrize(
    "told",
    [
        probed.Probed("other", ("any",), PROMPT, ANSWER),
        probed.Probed(DIGEST, ("any",), structs.replace(PROMPT, read=5), None),
    ],
    ids=["of other probes", "too little was read"],
)
def test_what_a_detector_does_not_understand_it_says_nothing_of(told: probed.Probed) -> None:
    found = by_part(Screening(WordDetector(), ReadingOnly())(ended(told)))
    assert {it.unscanned for it in found.values()} == {"no_reading"}
    assert not any(it.scores for it in found.values())


def counted(tokens: int | None, **fields: object) -> Received:
    event = structs.replace(closed(), probed=TOLD, completion_tokens=tokens, **fields)
    return received(event, answer_content("an answer, " * 100))


@pytest.mark.parametrize(("tokens", "is_whole"), [(28, True), (60, False), (None, False)])
def test_a_reading_that_stopped_midway_is_none_of_the_whole_answer(
    tokens: int | None, is_whole: bool
) -> None:
    found = by_part(Screening(WordDetector(), ReadingOnly())(counted(tokens)))["answer"]
    assert (found.unscanned is None) == is_whole


def test_of_several_answers_the_last_tokens_of_each_may_be_untold() -> None:
    found = by_part(Screening(ReadingOnly())(counted(50, finish_reasons=("stop",) * 3)))
    assert found["answer"].scores == {"any": 0.4}


def test_a_reading_alone_does_not_cover_a_text() -> None:
    verdicts = Screening(ReadingOnly())(ended(TOLD))
    assert by_part(verdicts)["answer"].scores == {"any": 0.4}
    assert not any(it.completes for it in verdicts)


def test_a_detector_of_readings_that_fails_leaves_the_text_to_others() -> None:
    class Failing(ReadingOnly):
        def score_reading(self, reading: Reading, part: Part) -> Mapping[Category, float]:
            raise RuntimeError(f"this detector fails on {part}: {reading.tokens}")

    screening = Screening(WordDetector(), Failing())
    verdicts = screening(ended(TOLD))
    assert by_part(verdicts)["answer"].unscanned == "detector_error"
    assert by_part(verdicts, "words")["answer"].scores
    assert screening.metric("detector_errors_total", detector="probe") == 3


def test_a_stage_that_is_not_for_prompts_judges_none() -> None:
    stages = [Stage(WordDetector()), Stage(ReadingOnly(), only=frozenset({Part.ANSWER}))]
    assert set(by_part(Screening(Cascade("suite", stages))(ended(TOLD)))) == {"answer"}


def test_an_upstream_without_probes_has_no_verdicts_of_them() -> None:
    assert not by_part(Screening(WordDetector(), ReadingOnly())(ended(None)))


def test_an_answer_that_is_encrypted_is_judged_by_its_reading_and_completes_nothing() -> None:
    verdicts = Screening(WordDetector(), ReadingOnly())(ended(TOLD, key_id="k1"))
    assert by_part(verdicts)["answer"].scores == {"any": 0.4}
    assert not any(it.completes for it in verdicts)


def test_a_prompt_is_judged_though_nothing_was_served() -> None:
    verdicts = Screening(WordDetector(), ReadingOnly())(ended(TOLD, served=0))
    assert [(it.part, it.scores) for it in verdicts] == [("prompt", {"any": 0.9})]


def test_the_first_stage_of_a_cascade_decides_by_the_reading_who_else_is_asked() -> None:
    dear = WordDetector("dear")
    cascade = Cascade("suite", [Stage(ReadingOnly()), Stage(dear, band=(0.45, 1.0))])
    screening = Screening(cascade)
    screening(prompt("a bad question"))
    assert [it.text for it in dear.batches[-1]] == ["a bad question"]  # nothing is read yet
    sure = screening(ended(TOLD, "a fine answer"))
    assert [it.text for it in dear.batches[-1]] == ["a bad question"]
    assert by_part(sure, "suite")["answer"].scores == {"any": pytest.approx(0.4)}
    assert by_part(sure)["answer"].read == ReadByProbes(DIGEST, 20, 19)
    assert by_part(sure)["prompt"].scores == {"any": 0.9}
    unsure = screening(ended(probed.Probed("", ()), "a bad answer"))
    assert [it.text for it in dear.batches[-1]] == ["a bad answer"]
    assert by_part(unsure, "suite")["answer"].scores == {"any": pytest.approx(0.9)}
    assert "answer" not in by_part(unsure)


def test_a_part_that_no_stage_could_say_anything_of_is_not_covered() -> None:
    dear = WordDetector("dear")
    cascade = Cascade("suite", [Stage(ReadingOnly()), Stage(dear, band=(0.9, 1.0))])
    verdicts = Screening(cascade)(ended(probed.Probed("", ())))
    assert by_part(verdicts, "suite")["answer"].unscanned == "detector_error"
    assert not any(it.completes for it in verdicts)


def test_the_same_end_gives_the_same_ids() -> None:
    first, again = (Screening(ReadingOnly())(ended(TOLD)) for _ in range(2))
    assert [it.id for it in first] == [it.id for it in again]
    changed = structs.replace(TOLD, prompt=structs.replace(PROMPT, scores=(0.8,)))
    found = by_part(Screening(ReadingOnly())(ended(changed)))
    assert found["prompt"].id != by_part(first)["prompt"].id
