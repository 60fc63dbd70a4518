"""What a retrained model says of texts that it did not learn from, beside what the base says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from detectors import rules
from detectors.api import Detector, Part
from detectors.battery import BATTERY, prose
from detectors.data import Row
from detectors.metrics import Scores, auroc
from detectors.retraining.rows import UNLABELLED
from detectors.rules.loading import read_all
from detectors.scoring import any_of, score_samples
from detectors.tables import Table

FLAGGED_FROM: Final = (0.5, 0.9)
PROSES: Final = 20
PROSE_TOKENS: Final = 40
BATCH_ROWS: Final = 256
LEAST_CORRELATION: Final = 0.9
MOST_LOST: Final = 0.02
"""Of AUROC on rows with labels."""

_WORDS = f"""\
Texts that were not learnt from, scored by the base model and by the new one. Rank correlation: do
both put them in the same order (1: the very same)? Shares are those from a probability of
{" and ".join(map(str, FLAGGED_FROM))} on, before → after; where they move, so have thresholds."""


@dataclass(frozen=True, slots=True)
class CheckSet:
    """Rows to look at, by a name; without labels theirs is `UNLABELLED`."""

    name: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Kept:
    """How far a part's scores of n texts stayed as they were.

    `correlation` is None where all texts have one score; `aurocs` where there are not both labels.
    """

    name: str
    part: Part
    texts: int
    correlation: float | None
    mean_change: float
    flagged: tuple[tuple[float, float], ...]
    aurocs: tuple[float, float] | None

    @property
    def is_much_lost(self) -> bool:
        """Say whether it forgot: by the labels where there are some, else by the order."""
        if self.aurocs is not None:
            return self.aurocs[0] - self.aurocs[1] > MOST_LOST
        return self.correlation is not None and self.correlation < LEAST_CORRELATION


def built_in() -> list[CheckSet]:
    """Return what is always at hand: the examples of the shipped rules, and everyday sentences."""
    examples = [
        Row(f"{rule.id}-{number}", it.prompt or it.text, UNLABELLED, "rules", "Apache-2.0", answer)
        for rule in read_all((rules.SHIPPED,))
        for answer_is in [Part.PROMPT not in rule.parts]
        for number, it in enumerate((*rule.tests.match, *rule.tests.no_match))
        for answer in [it.text if answer_is else None]
    ]
    plain = [prose(PROSE_TOKENS, seed) for seed in range(PROSES)]
    ways = {name: way for name, way in BATTERY.items() if not name.startswith("padded")}
    everyday = [
        Row(f"{name}-{seed}", way(text, seed), UNLABELLED, "everyday", "Apache-2.0")
        for name, way in {"as it is": lambda text, _: text, **ways}.items()
        for seed, text in enumerate(plain)
    ]
    return [
        CheckSet("examples of the shipped rules", examples),
        CheckSet(f"everyday sentences, written in {len(ways) + 1} ways", everyday),
    ]


def compare(base: Detector, new: Detector, part: Part, checks: Sequence[CheckSet]) -> list[Kept]:
    """Score the rows of a part by both; sets without such rows are left out."""
    chosen = [(it.name, [row for row in it.rows if part in row.parts]) for it in checks]
    return [_kept(name, part, rows, base, new) for name, rows in chosen if rows]


def _kept(name: str, part: Part, rows: Sequence[Row], base: Detector, new: Detector) -> Kept:
    samples = [row.sample_of(part) for row in rows]
    before, after = (
        np.array([any_of(it) for it in score_samples(detector, samples, BATCH_ROWS)])
        for detector in (base, new)
    )
    has_order = len(rows) > 1 and np.ptp(before) > 0 and np.ptp(after) > 0
    label = np.array([row.label for row in rows])
    return Kept(
        name,
        part,
        len(rows),
        float(spearmanr(before, after)[0]) if has_order else None,
        float(np.abs(after - before).mean()),
        tuple((float((before >= it).mean()), float((after >= it).mean())) for it in FLAGGED_FROM),
        _aurocs(before, after, label),
    )


def _aurocs(before: Scores, after: Scores, label: NDArray[np.int64]) -> tuple[float, float] | None:
    benign, misuse = label == 0, label == 1
    if not benign.any() or not misuse.any():
        return None
    return auroc(before[benign], before[misuse]), auroc(after[benign], after[misuse])


def table(found: Sequence[Kept]) -> Table:
    """Return a row for each set and part."""
    header = ["texts", "part", "count", "rank correlation", "mean change"]
    header += [f"from {it}" for it in FLAGGED_FROM]
    return Table("What was forgotten", _WORDS, [*header, "AUROC"], [_cells(it) for it in found])


def verdict(found: Sequence[Kept]) -> str:
    """Say in a sentence whether it forgot much."""
    much = sorted({it.name for it in found if it.is_much_lost})
    if not much:
        return "It kept what the base model knew, as far as these texts tell."
    named = "; ".join(much)
    return f"It forgot much of what the base model knew ({named}): a stronger prior keeps more."


def _cells(it: Kept) -> list[str]:
    return [
        it.name,
        str(it.part),
        f"{it.texts:,}",
        "" if it.correlation is None else f"{it.correlation:.3f}",
        f"{it.mean_change:.3f}",
        *(f"{before:.1%} → {after:.1%}" for before, after in it.flagged),
        "" if it.aurocs is None else f"{it.aurocs[0]:.3f} → {it.aurocs[1]:.3f}",
    ]
