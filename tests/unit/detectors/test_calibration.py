from itertools import pairwise

import numpy as np
import pytest

from detectors.calibration import ENOUGH_ROWS, calibrate, platt
from detectors.log_odds import Curve, straight
from detectors.validation import Labelled


def rows_of(label: np.ndarray) -> Labelled:
    return Labelled(label, np.full(len(label), "one"))


def test_platt_finds_the_curve_that_made_the_labels() -> None:
    margins = np.repeat([-2.0, 2.0], 100)
    label = np.array([0] * 90 + [1] * 10 + [0] * 10 + [1] * 90)

    slope, offset = platt(margins, rows_of(label), np.ones(200))

    assert slope == pytest.approx(np.log(9) / 2, rel=1e-3)
    assert offset == pytest.approx(0, abs=1e-3)


def made(rows: int) -> tuple[np.ndarray, Labelled]:
    """Margins whose probability rises fast, then hardly: no straight line of log-odds."""
    margins = np.linspace(-4, 4, rows)
    chance = np.where(margins < 0, 0.05, 0.6) + 0.02 * margins
    label = (np.modf(np.arange(rows) * 0.618)[0] < chance).astype(np.int64)
    return margins, rows_of(label)


def test_a_curve_bends_where_both_labels_have_many_rows() -> None:
    margins, rows = made(4 * ENOUGH_ROWS)
    curve = calibrate(margins, rows, np.ones(len(margins)))

    assert curve.probability(-2) == pytest.approx(0.01, abs=0.03)
    assert curve.probability(1.5) == pytest.approx(0.63, abs=0.08)
    assert curve.probability(3) == pytest.approx(0.66, abs=0.08)


def test_a_curve_of_few_rows_is_straight() -> None:
    margins, rows = made(ENOUGH_ROWS)

    assert len(calibrate(margins, rows, np.ones(len(margins))).margins) == 2


def test_every_higher_margin_has_a_higher_probability() -> None:
    margins, rows = made(4 * ENOUGH_ROWS)
    curve = calibrate(margins, rows, np.ones(len(margins)))

    found = [curve.probability(it) for it in np.linspace(-8, 8, 500).tolist()]
    assert all(one < other for one, other in pairwise(found))


def test_a_model_that_ranks_the_wrong_way_round_is_not_turned_round() -> None:
    margins = np.array([-1.0, 1.0])
    curve = calibrate(margins, rows_of(np.array([1, 0])), np.ones(2))

    assert 0.4 < curve.probability(-1) < curve.probability(1) < 0.6


def test_a_curve_goes_on_beyond_its_ends() -> None:
    curve = Curve((-1.0, 0.0, 1.0), (-1.0, 0.0, 3.0))

    assert curve.probability(-2) == straight(1, 0).probability(-2)
    assert curve.probability(2) == straight(3, 0).probability(2)
    assert straight(1, 0).probability(0) == 0.5
