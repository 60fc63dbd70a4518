import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from detectors.api import Part
from detectors.data import Row
from detectors.errors import DataError
from detectors.features import BUCKETS
from detectors.problem import (
    Plan,
    answer_rows,
    exchange_rows,
    problem,
    prompt_rows,
    row_weights,
)
from detectors.training import Trained, train
from detectors.validation import Labelled

PLAN = Plan(
    rows_per_source=40,
    answers_per_source=40,
    inverse_regularisations=dict.fromkeys(Part, (1.0, 10.0)),
    benign_stretches=(8, 2),
)
WORDS = {
    0: ["bake", "garden", "river", "novel", "sort", "violin", "recipe", "museum"],
    1: ["forbiddenword", "badthing", "standin", "violationx", "labelled"],
}


def toy_rows(*, answers: bool) -> list[Row]:
    """Harmless stand-ins: misuse is what holds words that were made up for it."""
    rng = random.Random(7)  # noqa: S311 - a fixed toy set
    return [
        Row(
            id=f"{source}-{number}",
            text=text,
            label=label,
            source=source,
            licence="MIT",
            response=text if answers else None,
        )
        for source, label in [("calm", 0), ("quiet", 0), ("loud", 1), ("shrill", 1)]
        for number in range(50)
        for text in [" ".join(rng.choices(WORDS[0], k=8) + rng.choices(WORDS[label], k=4))]
    ]


ROWS = list(chain(toy_rows(answers=False), toy_rows(answers=True)))


@pytest.fixture(scope="module")
def trained() -> tuple[Mapping[Part, Trained], list[str]]:
    told: list[str] = []
    return train(ROWS, PLAN, told.append), told


def test_training_learns_and_calibrates_a_head_for_each_part(
    trained: tuple[Mapping[Part, Trained], list[str]],
) -> None:
    heads, _ = trained

    assert set(heads) == set(Part)
    for part, head in heads.items():
        assert all(it.weights.shape == (BUCKETS,) for it in head.kinds.values())
        assert head.quality[head.inverse_regularisation].auroc > 0.95
        assert head.curve.probability(3) > 0.5 > head.curve.probability(-3)
        assert head.mean == (part is not Part.PROMPT)


def test_the_same_rows_in_any_order_give_the_same_model(
    trained: tuple[Mapping[Part, Trained], list[str]],
) -> None:
    first, second = trained[0], train(ROWS[::-1], PLAN, lambda _: None)

    for part in first:
        for kind, it in first[part].kinds.items():
            assert np.array_equal(it.weights, second[part].kinds[kind].weights)
        assert first[part].curve == second[part].curve


def test_rows_of_one_label_cannot_train() -> None:
    with pytest.raises(DataError, match="both labels"):
        train([row for row in ROWS if row.label == 0], PLAN, lambda _: None)


def test_progress_is_told(trained: tuple[Mapping[Part, Trained], list[str]]) -> None:
    _, told = trained

    assert "prompt: 160 rows of 4 sources" in told


def test_long_benign_prose_teaches_the_answer_head_and_prompts_do_not() -> None:
    prose = Row("1", "x" * 150, 0, "c4_demo", "ODC-BY")
    short = Row("2", "x" * 149, 0, "c4_demo", "ODC-BY")
    answer = Row("3", "question", 1, "any", "MIT", response="answer")

    assert answer_rows([prose, short, answer], PLAN) == [answer, prose]
    assert exchange_rows([prose, short, answer], PLAN) == [answer]
    assert {row.id for row in prompt_rows([prose, short, answer], PLAN)} == {"1", "2"}


def test_a_source_that_is_not_used_is_judged_and_teaches_nothing() -> None:
    some, none = replace(PLAN, unused_sources=frozenset({"calm"})), PLAN
    rows = prompt_rows(ROWS, PLAN)

    used, all_of_them = problem(rows, Part.PROMPT, some), problem(rows, Part.PROMPT, none)

    assert "calm" in used.judged.source
    assert "calm" not in used.rows.source
    assert used.features.shape[0] == len(used.rows.label) < all_of_them.features.shape[0]


def test_stretches_of_long_benign_prompts_are_benign_rows() -> None:
    rows = prompt_rows(ROWS, PLAN)
    data = problem(rows, Part.PROMPT, PLAN)

    cut = len(data.rows.label) - len(rows)
    assert cut == sum(row.label == 0 for row in rows)  # 12 words: one of 8 each
    assert data.rows.label[-cut:].tolist() == [0] * cut
    assert len(problem(rows, Part.ANSWER, PLAN).rows.label) == len(rows)


def test_prose_among_answers_weighs_little_and_among_prompts_as_much_as_others() -> None:
    rows = Labelled(np.array([0, 0, 1]), np.array(["c4_demo", "calm", "loud"]))

    prompts, answers = (row_weights(rows, part, PLAN) for part in (Part.PROMPT, Part.ANSWER))

    assert prompts[0] == prompts[1] == answers[1]
    assert answers[0] == pytest.approx(PLAN.prose_weight * answers[1])
