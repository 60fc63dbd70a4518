"""Training of the semantic detector: rows in, heads out; the same vectors give the same heads.

The encoder is not trained: what moves is a few thousand numbers. Everything is selected and
calibrated on sources whose family no probe has seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Category, Part, Sample
from detectors.calibration import calibrate, rising
from detectors.data import Row, cap_sources
from detectors.fitting import source_weights
from detectors.kinds import PENALTIES, held_to_more, taught_by_kind
from detectors.log_odds import Curve
from detectors.metrics import Scores
from detectors.semantic import probes
from detectors.semantic.detector import Head, Linear, Reader, vectors
from detectors.semantic.probes import Matrix
from detectors.validation import (
    Labelled,
    Quality,
    family,
    mean_over_sources,
    mean_within_sources,
)

Progress = Callable[[str], None]
Measure = Callable[[Scores, Labelled], Quality]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried and what is fixed."""

    prompts_per_source: int = 300
    answers_per_source: int = 900
    windows_per_text: int = 2
    ridges: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    category_rows: int = 150
    """A category has a head where so many rows carry it, of so many families."""
    category_families: int = 4
    category_auroc: float = 0.75
    """A category's head is shipped where it ranks rows of unseen families so well."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The windows of n texts: vectors of shape (windows, width), and the number of each's text."""

    vectors: Matrix
    text: NDArray[np.int64]

    def of(self, rows: Labelled) -> Labelled:
        """Return the label and source of each window."""
        return Labelled(rows.label[self.text], rows.source[self.text])

    def highest(self, margins: Scores) -> Scores:
        """Return each text's highest margin: what its windows are added up to comes before."""
        return probes.highest(margins, self.text)


@dataclass(frozen=True, slots=True)
class Task:
    """What a probe is to tell apart, and in which rows: mask of shape (n,)."""

    rows: Labelled
    among: NDArray[np.bool_]

    @property
    def judged(self) -> Labelled:
        """The labels and sources of those rows."""
        return Labelled(self.rows.label[self.among], self.rows.source[self.among])

    def quality(self, margins: Scores, measure: Measure) -> Quality:
        """Say how well margins of all rows rank those."""
        return measure(margins[self.among], self.judged)

    def calibrated(self, margins: Scores) -> tuple[float, float]:
        """Return slope and offset that make log-odds of margins."""
        of_rows = source_weights(self.judged, probes.SOURCE_POWER)
        return rising(margins[self.among], self.judged, of_rows)


@dataclass(frozen=True, slots=True)
class Fitted:
    """log-odds = weights · vector + offset, and those of windows whose family was left out."""

    weights: Matrix
    offset: float
    left_out: Scores
    quality: Mapping[float, Quality] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trained:
    """One part's head, with how it was selected."""

    head: Head
    quality: Mapping[str, Mapping[float, Quality]]
    too_weak: Mapping[str, Quality] = field(default_factory=dict)
    """Categories that ranked too badly for a head of their own."""


def train(
    rows: Sequence[Row], encoder: Reader, plan: Plan, progress: Progress
) -> dict[Part, Trained]:
    """Train one head a part, on one thread: threads add up in another order, and so differ."""
    prompts, answers = chosen(rows, plan)
    of_part = {Part.PROMPT: prompts, Part.ANSWER: answers, Part.EXCHANGE: answers}
    with threadpool_limits(1):
        return {part: train_part(part, of_part[part], encoder, plan, progress) for part in of_part}


def chosen(rows: Sequence[Row], plan: Plan) -> tuple[list[Row], list[Row]]:
    """Return the prompts and the answers that are learnt from."""
    prompts = cap_sources([it for it in rows if it.response is None], plan.prompts_per_source)
    return prompts, cap_sources([it for it in rows if it.response], plan.answers_per_source)


def train_part(
    part: Part, rows: Sequence[Row], encoder: Reader, plan: Plan, progress: Progress
) -> Trained:
    """Train the heads of one part: `any`, and the categories that rank well enough."""
    progress(f"{part}: reading {len(rows)} texts")
    texts = read([it.sample_of(part) for it in rows], encoder, plan.windows_per_text)
    measure = mean_over_sources if part is Part.PROMPT else mean_within_sources
    source = np.array([it.source for it in rows])
    label = np.array([it.label for it in rows])
    everything = np.ones(len(rows), np.bool_)
    kinds = list(taught_by_kind(rows).values()) if part is Part.PROMPT else [everything]
    found = [fit(texts, Task(Labelled(label, source), it), plan, measure) for it in kinds]
    of_any = combined(found, texts, Labelled(label, source), measure)
    progress(f"{part}, any: {best_of(of_any.quality)}")
    wanted = category_labels(rows, plan) if part is Part.PROMPT else {}
    fitted = {
        category: fit(texts, Task(Labelled(carries, source), everything), plan, measure)
        for category, carries in wanted.items()
    }
    for category, one in fitted.items():
        progress(f"{part}, {category}: {best_of(one.quality)}")
    kept = tuple(it for it in fitted if _ranks(fitted[it], plan))
    width = texts.vectors.shape[1]
    head = Head(of_any.kinds, of_any.curve, kept, linear([fitted[it] for it in kept], width))
    left = {str(it): best_of(fitted[it].quality) for it in fitted if it not in kept}
    quality = {str(Category.ANY): of_any.quality, **{str(it): fitted[it].quality for it in kept}}
    return Trained(head, quality, left)


@dataclass(frozen=True, slots=True)
class OfAny:
    """How `any` is made of kinds: the first is what most misuse is, others are held to more."""

    kinds: Linear
    curve: Curve
    quality: Mapping[float, Quality]


def combined(found: Sequence[Fitted], texts: Texts, rows: Labelled, measure: Measure) -> OfAny:
    """Choose the penalty on left-out families, and calibrate the sum of odds there."""
    width, margins, quality = len(found[0].weights), {}, {}
    for penalty in PENALTIES if len(found) > 1 else (0.0,):
        margins[penalty] = texts.highest(held_to_more([it.left_out for it in found], penalty))
        quality[penalty] = measure(margins[penalty], rows)
    best = max(quality, key=lambda it: quality[it].auroc)
    kinds = linear(
        [replace(it, offset=it.offset - best * (n > 0)) for n, it in enumerate(found)], width
    )
    of_rows = source_weights(rows, probes.SOURCE_POWER)
    return OfAny(kinds, calibrate(margins[best], rows, of_rows), quality)


def linear(found: Sequence[Fitted], width: int) -> Linear:
    """Return the models as one, in the precision that they are kept in."""
    weights = np.zeros((len(found), width), np.float32)
    for row, it in zip(weights, found, strict=True):
        row[:] = it.weights
    return Linear(weights, np.array([it.offset for it in found], np.float32))


def category_labels(rows: Sequence[Row], plan: Plan) -> dict[Category, NDArray[np.int64]]:
    """Return which rows carry a category, for those that enough rows of enough families carry."""
    found: dict[Category, NDArray[np.int64]] = {}
    for category in Category:
        if category in {Category.ANY, Category.OTHER, Category.BIO}:
            continue  # biology has too few public rows: no claim is made on it
        carry = [it.label == 1 and category in it.categories for it in rows]
        families = {family(it.source) for it, has in zip(rows, carry, strict=True) if has}
        if sum(carry) >= plan.category_rows and len(families) >= plan.category_families:
            found[category] = np.array(carry, np.int64)
    return found


def _ranks(fitted: Fitted, plan: Plan) -> bool:
    return best_of(fitted.quality).auroc >= plan.category_auroc


def best_of(quality: Mapping[float, Quality]) -> Quality:
    """Return the quality that was selected."""
    return max(quality.values(), key=lambda it: it.auroc)


def read(samples: Sequence[Sample], encoder: Reader, most: int) -> Texts:
    """Encode windows of samples; one without a token counts as a window of noughts."""
    found = [list(vectors(encoder, it, most)) for it in samples]
    width = next((len(it[0]) for it in found if it), 1)
    many = [it or [np.zeros(width, np.float32)] for it in found]
    numbers = np.repeat(np.arange(len(many)), [len(it) for it in many])
    return Texts(np.stack([one for it in many for one in it]).astype(np.float64), numbers)


def fit(texts: Texts, task: Task, plan: Plan, measure: Measure) -> Fitted:
    """Fit a probe to each half of the vectors, and calibrate the sum of their log-odds.

    The halves are the mean state and the last one; one probe on both does worse on families that
    it has not seen.
    """
    halves = np.split(texts.vectors, 2, axis=1)
    fitted = [fit_pooled(replace(texts, vectors=it), task, plan, measure) for it in halves]
    left_out: Scores = np.sum([it.left_out for it in fitted], axis=0)
    of_texts = texts.highest(left_out)
    slope, offset = task.calibrated(of_texts)
    weights = slope * np.concatenate([it.weights for it in fitted])
    inner = slope * sum(it.offset for it in fitted) + offset
    quality = {0.0: task.quality(of_texts, measure)}
    return Fitted(weights, inner, slope * left_out + offset, quality)


def fit_pooled(texts: Texts, task: Task, plan: Plan, measure: Measure) -> Fitted:
    """Choose the ridge and calibrate on left-out families, and fit on all that teach."""
    scale = texts.vectors.std(axis=0) + 1e-3
    scaled, seen = texts.vectors / scale, texts.of(task.rows)
    teach = task.among[texts.text]
    found = probes.moments(scaled[teach], Labelled(seen.label[teach], seen.source[teach]))
    left_out, quality = {}, {}
    for ridge in plan.ridges:
        left_out[ridge] = probes.left_out_margins(scaled, seen, found, ridge)
        quality[ridge] = task.quality(texts.highest(left_out[ridge]), measure)
    best = max(quality, key=lambda it: quality[it].auroc)
    slope, offset = task.calibrated(texts.highest(left_out[best]))
    probe = probes.fit_all(found, best)
    inner = slope * probe.offset + offset
    return Fitted(slope * probe.weights / scale, inner, slope * left_out[best] + offset, quality)
