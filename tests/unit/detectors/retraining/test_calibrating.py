import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from detectors.log_odds import Curve
from detectors.metrics import auroc
from detectors.retraining.calibrating import (
    Calibration,
    Kind,
    Scored,
    balanced,
    calibrate,
    kind_for,
    of_content,
    sigmoid,
)

BASE = Calibration(Kind.KEPT, slope=1.0, offset=0.0)


def drawn(count: int, slope: float = 2.0) -> Scored:
    """Margins whose logit is slope * margin - 1, with labels drawn accordingly."""
    chance = np.random.default_rng(0)
    margins = chance.normal(0, 1.5, count)
    label = (chance.random(count) < sigmoid(slope * margins - 1)).astype(np.int64)
    return Scored(margins, label, np.ones(count))


def test_how_much_is_fitted_depends_on_the_label_with_fewer_rows() -> None:
    def kind(benign: int, misuse: int, *, isotonic: bool = True) -> Kind:
        return kind_for(np.array([0] * benign + [1] * misuse), isotonic=isotonic)

    assert kind(2_000, 500) is Kind.ISOTONIC
    assert kind(2_000, 500, isotonic=False) is Kind.PLATT
    assert kind(2_000, 100) is Kind.PLATT
    assert kind(10, 2_000) is Kind.SHIFT
    assert kind(2_000, 9) is Kind.KEPT
    assert kind(0, 50) is Kind.KEPT


def test_both_labels_weigh_the_same_in_all() -> None:
    label, worth = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 2.0, 5.0])
    weights = balanced(label, worth)

    assert weights[label == 0].sum() == pytest.approx(2)
    assert weights[label == 1].sum() == pytest.approx(2)
    assert weights[2] == pytest.approx(2 * weights[0])


def test_slope_and_offset_are_scikit_learns() -> None:
    rows = drawn(600)
    model = LogisticRegression(C=1e6, tol=1e-8).fit(
        rows.margins.reshape(-1, 1), rows.label, sample_weight=rows.weights
    )
    found = calibrate(rows, BASE, Kind.PLATT)

    assert found.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert found.offset == pytest.approx(model.intercept_[0], abs=1e-3)


def test_a_shift_keeps_the_slope_and_meets_the_mean() -> None:
    rows = drawn(60)
    found = calibrate(rows, BASE, Kind.SHIFT)
    said = rows.weights @ sigmoid(found.logits(rows.margins))

    assert found.slope == BASE.slope
    assert said == pytest.approx(rows.weights @ rows.label, rel=1e-3)


def test_a_margin_that_tells_the_wrong_way_round_is_not_believed() -> None:
    rows = drawn(600, slope=-2.0)

    assert calibrate(rows, BASE, Kind.PLATT).kind is Kind.SHIFT


def test_isotonic_bends_and_keeps_the_order() -> None:
    rows = drawn(4_000)
    margins, label = rows.margins, rows.label
    label[(margins > 1) & (margins < 1.5)] = 0  # no logistic curve goes through this
    found = calibrate(rows, BASE, Kind.ISOTONIC)
    platt = calibrate(rows, BASE, Kind.PLATT)
    logits = found.logits(margins)

    assert found.kind is Kind.ISOTONIC
    error, of_platt = (
        rows.weights @ (sigmoid(it.logits(margins)) - label) ** 2 for it in (found, platt)
    )
    assert error < of_platt
    assert (np.diff(logits[np.argsort(margins)]) >= 0).all()
    before = auroc(margins[label == 0], margins[label == 1])
    assert auroc(logits[label == 0], logits[label == 1]) == pytest.approx(before, abs=1e-9)


def test_under_a_ceiling_the_product_is_what_is_calibrated() -> None:
    rows = drawn(4_000)
    chance = np.random.default_rng(1)
    ceiling = chance.uniform(0.3, 1.0, 4_000)
    label = rows.label * (chance.random(4_000) < ceiling)
    weights = balanced(label, np.ones(4_000))
    found = calibrate(Scored(rows.margins, label, ceiling), BASE, Kind.ISOTONIC)

    def loss(slope: float, offset: float) -> float:
        said = ceiling * sigmoid(slope * rows.margins + offset)
        return float(weights @ -np.log(np.where(label == 1, said, 1 - said)))

    assert found.kind is Kind.PLATT
    least = loss(found.slope, found.offset)
    assert least < min(loss(found.slope, found.offset + it) for it in (-0.05, 0.05))
    assert least < min(loss(found.slope + it, found.offset) for it in (-0.05, 0.05))


def test_what_an_artefact_keeps_gives_the_same_logits() -> None:
    rows = drawn(2_000)
    for kind in (Kind.ISOTONIC, Kind.PLATT):
        found = calibrate(rows, BASE, kind)
        again = of_content(found.content())
        assert again.logits(rows.margins) == pytest.approx(found.logits(rows.margins), abs=1e-9)


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=9),
    st.floats(-20, 20),
)
def test_scoring_follows_the_same_curve(pairs: list[tuple[float, float]], margin: float) -> None:
    at, logits = (sorted({round(it[n], 3) for it in pairs}) for n in (0, 1))
    count = min(len(at), len(logits))
    if count < 2:
        return
    knots = tuple(zip(at[:count], logits[:count], strict=True))
    fitted = Calibration(Kind.ISOTONIC, 0.7, 0.0, knots)

    content = fitted.content()
    curve = Curve(tuple(content["margins"]), tuple(content["log_odds"]))
    assert curve.probability(margin) == pytest.approx(
        sigmoid(fitted.logits(np.array([margin])))[0], abs=1e-9
    )
