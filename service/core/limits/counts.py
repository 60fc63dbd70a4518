"""Counting in one process: all or nothing over every limit that a request is under."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from service.core.limits.counters import Counter, Counters, Kind
from service.core.limits.periods import day_ends_at, day_of, month_ends_at, month_of
from service.core.limits.rates import Rate, Rates, rates_of
from service.core.limits.tallies import Period, Slots, Windows
from service.core.limits.windows import Window


class Tally(Protocol):
    """What is counted for one counter."""

    total: int

    def add(self, amount: int, second: int) -> None: ...  # noqa: D102  (see tallies.py)

    def settle(self, reserved: int, used: int, second: int) -> None: ...  # noqa: D102  (as above)

    def wait_s(self, room: int, ticks: float, at: float) -> float: ...  # noqa: D102  (as above)

    def reset_s(self, ticks: float, at: float) -> float: ...  # noqa: D102  (as above)


Standing = tuple[int, Counter, Tally]
"""What is left of a counter, and where it is counted."""


class _Store(Protocol):
    """Where the counters of one kind are kept."""

    def get(self, name: str, second: int) -> Tally: ...


class Reservation(msgspec.Struct):
    """What one request holds until it is settled."""

    tokens: int
    second: int
    tallies: Sequence[Tally]
    """Of requests that were counted nothing ever comes back: their windows are not among these."""
    rates: Rates
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """One limit or more had no room; nothing was counted."""

    counter: Counter
    """The one that refuses for longest."""
    wait_s: float | None
    """Until the request would be let in if nothing else came; None: it never fits."""
    rates: Rates
    """How that limit stands."""

    def length_s(self) -> float:
        """Return how long it refuses."""
        return math.inf if self.wait_s is None else self.wait_s


class Saved(msgspec.Struct, frozen=True, omit_defaults=True):
    """What outlives a process of one counter: its window, or what is used of its budget.

    What was reserved and not settled stays in the window, which it leaves within a minute, and is
    given back to day and month.
    """

    id: str
    seconds: dict[int, int] | None = None
    used: int | None = None


class Periods(NamedTuple):
    """The numbers of a day and of a month."""

    day: int
    month: int


class Counts:
    """All that one process counts; used from one thread, but for `saved`."""

    def __init__(self) -> None:
        """Have counted nothing."""
        self.is_changed = False
        """Set with each change; whoever saves the counts takes it back before."""
        self._windows = Windows()
        self._day = Period(day_of, day_ends_at)
        self._month = Period(month_of, month_ends_at)
        self._slots = Slots()
        self._of: dict[Kind, _Store] = {
            Kind.REQUESTS: self._windows,
            Kind.TOKENS: self._windows,
            Kind.CONCURRENT: self._slots,
            Kind.DAY: self._day,
            Kind.MONTH: self._month,
        }

    def __len__(self) -> int:
        """Return how many counters are in memory."""
        return len(self._windows) + len(self._day) + len(self._month) + len(self._slots)

    @property
    def periods(self) -> Periods:
        """The day and the month of what is counted now."""
        return Periods(self._day.number, self._month.number)

    def admit(
        self, counters: Counters, tokens: int, ticks: float, at: float
    ) -> Reservation | Refused:
        """Let a request in that may take so many tokens, if each counter has room.

        `ticks` are seconds of a clock that never goes back, for windows; `at` are Unix seconds,
        for days and months.
        """
        second, of = int(ticks), self._of
        self._keep_up(second, at)
        tallies: list[Tally] = []
        of_requests: Standing | None = None
        of_tokens: Standing | None = None
        for counter in counters:  # one pass: this is most of what a limit costs
            tally = of[counter.kind].get(counter.id, second)
            tallies.append(tally)
            if counter.in_tokens:
                left = counter.limit - tally.total - tokens
                if of_tokens is None or left < of_tokens[0]:
                    of_tokens = left, counter, tally
            else:
                left = counter.limit - tally.total - 1
                if counter.kind is Kind.REQUESTS and (of_requests is None or left < of_requests[0]):
                    of_requests = left, counter, tally
            if left < 0:
                return self._refused(counters, tokens, ticks, at)
        held = self._count(counters, tallies, tokens, second)
        rates = Rates(_rate(of_requests, ticks, at), _rate(of_tokens, ticks, at))
        return Reservation(tokens, second, held, rates)

    def settle(self, reservation: Reservation, tokens: int | None) -> None:
        """Put what was used in the place of what was reserved, once; None: all that was."""
        if reservation.is_open:
            reservation.is_open = False
            self.is_changed = True
            reserved, second = reservation.tokens, reservation.second
            used = reserved if tokens is None else max(0, tokens)
            for tally in reservation.tallies:
                tally.settle(reserved, used, second)

    def saved(self) -> Iterator[Saved]:
        """Yield what is to outlive this process; any thread may ask, while others go on."""
        for name, window in self._windows.all():
            seconds = window.by_second.copy()
            if seconds:
                yield Saved(name, seconds=seconds)
        for name, budget in (*self._day.all(), *self._month.all()):
            yield Saved(name, used=budget.total - budget.reserved)

    def restore(self, saved: Iterable[Saved], periods: Periods) -> None:
        """Go on from what was saved, before anything is counted."""
        windows, used = {}, {}
        for it in saved:
            if it.seconds is not None:
                windows[it.id] = Window(it.seconds, sum(it.seconds.values()))
            elif it.used is not None:
                used[it.id] = it.used
        self._windows.restore(windows)
        days = {name: total for name, total in used.items() if name.startswith("d")}
        self._day.restore(periods.day, days)
        months = {name: total for name, total in used.items() if name.startswith("m")}
        self._month.restore(periods.month, months)

    def _keep_up(self, second: int, at: float) -> None:
        self._windows.keep_up(second)
        if at >= self._day.ends_at:
            self._day.keep_up(at)
            self._month.keep_up(at)

    def _count(
        self, counters: Counters, tallies: Sequence[Tally], tokens: int, second: int
    ) -> Sequence[Tally]:
        """Count a request, and return what its end will change."""
        self.is_changed = True
        held = []
        for counter, tally in zip(counters, tallies, strict=True):
            if counter.in_tokens:
                tally.add(tokens, second)
                held.append(tally)
            else:
                tally.add(1, second)
                if counter.kind is not Kind.REQUESTS:
                    held.append(tally)
        return held

    def _refused(self, counters: Counters, tokens: int, ticks: float, at: float) -> Refused:
        """Return which of the counters without room refuses for longest."""
        refusals = []
        for counter in counters:
            tally = self._of[counter.kind].get(counter.id, int(ticks))
            room = counter.limit - (tokens if counter.in_tokens else 1)
            if tally.total > room:
                left, reset_s = counter.limit - tally.total, tally.reset_s(ticks, at)
                wait_s = tally.wait_s(room, ticks, at) if room >= 0 else None
                refusals.append(Refused(counter, wait_s, rates_of(counter, left, reset_s)))
        return max(refusals, key=Refused.length_s)


def _rate(standing: Standing | None, ticks: float, at: float) -> Rate | None:
    if standing is None:
        return None
    left, counter, tally = standing
    return Rate(counter.limit, left, tally.reset_s(ticks, at))
