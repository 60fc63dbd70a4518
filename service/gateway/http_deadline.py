"""A deadline that moves with everything that happens, at hardly any cost."""

import asyncio
import math
from collections.abc import Callable


def _nothing() -> None:
    """Nobody waits."""


class Deadline:
    """Calls back when its time has come; starts without one.

    The loop's timer is lazy: it moves only when the deadline comes nearer, and when it fires before
    the deadline it is armed again. Setting a timer of the loop and cancelling it costs 2 µs.
    """

    __slots__ = ("_due", "_loop", "_on_due", "_timer", "_timer_due")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_due: Callable[[], None]) -> None:
        """Set no deadline yet."""
        self._loop = loop
        self._on_due = on_due
        self._due = self._timer_due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, delay_s: float) -> None:
        """Set the deadline to so many seconds from now."""
        self._due = due = self._loop.time() + delay_s
        if due < self._timer_due:
            self._arm()

    def lift(self) -> None:
        """Let there be none."""
        self._due = math.inf

    def stop(self) -> None:
        """Never call back any more, and forget who would be."""
        self._on_due = _nothing
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = self._due
        self._timer = self._loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_due = math.inf
        if self._due <= self._loop.time():
            self._on_due()
        elif self._due < math.inf:
            self._arm()
