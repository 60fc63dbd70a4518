"""What counts are kept in, one for each counter, found by its id.

Memory stays bounded by what came in the last minutes: windows and slots that stand at nothing are
forgotten, days and months when they end. Hostile numbers of end users leave nothing behind.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from service.core.limits.windows import SPAN_S, Window

CONCURRENT_RETRY_S: Final = 1.0
_FORGOTTEN_AT_ONCE: Final = 2
"""Idle windows that are let go for each new one: more than come, and never a pause."""


class Windows:
    """Windows in two generations: one that nobody asks for in a whole generation is forgotten."""

    def __init__(self) -> None:
        """Have none."""
        self._young: dict[str, Window] = {}
        self._old: dict[str, Window] = {}
        self._idle: list[dict[str, Window]] = []
        self._turned_at = 0

    def __len__(self) -> int:
        """Return how many are in memory."""
        return sum(map(len, (self._young, self._old, *self._idle)))

    def keep_up(self, second: int) -> None:
        """Start a new generation when it is time."""
        if second - self._turned_at >= SPAN_S:
            self._turned_at = second
            if self._old:
                self._idle.append(self._old)
            self._old, self._young = self._young, {}

    def get(self, name: str, second: int) -> Window:
        """Return a window as of a second."""
        window = self._young.get(name)
        if window is None:
            window = self._old.pop(name, None) or self._make()
            self._young[name] = window
        if window.second != second:
            window.keep_up(second)
        return window

    def all(self) -> list[tuple[str, Window]]:
        """Return those that may stand at more than nothing; any thread may ask.

        A window that becomes young again meanwhile is there twice, and none is missing.
        """
        old, young = self._old, self._young
        return [*old.items(), *young.items()]

    def restore(self, windows: Mapping[str, Window]) -> None:
        """Have these windows, as if they had just been asked for."""
        self._young.update(windows)

    def _make(self) -> Window:
        if self._idle:
            idle = self._idle[-1]
            for _ in range(min(_FORGOTTEN_AT_ONCE, len(idle))):
                idle.popitem()
            if not idle:
                self._idle.pop()
        return Window()


class Budget(msgspec.Struct):
    """Tokens of one day or month."""

    period: "Period"
    total: int = 0
    """What was used and what is reserved."""
    reserved: int = 0

    def add(self, amount: int, second: int) -> None:
        """Reserve."""
        del second
        self.total += amount
        self.reserved += amount

    def settle(self, reserved: int, used: int, second: int) -> None:
        """Put what was used in the place of what was reserved, also where the period is over."""
        del second
        self.reserved -= reserved
        self.total = max(0, self.total + used - reserved)

    def wait_s(self, room: int, ticks: float, at: float) -> float:
        """Return how long until the period ends."""
        del room, ticks
        return self.period.ends_at - at

    def reset_s(self, ticks: float, at: float) -> float:
        """Return how long until the period ends."""
        del ticks
        return self.period.ends_at - at


class Period:
    """The budgets of one day or month; it never goes back, also when the clock does."""

    def __init__(self, number_of: Callable[[float], int], ends_at: Callable[[int], int]) -> None:
        """Be in no period yet."""
        self._number_of = number_of
        self._ends_at = ends_at
        self._budgets: dict[str, Budget] = {}
        self.number = -1
        self.ends_at = float("-inf")
        """Unix seconds."""

    def __len__(self) -> int:
        """Return how many budgets are in memory."""
        return len(self._budgets)

    def keep_up(self, at: float) -> None:
        """Start a new period when it is time, with nothing used."""
        if at >= self.ends_at:
            self._start(self._number_of(at), {})

    def get(self, name: str, second: int) -> Budget:
        """Return a budget of this period."""
        del second
        budget = self._budgets.get(name)
        if budget is None:
            budget = self._budgets[name] = Budget(self)
        return budget

    def all(self) -> list[tuple[str, Budget]]:
        """Return all budgets; any thread may ask."""
        return list(self._budgets.items())

    def restore(self, number: int, used: Mapping[str, int]) -> None:
        """Be in a period, with so much used of each budget."""
        self._start(number, {name: Budget(self, total) for name, total in used.items()})

    def _start(self, number: int, budgets: dict[str, Budget]) -> None:
        self.number, self.ends_at, self._budgets = number, self._ends_at(number), budgets


class Slot(msgspec.Struct):
    """Requests at once."""

    name: str
    taken: "dict[str, Slot]"
    """All that are not at nothing, this one among them while it is not."""
    total: int = 0

    def add(self, amount: int, second: int) -> None:
        """Take a place."""
        del second
        if not self.total:
            self.taken[self.name] = self
        self.total += amount

    def settle(self, reserved: int, used: int, second: int) -> None:
        """Give the place back."""
        del reserved, used, second
        self.total -= 1
        if not self.total:
            del self.taken[self.name]

    def wait_s(self, room: int, ticks: float, at: float) -> float:
        """Return when another try makes sense: nobody knows when a request will end."""
        del room, ticks, at
        return CONCURRENT_RETRY_S

    def reset_s(self, ticks: float, at: float) -> float:
        """Return the same."""
        del ticks, at
        return CONCURRENT_RETRY_S


class Slots:
    """Slots, of which those at nothing are not kept."""

    def __init__(self) -> None:
        """Have none."""
        self._taken: dict[str, Slot] = {}

    def __len__(self) -> int:
        """Return how many are in memory."""
        return len(self._taken)

    def get(self, name: str, second: int) -> Slot:
        """Return a slot as it is now."""
        del second
        return self._taken.get(name) or Slot(name, self._taken)
