"""What is left of a detector when texts are written differently, by the battery.

The threshold is the one that flags 1% of the benign rows as they are. Misuse rows are transformed,
and benign rows as well: a detector that flags whatever is encoded keeps its recall, and flags every
benign text that is encoded, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detectors.api import Detector, Part
from detectors.battery import BATTERY, Transformation
from detectors.data import Row, cap_sources
from detectors.estimates import FEW, RATES, ROUNDS, Estimate, Key, Options
from detectors.figures import Scored, strata_of
from detectors.metrics import Scores, clopper_pearson
from detectors.resampling import Drawn, Rounds, compare, draw, interval, once, thresholds
from detectors.scoring import any_of, score_samples
from detectors.validation import Labelled

KIND = "robustness"
PLAIN = "as they are"
RATE = "1pct"
_BATCH = 32
_ROUNDS_AT_ONCE = 50

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """The scores of a sample of rows as they are and transformed, by name, and the thresholds.

    `limits` are those of the rounds, the first that of the rows themselves.
    """

    rows: Labelled
    scores: Mapping[str, Scores]
    limits: Rounds


def measure(
    detector: Detector, rows: Sequence[Row], scored: Scored, options: Options, say: Say
) -> dict[Key, Estimate]:
    """Return the figures of the battery, or none where `lacking` says why."""
    if lacking(scored, options):
        return {}
    sources = _measurable(scored, options)
    sample = [
        *cap_sources((it for it in rows if it.label == 0), options.battery_rows),
        *cap_sources(
            (it for it in rows if it.label and it.source in sources), options.battery_rows
        ),
    ]
    say(f"{scored.part}: {len(sample)} rows written in {len(BATTERY)} other ways")
    tried = _try(detector, sample, scored.part, options.seed)
    return figures_of(Tried(*tried, _limits(scored, options.seed)), options)


def lacking(scored: Scored, options: Options) -> dict[Key, str]:
    """Say why the battery cannot be measured, under the key of the recall of plain rows."""
    lack = "the battery was left out"
    if options.battery_rows:
        benign, misuse = int(scored.benign.sum()), int((~scored.benign).sum())
        least = options.needs.rows
        nothing = f"no source has {least:,} misuse rows"
        lack = options.needs.lacks(f"recall_at_{RATE}", misuse, benign) or (
            "" if _measurable(scored, options) else nothing
        )
    return {(KIND, PLAIN, f"recall_at_{RATE}"): lack} if lack else {}


def counts(scored: Scored, options: Options) -> dict[tuple[str, str], int]:
    """Return how many misuse rows are written in each way."""
    if lacking(scored, options):
        return {}
    sizes = (int(scored.rows.misuse_of(it).sum()) for it in _measurable(scored, options))
    total = sum(min(size, options.battery_rows) for size in sizes)
    return {(KIND, name): total for name in (PLAIN, *BATTERY)}


def _measurable(scored: Scored, options: Options) -> list[str]:
    rows = scored.rows
    return [
        source
        for source in rows.sources_with(1)
        if rows.misuse_of(source).sum() >= options.needs.rows
    ]


def _misuse_of(rows: Sequence[Row], sources: Sequence[str]) -> list[Row]:
    return [row for row in rows if row.label == 1 and row.source in sources]


def figures_of(tried: Tried, options: Options) -> dict[Key, Estimate]:
    """Return recall, recall kept, AUROC and false positives of each transformation.

    Recalls and AUROC are means over sources. What is kept is the ratio of the two recalls of the
    same rows; it is left out where too few rows are found as they are to speak of a ratio.
    """
    random = np.random.default_rng(options.seed)
    rows = len(tried.rows.label)
    drawn = np.concatenate([once(rows), draw(strata_of(tried.rows), rows, ROUNDS, random)])
    recalls = {name: _recall(scores, tried, drawn) for name, scores in tried.scores.items()}
    enough = _found(tried.scores[PLAIN], tried) >= options.needs.above
    found: dict[Key, Estimate] = {}
    for name, scores in tried.scores.items():
        recall = _with_few(_estimate(recalls[name]), scores, tried)
        found[KIND, name, f"recall_at_{RATE}"] = recall
        if enough:
            found[KIND, name, "recall_kept"] = _kept(recall, recalls[name], recalls[PLAIN])
        found[KIND, name, "auroc"] = _estimate(_auroc(scores, tried.rows, drawn))
        found[KIND, name, f"flagged_at_{RATE}"] = _flagged(scores, tried)
    return found


def _kept(recall: Estimate, rounds: Rounds, plain: Rounds) -> Estimate:
    ratio = _estimate(rounds / np.maximum(plain, 1e-9))
    high = max(ratio.high, recall.high / plain[0]) if recall.exact else ratio.high
    return Estimate(ratio.value, ratio.low, float(high), recall.exact)


def _with_few(recall: Estimate, scores: Scores, tried: Tried) -> Estimate:
    """Widen a recall of few rows, or of none, to the exact interval of all rows together."""
    count = _found(scores, tried)
    if count >= FEW:
        return recall
    low, high = clopper_pearson(count, int(tried.rows.label.sum()))
    return Estimate(recall.value, min(recall.low, low), max(recall.high, high), exact=True)


def _found(scores: Scores, tried: Tried) -> int:
    return int((scores[tried.rows.label == 1] > tried.limits[0]).sum())


def _try(
    detector: Detector, sample: Sequence[Row], part: Part, seed: int
) -> tuple[Labelled, dict[str, Scores]]:
    ways: dict[str, Transformation] = {PLAIN: lambda text, _seed: text, **BATTERY}
    scores = {name: _scores(detector, sample, part, way, seed) for name, way in ways.items()}
    label = np.array([row.label for row in sample])
    return Labelled(label, np.array([row.source for row in sample])), scores


def _scores(
    detector: Detector, sample: Sequence[Row], part: Part, way: Transformation, seed: int
) -> Scores:
    """Score transformed texts, a few at a time: padded ones are long."""
    found: list[float] = []
    for start in range(0, len(sample), _BATCH):
        plain = [row.sample_of(part) for row in sample[start : start + _BATCH]]
        changed = [replace(it, text=way(it.text, seed + start + n)) for n, it in enumerate(plain)]
        found += [any_of(it) for it in score_samples(detector, changed, _BATCH)]
    return np.array(found)


def _limits(scored: Scored, seed: int) -> Rounds:
    """Return the threshold of all benign rows, and those of the rounds."""
    benign = scored.scores[scored.benign]
    rows = Labelled(scored.rows.label[scored.benign], scored.rows.source[scored.benign])
    drawn = draw(strata_of(rows), len(benign), ROUNDS, np.random.default_rng(seed + 1))
    return thresholds(benign, np.concatenate([once(len(benign)), drawn]), RATES[RATE])


def _recall(scores: Scores, tried: Tried, drawn: Drawn) -> Rounds:
    """Return the mean over sources of the share of misuse that is flagged."""
    flagged = (scores[None, :] > tried.limits[:, None]) * drawn
    shares = [
        flagged[:, chosen].sum(axis=1) / chosen.sum()
        for source in tried.rows.sources_with(1)
        for chosen in [tried.rows.misuse_of(source)]
    ]
    mean: Rounds = np.mean(shares, axis=0)
    return mean


def _auroc(scores: Scores, rows: Labelled, drawn: Drawn) -> Rounds:
    """Return the mean over sources, a few rounds at a time: tables of counts are large."""
    chunks = np.array_split(drawn, -(-len(drawn) // _ROUNDS_AT_ONCE))
    return np.concatenate([_mean_auroc(scores, rows, it) for it in chunks])


def _mean_auroc(scores: Scores, rows: Labelled, drawn: Drawn) -> Rounds:
    benign = rows.label == 0
    found = [
        compare((scores[benign], drawn[:, benign]), (scores[misuse], drawn[:, misuse]), {})["auroc"]
        for source in rows.sources_with(1)
        for misuse in [rows.misuse_of(source)]
    ]
    mean: Rounds = np.mean(found, axis=0)
    return mean


def _flagged(scores: Scores, tried: Tried) -> Estimate:
    """Return the share of the benign sample that is flagged, with its exact interval."""
    benign = scores[tried.rows.label == 0]
    count = int((benign > tried.limits[0]).sum())
    low, high = clopper_pearson(count, len(benign))
    return Estimate(count / len(benign), low, high, exact=True)


def _estimate(values: Rounds) -> Estimate:
    """Return the first round, which drew each row once, with the interval of the others."""
    return Estimate(float(values[0]), *interval(values[1:]))
