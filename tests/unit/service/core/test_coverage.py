from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.api import Part
from service.core.coverage import UNRECORDED, UNSCREENED, Bounds, Coverage, CoverageGap

BOUNDS = Bounds(unscreened_s=(300.0, 300.0, 60.0), open_s=1860.0)
BOOT = "0123456789abcdef"
NEVER = 1e12
"""A moment by which every deadline has passed."""


@dataclass(frozen=True)
class Event:
    """One event of an exchange: "opened", "closed", "prompt" or "answer"."""

    exchange: int
    kind: str
    served: bool = True
    number: int = 1
    """Among the exchanges of which something was served."""

    @property
    def id(self) -> str:
        return f"ex-{BOOT}{self.exchange:08x}"

    @property
    def at(self) -> float:
        """Of `opened` 1000 s after the last one's; its end 10 s later, the verdicts 11 and 12."""
        return (
            self.exchange * 1000.0
            + {"opened": 0, "closed": 10, "prompt": 11, "answer": 12}[self.kind]
        )

    def tell(self, coverage: Coverage, *, carried: bool = False) -> None:
        match self.kind:
            case "opened":
                coverage.opened(self.id, "m", self.at)
            case "closed":
                coverage.closed(self.id, "m", self.at, 1, served=self.served, carried=carried)
                if self.served:
                    coverage.released(BOOT, self.number, "m", self.at, carried)
            case part:
                coverage.screened(self.id, "m", self.at, Part(part))


KINDS = ("opened", "closed", "prompt", "answer")


def whole(exchange: int, *, served: bool = True, number: int | None = None) -> list[Event]:
    kinds = KINDS if served else KINDS[:3]
    return [Event(exchange, kind, served, number or exchange) for kind in kinds]


def some(served: Sequence[bool]) -> list[Event]:
    numbers = accumulate(served)
    return [
        event
        for n, (one, number) in enumerate(zip(served, numbers, strict=True), 1)
        for event in whole(n, served=one, number=number or n)
    ]


exchanges = st.lists(st.booleans(), min_size=1, max_size=6).map(some)
"""All events of some exchanges, in order; of some nothing was served."""


@st.composite
def shuffled(
    draw: st.DrawFn, events: Sequence[Event], *, repeats: bool = True
) -> list[list[Event]]:
    """Any order, some events several times, in turns of any size."""
    repeated = draw(st.lists(st.sampled_from(events), max_size=6 if repeats else 0))
    order = draw(st.permutations([*events, *repeated]))
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=5)) | {len(order)})
    return [order[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]


covered_logs = exchanges.flatmap(shuffled)


@st.composite
def logs_that_lack_one(draw: st.DrawFn, *, repeats: bool = True) -> tuple[Event, list[list[Event]]]:
    """A log from which one event of a served exchange is missing."""
    events = some([*draw(st.lists(st.booleans(), max_size=5)), True])
    missing = draw(st.sampled_from([event for event in events if event.served]))
    rest = [event for event in events if event != missing]
    return missing, draw(shuffled(rest, repeats=repeats))


def read(turns: Sequence[Sequence[Event]]) -> Coverage:
    coverage = Coverage(BOUNDS)
    for turn in turns:
        coverage.begin_turn()
        for event in turn:
            event.tell(coverage)
    return coverage


def gap_of(missing: Event) -> CoverageGap:
    kind = UNRECORDED if missing.kind in {"opened", "closed"} else UNSCREENED
    return CoverageGap(missing.id, "m", kind)  # type: ignore[arg-type]


def bound_of(missing: Event) -> float:
    """When the gap opens: counted from `closed`, or from `opened` where there is no `closed`."""
    if missing.kind == "closed":
        return replace(missing, kind="opened").at + BOUNDS.open_s
    return replace(missing, kind="closed").at + BOUNDS.unscreened_s[1]


@given(covered_logs)
def test_covered_exchanges_leave_no_gap_in_whatever_order_and_however_often(
    turns: list[list[Event]],
) -> None:
    assert read(turns).gaps(NEVER) == []


@given(covered_logs)
def test_each_served_exchange_counts_as_covered_once(turns: list[list[Event]]) -> None:
    served = {event.id for turn in turns for event in turn if event.served}
    coverage = read(turns)
    assert sum(coverage.take_covered().values()) == len(served)
    assert not coverage.take_covered()


@given(covered_logs)
def test_each_served_exchange_has_one_delay_however_its_events_come(
    turns: list[list[Event]],
) -> None:
    served = {event.id for turn in turns for event in turn if event.served}
    coverage = read(turns)
    assert coverage.take_delays() == [("m", 2.0)] * len(served)
    assert not coverage.take_delays()


@given(logs_that_lack_one())
def test_a_missing_event_makes_one_gap_of_its_kind(
    log: tuple[Event, list[list[Event]]],
) -> None:
    missing, turns = log
    coverage = read(turns)
    assert coverage.gaps(NEVER) == [gap_of(missing)]
    assert coverage.gaps(NEVER) == []


@given(logs_that_lack_one())
def test_a_gap_opens_at_its_bound_and_never_before(
    log: tuple[Event, list[list[Event]]],
) -> None:
    missing, turns = log
    coverage = read([[event for turn in turns for event in turn if event.id == missing.id]])
    assert coverage.gaps(bound_of(missing) - 0.001) == []
    assert coverage.gaps(bound_of(missing) + 0.001) == [gap_of(missing)]


@given(logs_that_lack_one())
def test_the_missing_event_fills_its_gap_when_it_comes_late(
    log: tuple[Event, list[list[Event]]],
) -> None:
    missing, turns = log
    coverage = read(turns)
    coverage.gaps(NEVER)
    missing.tell(coverage)
    assert coverage.take_filled() == [gap_of(missing)]
    assert coverage.take_filled() == []
    assert coverage.gaps(NEVER) == []


@given(logs_that_lack_one(repeats=False).map(lambda log: log[1]), st.data())
def test_a_reader_that_starts_again_at_the_cut_finds_the_same_gaps(
    turns: list[list[Event]], data: st.DataObject
) -> None:
    died_after = data.draw(st.integers(0, len(turns)))
    cut = read(turns[:died_after]).cut()
    acknowledged = {e.id for turn in turns[:cut] for e in turn if e.kind == "opened"}
    again = Coverage(BOUNDS)
    for turn in turns[cut:]:
        again.begin_turn()
        for event in turn:
            event.tell(again, carried=event.id in acknowledged)
    assert set(again.gaps(NEVER)) == set(read(turns).gaps(NEVER))


@given(covered_logs)
def test_what_is_settled_is_acknowledged(turns: list[list[Event]]) -> None:
    assert read(turns).cut() == len(turns)


def test_an_exchange_that_goes_on_holds_back_what_was_read_since() -> None:
    coverage = read([whole(1), [Event(2, "opened")], whole(3), whole(4)])
    assert coverage.cut() == 1
    for event in whole(2)[1:]:
        event.tell(coverage)
    assert coverage.cut() == 4


def test_no_cut_parts_a_verdict_from_the_later_beginning_of_its_exchange() -> None:
    early = [Event(1, "prompt")]
    coverage = read([early, [Event(2, "opened")], whole(1)])
    assert coverage.cut() == 0  # after turn 1 it would: exchange 1 would lack its prompt's verdict


def test_of_an_exchange_of_which_nothing_was_served_no_verdict_is_expected() -> None:
    assert read([whole(1, served=False)[:2]]).gaps(NEVER) == []


def test_an_exchange_that_was_interrupted_must_be_screened_and_does_not_count_as_served() -> None:
    coverage = read([[Event(1, "opened"), Event(1, "prompt")]])
    coverage.closed(Event(1, "closed").id, "m", 10.0, 1, served=None)
    assert [gap.kind for gap in coverage.gaps(NEVER)] == [UNSCREENED]
    Event(1, "answer").tell(coverage)
    assert len(coverage.take_filled()) == 1
    assert not coverage.take_covered()


@pytest.mark.parametrize(("tier", "bound_s"), [(0, 300.0), (2, 60.0)])
def test_the_bound_is_that_of_the_tier(tier: int, bound_s: float) -> None:
    coverage = Coverage(BOUNDS)
    coverage.opened("x", "m", 100.0)
    coverage.closed("x", "m", 110.0, tier, served=True)
    assert coverage.gaps(110.0 + bound_s - 0.1) == []
    assert len(coverage.gaps(110.0 + bound_s)) == 1


def test_the_screening_of_the_answer_does_not_stand_for_that_of_the_prompt() -> None:
    coverage = read([[Event(1, "opened"), Event(1, "closed"), Event(1, "answer")]])
    assert coverage.gaps(NEVER) == [CoverageGap(Event(1, "opened").id, "m", UNSCREENED)]


def test_an_answer_of_which_no_record_is_left_is_a_hole_in_the_served_numbers() -> None:
    coverage = read([whole(1), whole(3)])
    assert coverage.gaps(Event(3, "closed").at + BOUNDS.open_s - 1) == []
    hole = CoverageGap(f"{BOOT}#2", "m", UNRECORDED)
    assert coverage.gaps(Event(3, "closed").at + BOUNDS.open_s) == [hole]
    assert coverage.gaps(NEVER) == []


def test_each_process_has_served_numbers_of_its_own() -> None:
    coverage = Coverage(BOUNDS)
    for number in (1, 2, 3):
        coverage.released("a", number, "m", 0.0)
    for number in (1, 3):
        coverage.released("b", number, "m", 0.0)
    assert coverage.gaps(NEVER) == [CoverageGap("b#2", "m", UNRECORDED)]


def test_a_gap_of_an_earlier_process_is_filled_by_the_verdict_that_comes_late() -> None:
    coverage = Coverage(BOUNDS)
    coverage.restore("ex-1", "m", UNSCREENED)
    assert coverage.gaps(NEVER) == []
    coverage.screened("ex-1", "m", 5.0, Part.PROMPT)
    assert coverage.take_filled() == [CoverageGap("ex-1", "m", UNSCREENED)]


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_bounded(kind: str) -> None:
    coverage = Coverage(replace(BOUNDS, remembered=10))
    for n in range(1, 101):
        coverage.begin_turn()
        for event in [Event(n, kind)] if n % 2 else whole(n):
            event.tell(coverage)
        coverage.gaps(NEVER)
        coverage.cut()
    assert len(coverage._settled) <= 10
    assert len(coverage._gaps) <= 10
    assert not coverage._unsettled
    assert not coverage._torn
