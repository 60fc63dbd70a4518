from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.api import (
    Category,
    Detector,
    LeftOut,
    Part,
    Sample,
    Staged,
    StagedDetector,
    close_all,
)
from detectors.budgets import Budget
from detectors.cascade import Cascade, Combine, Stage, StageUse, log_odds, probability
from detectors.errors import DetectorError

ANY, CYBER = Category.ANY, Category.CYBER
BOTH = frozenset({Part.PROMPT, Part.ANSWER})


class Fixed:
    """Gives what a function of the text says, and keeps what it was asked."""

    def __init__(
        self,
        name: str,
        score: Callable[[str], Mapping[Category, float]],
        parts: frozenset[Part] = BOTH,
    ) -> None:
        self.name, self.version, self.parts = name, "1", parts
        self._score = score
        self.asked: list[str] = []

    def score(self, samples: Sequence[Sample]) -> Sequence[Mapping[Category, float]]:
        found = [self._score(sample.text) for sample in samples]
        self.asked += [sample.text for sample in samples]
        return found


def constant(name: str, score: float, parts: frozenset[Part] = BOTH) -> Fixed:
    return Fixed(name, lambda _text: {ANY: score}, parts)


def by_number(name: str) -> Fixed:
    """Take the text for the score."""
    return Fixed(name, lambda text: {ANY: float(text)})


def prompts(*texts: str) -> list[Sample]:
    return [Sample(text, Part.PROMPT) for text in texts]


def any_of(staged: Staged) -> float:
    assert staged.scores is not None
    return staged.scores[ANY]


def failing(on: str) -> Callable[[str], Mapping[Category, float]]:
    def score(text: str) -> Mapping[Category, float]:
        if text == on:
            raise RuntimeError("this detector fails")
        return {ANY: 0.9}

    return score


def test_a_cascade_is_a_detector_with_stages() -> None:
    cascade: Detector = Cascade("suite", [Stage(constant("a", 0.5))])
    assert isinstance(cascade, StagedDetector)
    assert cascade.parts == BOTH
    assert cascade.versions == {"a": "1"}


def test_a_dear_stage_sees_what_lies_in_its_band_and_the_rest_says_so() -> None:
    dear = constant("dear", 0.9)
    cascade = Cascade("suite", [Stage(by_number("cheap")), Stage(dear, band=(0.2, 0.8))])
    sure, unsure, edge = cascade.score_staged(prompts("0.1", "0.5", "0.8"))
    assert sorted(dear.asked) == ["0.5", "0.8"]
    assert sure.left_out == {"dear": LeftOut.BAND}
    assert any_of(sure) == pytest.approx(0.1)
    assert unsure.by_stage == {"cheap": {ANY: 0.5}, "dear": {ANY: 0.9}}
    assert any_of(unsure) == pytest.approx(0.75)  # odds 1 and 9: their geometric mean is 3
    assert edge.left_out == {}


def test_a_budget_goes_to_the_highest_scores_first() -> None:
    dear = constant("dear", 0.9)
    budget = Budget(0.5, clock=lambda: 0.0, burst_texts=2)
    cascade = Cascade("suite", [Stage(by_number("cheap")), Stage(dear, budget=budget)])
    found = cascade.score_staged(prompts("0.1", "0.7", "0.4", "0.6"))
    assert dear.asked == ["0.7", "0.6"]
    left_out = [it.left_out.get("dear") for it in found]
    assert left_out == [LeftOut.BUDGET, None, LeftOut.BUDGET, None]


@pytest.mark.parametrize(("found", "counts"), [(0.95, 0.95), (0.01, 0.3)])
def test_who_finds_certain_things_counts_only_where_it_found_one(
    found: float, counts: float
) -> None:
    stages = [Stage(constant("a", 0.3)), Stage(constant("rules", found), Combine.MAX)]
    assert Cascade("suite", stages).score(prompts("x")) == [{ANY: pytest.approx(counts)}]


def test_a_shadow_is_recorded_and_does_not_count() -> None:
    shadow = constant("shadow", 0.99, frozenset({Part.PROMPT, Part.EXCHANGE}))
    cascade = Cascade("suite", [Stage(constant("a", 0.3)), Stage(shadow, Combine.SHADOW)])
    [found] = cascade.score_staged(prompts("x"))
    assert any_of(found) == pytest.approx(0.3)
    assert found.by_stage["shadow"] == {ANY: 0.99}
    assert cascade.parts == BOTH


def test_a_stage_is_not_asked_about_parts_that_it_was_not_made_for() -> None:
    of_answers = constant("b", 0.9, frozenset({Part.ANSWER}))
    cascade = Cascade("suite", [Stage(constant("a", 0.3)), Stage(of_answers)])
    [found] = cascade.score_staged(prompts("x"))
    assert found.left_out == {"b": LeftOut.PART}
    assert any_of(found) == pytest.approx(0.3)


@pytest.mark.parametrize("required", [True, False])
def test_a_stage_that_fails_on_one_text_fails_on_that_alone(required: bool) -> None:
    away = Stage(Fixed("b", failing("bad")), required=required)
    cascade = Cascade("suite", [Stage(constant("a", 0.9)), away])
    good, bad = cascade.score_staged(prompts("good", "bad"))
    assert good.by_stage.keys() == {"a", "b"}
    assert bad.left_out == {"b": LeftOut.FAILED}
    assert (bad.scores is None) is required
    if required:
        with pytest.raises(DetectorError, match="suite"):
            cascade.score(prompts("bad"))


def test_where_nobody_has_anything_to_say_there_is_no_score() -> None:
    cascade = Cascade("suite", [Stage(Fixed("a", failing("bad")))])
    [found] = cascade.score_staged(prompts("bad"))
    assert found.scores is None


def test_probabilities_that_are_none_are_a_failure_of_the_stage() -> None:
    cascade = Cascade("suite", [Stage(constant("a", 0.5)), Stage(constant("b", float("nan")))])
    [found] = cascade.score_staged(prompts("x"))
    assert found.left_out == {"b": LeftOut.FAILED}


def test_categories_are_combined_each_among_those_who_score_it() -> None:
    wide = Fixed("wide", lambda _: {ANY: 0.5, CYBER: 0.8})
    cascade = Cascade("suite", [Stage(constant("a", 0.5), weight=3), Stage(wide)])
    assert cascade.score(prompts("x")) == [{ANY: pytest.approx(0.5), CYBER: pytest.approx(0.8)}]


def test_what_each_stage_was_used_for_is_told() -> None:
    told: list[StageUse] = []
    dear = Stage(Fixed("dear", failing("0.7")), band=(0.5, 1.0))
    cascade = Cascade("suite", [Stage(by_number("cheap")), dear], told.append)
    cascade.score_staged(prompts("0.1", "0.6", "0.7"))
    cheap, use = told
    assert (cheap.stage, cheap.scored, cheap.chars, cheap.left_out) == ("cheap", 3, 9, {})
    assert (use.stage, use.scored, use.chars) == ("dear", 1, 3)
    assert use.left_out == {LeftOut.BAND: 1, LeftOut.FAILED: 1}
    assert use.seconds >= 0


def test_a_version_tells_how_the_stages_are_put_together() -> None:
    def version(*stages: Stage) -> str:
        return Cascade("suite", stages).version

    first, second = Stage(constant("a", 0.5)), Stage(constant("b", 0.5))
    assert version(first, second) != version(first, replace(second, weight=2))
    assert version(first, second) != version(first, replace(second, combine=Combine.MAX))
    assert version(first, second) != version(first)
    assert version(first, second) != version(first, replace(second, band=(0.2, 0.8)))


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([], "no stages"),
        ([Stage(constant("a", 0.5)), Stage(constant("a", 0.5))], "a name of its own"),
        ([Stage(constant("suite", 0.5))], "a name of its own"),
        ([Stage(constant("a", 0.5), band=(0.1, 1.0))], "sees everything"),
        ([Stage(constant("a", 0.5), weight=float("inf"))], "over 0, and at most 1000"),
        ([Stage(constant("a", 0.5), weight=float("nan"))], "over 0, and at most 1000"),
        ([Stage(constant("a", 0.5), weight=0.0)], "over 0, and at most 1000"),
        ([Stage(constant("a", 0.5), Combine.SHADOW)], "sees everything"),
    ],
)
def test_a_cascade_that_cannot_work_is_refused(stages: list[Stage], words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        Cascade("suite", stages)


@given(st.floats(1e-5, 1 - 1e-5))
def test_log_odds_are_the_inverse_of_the_probability(score: float) -> None:
    assert probability(log_odds(score)) == pytest.approx(score)


@given(st.lists(st.sampled_from(["0.0", "0.2", "0.5", "0.9", "1.0"]), min_size=1))
def test_a_batch_is_scored_as_each_text_alone(texts: list[str]) -> None:
    stages = [Stage(by_number("cheap")), Stage(constant("dear", 0.9), band=(0.3, 0.95))]
    cascade = Cascade("suite", stages)
    batch = cascade.score(prompts(*texts))
    assert batch == [cascade.score(prompts(text))[0] for text in texts]
    assert all(0 <= scores[ANY] <= 1 for scores in batch)


def test_a_stage_is_asked_about_its_parts_alone_and_its_share_is_one_of_them() -> None:
    dear = constant("dear", 0.9)
    budget = Budget(max_share=0.5, clock=lambda: 0.0, burst_texts=1.0)
    only = frozenset({Part.PROMPT})
    stages = [Stage(constant("cheap", 0.1)), Stage(dear, budget=budget, only=only)]
    cascade = Cascade("suite", stages)
    for _ in range(10):
        _, *answers = cascade.score_staged(
            [Sample("a prompt", Part.PROMPT), *[Sample("an answer", Part.ANSWER)] * 5]
        )
        assert all(it.left_out == {"dear": LeftOut.PART} for it in answers)
    assert len(dear.asked) == 6  # the bucket is full at first; then half of the prompts are
    assert cascade.version.endswith("dear/1/mean/1/prompt")
    assert cascade.parts == BOTH


def test_a_stage_that_would_never_be_asked_is_refused() -> None:
    stage = Stage(constant("dear", 0.9), only=frozenset({Part.EXCHANGE}))
    with pytest.raises(
        DetectorError, match=r"'dear' in 'it' would never be asked: .* answer, prompt"
    ):
        Cascade("it", [Stage(constant("cheap", 0.1)), stage])


def test_a_stage_is_replaced_by_name_and_its_budget_goes_on() -> None:
    budget = Budget(max_share=0.5, clock=lambda: 0.0)
    old, new = constant("dear", 0.2), constant("dear", 0.8)
    cascade = Cascade("it", [Stage(constant("cheap", 0.5)), Stage(old, budget=budget)])
    renewed = cascade.with_detector(new)
    assert [it.detector for it in renewed.stages] == [cascade.stages[0].detector, new]
    assert renewed.stages[1].budget is budget
    assert cascade.stages[1].detector is old
    unknown = cascade.with_detector(constant("unknown", 0.1))
    assert [it.detector for it in unknown.stages] == [it.detector for it in cascade.stages]


class Holding(Fixed):
    """Holds something until it is closed, and may fail at closing."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        super().__init__(name, lambda _text: {ANY: 0.5})
        self.closed = 0
        self._error = error

    def close(self) -> None:
        self.closed += 1
        if self._error is not None:
            raise self._error


def test_closing_closes_the_stages_that_hold_something_even_if_one_fails() -> None:
    holding, failing_one = Holding("holding"), Holding("failing", RuntimeError("cannot close"))
    stages = [Stage(constant("plain", 0.5)), Stage(holding), Stage(failing_one)]
    with pytest.raises(RuntimeError, match="cannot close"):
        close_all([Cascade("suite", stages)])
    assert (holding.closed, failing_one.closed) == (1, 1)
