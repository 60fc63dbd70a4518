"""Training of the lexical detector: rows in, model out; the same rows give the same model."""

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Part
from detectors.corpus import Corpus, combined, corpus
from detectors.data import Row, cap_sources
from detectors.errors import DataError
from detectors.features import bucket, bucket_of_pair, hashes
from detectors.fitting import fit, source_weights
from detectors.metrics import Scores, threshold_at
from detectors.plain import ONE, STEEPNESS
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

LEAST_UNITS, MOST_UNITS = 16, 32_767
ROT13_UNITS = 128
HEADROOM = 0.5
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
            Part.ANSWER: (3.0, 10.0, 30.0),
            Part.EXCHANGE: (1.0, 3.0),
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


@dataclass(frozen=True, slots=True)
class Trained:
    """One part's head as numbers, with the quality that selected it.

    `weights` are of shape (BUCKETS,), `plain.ONE` for 1.
    """

    weights: NDArray[np.int16]
    shift: float
    intercept: float
    slope: float
    offset: float
    inverse_regularisation: float
    quality: Mapping[float, Quality] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Return what the artefact keeps."""
        names = ("weights", "shift", "intercept", "slope", "offset")
        return {name: getattr(self, name) for name in names}


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
        head = train_head(problem(chosen, part, plan), plan, progress)
        heads[part] = without_letters(with_rot13(head, chosen)) if part is Part.PROMPT else head
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
    features = sparse.vstack([texts.features()[teaches], stretches.features()]).tocsr()
    learnt = Labelled(label[taught], source[taught])
    return Problem(part, texts, Labelled(label, source), features, learnt)


def train_head(data: Problem, plan: Plan, progress: Progress) -> Trained:
    """Choose the regularisation, calibrate on left-out families, and fit on everything.

    An answer is compared with benign ones of its own source: refusals of the same requests.
    """
    judge = mean_over_sources if data.part is Part.PROMPT else mean_within_sources
    margins, limits, quality = {}, {}, {}
    for value in plan.inverse_regularisations[data.part]:
        margins[value], limits[value] = left_out_margins(data, value, plan.source_power)
        quality[value] = judge(margins[value], data.judged)
        progress(f"  C={value:g}: {quality[value]}")
    best = max(quality, key=lambda value: quality[value].auroc)
    slope, offset = platt(margins[best], data.judged, plan.source_power)
    weights, intercept = fit(data.features, data.rows, best, plan.source_power)
    shift = limits[best] - (STEEPNESS - 1) * intercept
    return Trained(in_16_bits(weights), shift, intercept, slope, offset, best, quality)


def in_16_bits(weights: NDArray[np.float64]) -> NDArray[np.int16]:
    """Round weights; those that hardly count become 0, which takes less room in the model file."""
    units = np.clip(np.rint(weights * ONE), -MOST_UNITS, MOST_UNITS)
    return np.where(np.abs(units) < LEAST_UNITS, 0, units).astype(np.int16)


def left_out_margins(
    data: Problem, inverse_regularisation: float, power: float
) -> tuple[Scores, float]:
    """Return each text's margin under a model that saw nothing of its family, and a limit.

    The limit is the shift of margins that have an intercept: so that a short stretch is as suspect
    as a whole text a little above the margin that one in a hundred benign texts exceeds, and below
    that less. Of answers no short stretch is suspect: whether one complies shows in the whole.
    """
    long, short = np.zeros((2, len(data.judged.label)))
    for left_out in leave_families_out(data.judged.source):
        kept = ~np.isin(data.rows.source, np.unique(data.judged.source[left_out]))
        seen = Labelled(data.rows.label[kept], data.rows.source[kept])
        weights, intercept = fit(data.features[kept], seen, inverse_regularisation, power)
        of_long, of_short = data.texts.margins(weights)
        long[left_out] = of_long[left_out] + intercept
        short[left_out] = of_short[left_out] + intercept
    long = np.maximum(long, UNWORDED)
    limit = NO_LIMIT
    if data.part is Part.PROMPT:
        at_1pct = threshold_at(long[data.judged.label == 0], 0.01)
        limit = (STEEPNESS - 1) * at_1pct + HEADROOM
    return combined(long, short, limit), limit


def platt(margins: Scores, rows: Labelled, power: float) -> tuple[float, float]:
    """Return slope and offset of the logistic curve from margin to probability.

    Platt scaling on left-out margins, for a mixture of half benign and half misuse.
    """
    model = LogisticRegression(C=1e6)
    model.fit(margins.reshape(-1, 1), rows.label, sample_weight=source_weights(rows, power))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def with_rot13(head: Trained, rows: Sequence[Row]) -> Trained:
    """Let the words of a training text weigh the same when it is written in rot13.

    A word that is one of the training texts as it stands keeps its own weight. Scoring so knows
    rot13 at no cost, where it would have to score every text twice.
    """
    texts = [row.sample.text[:TEXT_CHARS] for row in rows]
    plain = corpus(texts)
    coded = corpus(texts, lambda text: hashes(rot13(text)))
    if not np.array_equal(plain.starts, coded.starts):
        raise DataError("a text has other words in rot13: features.words has changed")
    pairs = plain.pairs >= 0
    source = np.concatenate([plain.words, plain.pairs[pairs]])
    target = np.concatenate([coded.words, coded.pairs[pairs]])
    is_free = np.ones(len(head.weights), np.bool_)
    is_free[source] = False
    weights = head.weights.copy()
    chosen = is_free[target] & (np.abs(head.weights[source]) >= ROT13_UNITS)
    weights[target[chosen]] = head.weights[source[chosen]]
    return replace(head, weights=weights)


def without_letters(head: Trained) -> Trained:
    """Let pairs of letters weigh nothing, and letters that are no words of English.

    A text that is written letter by letter is scored by what it hides; its letters, which hardly
    come in training, would make it suspect whatever it says.
    """
    letters = {it: hashes(it)[0] for it in f"{ascii_lowercase}29_"}
    weights = head.weights.copy()
    weights[[bucket(word) for it, word in letters.items() if it not in "ai"]] = 0
    pairs = [bucket_of_pair(one, other) for one in letters.values() for other in letters.values()]
    weights[pairs] = 0
    return replace(head, weights=weights)


def rot13(text: str) -> str:
    """Move each Latin letter of a normalised text by thirteen places."""
    return codecs.encode(text, "rot13")
