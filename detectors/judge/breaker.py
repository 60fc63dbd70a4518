"""Leaves a guard alone that does not answer: a batch must not wait out every timeout in turn."""

import threading
from collections.abc import Callable

from detectors.judge.errors import Busy, JudgeError, Paused, TimedOut, Unreachable

AWAY = (Unreachable, TimedOut, Busy)
"""What speaks of the guard as a whole, not of one text."""


class Breaker:
    """Closed while the guard answers; open for `pause_s` after `limit` failures in a row."""

    def __init__(self, limit: int, pause_s: float, clock: Callable[[], float]) -> None:
        """Start closed."""
        self._limit = limit
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    def left_s(self) -> float:
        """Return for how long the guard is left alone, 0 while it is not."""
        with self._lock:
            return max(0.0, self._open_until - self._clock())

    def check(self) -> None:
        """Raise Paused while the guard is left alone."""
        left_s = self.left_s()
        if left_s > 0:
            raise Paused(
                f"the guard failed {self._limit} times in a row: paused for {left_s:.1f} s"
            )

    def heard(self, error: JudgeError | None) -> None:
        """Note how asking ended; None: with an answer."""
        with self._lock:
            if not isinstance(error, AWAY):
                self._failures = 0
                return
            self._failures += 1
            if self._failures >= self._limit:
                self._failures = 0
                self._open_until = self._clock() + self._pause_s
