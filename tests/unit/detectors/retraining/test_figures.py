import numpy as np

from detectors.api import Part
from detectors.retraining.figures import Change, Compared, changes, table, verdict
from detectors.tables import UNMEASURED


def compared(benign: int, misuse: int, *, gain: float) -> Compared:
    """Probabilities that tell nothing before, and so much after."""
    chance = np.random.default_rng(0)
    label = np.array([0] * benign + [1] * misuse)
    before = chance.uniform(0.2, 0.6, len(label))
    after = np.clip(before + gain * (2 * label - 1), 0, 1)
    return Compared(Part.PROMPT, label, before, after)


def test_a_gain_is_told_with_an_interval_of_its_own() -> None:
    rows = compared(150, 50, gain=0.2)
    found = changes(rows, 0)
    auroc = found["auroc"]

    assert isinstance(auroc, Change)
    assert auroc.difference.low > 0.2
    assert auroc.before.low <= auroc.before.value <= auroc.before.high
    assert "better than before" in verdict(rows, found)
    assert "fit them better" in verdict(rows, found)


def test_a_loss_is_told_as_well_and_so_is_what_cannot_be_told() -> None:
    worse, same = compared(150, 50, gain=-0.2), compared(150, 50, gain=0.0)

    assert "keep the base model" in verdict(worse, changes(worse, 0))
    assert "do not say whether" in verdict(same, changes(same, 0))


def test_figures_that_too_few_rows_carry_are_not_shown() -> None:
    rows = compared(150, 50, gain=0.2)
    made = table(rows, changes(rows, 0))
    cells = {row[0]: row[1:] for row in made.rows}

    assert cells["recall at 1%"] == [UNMEASURED] * 3
    assert any("500 are needed" in note for note in made.notes)
    assert UNMEASURED not in cells["recall at 5%"]


def test_a_handful_of_rows_measures_nothing() -> None:
    rows = compared(150, 12, gain=0.2)
    found = changes(rows, 0)

    assert all(isinstance(it, str) for it in found.values())
    assert "too few rows" in verdict(rows, found)
