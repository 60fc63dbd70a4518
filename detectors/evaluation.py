"""The quality report of a detector on labelled rows: each source by itself, with intervals.

Most sources have one label only, so the misuse of a source is compared with the benign rows of
all other sources, and the benign rows of a source are counted above the threshold that flags
1% (or 0.1%) of all benign rows. Answers come from one source: there its own benign rows serve.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.api import Category, Detector, Part
from detectors.data import Row
from detectors.metrics import Scores, auroc, flagged, recall_at, threshold_at
from detectors.validation import Labelled

RATES = {"1pct": 0.01, "01pct": 0.001}
"""False-positive rates that are reported; 6,200 benign rows carry no smaller one."""

ROUNDS = 200
MEAN = "mean over sources"
WORST = "worst source"

Key = tuple[str, str, str]
"""A figure's place: `misuse` or `benign`, source, name."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95% interval (percentile bootstrap over rows, within sources)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one part; `thresholds` are probabilities, by the names of `RATES`."""

    part: Part
    rows: Mapping[tuple[str, str], int]
    thresholds: Mapping[str, float]
    figures: Mapping[Key, Estimate]

    def table(self, kind: str) -> dict[str, dict[str, Estimate]]:
        """Return source → figure name → estimate, for `misuse` or `benign`."""
        table: dict[str, dict[str, Estimate]] = {}
        for (found, source, name), estimate in self.figures.items():
            if found == kind:
                table.setdefault(source, {})[name] = estimate
        return table


def evaluate(
    detector: Detector, rows: Sequence[Row], progress: Callable[[str], None], batch: int = 256
) -> dict[Part, Report]:
    """Score all rows and report on each part that the rows and the detector have."""
    reports = {}
    for part in Part:
        chosen = [row for row in rows if row.sample.part is part]
        if not chosen or part not in detector.parts:
            continue
        scores = score_rows(detector, chosen, batch)
        progress(f"{part}: {len(chosen)} rows scored, now {ROUNDS} bootstrap rounds")
        reports[part] = report(part, scores, labelled(chosen))
    return reports


def labelled(rows: Sequence[Row]) -> Labelled:
    """Return the labels and sources of rows as arrays."""
    return Labelled(np.array([row.label for row in rows]), np.array([row.source for row in rows]))


def score_rows(detector: Detector, rows: Sequence[Row], batch: int) -> Scores:
    """Return the detector's probability of misuse for each row."""
    scores: list[float] = []
    for start in range(0, len(rows), batch):
        samples = [row.sample for row in rows[start : start + batch]]
        scores += [score[Category.ANY] for score in detector.score(samples)]
    return np.array(scores)


def report(part: Part, scores: Scores, rows: Labelled, seed: int = 0) -> Report:
    """Work out every figure, and its interval by resampling rows within source and label."""
    random = np.random.default_rng(seed)
    strata = [
        np.flatnonzero((rows.source == source) & (rows.label == label))
        for label in (0, 1)
        for source in rows.sources_with(label)
    ]
    rounds = [
        figures(scores[chosen], Labelled(rows.label[chosen], rows.source[chosen]))
        for chosen in (_resampled(strata, random) for _ in range(ROUNDS))
    ]
    found = {
        key: Estimate(value, *_interval([values[key] for values in rounds]))
        for key, value in figures(scores, rows).items()
    }
    benign = scores[rows.label == 0]
    thresholds = {name: threshold_at(benign, rate) for name, rate in RATES.items()}
    return Report(part, _counts(rows), thresholds, found)


def figures(scores: Scores, rows: Labelled) -> dict[Key, float]:
    """Return every figure of the report, without intervals."""
    return _misuse_figures(scores, rows) | _benign_figures(scores, rows)


def _misuse_figures(scores: Scores, rows: Labelled) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for source in rows.sources_with(1):
        misuse = scores[rows.misuse_of(source)]
        elsewhere = scores[rows.benign_elsewhere(source)]
        benign = elsewhere if len(elsewhere) else scores[rows.label == 0]
        found["misuse", source, "auroc"] = auroc(benign, misuse)
        for name, rate in RATES.items():
            found["misuse", source, f"recall_at_{name}"] = recall_at(benign, misuse, rate)
    for name in ["auroc", *(f"recall_at_{rate}" for rate in RATES)]:
        values = [value for key, value in found.items() if key[2] == name]
        found["misuse", MEAN, name] = float(np.mean(values))
    return found


def _benign_figures(scores: Scores, rows: Labelled) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for name, rate in RATES.items():
        threshold = threshold_at(scores[rows.label == 0], rate)
        shares = {
            source: flagged(scores[(rows.source == source) & (rows.label == 0)], threshold)
            for source in rows.sources_with(0)
        }
        for source, share in (shares | {WORST: max(shares.values())}).items():
            found["benign", source, f"flagged_at_{name}"] = share
    return found


def _resampled(
    strata: Sequence[NDArray[np.int64]], random: np.random.Generator
) -> NDArray[np.int64]:
    return np.concatenate([random.choice(stratum, len(stratum)) for stratum in strata])


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _counts(rows: Labelled) -> dict[tuple[str, str], int]:
    return {
        (kind, source): int(((rows.source == source) & (rows.label == label)).sum())
        for label, kind in enumerate(("benign", "misuse"))
        for source in rows.sources_with(label)
    }


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain containers, for `--json`."""
    return {
        "thresholds": dict(report.thresholds),
        "rows": {f"{kind}/{source}": count for (kind, source), count in report.rows.items()},
    } | {
        kind: {
            source: {name: [it.value, it.low, it.high] for name, it in row.items()}
            for source, row in report.table(kind).items()
        }
        for kind in ("misuse", "benign")
    }
