"""How much is let in: limits a minute, at once, a day and a month. docs/limits.md tells the rules.

`counters_of` says which limits a request is under, `Counts` counts them in one process, and
`Rates` is what callers are told. Times are arguments.
"""

from service.core.limits.bounds import tokens_bound
from service.core.limits.counters import NO_COUNTERS, Counter, Counters, Kind, counters_of
from service.core.limits.counts import Counts, Periods, Refused, Reservation, Saved
from service.core.limits.periods import day_ends_at, day_of, month_ends_at, month_of
from service.core.limits.rates import NO_RATES, Rate, Rates, duration, rates_of, tightest
from service.core.limits.room import has_room
from service.core.limits.windows import SPAN_S, WINDOW_S

__all__ = [
    "NO_COUNTERS",
    "NO_RATES",
    "SPAN_S",
    "WINDOW_S",
    "Counter",
    "Counters",
    "Counts",
    "Kind",
    "Periods",
    "Rate",
    "Rates",
    "Refused",
    "Reservation",
    "Saved",
    "counters_of",
    "day_ends_at",
    "day_of",
    "duration",
    "has_room",
    "month_ends_at",
    "month_of",
    "rates_of",
    "tightest",
    "tokens_bound",
]
