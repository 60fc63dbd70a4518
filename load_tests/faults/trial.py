"""One fault on a stand: load, the fault, load until all is well, then the judge."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from load_tests.faults.account import Account, End, Told
from load_tests.faults.callers import calling
from load_tests.faults.fault import Fault
from load_tests.faults.judge import Findings, judge
from load_tests.faults.stand import Stand, served_in

BEFORE_S: Final = 4.0
CALM_S: Final = 4.0
"""It serves again when every request of so many seconds was answered whole."""
RECOVERED_WITHIN_S: Final = 60.0
"""A process starts again within seconds; a busy machine multiplies it."""
CAUGHT_UP_WITHIN_S: Final = 120.0
_STEP_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a fault."""

    fault: str
    stand: str
    done: str
    ends: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    unrecorded: int = 0
    lost: int = 0
    duplicated: int = 0
    interrupted: int = 0
    """Answers whose words were not recorded, because their process died."""
    recovered_s: float = 0.0
    """From the end of the fault until the last request that was not answered whole."""
    caught_up_s: float = 0.0
    """From the end of the fault until everything was screened and acted on."""
    slowest_s: float = 0.0
    problems: Sequence[str] = ()
    not_run: str = ""

    @property
    def holds(self) -> bool:
        """Whether every invariant does."""
        return not self.problems and not self.not_run

    def count(self, end: End) -> int:
        """How many requests ended so."""
        return self.ends.get(end.value, 0)


@dataclass(slots=True)
class _Times:
    lifted: float = 0.0
    calm: bool = True
    caught_up: float = 0.0


def try_fault(fault: Fault, stand: Stand, account: Account, seconds: float) -> Row:
    """Brings the fault about under load and judges what became of it.

    The account is of all that the stand has ever served: the judge looks at the whole log again.
    """
    done = fault.what.format(seconds=f"{seconds:g}")
    index, before, log = len(account), stand.counted(), stand.recorded()
    served_before, interrupted_before = served_in(log), _interrupted(log.ends.values())
    times = _Times()
    try:
        with calling(stand.callers, account):
            time.sleep(BEFORE_S)
            fault.play(stand, seconds)
            times.lifted = time.monotonic()
            times.calm = _await_calm(stand, account, times.lifted)
    except AssertionError as why:  # a part did not come up, or not come back
        return Row(fault.name, fault.stand, done, problems=[str(why)])
    told = account.since(index)
    findings = _settled(fault, stand, account, before, served_before, times)
    problems = [*findings.all, *_too_late(told, times), *_toothless(fault, told)]
    return Row(
        fault.name,
        fault.stand,
        done,
        dict(Counter(one.end.value for one in told)),
        dict(Counter(f"{one.status} {one.code}".strip() for one in told)),
        len(findings.unrecorded),
        len(findings.lost),
        len(findings.duplicated),
        _interrupted(stand.recorded().ends.values()) - interrupted_before,
        _last_trouble(told, times.lifted) - times.lifted,
        times.caught_up - times.lifted,
        max(one.ended_at - one.asked_at for one in told),
        problems,
    )


def _interrupted(ends: Any) -> int:  # noqa: ANN401
    return sum(end.outcome == "interrupted" for end in ends)


def _last_trouble(told: Sequence[Told], lifted: float) -> float:
    """When the last request ended that was not answered whole, at least the end of the fault."""
    ended = (one.ended_at for one in told if one.end is not End.COMPLETED)
    return max([lifted, *ended])


def _await_calm(stand: Stand, account: Account, lifted: float) -> bool:
    """Waits until all is served and ready for a while; says whether that came in time."""
    while True:
        now = time.monotonic()
        calm_since = _last_trouble(account.since(), lifted)
        if now - calm_since >= CALM_S and stand.is_ready():
            return True
        if now - lifted > RECOVERED_WITHIN_S + CALM_S:
            return False
        time.sleep(_STEP_S)


def _settled(  # noqa: PLR0913, PLR0917  (what was before)
    fault: Fault,
    stand: Stand,
    account: Account,
    before: Mapping[str, float],
    served_before: int,
    times: _Times,
) -> Findings:
    """What the judge says once it has nothing to say, or when its patience ends."""
    while True:
        log = stand.recorded()
        effects = stand.effects(log, before, served_before)
        findings = judge(account.since(), log, effects, counters_kept=not fault.kills)
        times.caught_up = time.monotonic()
        if not findings.all or times.caught_up - times.lifted > CAUGHT_UP_WITHIN_S:
            return findings
        time.sleep(_STEP_S)


def _too_late(told: Sequence[Told], times: _Times) -> list[str]:
    if times.calm:
        return []
    failed = [one for one in told if one.end is not End.COMPLETED]
    last = f"{failed[-1].status} {failed[-1].code}" if failed else "none"
    return [f"it does not serve all again {RECOVERED_WITHIN_S:g} s after the fault; last: {last}"]


def _toothless(fault: Fault, told: Sequence[Told]) -> list[str]:
    if not fault.bites or any(one.end is not End.COMPLETED for one in told):
        return []
    return ["no request failed, so the fault was not there"]
