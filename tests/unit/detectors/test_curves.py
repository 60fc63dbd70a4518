import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from detectors.api import Part
from detectors.curves import FALSE_POSITIVE_RATES, RECALLS, curves, precision, roc
from detectors.figures import Scored
from detectors.metrics import recall_at
from detectors.validation import Labelled

few = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]), min_size=1, max_size=30).map(np.array)


@settings(deadline=None, max_examples=30)
@given(few, few)
def test_the_roc_curve_gives_the_recall_at_each_rate(
    benign: np.ndarray, misuse: np.ndarray
) -> None:
    for rate, recall in zip(FALSE_POSITIVE_RATES[:-1], roc(benign, misuse), strict=False):
        assert recall == pytest.approx(recall_at(benign, misuse, rate), abs=1e-5)
    assert roc(benign, misuse)[-1] == 1


@settings(deadline=None, max_examples=30)
@given(few, few)
def test_the_precision_is_the_best_at_this_recall_or_above(
    benign: np.ndarray, misuse: np.ndarray
) -> None:
    labels = [0] * len(benign) + [1] * len(misuse)
    precisions, recalls, _ = precision_recall_curve(labels, np.concatenate([benign, misuse]))
    precisions, recalls = precisions[:-1], recalls[:-1]  # without the point at no recall

    for recall, found in list(zip(RECALLS, precision(benign, misuse), strict=True))[1::10]:
        expected = precisions[recalls >= recall - 1e-9].max()
        assert found == pytest.approx(expected, abs=1e-5)


def test_histograms_are_shares_of_each_label() -> None:
    rows = Labelled(np.array([0, 0, 1]), np.array(["a", "a", "b"]))

    found = curves(Scored(Part.PROMPT, np.array([0.0, 1.0, 1.0]), rows, {}, {}))

    assert (found.benign[0], found.benign[-1], found.misuse[-1]) == (0.5, 0.5, 1)
    assert set(found.recall) == {"b"}


def test_without_benign_rows_there_are_no_curves() -> None:
    rows = Labelled(np.array([1]), np.array(["b"]))

    assert curves(Scored(Part.PROMPT, np.array([1.0]), rows, {}, {})).recall == {}
