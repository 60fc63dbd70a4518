"""The judge: what callers tell, set against what Watchgate recorded, found and did. Pure.

Four invariants, none of which a fault may break:

1. nothing is served unrecorded: every byte of an answer belongs to an exchange that was opened in
   the log before, and an answer that a caller has whole is recorded as complete, all its words;
2. nothing is lost: what was opened is closed, screened, shipped, and acted on;
3. nothing takes effect twice: an exchange is opened and closed once, alerted once, counted once;
4. all of it without anybody's help.

The bound of every tier that can be served is that the record of the request is written (tier 2:
synced) before the first byte and that of the answer before the last. So of an answer that was
under way when its process died, the words are not in the log: it is recorded as `interrupted`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from load_tests.faults.account import End, Told

FORESEEN: Final = {200, 429, 502, 503, 504}
"""What a caller may get under a fault; any other status is a fault of ours."""
INTERRUPTED: Final = "interrupted"
TAKEN: Final = "\0"


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an exchange, as recorded."""

    outcome: str
    text: str
    served: bool | None
    """Whether a byte was released; None: nobody knows, the process died."""


@dataclass(slots=True)
class Recorded:
    """What the log holds. Counters count distinct places in the log, so a repeat shows."""

    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    ends: dict[str, Ended] = field(default_factory=dict)
    screened: dict[str, set[str]] = field(default_factory=dict)
    """Exchange → parts that have their last verdict."""
    misuse: set[str] = field(default_factory=set)
    """Exchanges whose prompt is a stand-in for misuse."""
    crossed: set[str] = field(default_factory=set)
    """Exchanges with a verdict that pages."""
    unshipped: int = 0
    """Records of the journals that Kafka does not hold, or not in their order."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What followed, as the store and the metrics tell."""

    alerts: int
    """How many occurrences all alerts count together."""
    gaps: float
    counted: Mapping[str, float]
    """served, recorded, screened: how much each counter has grown."""
    covered: int
    """How many exchanges they should have counted: served and recorded in the same time."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Sentences; none where the invariant holds."""

    unrecorded: Sequence[str]
    lost: Sequence[str]
    duplicated: Sequence[str]
    other: Sequence[str]

    @property
    def all(self) -> list[str]:
        """Everything that does not hold."""
        return [*self.unrecorded, *self.lost, *self.duplicated, *self.other]


def judge(
    account: Sequence[Told], log: Recorded, effects: Effects, *, counters_kept: bool = True
) -> Findings:
    """Holds the account to the log, and the log to what followed from it.

    `counters_kept`: no process was killed, so that its counters must agree to the unit.
    """
    served = {told.receipt for told in account if told.was_served}
    return Findings(
        list(_unrecorded(account, log)),
        [*_lost(log, served), *_not_acted_on(log, effects)],
        [*_duplicated(log, effects)],
        [*_unforeseen(account), *_uncovered(effects, counters_kept)],
    )


def _unrecorded(account: Sequence[Told], log: Recorded) -> Iterator[str]:
    for told in account:
        if not told.was_served:
            continue
        end = log.ends.get(told.receipt)
        if not log.opened[told.receipt]:
            yield f"{told.receipt or 'an answer without a receipt'} was served and is not recorded"
        elif told.end is End.COMPLETED and end is not None and end.outcome != "completed":
            yield f"{told.receipt} was served whole and is recorded as {end.outcome}"
        elif end is not None and not _is_recorded(told, end):
            yield f"{told.receipt}: the caller has words that the record lacks"


def _is_recorded(told: Told, end: Ended) -> bool:
    """Whether each piece that the caller read stands in the record, at a place of its own.

    In which order does not matter: what stands in fields that no API names is recorded last. Of
    an interrupted exchange no record can hold the words, see above.
    """
    if end.outcome == INTERRUPTED:
        return True
    rest = end.text
    longest_first = sorted(filter(None, told.texts), key=len, reverse=True)
    for text in longest_first:  # so that none is taken from within another
        before, found, after = rest.partition(text)
        if not found:
            return False
        rest = f"{before}{TAKEN}{after}"
    return True


def _lost(log: Recorded, served: set[str]) -> Iterator[str]:
    for exchange in log.opened:
        end = log.ends.get(exchange)
        if end is None:
            yield f"{exchange} was opened and never closed"
            continue
        wanted = {"prompt", "answer"} if end.served or exchange in served else {"prompt"}
        if missing := wanted - log.screened.get(exchange, set()):
            yield f"{exchange}: no verdict on its {' and '.join(sorted(missing))}"
    yield from (f"{it} was closed and never opened" for it in log.closed if not log.opened[it])
    if log.unshipped:
        yield f"{log.unshipped} accounts whose records are not in Kafka as in the journals"


def _not_acted_on(log: Recorded, effects: Effects) -> Iterator[str]:
    yield from (f"{it} is misuse and has no verdict that pages" for it in log.misuse - log.crossed)
    if effects.alerts < len(log.crossed):
        yield f"{len(log.crossed)} exchanges page, the alerts count {effects.alerts}"


def _duplicated(log: Recorded, effects: Effects) -> Iterator[str]:
    for word, counts in (("opened", log.opened), ("closed", log.closed)):
        yield from (f"{it} was {word} {n} times" for it, n in counts.items() if n > 1)
    if effects.alerts > len(log.crossed):
        yield f"{len(log.crossed)} exchanges page, the alerts count {effects.alerts}"
    if effects.counted.get("screened", 0) > effects.covered:
        yield f"{effects.covered} exchanges were served, {effects.counted['screened']:g} screened"


def _unforeseen(account: Sequence[Told]) -> Iterator[str]:
    counts = Counter(
        (told.status, told.code)
        for told in account
        if (told.status and told.status not in FORESEEN) or told.code == "internal_error"
    )
    yield from (f"{n} answers were {status} {code}" for (status, code), n in counts.items())


def _uncovered(effects: Effects, counters_kept: bool) -> Iterator[str]:
    if effects.gaps:
        yield f"{effects.gaps:g} gaps in coverage"
    counts = dict(effects.counted)
    if counters_kept and any(value != effects.covered for value in counts.values()):
        yield f"{effects.covered} exchanges were served, the counters say {counts}"
