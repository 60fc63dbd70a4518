"""The screener: exchanges in, verdicts out.

Prompts are scored when an exchange opens, answers when it closes, and then, for detectors that
judge an answer by its prompt, the exchange. What probes inside the model read of a prompt comes
with its end, too. Whatever cannot be scored gets a verdict that says so: "unscanned" is an outcome
of its own.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from detectors.api import (
    Category,
    Detector,
    Part,
    Reading,
    StagedDetector,
)
from service.core.screening import (
    FAILED_SCANS,
    NO_DETECTOR,
    NO_READING,
    Point,
    crossed,
    text_digest,
    verdict_id,
)
from service.core.trace_context import sampled
from service.errors import JournalFull, StoreUnavailable
from service.events.log import EventWriter, Received
from service.events.schema import Crossing, ReadByProbes, Verdict, to_record
from service.telemetry.metrics import Metrics
from service.workers.items import Item, read_items
from service.workers.looking import Look, Looks, is_for, readers_of_prompts
from service.workers.open_prompts import OpenPrompts
from service.workers.verdict_counts import VerdictCounts

_NOBODY: Final = "none"
"""Stands where a verdict would name a detector and none looked."""

_MAX_PROMPT_CHARS: Final = 64 * 1024 * 1024
"""Of the prompts of exchanges under way, where exchanges are scored: some 64 to 256 MB."""


Heard = Callable[[Sequence[Verdict]], None]
"""Hears of the verdicts of a batch once they are kept."""


def ignore(_verdicts: Sequence[Verdict]) -> None:
    """Nobody hears."""


class Screener:
    """Handles records of the topic of exchanges."""

    transient: tuple[type[Exception], ...] = (JournalFull, StoreUnavailable)

    def __init__(  # noqa: PLR0913  (what it is made of)
        self,
        detectors: Sequence[Detector],
        points: Callable[[], Sequence[Point]],
        writer: EventWriter,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        heard: Heard = ignore,
    ) -> None:
        """Keep the parts. `points` gives those that apply now.

        `points` may raise StoreUnavailable: then what there is to score waits.
        """
        self._detectors = tuple(detectors)
        self._prompts = OpenPrompts(_MAX_PROMPT_CHARS)
        self._points = points
        self._writer = writer
        self._metrics = metrics
        self._looks = Looks(metrics)
        self._counts = VerdictCounts(metrics)
        self._clock = clock
        self._heard = heard

    def declare(self, models: Collection[str], scored: Mapping[str, Collection[Category]]) -> None:
        """Show from the start that nothing was counted yet; see `VerdictCounts.declare`."""
        self._counts.declare(models, scored)
        for detector in self._detectors:
            self._metrics.detector_seconds.labels(detector.name)
            self._metrics.detector_errors.labels(detector.name)

    def use(self, new: Detector) -> None:
        """Score by this version of a detector from the next batch on; any one thread may call."""
        self._detectors = tuple(_renewed(it, new) for it in self._detectors)

    def handle(self, batch: Sequence[Received]) -> None:
        """Score a batch; its verdicts are synced once this returns."""
        detectors = self._detectors  # another version waits for the next batch
        items = [item for received in batch for item in read_items(received.record)]
        if any(Part.EXCHANGE in it.parts for it in detectors):
            items = list(self._with_exchanges(items))
        verdicts = self._verdicts(detectors, items)
        self._writer.append_all([to_record(verdict) for verdict in verdicts])
        for received in batch:  # only now: a batch that fails comes again
            if received.record.kind == "closed":
                self._prompts.forget(received.record.id)
        self._counts.count(verdicts)
        self._heard(verdicts)

    def _with_exchanges(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield the items, and after each answer that can be scored its exchange."""
        for item in items:
            yield item
            if not item.has_text:
                continue
            if item.part is Part.PROMPT:
                self._prompts.note(item.event.exchange_id, item.text)
            else:
                yield item.of_exchange(self._prompts.get(item.event.exchange_id))

    def _verdicts(self, detectors: Sequence[Detector], items: Sequence[Item]) -> list[Verdict]:
        """Return the verdicts on all items, those of one item together and in order."""
        of_item: dict[int, list[Verdict]] = defaultdict(list)
        alone = [item.is_read_alone for item in items]
        asked = [(it, [True] * len(items)) for it in detectors]
        asked += [(it, alone) for it in readers_of_prompts(detectors)]
        for detector, which in asked:
            mine = [i for i, it in enumerate(items) if which[i] and is_for(detector, it)]
            looked = self._looks.look(detector, [items[i] for i in mine])
            for i, looks in zip(mine, looked, strict=True):
                of_item[i] += [self._verdict(items[i], look) for look in looks]
        verdicts: list[Verdict] = []
        for i, item in enumerate(items):
            found = self._with_gateways(item, of_item[i])
            verdicts += found if item.is_read_alone else self._completed(item, found)
        return verdicts

    def _with_gateways(self, item: Item, verdicts: list[Verdict]) -> list[Verdict]:
        """Add what the gateway's own screens found and acted on: it saw the text as it grew."""
        for detector, crossings in item.gateways_crossings().items():
            found = [i for i, v in enumerate(verdicts) if v.detector == detector]
            if not found:
                verdicts.append(self._new(item, detector, "gateway", crossed=crossings))
            for i in found:
                known = {crossing.point for crossing in verdicts[i].crossed}
                new = tuple(one for one in crossings if one.point not in known)
                both = verdicts[i].crossed + new
                verdicts[i] = msgspec.structs.replace(verdicts[i], crossed=both)
        return verdicts

    def _verdict(self, item: Item, look: Look) -> Verdict:
        read = _read(look.reading)
        if look.scores is None:
            return self._unscanned(item, look.unscanned, look.detector, look.version, read)
        event = item.event
        found = crossed(
            self._points(),
            detector=look.detector,
            part=item.part,
            model=event.model,
            scores=look.scores,
            tier=event.tier,
            project=event.project,
            surface=event.surface,
        )
        crossings = [
            Crossing(
                point.name,
                point.category,
                score,
                point.threshold,
                point.action,
                version=point.version,
            )
            for point, score in found
        ]
        return self._new(
            item,
            look.detector,
            look.version,
            scores={str(category): score for category, score in look.scores.items()},
            crossed=tuple(crossings),
            read=read,
        )

    def _completed(self, item: Item, verdicts: list[Verdict]) -> list[Verdict]:
        """Add what was not scanned, and mark the last verdict of a part that is covered."""
        reasons = list(item.unscanned)
        is_exchange = item.part is Part.EXCHANGE
        is_unseen = all(v.unscanned == NO_READING or v.read is not None for v in verdicts)
        if is_unseen and item.has_text and not is_exchange:
            reasons.append(NO_DETECTOR)
        for reason in reasons:
            unscanned = self._unscanned(item, reason, _NOBODY, "1")
            media = tuple(one.digest() for one in item.media if one.kind == reason)
            verdicts.append(msgspec.structs.replace(unscanned, media=media))
        failed = any(verdict.unscanned in FAILED_SCANS for verdict in verdicts)
        if not failed and not is_exchange:  # what is released are prompts and answers
            verdicts[-1] = msgspec.structs.replace(verdicts[-1], completes=True)
        return verdicts

    def _unscanned(
        self, item: Item, reason: str, detector: str, version: str, read: ReadByProbes | None = None
    ) -> Verdict:
        return self._new(item, detector, f"{version}/{reason}", unscanned=reason, read=read)

    def _new(  # noqa: PLR0913  (a verdict is what all of these are)
        self,
        item: Item,
        detector: str,
        version: str,
        *,
        scores: dict[str, float] | None = None,
        crossed: tuple[Crossing, ...] = (),
        unscanned: str | None = None,
        read: ReadByProbes | None = None,
    ) -> Verdict:
        event = item.event
        digest = text_digest(item.sample_text)
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
            traceparent=sampled(event.traceparent),
            part=item.part,
            detector=detector,
            version=version,
            digest=digest,
            unscanned=unscanned,
            scores=scores or {},
            crossed=crossed,
            enforced=item.enforced,
            read=read,
        )


def _read(reading: Reading | None) -> ReadByProbes | None:
    return None if reading is None else ReadByProbes(reading.probes, reading.tokens, reading.read)


def _renewed(detector: Detector, new: Detector) -> Detector:
    if detector.name == new.name:
        return new
    return detector.with_detector(new) if isinstance(detector, StagedDetector) else detector
