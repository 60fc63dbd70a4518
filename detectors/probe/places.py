"""Where probes read: fitted at every place, and those chosen that rank unseen families best."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Final

import numpy as np

from detectors.kinds import PENALTIES, held_to_more
from detectors.metrics import Scores
from detectors.probe.states import States
from detectors.semantic.training import Fitted, Measure, Plan, Task, Texts, fit_pooled
from detectors.validation import Labelled, Quality
from vllm_probe.parts import Pooling

MOST_PLACES: Final = 2
"""So many places are read for one part at most: each adds numbers to all that is told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a probe reads, and how the scores of a part's tokens become one."""

    layer: int
    pooling: Pooling

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.pooling} of layer {self.layer}"


@dataclass(frozen=True, slots=True)
class Told:
    """Something that is told apart by probes at some places, whose log-odds are added up.

    log-odds = slope * sum of the probes' + offset
    """

    name: str
    at: Mapping[Place, Fitted]
    slope: float
    offset: float
    left_out: Scores
    quality: Quality
    """Of `left_out`: on families that no probe had seen."""


@dataclass(frozen=True)
class Bench:
    """The states of one part, to which probes are fitted."""

    states: States
    plan: Plan
    measure: Measure

    @cached_property
    def texts(self) -> Texts:
        """Return as many windows as rows, one each, whose vectors are left out."""
        count = len(self.states.rows)
        return Texts(np.zeros((count, 0)), np.arange(count))

    def places(self) -> Iterator[Place]:
        """Yield all there are."""
        manifest = self.states.manifest
        for layer in manifest.layers:
            for pooling in manifest.poolings:
                yield Place(layer, pooling)

    def fit(self, task: Task, place: Place) -> Fitted:
        """Fit one probe."""
        vectors = self.states.of(place.layer, place.pooling).astype(np.float64)
        return fit_pooled(Texts(vectors, self.texts.text), task, self.plan, self.measure)

    def told(self, name: str, task: Task, at: Mapping[Place, Fitted]) -> Told:
        """Add up what probes at several places say, and calibrate the sum."""
        added: Scores = np.sum([it.left_out for it in at.values()], axis=0)
        slope, offset = task.calibrated(added)
        left_out = slope * added + offset
        return Told(name, at, slope, offset, left_out, task.quality(left_out, self.measure))


Fits = Mapping[str, Mapping[Place, Fitted]]
"""What is told apart, by name, and the probe for it at each place."""


def choose(
    bench: Bench, tasks: Mapping[str, Task], fits: Fits, whole: Labelled
) -> dict[tuple[Place, ...], Quality]:
    """Return how well places do, alone and together, the best first.

    It is what comes of all that is told apart there that counts, put together as a detector does.
    """
    found = {}
    for chosen in _together(list(bench.places())):
        told = [
            bench.told(name, task, {it: fits[name][it] for it in chosen}).left_out
            for name, task in tasks.items()
        ]
        found[chosen] = max(_put_together(told, bench.measure, whole), key=lambda it: it.auroc)
    return dict(sorted(found.items(), key=lambda it: -it[1].auroc))


def _together(places: Sequence[Place]) -> Iterator[tuple[Place, ...]]:
    for count in range(1, MOST_PLACES + 1):
        yield from combinations(places, count)


def _put_together(
    told: Sequence[Scores], measure: Callable[[Scores, Labelled], Quality], whole: Labelled
) -> Iterable[Quality]:
    for penalty in PENALTIES if len(told) > 1 else (0.0,):
        yield measure(held_to_more(told, penalty), whole)
