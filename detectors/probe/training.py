"""Training of probes: states in, probes and their heads out; the same states give the same.

A probe is fitted to the states of one layer, pooled in one way and scaled by their spread, which is
folded into its weights. Layers and poolings are chosen, and all is calibrated, on sources whose
family no probe has seen: `semantic.training` does the same with the states of its own model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from detectors.api import Category, Part
from detectors.data import Row
from detectors.errors import DataError
from detectors.kinds import taught_by_kind
from detectors.probe.places import Bench, Place, Told, choose
from detectors.probe.states import States
from detectors.semantic.detector import Head
from detectors.semantic.training import (
    Fitted,
    Plan,
    Task,
    category_labels,
    combined,
    linear,
)
from detectors.validation import Labelled, Quality, mean_over_sources, mean_within_sources
from vllm_probe.probes import Probe

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Column:
    """A probe with its numbers."""

    probe: Probe
    weights: NDArray[np.float64]
    offset: float


@dataclass(frozen=True, slots=True)
class Choice:
    """How the probes of one part were selected, on families that were left out."""

    places: tuple[Place, ...]
    tried: Mapping[tuple[Place, ...], Quality]
    quality: Mapping[str, Quality]
    """Of `any`, and of each category that is told."""
    too_weak: Mapping[str, Quality]
    """Categories that ranked too badly."""


@dataclass(frozen=True, slots=True)
class Trained:
    """All probes, and the heads on all of them."""

    columns: Sequence[Column]
    heads: Mapping[Part, Head]
    choices: Mapping[Part, Choice]


def train(states: States, plan: Plan, progress: Progress) -> Trained:
    """Train probes for prompts, and for answers where there are enough, on one thread.

    Raises:
        DataError: there are too few rows for either.
    """
    is_answer = np.array([it.is_answer for it in states.rows])
    parts = {Part.PROMPT: states.where(~is_answer), Part.EXCHANGE: states.where(is_answer)}
    with threadpool_limits(1):
        found = {
            part: _OfPart(part, some, plan, progress).train()
            for part, some in parts.items()
            if _can_teach(some)
        }
    if not found:
        raise DataError(
            "rows of both labels are needed, and each of two sources or more: prompts, or answers"
        )
    return _side_by_side(found)


def _can_teach(states: States) -> bool:
    return all(len({it.source for it in states.rows if it.label == label}) > 1 for label in (0, 1))


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of one part."""

    kinds: Sequence[Told]
    """They make `any` together."""
    categories: Mapping[Category, Told]
    bench: Bench
    whole: Labelled
    choice: Choice

    @property
    def all(self) -> Sequence[Told]:
        return [*self.kinds, *self.categories.values()]


class _OfPart:
    """Trains the probes of one part."""

    def __init__(self, part: Part, states: States, plan: Plan, progress: Progress) -> None:
        self._plan = plan
        self._part = part
        self._progress = progress
        self._is_prompt = part is Part.PROMPT
        measure = mean_over_sources if self._is_prompt else mean_within_sources
        self._bench = Bench(states, plan, measure)
        self._rows = [
            Row(it.id, "", it.label, it.source, it.licence, None, it.categories)
            for it in states.rows
        ]
        self._label = np.array([it.label for it in self._rows])
        self._source = np.array([it.source for it in self._rows])
        self._everything = np.ones(len(self._rows), np.bool_)

    def train(self) -> _Told:
        whole = Labelled(self._label, self._source)
        tasks = self._kinds(whole)
        self._say(f"{len(self._rows)} rows, {len(list(self._bench.places()))} places")
        fits = {
            name: {it: self._bench.fit(task, it) for it in self._bench.places()}
            for name, task in tasks.items()
        }
        tried = choose(self._bench, tasks, fits, whole)
        places = next(iter(tried))
        self._say(f"{' and '.join(map(str, places))}, {tried[places]}")
        kinds = [
            self._bench.told(name, task, {it: fits[name][it] for it in places})
            for name, task in tasks.items()
        ]
        categories = self._categories(places) if self._is_prompt else {}
        strong = {it: one for it, one in categories.items() if self._is_strong(one)}
        weak = {str(it): one.quality for it, one in categories.items() if it not in strong}
        quality = {"any": tried[places], **{str(it): one.quality for it, one in strong.items()}}
        return _Told(kinds, strong, self._bench, whole, Choice(places, tried, quality, weak))

    def _say(self, words: str) -> None:
        self._progress(f"{self._part}: {words}")

    def _kinds(self, whole: Labelled) -> dict[str, Task]:
        if not self._is_prompt:
            return {"answer": Task(whole, self._everything)}
        return {str(it): Task(whole, among) for it, among in taught_by_kind(self._rows).items()}

    def _categories(self, places: Sequence[Place]) -> dict[Category, Told]:
        found = {}
        for category, carries in category_labels(self._rows, self._plan).items():
            task = Task(Labelled(carries, self._source), self._everything)
            fitted = {it: self._bench.fit(task, it) for it in places}
            found[category] = self._bench.told(category, task, fitted)
            self._say(f"{category}, {found[category].quality}")
        return found

    def _is_strong(self, told: Told) -> bool:
        return told.quality.auroc >= self._plan.category_auroc


def _side_by_side(found: Mapping[Part, _Told]) -> Trained:
    """Put the probes of all parts side by side; each part's head passes over those of others."""
    columns = [column for part in found.values() for it in part.all for column in _columns(it)]
    heads, start = {}, 0
    for part, told in found.items():
        heads[part] = _head(told, start, len(columns))
        start += sum(len(it.at) for it in told.all)
    if Part.EXCHANGE in heads:  # the states of an answer come of its prompt, always
        heads[Part.ANSWER] = heads[Part.EXCHANGE]
    return Trained(columns, heads, {part: it.choice for part, it in found.items()})


def _columns(told: Told) -> list[Column]:
    return [
        Column(Probe(told.name, place.layer, place.pooling), one.weights, one.offset)
        for place, one in told.at.items()
    ]


def _head(told: _Told, start: int, width: int) -> Head:
    wide = []
    for it in told.all:
        weights = np.zeros(width)
        weights[start : start + len(it.at)] = it.slope
        wide.append(Fitted(weights, it.offset, it.left_out, {0.0: it.quality}))
        start += len(it.at)
    kinds, categories = wide[: len(told.kinds)], wide[len(told.kinds) :]
    of_any = combined(kinds, told.bench.texts, told.whole, told.bench.measure)
    return Head(of_any.kinds, of_any.curve, tuple(told.categories), linear(categories, width))
