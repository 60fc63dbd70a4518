"""The screener: exchanges in, verdicts out.

Prompts are scored when an exchange opens, answers when it closes. Whatever cannot be scored
gets a verdict that says so: "unscanned" is an outcome of its own.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from detectors.api import Category, Detector, Part, Sample
from service.core.screening import (
    DETECTOR_ERROR,
    ENCRYPTED,
    FAILED_SCANS,
    INTERRUPTED,
    NO_DETECTOR,
    UNREADABLE_CONTENT,
    Point,
    crossed,
    gravest,
    text_digest,
    verdict_id,
)
from service.core.surfaces import SURFACES
from service.core.surfaces.answers import answer_text
from service.core.surfaces.shape import UNREADABLE, prompt_text
from service.errors import BadRecord, JournalFull
from service.events.log import EventWriter, Received, Record
from service.events.schema import (
    SERVED_UNKNOWN,
    Closed,
    Crossing,
    Opened,
    Verdict,
    to_event,
    to_record,
)
from service.telemetry.metrics import Metrics

_GATEWAY_ITSELF: Final = "gateway"
"""Stands where a verdict would name a detector and none looked."""


@dataclass(frozen=True, slots=True)
class Item:
    """A part of an exchange to be scored."""

    event: Opened | Closed
    part: Part
    text: str
    unscanned: Sequence[str]
    """What of the part is not in the text, or why there is no text."""


class Screener:
    """Handles records of the topic of exchanges."""

    transient: tuple[type[Exception], ...] = (JournalFull,)

    def __init__(
        self,
        detectors: Sequence[Detector],
        points: Sequence[Point],
        writer: EventWriter,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        """Keep the parts."""
        self._detectors = detectors
        self._points = points
        self._writer = writer
        self._metrics = metrics
        self._clock = clock

    def handle(self, batch: Sequence[Received]) -> None:
        """Score a batch; its verdicts are synced once this returns."""
        items = [item for received in batch if (item := read_item(received.record))]
        verdicts = self._verdicts(items)
        self._writer.append_all([to_record(verdict) for verdict in verdicts])
        for verdict in verdicts:
            self._count(verdict)

    def _verdicts(self, items: Sequence[Item]) -> list[Verdict]:
        """Return the verdicts on all items, those of one item together and in order."""
        of_item: dict[int, list[Verdict]] = defaultdict(list)
        for detector in self._detectors:
            mine = [i for i, x in enumerate(items) if x.part in detector.parts and _has_text(x)]
            scores = self._score(detector, [items[i] for i in mine])
            for i, scored in zip(mine, scores, strict=True):
                of_item[i].append(self._verdict(items[i], detector, scored))
        verdicts: list[Verdict] = []
        for i, item in enumerate(items):
            verdicts += self._completed(item, of_item[i])
        return verdicts

    def _score(
        self, detector: Detector, items: Sequence[Item]
    ) -> Sequence[Mapping[Category, float] | None]:
        """Score a batch, or if that fails each item alone; None: the detector failed on it."""
        if not items:
            return []
        started = time.perf_counter()
        try:
            return detector.score([Sample(item.text, item.part) for item in items])
        except Exception:  # noqa: BLE001  (a detector's failure is an outcome, whatever it raised)
            self._metrics.detector_errors.labels(detector.name).inc()
            if len(items) == 1:
                return [None]
            return [scores for item in items for scores in self._score(detector, [item])]
        finally:
            seconds = time.perf_counter() - started
            self._metrics.detector_seconds.labels(detector.name).observe(seconds)

    def _verdict(
        self, item: Item, detector: Detector, scores: Mapping[Category, float] | None
    ) -> Verdict:
        if scores is None:
            return self._unscanned(item, DETECTOR_ERROR, detector.name, detector.version)
        event = item.event
        found = crossed(
            self._points,
            detector=detector.name,
            part=item.part,
            model=event.model,
            scores=scores,
        )
        crossings = [
            Crossing(point.name, point.category, score, point.threshold, point.action)
            for point, score in found
        ]
        return self._new(
            item,
            detector.name,
            detector.version,
            scores={str(category): score for category, score in scores.items()},
            crossed=tuple(crossings),
        )

    def _completed(self, item: Item, verdicts: list[Verdict]) -> list[Verdict]:
        """Add what was not scanned, and mark the last verdict of an exchange."""
        reasons = list(item.unscanned)
        if not verdicts and _has_text(item):
            reasons.append(NO_DETECTOR)
        verdicts += [self._unscanned(item, reason, _GATEWAY_ITSELF, "1") for reason in reasons]
        if isinstance(item.event, Closed) and not _any_failed(verdicts):
            verdicts[-1] = msgspec.structs.replace(verdicts[-1], completes=True)
        return verdicts

    def _unscanned(self, item: Item, reason: str, detector: str, version: str) -> Verdict:
        return self._new(item, detector, f"{version}/{reason}", unscanned=reason)

    def _new(  # noqa: PLR0913  (a verdict is what all of these are)
        self,
        item: Item,
        detector: str,
        version: str,
        *,
        scores: dict[str, float] | None = None,
        crossed: tuple[Crossing, ...] = (),
        unscanned: str | None = None,
    ) -> Verdict:
        event = item.event
        digest = text_digest(item.text)
        return Verdict(
            id=verdict_id(event.exchange_id, item.part, detector, version, digest),
            exchange_id=event.exchange_id,
            at=self._clock(),
            account=event.account,
            project=event.project,
            key=event.key,
            model=event.model,
            surface=event.surface,
            tier=event.tier,
            part=item.part,
            detector=detector,
            version=version,
            digest=digest,
            unscanned=unscanned,
            scores=scores or {},
            crossed=crossed,
        )

    def _count(self, verdict: Verdict) -> None:
        metrics = self._metrics
        if verdict.unscanned is not None:
            metrics.unscanned.labels(verdict.model, verdict.unscanned).inc()
        for category, score in verdict.scores.items():
            metrics.score.labels(verdict.detector, category).observe(score)
            actions = [c.action for c in verdict.crossed if c.category == category]
            metrics.verdicts.labels(verdict.detector, category, gravest(actions)).inc()
        if verdict.completes:
            metrics.screened.labels(verdict.model).inc()


def read_item(record: Record) -> Item | None:
    """Return what a record of an exchange asks to be scored; None: nothing of it was served.

    Raises:
        BadRecord: it is no event of an exchange.
    """
    event = to_event(record)
    if isinstance(event, Opened):
        return _read_prompt(event, record)
    if isinstance(event, Closed):
        return _read_answer(event, record) if event.served_number else None
    raise BadRecord("not_an_exchange", f"this is {record.kind!r}")


def _read_prompt(event: Opened, record: Record) -> Item:
    if record.key_id is not None:
        return Item(event, Part.PROMPT, "", [ENCRYPTED])
    try:
        prompt = prompt_text(SURFACES[event.surface], record.content or b"")
    except (*UNREADABLE, KeyError):
        return Item(event, Part.PROMPT, "", [UNREADABLE_CONTENT])
    return Item(event, Part.PROMPT, prompt.text, sorted(prompt.unscanned))


def _read_answer(event: Closed, record: Record) -> Item:
    if event.served_number == SERVED_UNKNOWN:
        return Item(event, Part.ANSWER, "", [INTERRUPTED])
    if record.key_id is not None:
        return Item(event, Part.ANSWER, "", [ENCRYPTED])
    try:
        return Item(event, Part.ANSWER, answer_text(record.content or b""), [])
    except UNREADABLE:
        return Item(event, Part.ANSWER, "", [UNREADABLE_CONTENT])


def _has_text(item: Item) -> bool:
    return not (FAILED_SCANS | {INTERRUPTED}).intersection(item.unscanned)


def _any_failed(verdicts: Sequence[Verdict]) -> bool:
    return any(verdict.unscanned in FAILED_SCANS for verdict in verdicts)
