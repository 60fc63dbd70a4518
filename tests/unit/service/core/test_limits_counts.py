"""Counting in one process, against an oracle that keeps every event and adds them up anew."""

import copy
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.core.directory import Scope
from service.core.limits import (
    SPAN_S,
    Counter,
    Counters,
    Counts,
    Kind,
    Periods,
    Refused,
    Reservation,
    month_of,
)

NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp()
LIMITS = {Kind.REQUESTS: 6, Kind.TOKENS: 40, Kind.CONCURRENT: 3, Kind.DAY: 200, Kind.MONTH: 300}
WINDOWS = (Kind.REQUESTS, Kind.TOKENS)


def counter(kind: Kind, subject: str = "a", limit: int | None = None) -> Counter:
    return Counter.of(kind, Scope.PROJECT, subject, "", LIMITS[kind] if limit is None else limit)


def admitted(
    counts: Counts, counters: Counters, tokens: int, ticks: float, at: float = NEW_YEARS_EVE
) -> Reservation:
    found = counts.admit(counters, tokens, ticks, at)
    assert isinstance(found, Reservation)
    return found


def refused(
    counts: Counts, counters: Counters, tokens: int, ticks: float, at: float = NEW_YEARS_EVE
) -> Refused:
    found = counts.admit(counters, tokens, ticks, at)
    assert isinstance(found, Refused)
    return found


class Event:
    """What the oracle keeps of an admission."""

    def __init__(self, counters: Counters, tokens: int, ticks: float, at: float) -> None:
        self.ids = {it.id for it in counters}
        self.ticks, self.day, self.month = ticks, int(at // 86400), month_of(at)
        self.reserved = self.tokens = tokens
        self.is_open = True

    def amount(self, of: Counter) -> int:
        if of.id not in self.ids:
            return 0
        return self.tokens if of.in_tokens else 1


class Oracle(RuleBasedStateMachine):
    """Every decision is what adding all events up says, and no window ever holds too much."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self.ticks = 1000.5
        self.at = NEW_YEARS_EVE
        self.events: list[Event] = []
        self.reservations: list[tuple[Reservation, Event]] = []

    @rule(
        seconds=st.one_of(st.floats(0, 3), st.floats(50, 70), st.sampled_from([1, 60, 61, 86400]))
    )
    def time_passes(self, seconds: float) -> None:
        self.ticks += seconds
        self.at += seconds

    @rule(seconds=st.floats(-100, 0))
    def the_wall_clock_is_set_back(self, seconds: float) -> None:
        self.at = max(NEW_YEARS_EVE, self.at + seconds)

    @rule(
        kinds=st.sets(st.sampled_from(list(Kind)), min_size=1),
        subjects=st.sets(st.sampled_from("ab"), min_size=1),
        tokens=st.integers(0, 45),
    )
    def a_request_comes(self, kinds: set[Kind], subjects: set[str], tokens: int) -> None:
        counters = tuple(counter(kind, subject) for kind in kinds for subject in subjects)
        before = copy.deepcopy(self.counts)
        found = self.counts.admit(counters, tokens, self.ticks, self.at)
        full = [it for it in counters if self.taken(it) + self.cost(it, tokens) > it.limit]
        if isinstance(found, Refused):
            assert found.counter in full
            self.check_wait(before, counters, tokens, found)
            return
        assert not full
        event = Event(counters, tokens, self.ticks, self.at)
        event.day, event.month = self.counts.periods
        self.events.append(event)
        self.reservations.append((found, event))
        for kind, rate in ((Kind.REQUESTS, found.rates.requests), (None, found.rates.tokens)):
            left = [
                it.limit - self.taken(it)
                for it in counters
                if it.kind is kind or (kind is None and it.in_tokens)
            ]
            assert (rate and rate.remaining) == (min(left) if left else None)

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), tokens=st.one_of(st.none(), st.integers(0, 90)))
    def a_request_ends(self, data: st.DataObject, tokens: int | None) -> None:
        reservation, event = data.draw(st.sampled_from(self.reservations))
        self.counts.settle(reservation, tokens)
        if event.is_open:
            event.is_open = False
            event.tokens = event.reserved if tokens is None else tokens

    @invariant()
    def no_balance_exceeds_its_cap(self) -> None:
        for kind in Kind:
            for subject in "ab":
                it = counter(kind, subject)
                assert self.taken(it) >= 0

    @invariant()
    def no_minute_held_more_than_the_limit_when_its_last_request_was_let_in(self) -> None:
        if not self.events:
            return
        last = self.events[-1]
        for kind in WINDOWS:
            for subject in "ab":
                it = counter(kind, subject)
                if it.id in last.ids and last.is_open:
                    minute = [e for e in self.events if last.ticks - 60 <= e.ticks]
                    within = sum(e.amount(it) for e in minute)
                    excess = sum(max(0, e.tokens - e.reserved) for e in minute)
                    assert within - excess <= it.limit

    def taken(self, it: Counter) -> int:
        """What counts now, by the documented rule."""
        match it.kind:
            case Kind.CONCURRENT:
                return sum(e.is_open for e in self.events if it.id in e.ids)
            case Kind.DAY:
                day = max(self.counts.periods.day, int(self.at // 86400))
                return sum(e.amount(it) for e in self.events if e.day == day)
            case Kind.MONTH:
                month = max(self.counts.periods.month, month_of(self.at))
                return sum(e.amount(it) for e in self.events if e.month == month)
        return sum(e.amount(it) for e in self.events if int(e.ticks) >= int(self.ticks) - 60)

    @staticmethod
    def cost(it: Counter, tokens: int) -> int:
        return tokens if it.in_tokens else 1

    def check_wait(self, before: Counts, counters: Counters, tokens: int, found: Refused) -> None:
        """A request is let in once the time is over that it was told, and no moment earlier."""
        if found.wait_s is None:
            assert self.cost(found.counter, tokens) > found.counter.limit
            return
        if any(it.kind not in WINDOWS for it in counters):
            return
        early, late = copy.deepcopy(before), before
        wait_s = found.wait_s
        refused(early, counters, tokens, self.ticks + wait_s - 0.001, self.at)
        admitted(late, counters, tokens, self.ticks + wait_s + 1e-6, self.at)


TestOracle = Oracle.TestCase
TestOracle.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=120),
    st.integers(1, 8),
)
def test_no_sixty_seconds_ever_hold_more_requests_than_the_limit(
    gaps: list[float], limit: int
) -> None:
    counts, one = Counts(), (counter(Kind.REQUESTS, limit=limit),)
    ticks, times = 0.0, []
    for gap in gaps:
        ticks += gap
        if isinstance(counts.admit(one, 0, ticks, 0.0), Reservation):
            times.append(ticks)
    for start in times:
        assert sum(start <= at <= start + 60 for at in times) <= limit


def test_all_or_nothing_is_counted() -> None:
    counts = Counts()
    wide, narrow = counter(Kind.REQUESTS, "a", 5), counter(Kind.REQUESTS, "b", 1)
    admitted(counts, (wide, narrow), 0, 0.0)
    for _ in range(3):
        assert refused(counts, (wide, narrow), 0, 1.0).counter is narrow
    rates = admitted(counts, (wide,), 0, 2.0).rates
    assert rates.requests is not None
    assert rates.requests.remaining == 3


def test_the_limit_that_refuses_for_longest_is_named() -> None:
    counts = Counts()
    minute, day = counter(Kind.REQUESTS, limit=1), counter(Kind.DAY, limit=10)
    admitted(counts, (minute, day), 8, 0.0)
    found = refused(counts, (minute, day), 8, 10.0)
    assert (found.counter, found.wait_s) == (day, 60.0)  # midnight is 60 s away
    found = refused(counts, (minute, day), 8, 10.0, NEW_YEARS_EVE + 30)
    assert (found.counter, found.wait_s) == (minute, 51.0)


def test_a_request_larger_than_a_limit_is_never_let_in_and_no_time_is_told() -> None:
    one = counter(Kind.TOKENS, limit=100)
    found = refused(Counts(), (one,), 101, 0.0)
    assert (found.counter, found.wait_s) == (one, None)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_limit_of_nothing_lets_nothing_in(kind: Kind) -> None:
    assert refused(Counts(), (counter(kind, limit=0),), 1, 0.0).wait_s is None


def test_what_is_not_used_comes_back_to_the_bucket_it_was_taken_from_alone() -> None:
    counts, one = Counts(), (counter(Kind.TOKENS, limit=100),)
    first = admitted(counts, one, 100, 0.0)
    counts.settle(first, 10)
    second = admitted(counts, one, 90, 30.0)
    counts.settle(first, 0)  # a second time: nothing happens
    assert refused(counts, one, 1, 30.0).wait_s == SPAN_S - 30
    late = admitted(counts, one, 10, 61.0)
    counts.settle(second, 0)
    counts.settle(late, 10)
    rates = admitted(counts, one, 1, 200.0).rates
    assert rates.tokens is not None
    assert rates.tokens.remaining == 99


def test_what_a_request_used_beyond_its_bound_counts_too() -> None:
    counts, one = Counts(), (counter(Kind.TOKENS, limit=100), counter(Kind.DAY, limit=150))
    counts.settle(admitted(counts, one, 40, 0.0), 120)
    assert refused(counts, one, 1, 1.0).counter.kind is Kind.TOKENS
    assert refused(counts, one, 31, 100.0).counter.kind is Kind.DAY


def test_days_and_months_start_at_midnight_in_utc() -> None:
    counts = Counts()
    both = (counter(Kind.DAY, limit=10), counter(Kind.MONTH, limit=15))
    last = admitted(counts, both, 10, 0.0, NEW_YEARS_EVE)
    assert refused(counts, both, 1, 59.0, NEW_YEARS_EVE + 59).wait_s == 1.0
    admitted(counts, both, 10, 60.0, NEW_YEARS_EVE + 60)
    counts.settle(last, 0)  # of the year that is over: nothing of this one comes back
    found = refused(counts, both, 10, 61.0, NEW_YEARS_EVE + 60 + 86400)
    assert found.counter.kind is Kind.MONTH
    assert found.wait_s == 30 * 86400
    admitted(counts, both, 5, 61.0, NEW_YEARS_EVE + 60 + 86400)


def test_a_clock_that_is_set_back_starts_no_day_again() -> None:
    counts, one = Counts(), (counter(Kind.DAY, limit=10),)
    admitted(counts, one, 10, 0.0, NEW_YEARS_EVE + 61)
    refused(counts, one, 1, 1.0, NEW_YEARS_EVE)
    refused(counts, one, 1, 1.0, NEW_YEARS_EVE + 62)


def test_hostile_numbers_of_end_users_leave_nothing_in_memory() -> None:
    counts = Counts()
    for i in range(20_000):
        user = Counter.of(Kind.REQUESTS, Scope.END_USER, f"p/{i}", "", 5)
        slot = Counter.of(Kind.CONCURRENT, Scope.END_USER, f"p/{i}", "", 5)
        counts.settle(admitted(counts, (user, slot), 0, i / 10), 0)
        assert len(counts) <= 4 * 10 * SPAN_S  # those of the last minutes


def test_what_was_counted_goes_on_after_a_restart() -> None:
    counts = Counts()
    limits = tuple(counter(kind, limit=100) for kind in Kind)
    counts.settle(admitted(counts, limits, 60, 10.0), 30)
    admitted(counts, limits, 50, 11.0)  # never settled: its process dies
    periods, saved = counts.periods, list(counts.saved())
    after = Counts()
    after.restore(saved, periods)
    rates = admitted(after, limits[:2], 10, 20.0).rates
    assert rates.requests is not None
    assert rates.tokens is not None
    assert rates.requests.remaining == 97
    assert rates.tokens.remaining == 10  # 30 used, 50 reserved, 10 now
    rates = admitted(after, (limits[3],), 0, 20.0).rates
    assert rates.tokens is not None
    assert rates.tokens.remaining == 70  # what was reserved came back
    assert isinstance(periods, Periods)
