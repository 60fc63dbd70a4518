import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from detectors.api import Part
from detectors.data import Row
from detectors.errors import DataError
from detectors.features import BUCKETS, bucket, bucket_of_pair, hashes
from detectors.plain import ONE
from detectors.training import (
    Plan,
    Trained,
    answer_rows,
    exchange_rows,
    in_16_bits,
    platt,
    problem,
    prompt_rows,
    rot13,
    train,
    without_letters,
)
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
    for head in heads.values():
        assert head.weights.shape == (BUCKETS,)
        assert head.quality[head.inverse_regularisation].auroc > 0.95
        assert head.slope > 0


def test_the_same_rows_in_any_order_give_the_same_model(
    trained: tuple[Mapping[Part, Trained], list[str]],
) -> None:
    first, second = trained[0], train(ROWS[::-1], PLAN, lambda _: None)

    for part in first:
        assert np.array_equal(first[part].weights, second[part].weights)
        assert first[part].slope == second[part].slope
        assert first[part].offset == second[part].offset


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


def test_what_was_learnt_weighs_the_same_in_rot13(
    trained: tuple[Mapping[Part, Trained], list[str]],
) -> None:
    weights = trained[0][Part.PROMPT].weights
    word, coded = (bucket(it) for it in hashes(f"standin {rot13('standin')}"))

    assert weights[word] > 0
    assert weights[coded] == weights[word]


def test_letters_that_are_no_words_weigh_nothing() -> None:
    head = Trained(np.ones(BUCKETS, np.int16), 0, 0, 1, 0, 1)
    one, two, word = hashes("x 2 word")

    weights = without_letters(head).weights

    assert weights[bucket(one)] == weights[bucket_of_pair(one, two)] == 0
    assert weights[bucket(word)] == weights[bucket_of_pair(one, word)] == 1


def test_weights_that_hardly_count_are_left_out() -> None:
    assert in_16_bits(np.array([0.001, 1.0, -2.0, 1e9])).tolist() == [0, ONE, -2 * ONE, 32_767]


def test_platt_finds_the_curve_that_made_the_labels() -> None:
    margins = np.repeat([-2.0, 2.0], 100)
    label = np.array([0] * 90 + [1] * 10 + [0] * 10 + [1] * 90)
    slope, offset = platt(margins, Labelled(label, np.full(200, "one")), 0.5)

    assert slope == pytest.approx(np.log(9) / 2, rel=1e-3)
    assert offset == pytest.approx(0, abs=1e-3)
