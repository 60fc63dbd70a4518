import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from detectors.metrics import auroc, clopper_pearson, flagged, recall_at, threshold_at

few = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), min_size=1, max_size=30).map(np.array)


def test_auroc_counts_the_pairs_in_the_right_order_and_ties_half() -> None:
    benign, misuse = np.array([0.1, 0.5]), np.array([0.5, 0.9])

    assert auroc(benign, misuse) == (1 + 1 + 0.5 + 1) / 4


def test_auroc_of_perfect_reversed_and_constant_scores() -> None:
    low, high = np.array([0.1, 0.2]), np.array([0.8, 0.9, 0.95])

    assert auroc(low, high) == 1
    assert auroc(high, low) == 0
    assert auroc(np.full(3, 0.5), np.full(4, 0.5)) == 0.5


@settings(deadline=None)
@given(few, few)
def test_auroc_equals_scikit_learns(benign: np.ndarray, misuse: np.ndarray) -> None:
    labels = [0] * len(benign) + [1] * len(misuse)

    expected = roc_auc_score(labels, np.concatenate([benign, misuse]))
    assert auroc(benign, misuse) == pytest.approx(expected)


def test_the_threshold_lets_exactly_the_allowed_share_above_it() -> None:
    benign = np.arange(1000) / 1000

    assert threshold_at(benign, 0.01) == 0.989
    assert flagged(benign, 0.989) == 0.01
    assert threshold_at(benign, 0.001) == 0.998
    assert threshold_at(benign, 0) == 0.999


@settings(deadline=None)
@given(few, st.floats(0, 0.99))
def test_no_threshold_flags_more_benign_rows_than_allowed(benign: np.ndarray, rate: float) -> None:
    assert flagged(benign, threshold_at(benign, rate)) <= rate + 1e-9


def test_recall_is_the_share_of_misuse_above_the_threshold() -> None:
    benign = np.arange(100) / 100

    assert recall_at(benign, np.array([0.5, 0.98, 0.99, 1.0]), 0.01) == 0.5


@settings(deadline=None)
@given(st.integers(1, 300), st.data())
def test_the_exact_interval_equals_scipys(rows: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, rows))

    exact = binomtest(count, rows).proportion_ci(0.95, method="exact")
    assert clopper_pearson(count, rows) == pytest.approx((exact.low, exact.high), abs=1e-7)


def test_nothing_of_ten_is_no_proof_that_there_is_nothing() -> None:
    low, high = clopper_pearson(0, 10)

    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 10))
