"""The numbers of served exchanges: a hole in those of one process is an answer without a record."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Final

_BOOTS: Final = 1000
"""How many processes are remembered: each start of a gateway is one."""
_BOOT: Final = slice(3, 19)
"""Where an exchange's id, `ex-<boot><number>`, names the process that made it."""


class ServedNumbers:
    """Follows the numbers of every process. Times are Unix seconds."""

    def __init__(self, open_s: float) -> None:
        """An exchange with a lower number may end `open_s` later, not more."""
        self._open_s = open_s
        self._rows: OrderedDict[str, _Row] = OrderedDict()
        self._explained: Counter[str] = Counter()

    def add(self, boot: str, number: int, model: str, at: float, *, carried: bool) -> None:
        """Take note of a number; `carried` ones do not begin a row: those before were read."""
        row = self._rows.get(boot)
        if row is None:
            if carried:
                return
            row = self._rows[boot] = _Row(number)
            if len(self._rows) > _BOOTS:
                old, _ = self._rows.popitem(last=False)
                del self._explained[old]
        row.add(number, model, at)

    def explain(self, exchange_id: str) -> None:
        """Take note of an exchange that never ended: one hole in its process's row is its own."""
        boot = exchange_id[_BOOT]
        if boot in self._rows:
            self._explained[boot] += 1

    def missing(self, now: float) -> Iterator[tuple[str, str]]:
        """Yield each number that should be there by now, as `boot#number` and a model, once."""
        for boot, row in self._rows.items():
            for number, model in row.missing(now - self._open_s):
                if self._explained[boot]:
                    self._explained[boot] -= 1
                else:
                    yield f"{boot}#{number}", model


class _Row:
    """The numbers of one process."""

    def __init__(self, first: int) -> None:
        """Start at the first that is read: what came before was reconciled before."""
        self._next = first
        self._beyond: dict[int, tuple[str, float]] = {}

    def add(self, number: int, model: str, at: float) -> None:
        if number >= self._next:
            self._beyond[number] = (model, at)
            self._close_up()

    def missing(self, before: float) -> Iterator[tuple[int, str]]:
        """Yield each number that is missing before one of before that time."""
        while self._beyond:
            first = min(self._beyond)
            model, at = self._beyond[first]
            if at > before:
                return
            yield from ((number, model) for number in range(self._next, first))
            self._next = first
            self._close_up()

    def _close_up(self) -> None:
        while self._beyond.pop(self._next, None):
            self._next += 1
