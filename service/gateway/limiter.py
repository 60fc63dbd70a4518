"""The third seam: what counts requests against their limits."""

import math
from typing import Final, NoReturn, Protocol

from service.core.limits import NO_RATES, Counters, Kind, Rates, Refused, Reservation
from service.errors import BudgetExceeded, RateLimitExceeded
from service.gateway.asgi import Header

_BUDGETS: Final = frozenset({Kind.DAY, Kind.MONTH})
_IN_WORDS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))
"""Seconds, and what so many are called; a time is told in a unit that it holds twice."""


class Permit(Protocol):
    """That a request was let in; `Limiter.settle` takes it back."""

    @property
    def tokens(self) -> int:
        """So many are reserved."""

    @property
    def rates(self) -> Rates:
        """How the limits stand with this request in: its answer's headers."""


NO_PERMIT: Final[Permit] = Reservation(0, 0, (), NO_RATES, is_open=False)
"""Of a request that is under no limit."""


class Limiter(Protocol):
    """Counts requests against limits, of one process or of many."""

    async def admit(self, counters: Counters, tokens: int, tier: int) -> Permit:
        """Let a request in that takes `tokens` at the most, if every counter has room.

        All counters count it, or none. What is returned must be given to `settle`, whatever
        becomes of the request. `tier` is the model's.

        Raises:
            RateLimitExceeded, BudgetExceeded: a limit has no room; the error names the one that
                refuses for longest, and when there would be room if nothing else came.
            SafeguardInactive: the limits cannot be counted, and the tier is refused then.
        """

    def settle(self, permit: Permit, tokens: int | None) -> None:
        """Note the end of a request, and what it used; None: that is not known, it used all.

        Never fails and never waits; a second call for a permit does nothing.
        """


def rate_headers(permit: Permit) -> list[Header]:
    """Return the headers by which an answer tells how the limits stand."""
    return permit.rates.headers()


def refuse(refused: Refused, tokens: int) -> NoReturn:
    """Raise that a limit has no room.

    Raises:
        RateLimitExceeded, BudgetExceeded: always.
    """
    counter, wait_s = refused.counter, refused.wait_s
    kind = BudgetExceeded if counter.kind in _BUDGETS else RateLimitExceeded
    raise kind(
        _words(refused, tokens),
        retry_after_s=wait_s,
        is_final=wait_s is None,
        headers=refused.rates.headers(),
    )


def _words(refused: Refused, tokens: int) -> str:
    counter, wait_s = refused.counter, refused.wait_s
    if wait_s is None and counter.limit == 0:
        return f"The limit is {counter}: nothing is let in."
    if wait_s is None:
        return (
            f"The request may take up to {tokens} tokens, more than the limit of {counter} ever "
            "lets in: set a lower max_tokens, or send a shorter prompt."
        )
    if counter.kind is Kind.CONCURRENT:
        return f"The limit of {counter} is reached: try again when one of them has ended."
    when = f"try again in {in_words(wait_s)}"
    if counter.in_tokens:
        return (
            f"The limit of {counter} has no room for a request that may take up to {tokens} "
            f"tokens: {when}, or with a lower max_tokens."
        )
    return f"The limit of {counter} is reached: {when}."


def in_words(seconds: float) -> str:
    """Tell a time in the largest unit of which it holds two: `12 s`, `3 hours`; rounded up."""
    for length, unit in _IN_WORDS:
        if seconds > 2 * length:
            return f"{math.ceil(seconds / length)} {unit}"
    return f"{max(1, math.ceil(seconds))} s"
