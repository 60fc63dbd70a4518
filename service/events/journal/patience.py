"""Whether a thread that should not wait may write by itself."""

from typing import Final

QUICK_S: Final = 0.002
"""A write takes 5 to 20 µs; beyond this it has waited, for the disk or for the interpreter."""
BEARABLE_S: Final = 0.02
"""So much waiting is borne within `_PERIOD_S`."""
_PERIOD_S: Final = 1.0
PAUSE_S: Final = 2.0
"""For so long then the write thread alone waits for the disk."""


class Patience:
    """Ends when writes have waited too much, and comes back. Times are of a monotonic clock."""

    __slots__ = ("_not_before", "_since", "_waited_s")

    def __init__(self) -> None:
        """Begin with all of it."""
        self._not_before = 0.0
        self._since = 0.0
        self._waited_s = 0.0

    def lasts(self, now: float) -> bool:
        """Say whether one may write."""
        return now >= self._not_before

    def note(self, started: float, ended: float) -> None:
        """Note a write."""
        took_s = ended - started
        if took_s <= QUICK_S:
            return
        if started - self._since > _PERIOD_S:
            self._since, self._waited_s = started, 0.0
        self._waited_s += took_s
        if self._waited_s > BEARABLE_S:
            self._not_before = ended + PAUSE_S
