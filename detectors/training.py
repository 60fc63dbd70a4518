"""Training of the lexical detector: rows in, model out; the same rows give the same model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Part
from detectors.calibration import calibrate
from detectors.corpus import Corpus, combined, corpus
from detectors.data import Row, cap_sources
from detectors.errors import DataError
from detectors.fitting import fit, source_weights
from detectors.log_odds import Curve
from detectors.metrics import Scores, threshold_at
from detectors.plain import STEEPNESS
from detectors.rounding import in_16_bits, without_letters
from detectors.validation import (
    Labelled,
    Quality,
    leave_families_out,
    mean_over_sources,
    mean_within_sources,
)

Progress = Callable[[str], None]

TEXT_CHARS = 20_000
"""So much of a text is read in training."""

HEADROOM = 1.5
NO_LIMIT = 1e6
UNWORDED = -20.0
"""The margin, in calibration, of a text without a word."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried and what is fixed. `inverse_regularisations` are scikit-learn's C.

    `unused_sources` teach nothing, because models without them were better on other sources; they
    are judged like all.
    `benign_stretches` (words, how many of a text) of long benign prompts are benign rows as well:
    a long text is as suspect as its worst stretch.
    """

    rows_per_source: int = 1_000
    answers_per_source: int = 10_000
    inverse_regularisations: Mapping[Part, tuple[float, ...]] = field(
        default_factory=lambda: {
            Part.PROMPT: (10.0,),
            Part.ANSWER: (0.1, 0.3, 1.0),
            Part.EXCHANGE: (0.3, 1.0, 3.0),
        }
    )
    source_power: float = 0.25
    unused_sources: frozenset[str] = frozenset({"wildguard_benign"})
    benign_stretches: tuple[int, int] = (32, 3)
    prose_sources: frozenset[str] = frozenset(
        {
            "c4_demo",
            "medquad",
            "mmlu_questions",
            "owasp_wstg",
            "purplellama_autocomplete",
            "xquad_multilingual",
        }
    )
    prose_chars: int = 150
    prose_per_source: int = 150
    prose_weight: float = 0.02
    """Of a row of prose among answers, compared with others: prose tells little of answers."""


@dataclass(frozen=True, slots=True)
class Trained:
    """One part's head as numbers, with the quality that selected it.

    `weights` are of shape (BUCKETS,), `plain.ONE` for 1.
    """

    weights: NDArray[np.int16]
    shift: float
    mean: bool
    intercept: float
    curve: Curve
    inverse_regularisation: float
    quality: Mapping[float, Quality] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        names = ("weights", "shift", "mean", "intercept")
        curve = {"margins": self.curve.margins, "log_odds": self.curve.log_odds}
        arrays = {name: np.array(it, np.float64) for name, it in curve.items()}
        return {name: getattr(self, name) for name in names} | arrays


@dataclass(frozen=True, slots=True)
class Problem:
    """One part's training set.

    `texts` and `judged` are all texts and their labels; `features`, of shape (n, BUCKETS), and
    `rows` are what is learnt from: the texts of sources that teach, then stretches cut from them.
    """

    part: Part
    texts: Corpus
    judged: Labelled
    features: sparse.csr_matrix
    rows: Labelled


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


def prompt_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the rows whose label speaks of the prompt, so many of a source."""
    prompts = (row for row in rows if row.sample.part is Part.PROMPT)
    return cap_sources(prompts, plan.rows_per_source)


def answer_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the labelled answers, and benign prose so that not all prose looks like compliance.

    The benign rows among labelled answers are refusals nearly all.
    """
    prose = (
        row
        for row in rows
        if row.source in plan.prose_sources and row.label == 0 and len(row.text) >= plan.prose_chars
    )
    return [*exchange_rows(rows, plan), *cap_sources(prose, plan.prose_per_source)]


def exchange_rows(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the labelled answers alone: each to a prompt that asks for misuse."""
    answers = (row for row in rows if row.sample.part is Part.ANSWER)
    return cap_sources(answers, plan.answers_per_source)


def teachers(rows: Sequence[Row], plan: Plan) -> list[Row]:
    """Return the rows that may teach some head."""
    return [row for row in rows if row.source not in plan.unused_sources]


_CHOOSERS = {
    Part.PROMPT: prompt_rows,
    Part.ANSWER: answer_rows,
    Part.EXCHANGE: exchange_rows,
}


def problem(rows: Sequence[Row], part: Part, plan: Plan) -> Problem:
    """Make features and labels of rows, and of prompts also of stretches of the benign ones."""
    label = np.array([row.label for row in rows], dtype=np.int64)
    if set(label.tolist()) != {0, 1}:
        raise DataError("training needs rows of both labels, 0 and 1, for each part")
    source = np.array([row.source for row in rows])
    teaches = ~np.isin(source, sorted(plan.unused_sources))
    texts = corpus([row.sample.text[:TEXT_CHARS] for row in rows])
    long_ones = np.flatnonzero(teaches & (label == 0) & (part is Part.PROMPT))
    stretches, owners = texts.stretches(long_ones, *plan.benign_stretches)
    taught = np.concatenate([np.flatnonzero(teaches), owners])
    mean = is_mean(part)
    features = sparse.vstack([texts.features(mean=mean)[teaches], stretches.features()]).tocsr()
    learnt = Labelled(label[taught], source[taught])
    return Problem(part, texts, Labelled(label, source), features, learnt)


def is_mean(part: Part) -> bool:
    """Whether the mean of the whole text counts: for answers, as whether one complies shows there.

    Of a prompt the worst stretch counts, for a request may stand anywhere in it.
    """
    return part is not Part.PROMPT


def row_weights(rows: Labelled, part: Part, plan: Plan) -> Scores:
    """Return what rows weigh: labels the same, sources tempered, prose among answers little."""
    weights = source_weights(rows, plan.source_power)
    if part is not Part.PROMPT:
        weights[np.isin(rows.source, sorted(plan.prose_sources))] *= plan.prose_weight
    return weights


def train_head(data: Problem, plan: Plan, progress: Progress) -> Trained:
    """Choose the regularisation, calibrate on left-out families, and fit on everything.

    An answer is compared with benign ones of its own source: refusals of the same requests.
    """
    judge = mean_over_sources if data.part is Part.PROMPT else mean_within_sources
    margins, limits, quality = {}, {}, {}
    for value in plan.inverse_regularisations[data.part]:
        margins[value], limits[value] = left_out_margins(data, value, plan)
        quality[value] = judge(margins[value], data.judged)
        progress(f"  C={value:g}: {quality[value]}")
    best = max(quality, key=lambda value: quality[value].auroc)
    curve = calibrate(margins[best], data.judged, row_weights(data.judged, data.part, plan))
    weights, intercept = fit(
        data.features, data.rows, best, row_weights(data.rows, data.part, plan)
    )
    shift = limits[best] - (STEEPNESS - 1) * intercept
    mean = is_mean(data.part)
    rounded = in_16_bits(weights)
    if data.part is Part.PROMPT:
        rounded = without_letters(rounded)
    return Trained(rounded, shift, mean, intercept, curve, best, quality)


def left_out_margins(
    data: Problem, inverse_regularisation: float, plan: Plan
) -> tuple[Scores, float]:
    """Return each text's margin under a model that saw nothing of its family, and a limit.

    The limit is the shift of margins that have an intercept: so that a short stretch is as suspect
    as a whole text a little above the margin that one in a hundred benign texts exceeds, and below
    that less.
    """
    long, short = np.zeros((2, len(data.judged.label)))
    for left_out in leave_families_out(data.judged.source):
        kept = ~np.isin(data.rows.source, np.unique(data.judged.source[left_out]))
        seen = Labelled(data.rows.label[kept], data.rows.source[kept])
        of_rows = row_weights(seen, data.part, plan)
        weights, intercept = fit(data.features[kept], seen, inverse_regularisation, of_rows)
        of_long, of_short = _margins(data, weights)
        long[left_out] = of_long[left_out] + intercept
        short[left_out] = of_short[left_out] + intercept
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
