"""Coverage: was every exchange that was served recorded, and screened in time?

Reconciled over distinct exchange ids, from the log alone: it does not matter in which order
events come, or how often. An exchange is *settled* when it is covered or when nothing of it was
served; an unsettled one past its deadline is a *gap*.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

UNRECORDED: Final = "unrecorded"
UNSCREENED: Final = "unscreened"

GapKind = Literal["unrecorded", "unscreened"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long coverage may take."""

    unscreened_s: tuple[float, ...]
    """For each tier, from `closed` to the last verdict."""
    open_s: float
    """From `opened` to `closed`: longer than any answer may take."""
    remembered: int = 100_000
    """How many settled exchanges are remembered, so that a repeated event does not open one."""


@dataclass(frozen=True, slots=True)
class CoverageGap:
    """An exchange that is not covered, past its deadline."""

    exchange_id: str
    model: str
    kind: GapKind


@dataclass(slots=True)
class _Exchange:
    model: str
    opened: bool = False
    closed: bool = False
    served: bool = False
    screened: bool = False
    failed: bool = False
    due: float = 0.0


class Coverage:
    """The exchanges that are not settled. One instance reads all events of the log."""

    def __init__(self, bounds: Bounds) -> None:
        """Know of nothing."""
        self._bounds = bounds
        self._unsettled: dict[str, _Exchange] = {}
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._served: dict[str, _ServedNumbers] = {}

    def opened(self, exchange_id: str, model: str, at: float) -> None:
        """Take note of an `opened`."""
        exchange = self._exchange(exchange_id, model)
        if exchange is not None:
            exchange.opened = True
            exchange.due = exchange.due or at + self._bounds.open_s
            self._settle(exchange_id, exchange)

    def closed(self, exchange_id: str, model: str, at: float, tier: int, *, served: bool) -> None:
        """Take note of a `closed`."""
        exchange = self._exchange(exchange_id, model)
        if exchange is not None:
            exchange.closed, exchange.served = True, served
            exchange.due = at + self._bounds.unscreened_s[tier]
            self._settle(exchange_id, exchange)

    def verdict(
        self, exchange_id: str, model: str, at: float, *, completes: bool, failed: bool
    ) -> None:
        """Take note of a verdict; `failed`: it says that text could not be scored."""
        exchange = self._exchange(exchange_id, model)
        if exchange is not None:
            exchange.screened |= completes
            exchange.failed |= failed
            exchange.due = exchange.due or at + self._bounds.open_s
            self._settle(exchange_id, exchange)

    def released(self, boot: str, number: int, model: str, at: float) -> None:
        """Take note of an exchange's number among those of which a byte was released."""
        self._served.setdefault(boot, _ServedNumbers(number)).add(number, model, at)

    def is_settled(self, exchange_id: str) -> bool:
        """Say whether nothing more is expected of an exchange."""
        return exchange_id not in self._unsettled

    def gaps(self, now: float) -> list[CoverageGap]:
        """Return the gaps that have opened, each once: they count as settled from then on."""
        late = [(id_, x) for id_, x in self._unsettled.items() if x.due <= now]
        for exchange_id, _ in late:
            self._forget(exchange_id)
        # a verdict alone is a repeat from long ago: there was an exchange to have it
        seen = [(id_, x) for id_, x in late if x.opened or x.closed]
        gaps = [CoverageGap(id_, exchange.model, _kind(exchange)) for id_, exchange in seen]
        for boot, numbers in self._served.items():
            for number, model in numbers.missing(now - self._bounds.open_s):
                gaps.append(CoverageGap(f"{boot}#{number}", model, UNRECORDED))
        return gaps

    def _exchange(self, exchange_id: str, model: str) -> _Exchange | None:
        if exchange_id in self._settled:
            return None
        return self._unsettled.setdefault(exchange_id, _Exchange(model))

    def _settle(self, exchange_id: str, exchange: _Exchange) -> None:
        covered = exchange.opened and exchange.screened and not exchange.failed
        if exchange.closed and (covered or not exchange.served):
            self._forget(exchange_id)

    def _forget(self, exchange_id: str) -> None:
        del self._unsettled[exchange_id]
        self._settled[exchange_id] = None
        if len(self._settled) > self._bounds.remembered:
            self._settled.popitem(last=False)


def _kind(exchange: _Exchange) -> GapKind:
    return UNSCREENED if exchange.opened and exchange.closed else UNRECORDED


class _ServedNumbers:
    """The numbers of one process's served exchanges: a hole is an answer without a record."""

    def __init__(self, first: int) -> None:
        """Start at the first that is read: what came before was reconciled before."""
        self._next = first
        self._beyond: dict[int, tuple[str, float]] = {}

    def add(self, number: int, model: str, at: float) -> None:
        if number >= self._next:
            self._beyond[number] = (model, at)
            self._close_up()

    def missing(self, before: float) -> Iterator[tuple[int, str]]:
        """Yield each number that is missing before one of before that time, once."""
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
