"""Counting what was let in over the last minute."""

from typing import Final

import msgspec

WINDOW_S: Final = 60
SPAN_S: Final = WINDOW_S + 1
"""Buckets of one second that the last 60 s touch: of the oldest only a part is in them, and all
of it counts. So no more than the limit is let in in *any* 60 s, and what was let in is free again
after 60 to 61 s."""


class Window(msgspec.Struct, gc=False):
    """A sum over the last `SPAN_S` seconds, in buckets of one second; seconds never go back."""

    by_second: dict[int, int] = {}
    """What was counted in each second that anything was, oldest first."""
    total: int = 0
    """The sum of them all."""
    second: int = 0
    """As of when it is."""

    def keep_up(self, second: int) -> None:
        """Forget what has left the window."""
        self.second = second
        by_second, kept_from = self.by_second, second - WINDOW_S
        while by_second and (oldest := next(iter(by_second))) < kept_from:
            self.total -= by_second.pop(oldest)

    def add(self, amount: int, second: int) -> None:
        """Count in the newest bucket."""
        by_second = self.by_second
        by_second[second] = by_second.get(second, 0) + amount
        self.total += amount

    def settle(self, reserved: int, used: int, second: int) -> None:
        """Put what was used in the place of what was reserved in a second, if it still counts."""
        there = self.by_second.get(second)
        if there is not None:
            change = max(used - reserved, -there)
            self.by_second[second] = there + change
            self.total += change

    def wait_s(self, room: int, ticks: float, at: float) -> float:
        """Return how long until no more than `room`, which is not negative, is left of it."""
        del at
        left, free_at = self.total, ticks
        for second, amount in self.by_second.items():
            if left <= room:
                break
            left, free_at = left - amount, second + SPAN_S
        return free_at - ticks

    def reset_s(self, ticks: float, at: float) -> float:
        """Return how long until nothing is left of it."""
        del at
        for second, amount in reversed(self.by_second.items()):
            if amount:
                return max(0.0, second + SPAN_S - ticks)
        return 0.0
