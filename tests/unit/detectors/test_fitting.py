import numpy as np
import pytest
from scipy import sparse

from detectors.fitting import SPREAD, families_with, fit, scales, source_weights, steadiness
from detectors.validation import Labelled

ROWS = Labelled(np.array([0, 0, 1, 1]), np.array(["calm", "catqa_en", "catqa_zh", "loud"]))
MATRIX = sparse.csr_matrix(
    np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]], np.float64)
)


def test_a_feature_is_counted_once_in_relatives() -> None:
    assert families_with(MATRIX, ROWS).tolist() == [3, 1, 1, 1]


def test_every_scale_has_mean_square_one_in_use() -> None:
    used_by = np.array([4, 1, 2, 1])
    found = list(scales(MATRIX, ROWS, np.ones(4)))

    assert len(found) == 3
    for scale in found:
        assert (scale**2 * used_by).sum() / used_by.sum() == pytest.approx(1)


def test_words_of_one_label_and_of_many_families_cost_less() -> None:
    ratio, common, _ = scales(MATRIX, ROWS, np.ones(4))

    assert ratio[1] > ratio[0]
    assert common[0] > 100 * common[1]


def test_what_families_agree_on_is_steady() -> None:
    rows = Labelled(np.array([0, 0, 1, 1]), np.array(["calm", "quiet", "loud", "shrill"]))
    agreed, of_one, common = [0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]
    matrix = sparse.csr_matrix(np.array([agreed, of_one, common], np.float64).T)

    first, second, third = steadiness(matrix, rows).tolist()
    assert first > 10 * second > third == 0


def test_averaged_weights_tell_the_labels_apart() -> None:
    weights, intercept = fit(MATRIX, ROWS, 10, source_weights(ROWS, 0.5))
    margins = MATRIX @ weights + intercept

    assert weights[3] > 0 > weights[1]
    assert margins[3] > margins[0]
    assert 0 < margins.std() <= SPREAD


def test_labels_weigh_the_same_and_sources_by_the_power_of_their_size() -> None:
    rows = Labelled(
        np.array([0] * 9 + [0] + [1] * 2), np.array(["big"] * 9 + ["one"] + ["bad"] * 2)
    )

    for power, ratio in ((0.0, 1), (0.5, 3), (1.0, 9)):
        weights = source_weights(rows, power)
        assert weights.sum() == pytest.approx(12)
        assert weights[:10].sum() == pytest.approx(weights[10:].sum())
        assert weights[:9].sum() / weights[9] == pytest.approx(ratio)
