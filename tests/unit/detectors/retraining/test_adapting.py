import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from detectors.api import Part
from detectors.data import Row
from detectors.features import BUCKETS
from detectors.lexical import LIKELY
from detectors.metrics import auroc
from detectors.plain import ONE
from detectors.retraining.adapting import (
    PRIORS,
    Head,
    Lesson,
    OfKind,
    adapt,
    fit_change,
    folds,
    held_out,
    lesson,
    out_of_fold,
)
from detectors.retraining.calibrating import Calibration, Kind
from detectors.retraining.texts import OwnTexts, texts_of
from tests.unit.detectors.retraining import own

CALIBRATION = Calibration(Kind.KEPT, 1.5, -0.5)
BLANK = Head(
    {"request": OfKind(np.zeros(BUCKETS, np.int16), 1e6, 0.0)}, mean=False, calibration=CALIBRATION
)
"""A base model that knows nothing."""


def weights_of(head: Head) -> np.ndarray:
    return head.kinds["request"].weights


def texts(rows: list[Row], part: Part = Part.PROMPT) -> OwnTexts:
    return texts_of(rows, part, lambda _: 0.25)


def learn(rows: list[Row], priors: tuple[float, ...] = PRIORS) -> tuple[Lesson, np.ndarray]:
    found = texts(rows).texts
    return lesson(BLANK, found, priors, 0), np.ones(len(found.label), np.bool_)


def test_from_a_blank_base_a_prior_is_scikit_learns_regularisation() -> None:
    chance = np.random.default_rng(0)
    dense = chance.normal(size=(80, 6))
    label = (dense[:, 0] + chance.normal(size=80) > 0).astype(np.int64)
    model = LogisticRegression(C=1 / 0.5, tol=1e-8).fit(dense, label)
    change, constant = fit_change(
        sparse.csr_matrix(dense), np.zeros(80), label, np.ones(80), prior=0.5
    )

    assert change == pytest.approx(model.coef_[0], abs=2e-3)
    assert constant == pytest.approx(model.intercept_[0], abs=2e-3)


def test_the_base_is_where_the_pull_leads() -> None:
    rows = learn(own.rows(60))[0]
    sizes = [
        np.abs(
            fit_change(rows.texts.features, rows.logits, rows.texts.label, np.ones(60), prior)[0]
        ).sum()
        for prior in (math.inf, 100.0, 1.0, 0.1)
    ]

    assert sizes[0] == 0
    assert sizes == sorted(sizes)


def test_what_no_row_has_stays_as_it_was() -> None:
    it, seen = learn(own.rows(60), (0.1,))
    weights = weights_of(adapt(it, seen).head)
    untouched = np.setdiff1d(np.arange(BUCKETS), it.texts.features.indices)

    assert np.array_equal(weights[untouched], weights_of(BLANK)[untouched])
    assert np.abs(weights).max() > ONE / 10


def test_what_rows_teach_shows_on_rows_that_were_left_out() -> None:
    it, seen = learn(own.rows(120))
    label, after = it.texts.label, out_of_fold(it, seen)

    assert auroc(after[label == 0], after[label == 1]) > 0.95
    assert adapt(it, seen).prior < math.inf


def test_all_kinds_learn_the_same() -> None:
    found, both = texts(own.rows(120)).texts, {**BLANK.kinds, "jailbreak": BLANK.kinds["request"]}
    it = lesson(replace(BLANK, kinds=both), found, (1.0,), 0)
    head = adapt(it, np.ones(len(found.label), np.bool_)).head

    assert np.abs(weights_of(head)).max() > 0
    assert np.array_equal(head.kinds["jailbreak"].weights, weights_of(head))


def test_rows_that_teach_nothing_change_no_weight() -> None:
    rows = own.rows(120, misuse_every=1_000)
    chance = np.random.default_rng(1)
    noise = [Row(r.id, r.text, int(chance.random() < 0.3), r.source, r.licence) for r in rows]
    it, seen = learn(noise)
    found = adapt(it, seen)

    assert found.prior == math.inf
    assert np.array_equal(weights_of(found.head), weights_of(BLANK))


def test_the_order_of_rows_changes_nothing() -> None:
    rows = own.rows(80)
    one, other = (adapt(*learn(it)) for it in (rows, rows[::-1]))

    assert np.array_equal(weights_of(one.head), weights_of(other.head))
    assert one.head.calibration == other.head.calibration


def test_the_same_text_is_never_learnt_from_and_judged_by() -> None:
    twice = [*own.rows(40), *own.rows(40)]
    found = texts(twice).texts
    seen = np.ones(len(found.label), np.bool_)
    left = np.zeros(len(found.label), np.int64)
    for out in folds(found, seen, 3):
        assert not set(found.group[out]) & set(found.group[~out])
        assert set(found.label[out]) == {0, 1}
        left += out
    assert (left == 1).all()


def test_held_out_rows_are_a_share_of_each_label() -> None:
    found = texts(own.rows(90)).texts
    out = held_out(found, 0.3, 0)

    assert out[found.label == 1].sum() == 9
    assert out[found.label == 0].sum() == 18
    assert not held_out(found, 0.0, 0).any()


def test_few_rows_shift_the_calibration_and_many_fit_it() -> None:
    few, many = (adapt(*learn(own.rows(it), (1.0,))).head.calibration for it in (60, 330))

    assert (few.kind, few.slope) == (Kind.SHIFT, BLANK.calibration.slope)
    assert many.kind is Kind.PLATT


def test_rows_without_a_word_are_passed_over_and_a_response_is_what_is_judged() -> None:
    rows = [*own.rows(30, with_response=True), Row("x", "Why?", 0, "own", "own", "!!!")]
    found = texts(rows, Part.EXCHANGE)

    assert (len(found.rows), found.wordless) == (30, 1)
    assert not texts(rows, Part.PROMPT).rows
    assert set(found.texts.ceiling.tolist()) == {0.25 / LIKELY}


def test_a_benign_exchange_counts_as_much_as_its_prompt_asked_for_misuse() -> None:
    found = texts(own.rows(30, with_response=True), Part.EXCHANGE).texts

    assert set(found.worth[found.label == 0].tolist()) == {0.25 / LIKELY}
    assert set(found.worth[found.label == 1].tolist()) == {1.0}
