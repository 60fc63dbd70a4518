import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from detectors.metrics import auroc, recall_at, threshold_at
from detectors.resampling import compare, draw, interval, once, shares_above, thresholds

RATES = {"1pct": 0.01, "half": 0.5}

few = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), min_size=1, max_size=30).map(np.array)


def plainly(benign: np.ndarray, misuse: np.ndarray) -> dict[str, float]:
    found = compare((benign, once(len(benign))), (misuse, once(len(misuse))), RATES)
    return {name: float(value[0]) for name, value in found.items()}


@settings(deadline=None)
@given(few, few)
def test_a_round_that_draws_each_row_once_gives_what_scikit_learn_gives(
    benign: np.ndarray, misuse: np.ndarray
) -> None:
    labels = [0] * len(benign) + [1] * len(misuse)
    scores = np.concatenate([benign, misuse])

    found = plainly(benign, misuse)

    assert found["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert found["average_precision"] == pytest.approx(average_precision_score(labels, scores))
    assert found["recall_at_1pct"] == pytest.approx(recall_at(benign, misuse, 0.01))
    assert found["recall_at_half"] == pytest.approx(recall_at(benign, misuse, 0.5))


@settings(deadline=None)
@given(few, few, st.integers(0, 2**32))
def test_a_round_counts_a_row_as_often_as_it_was_drawn(
    benign: np.ndarray, misuse: np.ndarray, seed: int
) -> None:
    random = np.random.default_rng(seed)
    drawn = [draw([np.arange(len(it))], len(it), 3, random) for it in (benign, misuse)]

    found = compare((benign, drawn[0]), (misuse, drawn[1]), RATES)

    for number in range(3):
        repeated = np.repeat(benign, drawn[0][number]), np.repeat(misuse, drawn[1][number])
        assert found["auroc"][number] == pytest.approx(auroc(*repeated))
        assert found["recall_at_half"][number] == pytest.approx(recall_at(*repeated, 0.5))
        limit = thresholds(benign, drawn[0], 0.5)
        assert limit[number] == threshold_at(repeated[0], 0.5)
        shares = shares_above(misuse, drawn[1], limit)
        assert shares[number] == pytest.approx((repeated[1] > limit[number]).mean())


def test_each_round_draws_as_many_rows_of_a_stratum_as_it_has() -> None:
    strata = [np.array([0, 3]), np.array([1, 2, 4])]

    drawn = draw(strata, 5, 40, np.random.default_rng(0))

    assert (drawn[:, [0, 3]].sum(axis=1) == 2).all()
    assert (drawn[:, [1, 2, 4]].sum(axis=1) == 3).all()
    assert drawn.max() > 1


def test_the_interval_holds_the_middle_95_of_100_rounds() -> None:
    assert interval(np.arange(101) / 100) == pytest.approx((0.025, 0.975))
