"""Limits counted in one process. What is counted outlives it, in a file."""

import time
from collections.abc import Callable

from service.core.limits import Counters, Counts, Refused, Reservation
from service.gateway.limiter import NO_PERMIT, Permit, refuse
from service.gateway.meters import Meters


class MemoryLimiter:
    """A `Limiter` of one process; used from its event loop alone."""

    def __init__(
        self,
        meters: Meters,
        counts: Counts | None = None,
        *,
        ticks: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Count on from `counts`.

        `ticks` are seconds that never go back, for windows; `clock` are Unix seconds, for days and
        months.
        """
        self._meters = meters
        self._counts = Counts() if counts is None else counts
        self._ticks = ticks
        self._clock = clock

    async def admit(self, counters: Counters, tokens: int, tier: int) -> Permit:
        """Let a request in; see `Limiter`."""
        del tier
        return self.admit_now(counters, tokens)

    def admit_now(self, counters: Counters, tokens: int) -> Permit:
        """Let a request in: there is nothing to wait for."""
        if not counters:
            return NO_PERMIT
        found = self._counts.admit(counters, tokens, self._ticks(), self._clock())
        if isinstance(found, Refused):
            self._meters.limited[found.counter.kind].total += 1
            refuse(found, tokens)
        return found

    def settle(self, permit: Permit, tokens: int | None) -> None:
        """Note the end of a request; see `Limiter`."""
        if isinstance(permit, Reservation):
            self._counts.settle(permit, tokens)
