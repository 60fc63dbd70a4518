"""What detectors say of items: of texts in batches, and of what probes inside the model read."""

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from detectors.api import (
    Detector,
    LeftOut,
    Part,
    Reading,
    ReadingDetector,
    Scores,
    Staged,
    StagedDetector,
    check_scores,
    judges_readings,
    score_whole,
)
from service.core.screening import DETECTOR_ERROR, NO_READING, OVER_BUDGET
from service.telemetry.metrics import Metrics
from service.workers.items import Item

_log = logging.getLogger(__name__)


class Look(NamedTuple):
    """What a detector says of an item, or why it says nothing."""

    detector: str
    version: str
    scores: Scores | None
    unscanned: str = DETECTOR_ERROR
    """Without scores: the reason."""
    reading: Reading | None = None
    """What the scores were made of, if it was no text."""


def readers_of_prompts(detectors: Sequence[Detector]) -> list[ReadingDetector]:
    """Return the stages that judge what probes read of prompts."""
    staged = [it for it in detectors if isinstance(it, StagedDetector)]
    return [reader for it in staged for reader, parts in it.readers if Part.PROMPT in parts]


def is_for(detector: Detector, item: Item) -> bool:
    """Say whether a detector looks at an item: most want a text, some what probes read."""
    if item.part not in detector.parts:
        return False
    if judges_readings(detector):
        return item.was_probed
    return item.has_text


class Looks:
    """Asks detectors, and measures them."""

    def __init__(self, metrics: Metrics) -> None:
        """Keep the metrics."""
        self._metrics = metrics

    def look(self, detector: Detector, items: Sequence[Item]) -> Sequence[Sequence[Look]]:
        """Return what a detector says of each item, and what its stages say if it has some."""
        if not items:
            return []
        if judges_readings(detector):
            with self._metrics.detector_seconds.labels(detector.name).time():
                return [[self._judged(detector, item)] for item in items]
        if isinstance(detector, StagedDetector):
            return self._look_in_stages(detector, items)
        scored = self._score(detector, items)
        return [[Look(detector.name, detector.version, scores)] for scores in scored]

    def _look_in_stages(
        self, detector: StagedDetector, items: Sequence[Item]
    ) -> Sequence[Sequence[Look]]:
        with self._metrics.detector_seconds.labels(detector.name).time():
            found = detector.score_staged([item.sample for item in items])
        versions, read = detector.versions, {it.name for it, _ in detector.readers}
        return [
            [
                Look(detector.name, detector.version, staged.scores, _why_unscanned(staged)),
                *(
                    Look(
                        name, versions[name], scores, reading=item.reading if name in read else None
                    )
                    for name, scores in staged.by_stage.items()
                ),
            ]
            for item, staged in zip(items, found, strict=True)
        ]

    def _score(self, detector: Detector, items: Sequence[Item]) -> Sequence[Scores | None]:
        """Score a batch, or if that fails each item alone; None: the detector failed on it."""
        scored = self._try_score(detector, items)
        if scored is not None:
            return scored
        if len(items) == 1:
            return [None]
        return [scores for item in items for scores in self._score(detector, [item])]

    def _try_score(self, detector: Detector, items: Sequence[Item]) -> Sequence[Scores] | None:
        started = time.perf_counter()
        try:
            scored = score_whole(detector, [item.sample for item in items])
        except Exception as error:  # noqa: BLE001  (a detector's failure is an outcome)
            self._failed(detector.name, error)
            return None
        seconds = time.perf_counter() - started
        self._metrics.detector_seconds.labels(detector.name).observe(seconds)
        return scored

    def _judged(self, detector: ReadingDetector, item: Item) -> Look:
        """Judge what probes read of an item; of nothing, or too little, nothing is said."""
        reading, name, version = item.reading, detector.name, detector.version
        try:
            if reading is None or not detector.understands(reading):
                return Look(name, version, None, NO_READING, reading)
            scores = detector.score_reading(reading, item.part)
            check_scores([scores], 1)
        except Exception as error:  # noqa: BLE001  (as above)
            self._failed(name, error)
            return Look(name, version, None, DETECTOR_ERROR, reading)
        return Look(name, version, scores, reading=reading)

    def _failed(self, name: str, error: Exception) -> None:
        _log.warning("%s failed", name, extra={"error": type(error).__name__})
        self._metrics.detector_errors.labels(name).inc()


def _why_unscanned(staged: Staged) -> str:
    """Say why a text has no scores; a failure is the graver news."""
    whys = set(staged.left_out.values())
    is_spent = LeftOut.BUDGET in whys and LeftOut.FAILED not in whys
    return OVER_BUDGET if is_spent else DETECTOR_ERROR
