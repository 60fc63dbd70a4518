"""Figures before and after on the same rows, and their difference, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.api import Part
from detectors.estimates import ROUNDS, Estimate
from detectors.metrics import Scores
from detectors.reliability import calibration
from detectors.resampling import Drawn, Rounds, compare, draw, interval, once
from detectors.tables import UNMEASURED, Table, figure

RATES: Final[Mapping[str, float]] = MappingProxyType({"5pct": 0.05, "1pct": 0.01})
LEAST_ROWS: Final = 20
"""Of each label, for any figure: fewer than `estimates.NEEDS` asks for, as intervals are shown."""
LEAST_ABOVE: Final = 5
"""Benign rows that a threshold lets pass: 100 rows at 5%, 500 at 1%."""

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "auroc": "AUROC",
        "recall_at_5pct": "recall at 5%",
        "recall_at_1pct": "recall at 1%",
        "brier": "Brier score",
        "ece": "calibration error",
    }
)
NAMES: Final = tuple(_NAMES)
OF_CALIBRATION: Final = ("brier", "ece")
"""Figures that a calibration changes: the order of texts stays."""

_FITS = """\
Each row was scored by a head that had not seen it. Brier score and calibration error are best at 0,
both labels weighing the same in all. Intervals: 95%, bootstrap over rows, the same rows before and
after."""
_RECALL = """
Recall at 5% is the share of misuse rows above the threshold that flags 5% of the benign ones."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The probabilities of n rows of one part, before and after, and their labels."""

    part: Part
    label: NDArray[np.int64]
    before: Scores
    after: Scores


@dataclass(frozen=True, slots=True)
class Change:
    """One figure before and after, and what the second is above the first."""

    before: Estimate
    after: Estimate
    difference: Estimate


def changes(rows: Compared, seed: int) -> dict[str, Change | str]:
    """Return each figure by its name, or what it lacks."""
    found: dict[str, Change | str] = {name: lack for name in _NAMES if (lack := _lacks(rows, name))}
    if len(found) == len(_NAMES):
        return found
    strata = [np.flatnonzero(rows.label == label) for label in (0, 1)]
    drawn = draw(strata, len(rows.label), ROUNDS, np.random.default_rng(seed))
    whole = once(len(rows.label))
    pairs = [
        (_figures(rows, it, whole), _figures(rows, it, drawn)) for it in (rows.before, rows.after)
    ]
    for name in _NAMES.keys() - found.keys():
        (before, befores), (after, afters) = ((one[name], many[name]) for one, many in pairs)
        found[name] = Change(
            _estimate(before, befores),
            _estimate(after, afters),
            _estimate(after - before, afters - befores),
        )
    return found


def table(rows: Compared, found: Mapping[str, Change | str], names: Sequence[str] = NAMES) -> Table:
    """Return figures of a part as a table."""
    misuse = int(rows.label.sum())
    title = f"{rows.part}s: {len(rows.label):,} rows, {misuse:,} of them misuse"
    cells = [[_NAMES[name], *_cells(found[name])] for name in names]
    lacks = {it: name for name in names if isinstance(it := found[name], str)}
    notes = [f"{_NAMES[name]} {UNMEASURED}: {lack}." for lack, name in lacks.items()]
    header = ["figure", "before", "after", "difference"]
    words = _FITS + (_RECALL if "recall_at_5pct" in names else "")
    return Table(title.capitalize(), words, header, cells, notes)


def verdict(rows: Compared, found: Mapping[str, Change | str]) -> str:
    """Say in a sentence whether the order of these rows became better."""
    change, fit = found["auroc"], found["brier"]
    if isinstance(change, str) or isinstance(fit, str):
        return f"On {rows.part}s there are too few rows to tell whether it became better."
    if change.difference.low > 0:
        order = "it tells your rows apart better than before"
    elif change.difference.high < 0:
        order = "it tells your rows apart worse than before, so keep the base model"
    else:
        order = "these rows do not say whether it tells them apart better"
    fits = fit.difference.high < 0
    return f"On {rows.part}s {order}" + ("; its probabilities fit them better." if fits else ".")


def _lacks(rows: Compared, name: str) -> str | None:
    benign = int((rows.label == 0).sum())
    fewer = min(benign, len(rows.label) - benign)
    if fewer < LEAST_ROWS:
        return f"{fewer:,} rows of one label, but {LEAST_ROWS:,} are needed"
    rate = RATES.get(name.rpartition("_at_")[2])
    needed = round(LEAST_ABOVE / rate) if rate else 0
    return f"{benign:,} benign rows, but {needed:,} are needed" if benign < needed else None


def _figures(rows: Compared, scores: Scores, drawn: Drawn) -> dict[str, Rounds]:
    benign, misuse = rows.label == 0, rows.label == 1
    pairs = (scores[benign], drawn[:, benign]), (scores[misuse], drawn[:, misuse])
    return compare(*pairs, RATES) | calibration(scores, rows.label, drawn)


def _estimate(value: Rounds, rounds: Rounds) -> Estimate:
    return Estimate(float(value[0]), *interval(rounds))


def _cells(found: Change | str) -> list[str]:
    if isinstance(found, str):
        return [UNMEASURED] * 3
    it = found.difference
    return [
        figure(found.before),
        figure(found.after),
        f"{it.value:+.3f} ({it.low:+.3f} to {it.high:+.3f})",
    ]
