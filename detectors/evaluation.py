"""The quality report of a detector on labelled rows: each source by itself, with intervals.

Most sources have one label only, so the misuse of a source is compared with the benign rows of
all other sources, and the benign rows of a source are counted above the threshold that flags
1% (or 0.1%) of all benign rows. Where only one source has benign rows, its own serve.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from detectors import beginnings, robustness
from detectors.api import Category, Detector, Part
from detectors.beginnings import Beginnings
from detectors.curves import Curves, curves
from detectors.data import Row
from detectors.estimates import (
    FEW,
    KINDS,
    MEAN,
    OPTIONS,
    RATES,
    ROUNDS,
    WORST,
    Estimate,
    Key,
    Options,
)
from detectors.figures import Scored, Table, counts, figures, lacking, strata_of
from detectors.metrics import Scores, clopper_pearson, threshold_at
from detectors.reliability import Bin, reliability
from detectors.resampling import Drawn, draw, interval, once
from detectors.scoring import any_of, score_samples
from detectors.validation import Labelled

_SUMMARIES = (MEAN, WORST, "any")
_ROUNDS_AT_ONCE = 50
"""Keeps the tables of counts in the processor's caches."""


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one part; `thresholds` are probabilities, by the names of `RATES`.

    `lacking` says of a figure why it cannot be measured: a floor may bind it, but it is not shown.
    `rounds` holds the bootstrap of summaries: round k drew the same rows for every detector.
    """

    part: Part
    rows: Mapping[tuple[str, str], int]
    thresholds: Mapping[str, float]
    figures: Mapping[Key, Estimate]
    lacking: Mapping[Key, str]
    reliability: tuple[Bin, ...]
    curves: Curves
    rounds: Mapping[Key, tuple[float, ...]]

    def table(self, kind: str) -> dict[str, dict[str, Estimate]]:
        """Return source → figure name → estimate, for a kind of figures."""
        table: dict[str, dict[str, Estimate]] = {}
        for (found, source, name), estimate in self.figures.items():
            if found == kind:
                table.setdefault(source, {})[name] = estimate
        return table

    def shown(self, key: Key) -> Estimate | None:
        """Return a figure that is there and can be measured."""
        return None if key in self.lacking else self.figures.get(key)


def evaluate(
    detector: Detector,
    rows: Sequence[Row],
    progress: Callable[[str], None],
    batch: int = 256,
    options: Options = OPTIONS,
) -> dict[Part, Report]:
    """Score all rows and report on each part that the rows and the detector have."""
    reports = {}
    for part in Part:
        chosen = [row for row in rows if part in row.parts]
        if not chosen or part not in detector.parts:
            continue
        scored = score_rows(detector, chosen, part, options.vetted, batch)
        progress(f"{part}: {len(chosen)} rows scored, now {ROUNDS} bootstrap rounds")
        battery = robustness.measure(detector, chosen, scored, options, progress)
        begun = beginnings.measure(detector, chosen, part, options)
        reports[part] = report(scored, options, battery, begun)
    return reports


def labelled(rows: Sequence[Row]) -> Labelled:
    """Return the labels and sources of rows as arrays."""
    return Labelled(np.array([row.label for row in rows]), np.array([row.source for row in rows]))


def score_rows(
    detector: Detector,
    rows: Sequence[Row],
    part: Part,
    vetted: frozenset[str] = frozenset(),
    batch: int = 256,
) -> Scored:
    """Return the detector's scores of each row, and what the rows are."""
    given = score_samples(detector, [row.sample_of(part) for row in rows], batch)
    own: dict[Category, Scores] = {
        category: np.array([scores[category] for scores in given])
        for category in Category
        if category is not Category.ANY and all(category in scores for scores in given)
    }
    categories = {
        category: np.array([row.label == 1 and category in row.categories for row in rows])
        for category in Category
    }
    used = {category: mask for category, mask in categories.items() if mask.any()}
    scores = np.array([any_of(it) for it in given])
    return Scored(part, scores, labelled(rows), own, used, vetted)


def report(
    scored: Scored,
    options: Options = OPTIONS,
    battery: Mapping[Key, Estimate] | None = None,
    begun: Beginnings = Beginnings(),  # noqa: B008 - it is frozen
) -> Report:
    """Work out every figure, and its interval by resampling rows within source and label."""
    values = figures(scored, once(len(scored.scores)), options.needs)
    rounds = _in_rounds(scored, options)
    sizes = counts(scored)
    found = {
        key: _estimate(key, float(value[0]), interval(rounds[key]), sizes)
        for key, value in values.items()
    }
    found |= {**(battery or {}), **begun.figures}
    benign = scored.scores[scored.benign]
    limits = {name: threshold_at(benign, rate) for name, rate in RATES.items() if len(benign)}
    return Report(
        scored.part,
        {**sizes, **robustness.counts(scored, options), **begun.rows},
        limits,
        _with_worst(found, sizes),
        {**_lacking(scored, found, options), **begun.lacking},
        reliability(scored.scores, scored.rows.label),
        curves(scored),
        {key: tuple(it.tolist()) for key, it in rounds.items() if key[1] in _SUMMARIES},
    )


def _lacking(scored: Scored, found: Mapping[Key, Estimate], options: Options) -> dict[Key, str]:
    return lacking(scored, list(found), options.needs) | robustness.lacking(scored, options)


def _in_rounds(scored: Scored, options: Options) -> Table:
    random = np.random.default_rng(options.seed)
    drawn = draw(strata_of(scored.rows), len(scored.scores), ROUNDS, random)
    parts = [figures(scored, it, options.needs) for it in _chunks(drawn)]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _chunks(drawn: Drawn) -> list[Drawn]:
    return np.array_split(drawn, -(-len(drawn) // _ROUNDS_AT_ONCE))


def _estimate(
    key: Key, value: float, bounds: tuple[float, float], sizes: Mapping[tuple[str, str], int]
) -> Estimate:
    """Return a figure with the bootstrap's interval, or the exact one of a share of few rows."""
    kind, source, name = key
    rows = sizes.get((kind, source), 0)
    count = round(value * rows)
    if "_at_" not in name or rows == 0 or min(count, rows - count) >= FEW:
        return Estimate(value, *bounds)
    low, high = clopper_pearson(count, rows)
    return Estimate(value, min(low, bounds[0]), max(high, bounds[1]), exact=True)


def _with_worst(
    found: Mapping[Key, Estimate], sizes: Mapping[tuple[str, str], int]
) -> dict[Key, Estimate]:
    """Widen the interval of each worst source so that it holds that of the source that it is."""
    widened = dict(found)
    for key, worst in found.items():
        kind, source, name = key
        if source == WORST:
            same = [
                it
                for (other, one, named), it in found.items()
                if (other, named) == (kind, name) and (kind, one) in sizes
                if it.value == worst.value
            ]
            low = min(it.low for it in [worst, *same])
            high = max(it.high for it in [worst, *same])
            widened[key] = Estimate(worst.value, low, high, any(it.exact for it in same))
    return widened


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain containers, for `--json`.

    A figure is `[value, low, high]`, or null where `cannot_be_measured` says why. `exact` lists
    the figures with a Clopper-Pearson interval.
    """
    return {
        "thresholds": dict(report.thresholds),
        "rows": {f"{kind}/{source}": count for (kind, source), count in report.rows.items()},
        "cannot_be_measured": {"/".join(key): lack for key, lack in report.lacking.items()},
        "exact": ["/".join(key) for key, it in report.figures.items() if it.exact],
        "reliability": [asdict(it) for it in report.reliability],
        "curves": asdict(report.curves),
    } | {
        kind: {
            source: {name: _triple(report, (kind, source, name)) for name in row}
            for source, row in report.table(kind).items()
        }
        for kind in KINDS
    }


def _triple(report: Report, key: Key) -> list[float] | None:
    it = report.shown(key)
    return [it.value, it.low, it.high] if it else None
