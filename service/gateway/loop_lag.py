"""How late the event loop is: what blocks it delays every stream, and nothing else shows that."""

import asyncio
import time
from typing import Final

from service.telemetry.tally import HistogramTally

_STEP_S: Final = 0.1


class LoopLag:
    """Sets itself a timer again and again, and notes how late the loop comes to it."""

    def __init__(self, lag: HistogramTally) -> None:
        """Note nothing yet."""
        self._lag = lag
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the loop that runs now."""
        self._due = time.perf_counter() + _STEP_S
        self._timer = asyncio.get_running_loop().call_later(_STEP_S, self._come)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _come(self) -> None:
        self._lag.observe(max(0.0, time.perf_counter() - self._due))
        self.start()
