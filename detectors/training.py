"""Training of the lexical detector: rows in, model out; the same rows give the same model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Part
from detectors.calibration import calibrate, rising
from detectors.corpus import combined
from detectors.data import Row
from detectors.fitting import fit
from detectors.kinds import PENALTIES, Kind, held_to_more
from detectors.log_odds import Curve
from detectors.metrics import Scores, threshold_at
from detectors.plain import STEEPNESS
from detectors.problem import (
    Plan,
    Problem,
    answer_rows,
    exchange_rows,
    is_mean,
    problem,
    prompt_rows,
    row_weights,
)
from detectors.rounding import in_16_bits, without_letters
from detectors.validation import (
    Labelled,
    Quality,
    leave_families_out,
    mean_over_sources,
    mean_within_sources,
)

Progress = Callable[[str], None]
Judge = Callable[[Scores, Labelled], Quality]

HEADROOM = 1.5
NO_LIMIT = 1e6
UNWORDED = -20.0
"""The margin, in calibration, of a text without a word."""


@dataclass(frozen=True, slots=True)
class OfKind:
    """One kind's model as numbers: `weights` of shape (BUCKETS,), `plain.ONE` for 1."""

    weights: NDArray[np.int16]
    shift: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Trained:
    """One part's head as numbers, with the quality that selected it."""

    kinds: Mapping[str, OfKind]
    mean: bool
    curve: Curve
    inverse_regularisation: float
    quality: Mapping[float, Quality] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        curve = {"margins": self.curve.margins, "log_odds": self.curve.log_odds}
        arrays = {name: np.array(it, np.float64) for name, it in curve.items()}
        kinds = {name: asdict(it) for name, it in self.kinds.items()}
        return {"kinds": kinds, "mean": self.mean} | arrays


def train(rows: Sequence[Row], plan: Plan, progress: Progress) -> dict[Part, Trained]:
    """Train one head a part, on one thread: threads add up in another order, and so differ."""
    with threadpool_limits(1):
        return _train(rows, plan, progress)


def _train(rows: Sequence[Row], plan: Plan, progress: Progress) -> dict[Part, Trained]:
    heads = {}
    for part, choose in _CHOOSERS.items():
        chosen = choose(rows, plan)
        progress(f"{part}: {len(chosen)} rows of {len({row.source for row in chosen})} sources")
        heads[part] = train_head(problem(chosen, part, plan), plan, progress)
    return heads


_CHOOSERS = {
    Part.PROMPT: prompt_rows,
    Part.ANSWER: answer_rows,
    Part.EXCHANGE: exchange_rows,
}


def train_head(data: Problem, plan: Plan, progress: Progress) -> Trained:
    """Choose the regularisation, calibrate on left-out families, and fit on everything.

    An answer is compared with benign ones of its own source: refusals of the same requests.
    """
    judge = mean_over_sources if data.part is Part.PROMPT else mean_within_sources
    found, quality = {}, {}
    for value in plan.inverse_regularisations[data.part]:
        kinds = [calibrated_kind(data, it, value, plan) for it in data.kinds]
        found[value], quality[value] = _combined(kinds, data, judge)
        progress(f"  C={value:g}: {quality[value]}")
    best = max(quality, key=lambda value: quality[value].auroc)
    kinds, margins = found[best]
    curve = calibrate(margins, data.judged, row_weights(data.judged, data.part, plan))
    fitted = {str(it.kind): _fitted(data, it, best, plan) for it in kinds}
    return Trained(fitted, is_mean(data.part), curve, best, quality)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """log-odds = slope * margin + offset of a kind; `left_out` are those of all texts."""

    kind: Kind
    slope: float
    offset: float
    limit: float
    left_out: Scores


def calibrated_kind(data: Problem, kind: Kind, value: float, plan: Plan) -> Calibrated:
    """Judge a kind's model on families that it has not seen."""
    margins, limit = left_out_margins(data.of_kind(kind), value, plan)
    judged = data.judged_of(kind)
    of_rows = row_weights(judged, data.part, plan)
    slope, offset = rising(margins[data.kinds[kind]], judged, of_rows)
    return Calibrated(kind, slope, offset, limit, slope * margins + offset)


def _combined(
    kinds: Sequence[Calibrated], data: Problem, judge: Judge
) -> tuple[tuple[list[Calibrated], Scores], Quality]:
    """Choose the penalty of all kinds but the first; return them with it, and what they give."""
    of_kinds = [it.left_out for it in kinds]
    margins = {it: held_to_more(of_kinds, it) for it in (PENALTIES if len(kinds) > 1 else (0.0,))}
    quality = {it: judge(found, data.judged) for it, found in margins.items()}
    best = max(quality, key=lambda it: quality[it].auroc)
    held = [replace(it, offset=it.offset - best * (n > 0)) for n, it in enumerate(kinds)]
    return (held, margins[best]), quality[best]


def _fitted(data: Problem, it: Calibrated, value: float, plan: Plan) -> OfKind:
    """Fit a kind's model on all that teach it."""
    own = data.of_kind(it.kind)
    weights, intercept = fit(own.features, own.rows, value, row_weights(own.rows, own.part, plan))
    shift = it.limit - (STEEPNESS - 1) * intercept
    rounded = in_16_bits(it.slope * weights)
    if data.part is Part.PROMPT:
        rounded = without_letters(rounded)
    return OfKind(rounded, it.slope * shift, it.slope * intercept + it.offset)


def left_out_margins(
    data: Problem, inverse_regularisation: float, plan: Plan
) -> tuple[Scores, float]:
    """Return each text's margin under a model that saw nothing of its family, and a limit.

    The limit is the shift of margins that have an intercept: so that a short stretch is as suspect
    as a whole text a little above the margin that one in a hundred benign texts exceeds, and below
    that less.
    """
    long, short = np.zeros((2, len(data.judged.label)))

    @cache  # families that teach nothing here are all judged by what the others teach
    def without(sources: frozenset[str]) -> tuple[Scores, Scores]:
        kept = ~np.isin(data.rows.source, sorted(sources))
        seen = Labelled(data.rows.label[kept], data.rows.source[kept])
        of_rows = row_weights(seen, data.part, plan)
        weights, intercept = fit(data.features[kept], seen, inverse_regularisation, of_rows)
        of_long, of_short = _margins(data, weights)
        return of_long + intercept, of_short + intercept

    teaching = set(data.rows.source.tolist())
    for left_out in leave_families_out(data.judged.source):
        sources = teaching.intersection(data.judged.source[left_out].tolist())
        of_long, of_short = without(frozenset(sources))
        long[left_out], short[left_out] = of_long[left_out], of_short[left_out]
    long = np.maximum(long, UNWORDED)
    if is_mean(data.part):
        return long, NO_LIMIT
    at_1pct = threshold_at(long[data.judged.label == 0], 0.01)
    limit = (STEEPNESS - 1) * at_1pct + HEADROOM
    return combined(long, short, limit), limit


def _margins(data: Problem, weights: Scores) -> tuple[Scores, Scores]:
    if not is_mean(data.part):
        return data.texts.margins(weights)
    means = data.texts.means(weights)
    return means, np.full(len(means), -np.inf)
