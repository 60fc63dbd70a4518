"""Thresholds from labelled rows: a detector scores them as workers score what they read.

A file of rows is JSON lines, each with `id`, `text` and, for answers and exchanges, `response`.
What a threshold would do on recorded traffic can be told from scores just as well: `measured` and
`threshold_at` take scores, wherever they come from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from detectors.api import Category, Detector, Part, Sample, Scores, close_all, score_whole
from service.core.error_rates import crossing
from service.core.unreadable import UNREADABLE
from service.errors import ConfigError
from service.wiring.detectors import Detectors

_BATCH: Final = 64


class _Row(msgspec.Struct, frozen=True):
    id: str | int
    text: str
    response: str | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """A detector that scores one part for one category."""

    detector: Detector
    category: Category
    part: Part

    def scores(self, path: Path) -> list[float]:
        """Score the rows of a file, in order.

        Raises:
            ConfigError: it cannot be read, or a line is no such row: the message names the line.
        """
        samples = _samples(path, self.part)
        found: list[float] = []
        while batch := list(islice(samples, _BATCH)):
            found += [self._score_of(scores) for scores in score_whole(self.detector, batch)]
        if not found:
            raise ConfigError(f"{path}: expected rows as JSON lines, and there are none")
        return found

    def close(self) -> None:
        """Close the detector, if it holds something."""
        close_all([self.detector])

    def _score_of(self, scores: Scores) -> float:
        if self.category not in scores:
            name = self.detector.name
            raise ConfigError(f"{name} gives no score for {self.category!r} to the {self.part}")
        return scores[self.category]


def judge_of(name: str, category: str, part: str, there_are: Detectors) -> Judge:
    """Load a detector to score one part for one category; whoever calls closes it.

    Raises:
        ConfigError: there is none of this name, or it does not score this; the message says what.
    """
    if name not in there_are.factories:
        known = ", ".join(there_are.factories)
        raise ConfigError(f"--detector: no detector is named {name!r}; there are: {known}")
    scored = there_are.categories[name]
    if category not in scored:
        known = ", ".join(sorted(scored))
        raise ConfigError(
            f"--category: {name} gives no score for {category!r}; it does for: {known}"
        )
    detector = there_are.factories[name]()
    if part not in detector.parts:
        close_all([detector])
        known = ", ".join(sorted(detector.parts))
        raise ConfigError(f"--part: {name} does not score {part!r}; it does score: {known}")
    return Judge(detector, Category(category), Part(part))


def measured(
    judge: Judge, threshold: float, benign: Sequence[float], misuse: Sequence[float] | None
) -> dict[str, Any]:
    """Return what the admin API takes as a point's error rates."""
    flagged = crossing(benign, threshold)
    found = {
        "flagged": {"count": flagged.count, "total": flagged.total},
        "detector_version": judge.detector.version,
    }
    if misuse is not None:
        recall = crossing(misuse, threshold)
        found["recall"] = {"count": recall.count, "total": recall.total}
    return found


def _samples(path: Path, part: Part) -> Iterator[Sample]:
    """Yield what is to be scored of each row."""
    expected = "{id, text}" if part is Part.PROMPT else "{id, text, response}"
    seen: set[str | int] = set()
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        row = _row(line)
        if row is None or (part is not Part.PROMPT and row.response is None):
            raise ConfigError(f"{path}, line {number}: expected a row {expected} in JSON")
        if row.id in seen:
            raise ConfigError(f"{path}, line {number}: an earlier row has this id: count it once")
        seen.add(row.id)
        yield _sample(row, part)


def _sample(row: _Row, part: Part) -> Sample:
    if part is Part.PROMPT:
        return Sample(row.text, part)
    return Sample(row.response or "", part, row.text if part is Part.EXCHANGE else "")


def _row(line: bytes) -> _Row | None:
    try:
        return msgspec.json.decode(line, type=_Row)
    except UNREADABLE:
        return None


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
