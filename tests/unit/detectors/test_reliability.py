import numpy as np
import pytest

from detectors.metrics import clopper_pearson
from detectors.reliability import calibration, reliability
from detectors.resampling import once


def errors(scores: list[float], label: list[int]) -> tuple[float, float]:
    found = calibration(np.array(scores), np.array(label), once(len(scores)))
    return float(found["ece"][0]), float(found["brier"][0])


def test_probabilities_that_are_right_have_no_error() -> None:
    assert errors([0.0, 0.0, 1.0], [0, 0, 1]) == (0, 0)


def test_probabilities_that_are_wrong_have_all_the_error_there_is() -> None:
    assert errors([1.0, 0.0, 0.0], [0, 1, 1]) == (1, 1)


def test_saying_a_half_is_calibrated_however_many_rows_either_label_has() -> None:
    assert errors([0.5] * 10, [0] * 9 + [1]) == pytest.approx((0, 0.25))


def test_the_error_is_the_gap_of_each_bin_times_its_weight() -> None:
    ece, brier = errors([0.1, 0.1, 0.8, 0.8], [0, 1, 0, 1])  # each bin holds half of the weight

    assert ece == pytest.approx((abs(0.5 - 0.1) + abs(0.5 - 0.8)) / 2)
    assert brier == pytest.approx((0.1**2 + 0.9**2 + 0.8**2 + 0.2**2) / 4)


def test_a_bin_tells_the_share_of_misuse_in_the_mixture_with_its_exact_interval() -> None:
    scores, label = np.array([0.3] * 8 + [0.9] * 2), np.array([0] * 6 + [1] * 4)

    low, high = reliability(scores, label)

    assert (low.rows, high.rows) == (8, 2)
    assert low.said == pytest.approx(0.3)
    assert low.misuse == pytest.approx((2 / 4) / (2 / 4 + 6 / 6))
    assert high.misuse == high.high == 1
    exact = clopper_pearson(2, 8)
    assert low.low == pytest.approx(exact[0] / 4 / (exact[0] / 4 + (1 - exact[0]) / 6))
    assert low.low < low.misuse < low.high


def test_zero_and_one_have_bins() -> None:
    assert [it.rows for it in reliability(np.array([0.0, 1.0]), np.array([0, 1]))] == [1, 1]
