"""What callers are told of the limits that they are under, in OpenAI's words.

https://platform.openai.com/docs/guides/rate-limits names the headers: limit, remaining and reset,
each for requests and for tokens; a reset is a duration as Go writes them, `1s` or `6m0s`.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from service.core.limits.counters import Counter, Kind

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000


class Rate(msgspec.Struct, frozen=True, gc=False):
    """How one limit stands."""

    limit: int
    remaining: int
    reset_s: float
    """Until it is as if nothing had been counted, if nothing more comes."""


class Rates(msgspec.Struct, frozen=True, gc=False):
    """The limits with the least left, of requests and of tokens; None: there is no limit."""

    requests: Rate | None = None
    tokens: Rate | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that tell them."""
        named = ((b"requests", self.requests), (b"tokens", self.tokens))
        return [it for unit, rate in named if rate is not None for it in _told(unit, rate)]


NO_RATES: Final = Rates()


def tightest(counters: Sequence[Counter], left: Sequence[int]) -> tuple[int | None, int | None]:
    """Return where the least is left, of the counters of requests and of those of tokens."""
    requests: int | None = None
    tokens: int | None = None
    for i, counter in enumerate(counters):
        if counter.in_tokens:
            if tokens is None or left[i] < left[tokens]:
                tokens = i
        elif counter.kind is Kind.REQUESTS and (requests is None or left[i] < left[requests]):
            requests = i
    return requests, tokens


def rates_of(counter: Counter, remaining: int, reset_s: float) -> Rates:
    """Return what is told where one counter alone counts."""
    rate = Rate(counter.limit, remaining, reset_s)
    if counter.in_tokens:
        return Rates(tokens=rate)
    return Rates(requests=rate) if counter.kind is Kind.REQUESTS else NO_RATES


def duration(seconds: float) -> str:
    """Spell a duration as Go does, up to whole milliseconds: `120ms`, `1.5s`, `6m0s`, `23h0m7s`."""
    left_ms = max(0, math.ceil(round(seconds * 1000, 3)))
    if 0 < left_ms < 1000:  # noqa: PLR2004  (milliseconds of a second)
        return f"{left_ms}ms"
    hours, left_ms = divmod(left_ms, _HOUR_MS)
    minutes, left_ms = divmod(left_ms, _MINUTE_MS)
    words = f"{left_ms / 1000:g}s"
    if hours or minutes:
        words = f"{minutes}m{words}"
    return f"{hours}h{words}" if hours else words


def _told(unit: bytes, rate: Rate) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-ratelimit-limit-" + unit, b"%d" % rate.limit),
        (b"x-ratelimit-remaining-" + unit, b"%d" % max(0, rate.remaining)),
        (b"x-ratelimit-reset-" + unit, duration(rate.reset_s).encode()),
    ]
