"""Many streams for long: nothing leaks, nothing is lost, nothing gets stuck.

    python -m load_tests.soak                               # 1,000 streams for half an hour
    SOAK_S=300 python -m load_tests.soak          # for five minutes
    python -m load_tests.soak --streams 100 --seconds 10    # too short to judge memory

`watchgate up` with models of tier 1 stands in front of the benchmarks' mock. One caller in twenty
hangs up in the middle of an answer, one upstream connection in a hundred is reset. Exit code 0, or
1 when something was found, or 2 when it cannot run; what was found goes to stdout as JSON.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load_tests.configs import VARIANTS
from load_tests.counters import counted, is_at_rest
from load_tests.documents import written_between
from load_tests.processes import CACHE, BenchError
from load_tests.registry import SYSTEMS
from load_tests.soak_client import Callers, Seen, call_for
from load_tests.soak_table import soak_table
from load_tests.soak_watch import MIB, Series, Watched, handles_at_rest, watching
from load_tests.soak_watch import problems as problems_of
from load_tests.systems import Running, Site, mock
from service.events.journal import read_topic
from service.events.log import Topic
from service.events.schema import Closed, Opened, to_event

VANISH_EVERY: Final = 20
RESET_EVERY: Final = 100
STEP_S: Final = 0.5
SECONDS: Final = float(os.environ.get("SOAK_S", "1800"))
CATCH_UP_S: Final = 120.0
OUTCOMES: Final = {"completed": "completed", "vanished": "client_gone", "broken": "upstream_broke"}
"""How an exchange ended for the caller → what the journal calls it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many streams for how long; an answer has `chunks`, one every `interval_ms`."""

    streams: int = 1000
    seconds: float = SECONDS
    interval_ms: int = 500
    chunks: int = 40
    system: str = "watchgate-observe"

    @property
    def model(self) -> str:
        """The mock's name for a model that streams so, and resets some connections."""
        return f"mock-{self.interval_ms}-{self.chunks}-{RESET_EVERY}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen, and the sentences that say what is wrong with it."""

    figures: dict[str, Any]
    problems: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak and prints what it found; the exit codes are in the module's text."""
    options = _parser().parse_args(arguments)
    plan = Plan(
        options.streams, options.seconds, options.interval_ms, options.chunks, options.system
    )
    try:
        report = soak(plan, options.folder)
    except BenchError as why:
        print(f"soak: {why}", file=sys.stderr)
        return 2
    print(json.dumps({**report.figures, "problems": report.problems}, indent=2))
    if options.write:
        text = soak_table(report.figures, report.problems)
        options.write.write_text(written_between(options.write.read_text(), "soak", text))
    for problem in report.problems:
        print(f"soak: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


def soak(plan: Plan, parent: Path = CACHE) -> Report:
    """Runs the plan in a folder of its own under `parent`, which must be on a disk."""
    with _site(parent, plan) as site:
        seen = Seen()
        with SYSTEMS[plan.system](site) as system:
            _say(f"{plan.streams} streams for {plan.seconds:g} s on {system.name}")
            watched = _under_load(plan, system, seen)
            _say("all answers have ended: waiting until all is screened")
            counts = _at_rest(system.ops_url)
            watched.handles_after = handles_at_rest(system.pid, watched.handles_before)
        events = _recorded(site.folder / plan.system / "var" / "journal")
    return judge(plan, seen, watched, counts, events)


@contextmanager
def _site(parent: Path, plan: Plan) -> Iterator[Site]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=parent) as name:
        folder = Path(name).resolve()
        with mock(folder, None) as (port, pid):
            yield Site(folder, port, pid, None, (plan.model,))


def _under_load(plan: Plan, system: Running, seen: Seen) -> Watched:
    """What was seen while the load lasted; returns when the last answer has ended."""
    callers = Callers(system.port, system.key, plan.model, plan.chunks, plan.streams, VANISH_EVERY)
    watched = Watched()
    with watching(system, plan.seconds, watched):
        asyncio.run(call_for(callers, plan.seconds, seen))
    return watched


def _at_rest(ops_url: str) -> dict[str, float]:
    """The metrics once nothing is in flight and all is screened, or as they are after the limit."""
    deadline = time.monotonic() + CATCH_UP_S
    counts = counted(ops_url)
    while not is_at_rest(counts) and time.monotonic() < deadline:
        time.sleep(STEP_S)
        counts = counted(ops_url)
    return counts


def _recorded(journal: Path) -> list[Opened | Closed]:
    events = (to_event(received.record) for received in read_topic(journal, Topic.EXCHANGES))
    return [event for event in events if isinstance(event, Opened | Closed)]


def judge(
    plan: Plan,
    seen: Seen,
    watched: Watched,
    counts: dict[str, float],
    events: Sequence[Opened | Closed],
) -> Report:
    """Sets against each other what callers saw, what was counted and what the journal holds."""
    opened = Counter(event.exchange_id for event in events if isinstance(event, Opened))
    closed = {event.exchange_id: event for event in events if isinstance(event, Closed)}
    outcomes = Counter(event.outcome for event in closed.values())
    problems = [
        *_of_callers(plan, seen),
        *_of_journal(seen, opened, closed),
        *_of_outcomes(seen, outcomes),
        *_of_counters(counts),
        *problems_of(watched, plan.seconds),
    ]
    figures = {
        "streams": plan.streams,
        "seconds": plan.seconds,
        "most_open": seen.most_open,
        "exchanges": sum(seen.ends.values()),
        "ended": dict(seen.ends),
        "outcomes": dict(outcomes),
        "counted": counts,
        "memory_mib": _rounded(Series(watched.memory).figures(MIB)),
        "handles": _rounded(Series(watched.handles).figures()),
        "handles_before": watched.handles_before,
        "handles_after": watched.handles_after,
        "most_gaps": watched.most_gaps,
        "memory_samples_mib": [round(it / MIB, 1) for it in watched.memory],
    }
    return Report(figures, problems)


def _of_callers(plan: Plan, seen: Seen) -> Iterator[str]:
    if seen.wrong:
        yield f"{len(seen.wrong)} answers were wrong, the first: {seen.wrong[0]}"
    if seen.most_open < plan.streams:
        yield f"at most {seen.most_open} of {plan.streams} streams were open at once"
    yield from (f"no exchange {end}" for end in OUTCOMES if not seen.ends[end])  # type: ignore[index]


def _of_journal(seen: Seen, opened: Counter[str], closed: dict[str, Closed]) -> Iterator[str]:
    if again := [it for it, count in opened.items() if count > 1]:
        yield f"{len(again)} exchanges were opened more than once"
    if stuck := opened.keys() - closed.keys():
        yield f"{len(stuck)} exchanges were opened and never closed"
    if stray := closed.keys() - opened.keys():
        yield f"{len(stray)} exchanges were closed and never opened"
    if lost := set(seen.receipts) - opened.keys():
        yield f"{len(lost)} exchanges that callers saw are not in the journal"


def _of_outcomes(seen: Seen, outcomes: Counter[Any]) -> Iterator[str]:
    """Callers and journal must tell the same story."""
    for end, outcome in OUTCOMES.items():
        if seen.ends[end] != outcomes[outcome]:  # type: ignore[index]
            yield f"{seen.ends[end]} exchanges {end}, {outcomes[outcome]} are {outcome}"  # type: ignore[index]


def _of_counters(counts: dict[str, float]) -> Iterator[str]:
    if not is_at_rest(counts):
        yield f"{CATCH_UP_S:.0f} s after the last answer there is no rest: {counts}"


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def _say(line: str) -> None:
    print(f"soak: {line}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load_tests.soak",
        description="Many streams for long: nothing leaks, nothing is lost, nothing gets stuck.",
        epilog="example: python -m load_tests.soak --streams 100 --seconds 10",
    )
    plan, add = Plan(), parser.add_argument
    add("--streams", type=int, default=plan.streams, help=f"at once ({plan.streams})")
    add("--seconds", type=float, default=plan.seconds, help=f"how long ({plan.seconds:g})")
    add("--interval-ms", type=int, default=plan.interval_ms, help="between events of a stream")
    add("--chunks", type=int, default=plan.chunks, help=f"events of a stream ({plan.chunks})")
    systems = tuple(name for name, it in VARIANTS.items() if it.command == "up")
    add("--system", choices=systems, default=plan.system, help="which way to run Watchgate")
    add("--folder", type=Path, default=CACHE, help="where the journal goes: on a disk")
    add("--write", type=Path, help="write the table between the marks of this document")
    return parser


if __name__ == "__main__":
    sys.exit(main())
