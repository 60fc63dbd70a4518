"""What becomes a span of what workers do."""

from collections.abc import Iterable, Sequence

import msgspec
import pytest

from service.errors import BadRecord
from service.events.log import Received
from service.events.schema import Closed, Crossing, Opened, Verdict
from service.telemetry.tracing import Handled, Tracer
from service.workers.traced import ScreeningTold, TracedHandler, enforcing_told
from tests.unit.service.workers.screening_parts import closed, opened, received

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
SHARED = {"messaging.system": "watchgate"}


class Keeping(Tracer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Handled] = []

    def handled(self, records: Iterable[Handled]) -> None:
        self.told += records


class Handling:
    """Handles nothing, hears of verdicts as the screener's listeners do, or fails."""

    transient: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, told: ScreeningTold, *verdicts: Verdict, fails: bool = False) -> None:
        self._told = told
        self._verdicts = verdicts
        self._fails = fails

    def handle(self, _batch: Sequence[Received]) -> None:
        if self._fails:
            raise BadRecord("undecodable")
        self._told.hear(self._verdicts)


def verdict(part: str = "prompt", *, points: Sequence[str] = (), **changed: object) -> Verdict:
    crossed = tuple(Crossing(point, "any", 0.9, 0.5, "page") for point in points)
    made = Verdict(
        exchange_id="ex-1", at=0.0, account="acme", project="acme", key="key", model="m",
        surface="chat", tier=1, id="v-1", part=part, detector="words", version="1", digest="0",
        crossed=crossed, traceparent=TRACE,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changed)


def traced(event: Opened | Closed) -> Received:
    return received(msgspec.structs.replace(event, traceparent=TRACE))


def screened(batch: Sequence[Received], *verdicts: Verdict) -> list[Handled]:
    tracer, told = Keeping(), ScreeningTold()
    TracedHandler(Handling(told, *verdicts), tracer, told, SHARED).handle(batch)
    return tracer.told


def test_each_part_that_was_screened_is_a_span_that_tells_what_was_found() -> None:
    batch = [traced(opened()), traced(closed())]
    found = [
        verdict("prompt", points=["p2", "p1"]),
        verdict("prompt", unscanned="image"),
        verdict("answer"),
        verdict("exchange", points=["x"]),
    ]
    prompt, answer = screened(batch, *found)
    assert (prompt.name, answer.name) == ("screen prompt", "screen answer")
    assert prompt.traceparent == answer.traceparent == TRACE
    assert 0 < prompt.began_ns <= prompt.ended_ns
    assert prompt.attributes == {
        "watchgate.exchange": "ex-1",
        "gen_ai.request.model": "m",
        "messaging.system": "watchgate",
        "watchgate.part": "prompt",
        "watchgate.action": "page",
        "watchgate.points": ("p1", "p2"),
        "watchgate.unscanned": ("image",),
    }
    assert answer.attributes["watchgate.points"] == ("x",)  # of the exchange that it ended


def test_what_has_no_trace_or_was_not_screened_is_no_span() -> None:
    assert screened([received(opened())], verdict()) == []
    assert screened([traced(closed(served_number=0))]) == []
    assert screened([received(verdict())], verdict()) == []
    for malformed in ("", "x", TRACE + "-", TRACE.replace("a", "g"), "ff" + TRACE[2:]):
        event = msgspec.structs.replace(opened(), traceparent=malformed)
        assert screened([received(event)], verdict()) == []  # and nothing fails


def test_a_batch_that_fails_is_told_once_it_is_handled() -> None:
    tracer, told = Keeping(), ScreeningTold()
    handler = TracedHandler(Handling(told, fails=True), tracer, told, SHARED)
    assert handler.transient == (OSError,)
    with pytest.raises(BadRecord):
        handler.handle([traced(opened())])
    assert tracer.told == []


def test_verdicts_of_one_batch_are_not_told_of_the_next() -> None:
    tracer, told = Keeping(), ScreeningTold()
    TracedHandler(Handling(told, verdict()), tracer, told, SHARED).handle([traced(opened())])
    TracedHandler(Handling(told), tracer, told, SHARED).handle([traced(opened())])
    assert len(tracer.told) == 1


def test_of_verdicts_only_those_that_cross_a_point_are_told() -> None:
    assert enforcing_told(verdict()) is None
    assert enforcing_told(opened()) is None
    told = enforcing_told(verdict("answer", points=["p"]))
    assert told is not None
    name, attributes = told
    assert name == "enforce answer"
    assert attributes["watchgate.detector"] == "words"
    assert attributes["watchgate.action"] == "page"
