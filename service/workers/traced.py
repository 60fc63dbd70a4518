"""Spans of what workers do, in the traces of the exchanges that the records are of."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from detectors.api import Part
from service.core.screening import NONE, gravest
from service.core.trace_context import sampled
from service.events.log import Received
from service.events.schema import AnyEvent, Closed, Opened, Verdict, to_event
from service.telemetry import trace_names as names
from service.telemetry.tracing import Attributes, Handled, Tracer
from service.workers.loop import Handler

_MARK: Final = b'"traceparent":"'
_PARTS: Final[Mapping[type[AnyEvent], Sequence[Part]]] = {
    Opened: (Part.PROMPT,),
    Closed: (Part.ANSWER, Part.EXCHANGE),
}
"""What is screened when an event comes."""
Told = tuple[str, Attributes]
"""A span's name and attributes."""


class TracedHandler:
    """A handler whose work on each record of a sampled trace becomes a span.

    A batch is handled at once, so its records' spans begin and end together.
    """

    def __init__(
        self,
        handler: Handler,
        tracer: Tracer,
        tell: Callable[[AnyEvent], Told | None],
        shared: Attributes,
    ) -> None:
        """Handle as another does; `tell` says what a span tells, None where there is to be none.

        `shared` are attributes of all spans.
        """
        self.transient = handler.transient
        self._handler = handler
        self._tracer = tracer
        self._tell = tell
        self._shared = shared

    def handle(self, batch: Sequence[Received]) -> None:
        """Handle a batch; see `Handler`."""
        began_ns = time.time_ns()
        self._handler.handle(batch)
        self._tracer.handled(self._spans(batch, began_ns, time.time_ns()))

    def _spans(self, batch: Sequence[Received], began_ns: int, ended_ns: int) -> Iterator[Handled]:
        for received in batch:
            if _MARK not in received.record.body:
                continue  # so most need no second look
            event = to_event(received.record)
            traceparent = sampled(event.traceparent)
            if traceparent is None or (told := self._tell(event)) is None:
                continue
            attributes = {
                names.EXCHANGE: event.exchange_id,
                names.MODEL: event.model,
                **self._shared,
                **told[1],
            }
            yield Handled(told[0], traceparent, began_ns, ended_ns, attributes)


class ScreeningTold:
    """Knows what the screener found in the batch at hand."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._found: dict[tuple[str, str], list[Verdict]] = {}

    def hear(self, verdicts: Sequence[Verdict]) -> None:
        """Take the verdicts of a batch, in the place of those of the last."""
        found = defaultdict(list)
        for verdict in verdicts:
            found[verdict.exchange_id, verdict.part].append(verdict)
        self._found = found

    def __call__(self, event: AnyEvent) -> Told | None:
        """Tell what was found in what an event is about; None: there was nothing to screen."""
        parts = _PARTS.get(type(event), ())
        found = [it for one in parts for it in self._found.get((event.exchange_id, one), ())]
        return (f"screen {parts[0]}", {names.PART: parts[0], **_verdicts(found)}) if found else None


def enforcing_told(event: AnyEvent) -> Told | None:
    """Tell of a verdict that crossed a point; None: nothing follows from it."""
    if not isinstance(event, Verdict) or not event.crossed:
        return None
    told = {names.PART: event.part, names.DETECTOR: event.detector, **_verdicts([event])}
    return f"enforce {event.part}", told


def _verdicts(verdicts: Sequence[Verdict]) -> Attributes:
    """Tell what was crossed and what was not scanned: names of points and reasons, all closed."""
    crossed = [crossing for verdict in verdicts for crossing in verdict.crossed]
    reasons = {it.unscanned for it in verdicts if it.unscanned is not None}
    told: dict[str, str | tuple[str, ...]] = {
        names.ACTION: gravest(it.action for it in crossed) if crossed else NONE
    }
    if crossed:
        told[names.POINTS] = tuple(sorted({it.point for it in crossed}))
    if reasons:
        told[names.UNSCANNED] = tuple(sorted(reasons))
    return told
