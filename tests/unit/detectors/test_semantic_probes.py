import numpy as np
import pytest

from detectors import probes
from detectors.metrics import auroc
from detectors.probes import Prior
from detectors.validation import Labelled

RIDGE = 0.1


def toy(seed: int = 0) -> tuple[probes.Matrix, Labelled]:
    """Three columns: one tells the label, one tells it in some sources only, one tells nothing.

    In the sources `b1` and `m1` the second column tells the label better than the first does
    anywhere; in `b0` and `m0` it tells the contrary.
    """
    random = np.random.default_rng(seed)
    label = np.repeat([0, 0, 1, 1], 200)
    source = np.repeat(["b0", "b1", "m0", "m1"], 200)
    tricky = np.repeat([1.0, -4.0, -1.0, 4.0], 200)
    honest = np.where(label == 1, 1.0, -1.0)
    vectors = random.normal(size=(800, 3)) + np.stack([honest, tricky, 0 * honest], axis=1)
    return vectors, Labelled(label, source)


def test_a_probe_ranks_what_it_was_fitted_to() -> None:
    vectors, rows = toy()
    margins = probes.fit_all(probes.moments(vectors, rows), Prior(1, RIDGE)).margins(vectors)

    assert auroc(margins[rows.label == 0], margins[rows.label == 1]) > 0.9
    assert margins[rows.label == 0].mean() < 0 < margins[rows.label == 1].mean()


def test_distrust_of_sources_turns_a_probe_to_what_they_share() -> None:
    found = probes.moments(*toy())
    trusting = probes.fit_all(found, Prior(0, RIDGE)).weights
    wary = probes.fit_all(found, Prior(10, RIDGE)).weights

    assert abs(wary[1] / wary[0]) < abs(trusting[1] / trusting[0])


def test_a_row_that_is_left_out_is_scored_without_its_family() -> None:
    vectors, rows = toy()
    found = probes.moments(vectors, rows)
    margins = probes.left_out_margins(vectors, rows, found, Prior(3, RIDGE))

    out = rows.source == "m1"
    seen = probes.moments(vectors[~out], Labelled(rows.label[~out], rows.source[~out]))
    alone = probes.fit_all(seen, Prior(3, RIDGE)).margins(vectors[out])
    assert margins[out] == pytest.approx(alone)


def test_a_ridge_shrinks_the_weights() -> None:
    found = probes.moments(*toy())
    norms = [
        np.linalg.norm(probes.fit_all(found, Prior(1, ridge)).weights) for ridge in (0.1, 1, 10)
    ]

    assert norms == sorted(norms, reverse=True)


def test_the_highest_window_speaks_for_its_text() -> None:
    margins, text = np.array([1.0, 3.0, -2.0]), np.array([0, 0, 1])

    assert probes.highest(margins, text).tolist() == [3.0, -2.0]
