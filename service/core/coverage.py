"""Coverage: was every exchange that was served recorded, and screened in time?

Reconciled over distinct exchange ids, from the log alone: it does not matter in which order
events come, or how often. An exchange is *settled* when it is covered or when nothing of it was
served; an unsettled one past its deadline is a *gap*, until later events cover it after all.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from detectors.api import Part
from service.core.remembered import Remembered
from service.core.served_numbers import ServedNumbers

UNRECORDED: Final = "unrecorded"
UNSCREENED: Final = "unscreened"

GapKind = Literal["unrecorded", "unscreened"]

RELEASED: Final = frozenset({Part.PROMPT, Part.ANSWER})
"""What of an exchange goes through the gateway, and is to be screened whatever is looked for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long coverage may take."""

    unscreened_s: tuple[float, ...]
    """For each tier, from `closed` to the last verdict."""
    open_s: float
    """From `opened` to `closed`: longer than any answer may take."""
    remembered: int = 100_000
    """How many settled exchanges are remembered at most, so that a repeated event opens none,
    and how many gaps, so that late events close them."""


@dataclass(frozen=True, slots=True)
class CoverageGap:
    """An exchange that is not covered, past its deadline."""

    exchange_id: str
    model: str
    kind: GapKind


@dataclass(slots=True)
class _Exchange:
    model: str
    turn: int
    """In which its first event was read."""
    due: float
    opened: bool = False
    closed: bool = False
    served: bool | None = False
    ended_at: float = 0.0
    screened: frozenset[Part] = frozenset()
    screened_at: float = 0.0
    counted: bool = True
    """None of its events was told as new: it was counted before, if it is settled."""
    gap: GapKind | None = None
    restored: bool = False

    @property
    def settled(self) -> bool:
        ended = self.opened and self.closed
        return ended and (self.screened >= RELEASED or self.served is False)

    @property
    def matters(self) -> bool:
        """Say whether it must be covered by its deadline.

        A verdict alone repeats what is long past: there was an exchange to have it.
        """
        return self.served is not False if self.closed else self.opened


class Coverage:
    """The exchanges that are not settled. One instance reads all events of the log.

    Events are read in *turns*, so that a reader that starts again can start where it must: see
    `cut`. Times are Unix seconds.
    """

    def __init__(self, bounds: Bounds) -> None:
        """Know of nothing."""
        self._bounds = bounds
        self._turn = 0
        self._unsettled: dict[str, _Exchange] = {}
        self._gaps: OrderedDict[str, _Exchange] = OrderedDict()
        self._settled = Remembered(bounds.remembered)
        self._torn: list[tuple[int, int]] = []
        self._numbers = ServedNumbers(bounds.open_s)
        self._covered: Counter[str] = Counter()
        self._delays: list[tuple[str, float]] = []
        self._filled: list[CoverageGap] = []

    # What is read

    def begin_turn(self) -> int:
        """Say that a new batch of events follows; return its number."""
        self._turn += 1
        return self._turn

    def opened(self, exchange_id: str, model: str, at: float, *, new: bool = True) -> None:
        """Take note of an `opened`; like all events, it is `new` unless it was counted before."""
        exchange = self._find(exchange_id, model, at, new)
        if exchange is None:
            return
        if not exchange.opened and exchange.turn < self._turn:
            self._torn.append((exchange.turn, self._turn))
        if not exchange.closed:
            exchange.due = at + self._bounds.open_s
        exchange.opened = True
        self._settle(exchange_id, exchange)

    def closed(  # noqa: PLR0913  (what a `closed` says of the exchange)
        self,
        exchange_id: str,
        model: str,
        at: float,
        tier: int,
        *,
        served: bool | None,
        carried: bool = False,
        new: bool = True,
    ) -> None:
        """Take note of a `closed`; `served` is None where nobody knows.

        `carried`: its `opened` was acknowledged before this reader started, which tells that
        the exchange was settled then.
        """
        exchange = self._find(exchange_id, model, at, new)
        if exchange is None:
            return
        exchange.closed, exchange.served, exchange.ended_at = True, served, at
        exchange.due = at + self._bounds.unscreened_s[tier]
        if carried and not exchange.opened and exchange.gap is None:
            self._remember(exchange_id)
        else:
            self._settle(exchange_id, exchange)

    def screened(
        self, exchange_id: str, model: str, at: float, part: Part, *, new: bool = True
    ) -> None:
        """Take note of the verdict that completes a part of an exchange."""
        exchange = self._find(exchange_id, model, at, new)
        if exchange is not None:
            exchange.screened |= RELEASED if exchange.restored else {part}
            exchange.screened_at = max(exchange.screened_at, at)
            self._settle(exchange_id, exchange)

    def released(
        self, boot: str, number: int, model: str, at: float, carried: bool = False
    ) -> None:
        """Take note of an exchange's number among those of which a byte was released."""
        self._numbers.add(boot, number, model, at, carried=carried)

    def restore(self, exchange_id: str, model: str, kind: str) -> None:
        """Know of a gap that an earlier instance found: the next verdict on it fills it.

        Which of its parts lacked a verdict was not kept.
        """
        exchange = _Exchange(model, turn=0, due=0.0, served=None, restored=True)
        exchange.gap = UNSCREENED if kind == UNSCREENED else UNRECORDED
        exchange.opened = exchange.closed = kind == UNSCREENED
        self._gaps[exchange_id] = exchange

    # What is told

    def knows(self, exchange_id: str) -> bool:
        """Say whether an exchange is remembered: unsettled, settled or as a gap."""
        return any(exchange_id in one for one in (self._unsettled, self._gaps, self._settled))

    def gaps(self, now: float) -> list[CoverageGap]:
        """Return the gaps that have opened, each once."""
        late = [(id_, x) for id_, x in self._unsettled.items() if x.due <= now]
        found = [gap for id_, x in late if (gap := self._give_up(id_, x))]
        missing = self._numbers.missing(now)
        return found + [CoverageGap(id_, model, UNRECORDED) for id_, model in missing]

    def take_filled(self) -> list[CoverageGap]:
        """Return the gaps that were covered after all, each once."""
        filled, self._filled = self._filled, []
        return filled

    def take_covered(self) -> Mapping[str, int]:
        """Count the exchanges, by model, that were served and are covered, each once."""
        covered, self._covered = self._covered, Counter()
        return covered

    def take_delays(self) -> Sequence[tuple[str, float]]:
        """Return how long screening took, in seconds, as (model, delay), each exchange once.

        Of exchanges that were served, from their end to the last verdict; of those that were not
        screened by their deadline, up to that.
        """
        delays, self._delays = self._delays, []
        return delays

    def cut(self) -> int:
        """Return the last turn that need not be read again: what is left is judged the same.

        A new instance that reads all turns after it, with `carried` told, finds the same gaps.
        A cut that parted a verdict from the later `opened` of its exchange would make a gap of
        it: no turn is one that does.
        """
        oldest = next(iter(self._unsettled.values()), None)
        cut = (oldest.turn if oldest else self._turn + 1) - 1
        for first, last in sorted(self._torn, key=lambda span: -span[1]):
            if first <= cut < last:
                cut = first - 1
        self._torn = [span for span in self._torn if span[1] > cut]
        return cut

    def _find(self, exchange_id: str, model: str, at: float, new: bool) -> _Exchange | None:
        if exchange_id in self._settled:
            return None
        found = self._gaps.get(exchange_id) or self._unsettled.get(exchange_id)
        if found is None:
            found = _Exchange(model, self._turn, at + self._bounds.open_s)
            self._unsettled[exchange_id] = found
        if new:
            found.counted = False
        return found

    def _settle(self, exchange_id: str, exchange: _Exchange) -> None:
        if not exchange.settled:
            return
        if exchange.served and not exchange.counted:
            self._covered[exchange.model] += 1
            if exchange.gap is None:
                self._note_delay(exchange, exchange.screened_at)
        if exchange.gap is not None:
            self._filled.append(CoverageGap(exchange_id, exchange.model, exchange.gap))
        self._remember(exchange_id)

    def _remember(self, exchange_id: str) -> None:
        self._unsettled.pop(exchange_id, None)
        self._gaps.pop(exchange_id, None)
        self._settled.add(exchange_id)

    def _give_up(self, exchange_id: str, exchange: _Exchange) -> CoverageGap | None:
        """Take an exchange past its deadline for a gap."""
        if not exchange.matters:
            self._remember(exchange_id)
            return None
        del self._unsettled[exchange_id]
        exchange.gap = UNSCREENED if exchange.opened and exchange.closed else UNRECORDED
        if exchange.gap == UNSCREENED and exchange.served:
            self._note_delay(exchange, exchange.due)
        if not exchange.closed:
            self._numbers.explain(exchange_id)
        self._gaps[exchange_id] = exchange
        if len(self._gaps) > self._bounds.remembered:
            self._gaps.popitem(last=False)
        return CoverageGap(exchange_id, exchange.model, exchange.gap)

    def _note_delay(self, exchange: _Exchange, until: float) -> None:
        self._delays.append((exchange.model, max(0.0, until - exchange.ended_at)))
