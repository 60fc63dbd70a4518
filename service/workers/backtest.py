"""A candidate for an operating point, held to the recorded stream by the screener itself.

The same code scores the same records as when they came, and holds the scores to the points: what
fires here is what would have been in the verdicts.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from prometheus_client import CollectorRegistry

from detectors.api import Detector, Part
from service.core.backtest import Backtest, Looked
from service.core.screening import NO_READING, Point
from service.errors import BadRecord
from service.events.log import Position, Received, Record
from service.events.schema import Crossing, Verdict, made_at, to_event
from service.telemetry.metrics import Metrics
from service.workers.screener import Screener

CANDIDATE: Final = "candidate"
"""The name of a candidate that has none yet."""
_AT_ONCE: Final = 256
_AT_ONCE_BYTES: Final = 8 * 2**20
"""Of records that are scored together: their texts are in memory several times over."""
_REMEMBERED: Final = 1 << 16
"""Records by their ids, some 15 MB: Kafka has one twice where a shipper was killed, soon after."""


class _Kept:
    """A journal that keeps nothing but the last verdicts."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        events = [to_event(record) for record in records]
        self.verdicts = [event for event in events if isinstance(event, Verdict)]
        return [Position("", 0, number) for number, _ in enumerate(records)]

    def close(self) -> None:
        """Nothing is open."""


class Replay:
    """Today's detectors over the recorded stream, held to other points than when it came.

    Records that cannot be read are passed over, as the screener puts them aside, and so are those
    that come again: they are sent at least once, and their verdicts are the same. What the gateway
    itself crossed while an answer grew is not made anew: it is in no verdict of a detector.
    """

    def __init__(self, detectors: Sequence[Detector], points: Sequence[Point]) -> None:
        """Take what scores, and what the scores are held to."""
        self._kept = _Kept()
        metrics = Metrics(CollectorRegistry())
        self._screener = Screener(detectors, lambda: points, self._kept, metrics, clock=lambda: 0.0)

    def verdicts(self, records: Iterable[Received]) -> Iterator[tuple[Verdict, float]]:
        """Yield the verdicts, each with the time of the record that it is on, in Unix seconds.

        Those on one part of an exchange follow one another.
        """
        for batch in _batches(_once(filter(_is_readable, records))):
            times = {(it.record.id, it.record.kind): made_at(it.record) for it in batch}
            self._screener.handle(batch)
            for verdict in self._kept.verdicts:
                came_first = verdict.part == Part.PROMPT and not _is_on_reading(verdict)
                kind = "opened" if came_first else "closed"
                yield verdict, times[verdict.exchange_id, kind]


def backtest(
    records: Iterable[Received],
    detectors: Sequence[Detector],
    candidate: Point,
    todays: Sequence[Point],
    max_examples: int,
) -> Backtest:
    """Return what a candidate fires on in a stretch of the stream, beside today's points."""
    candidate = replace(candidate, name=_name(candidate, todays))
    points = (candidate, *todays)
    known = {(point.name, point.version): point for point in points}
    found = Backtest(candidate, max_examples)
    verdicts = Replay(detectors, points).verdicts(records)
    for (id_, part), these in groupby(verdicts, key=lambda it: (it[0].exchange_id, it[0].part)):
        of_part = list(these)
        first, at = of_part[0]
        crossings = [(it.point, it.version) for verdict, _ in of_part for it in _todays(verdict)]
        crossed = [known[it] for it in crossings if it in known]
        again = part == Part.PROMPT and _is_on_reading(first)
        found.add(Looked(id_, Part(part), at, first.model, first.project, crossed, again=again))
    return found


def scores_of(
    records: Iterable[Received], detectors: Sequence[Detector], point: Point
) -> tuple[Sequence[float], float]:
    """Return all scores that a point is held to, and how many seconds the stretch has."""
    everything, scores, times = replace(point, name=CANDIDATE, threshold=0.0), [], [math.inf, 0.0]
    for verdict, at in Replay(detectors, [everything]).verdicts(records):
        scores += [crossing.score for crossing in _todays(verdict)]
        times = [min(times[0], at), max(times[1], at)]
    return scores, max(0.0, times[1] - times[0])


def _todays(verdict: Verdict) -> Iterable[Crossing]:
    """Leave out what the gateway recorded when the text came: it alone names a detector."""
    return (it for it in verdict.crossed if not it.detector)


def _is_on_reading(verdict: Verdict) -> bool:
    """Say whether a verdict is on what probes read, or says that they read nothing."""
    return verdict.read is not None or verdict.unscanned == NO_READING


def _name(candidate: Point, todays: Sequence[Point]) -> str:
    """Keep the candidate's name apart from the version of it that is active."""
    taken = {(point.name, point.version) for point in todays}
    return candidate.name if (candidate.name, candidate.version) not in taken else CANDIDATE


def _batches(records: Iterable[Received]) -> Iterable[list[Received]]:
    """Group records so that neither their number nor their size takes more memory than that."""
    batch: list[Received] = []
    size_bytes = 0
    for received in records:
        more_bytes = received.record.size_bytes
        if batch and (len(batch) == _AT_ONCE or size_bytes + more_bytes > _AT_ONCE_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(received)
        size_bytes += more_bytes
    yield batch


def _once(records: Iterable[Received]) -> Iterator[Received]:
    """Pass over what came before, not too long ago."""
    seen: dict[tuple[str, str], None] = {}
    for received in records:
        key = (received.record.id, received.record.kind)
        if key not in seen:
            yield received
            seen[key] = None
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]


def _is_readable(received: Received) -> bool:
    try:
        return not isinstance(to_event(received.record), Verdict)
    except BadRecord:
        return False
