"""What the soak calls a problem. The soak itself is run by tests/e2e/test_soak.py."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from load_tests.soak import Plan, Report, judge
from load_tests.soak_client import Seen
from load_tests.soak_table import soak_table
from load_tests.soak_watch import HANDLES_LEFT, MIB, Watched
from load_tests.stats import rise
from load_tests.words_of import COMMON, SYLLABLES, words
from service.events.schema import Closed, Opened, Outcome

PLAN = Plan(streams=2, seconds=300)
REST = {
    "served": 3.0,
    "recorded": 3.0,
    "screened": 3.0,
    "watchgate_in_flight_requests": 0.0,
    "watchgate_coverage_gap_exchanges": 0.0,
}


def watched(
    memory: Sequence[float] = (100.0,) * 10, handles: Sequence[float] = (2000,) * 10
) -> Watched:
    """Memory in MiB."""
    return Watched([it * MIB for it in memory], list(handles), 150, 150)


FLAT = watched()
ENDS: dict[str, Outcome] = {"a": "completed", "b": "client_gone", "c": "upstream_broke"}
COMMON_FIELDS = {
    "at": 1.0,
    "account": "p",
    "project": "p",
    "key": "k",
    "model": "m",
    "surface": "chat",
    "tier": 1,
}


def opened(name: str) -> Opened:
    return Opened(exchange_id=name, upstream="u", stream=True, **COMMON_FIELDS)  # type: ignore[arg-type]


def closed(name: str) -> Closed:
    return Closed(exchange_id=name, outcome=ENDS[name], opened_at=1.0, **COMMON_FIELDS)  # type: ignore[arg-type]


EVENTS = [made(name) for name in ENDS for made in (opened, closed)]


def seen() -> Seen:
    ends = Counter({"completed": 1, "vanished": 1, "broken": 1})
    return Seen(ends, list(ENDS), most_open=2)  # type: ignore[arg-type]


def judged(
    saw: Seen | None = None,
    saw_of_system: Watched = FLAT,
    counted: dict[str, float] | None = None,
    events: Sequence[Opened | Closed] = EVENTS,
    plan: Plan = PLAN,
) -> Report:
    return judge(plan, saw or seen(), saw_of_system, counted or REST, events)


def test_nothing_is_wrong_where_callers_journal_and_counters_agree() -> None:
    assert judged().problems == []


def test_an_exchange_that_was_never_closed_is_stuck() -> None:
    problems = judged(events=EVENTS[:-1]).problems
    assert "1 exchanges were opened and never closed" in problems


def test_an_exchange_that_only_the_caller_knows_is_lost() -> None:
    saw = seen()
    saw.receipts.append("d")
    assert judged(saw).problems == ["1 exchanges that callers saw are not in the journal"]


def test_a_caller_who_vanished_and_is_called_complete_is_told() -> None:
    saw = seen()
    saw.ends["vanished"] = 2
    assert judged(saw).problems == ["2 exchanges vanished, 1 are client_gone"]


def test_a_wrong_answer_is_told_with_its_reason() -> None:
    saw = seen()
    saw.wrong.append("HTTP/1.1 503 Service Unavailable")
    assert judged(saw).problems == [
        "1 answers were wrong, the first: HTTP/1.1 503 Service Unavailable"
    ]


def test_a_gap_in_coverage_is_no_rest() -> None:
    problems = judged(counted=REST | {"watchgate_coverage_gap_exchanges": 1.0}).problems
    assert len(problems) == 1
    assert "there is no rest" in problems[0]


def test_fewer_streams_than_planned_are_told() -> None:
    assert judged(plan=Plan(streams=3)).problems == ["at most 2 of 3 streams were open at once"]


def test_memory_that_grows_in_the_second_half_is_a_leak() -> None:
    growing = watched([100 + step for step in range(20)])
    assert judged(saw_of_system=growing).problems == [
        "memory rose by 9.0 MiB over the second half, over 3% of 115"
    ]


def test_growth_while_it_warms_up_is_none() -> None:
    assert judged(saw_of_system=watched([50.0] * 10 + [100.0] * 10)).problems == []


def test_a_soak_that_is_too_short_does_not_judge_memory() -> None:
    growing = watched([100 + step for step in range(20)])
    assert judged(saw_of_system=growing, plan=Plan(streams=2, seconds=10)).problems == []


def test_open_files_that_grow_in_the_second_half_are_a_leak() -> None:
    growing = watched(handles=[2000 + 20 * step for step in range(20)])
    assert judged(saw_of_system=growing).problems == [
        "the number of open files rose by 180.0 over the second half, over 3% of 2300"
    ]


def test_open_files_that_stay_when_the_load_is_over_are_a_leak_however_short_it_was() -> None:
    left = watched()
    left.handles_after = left.handles_before + HANDLES_LEFT + 1
    assert judged(saw_of_system=left, plan=Plan(streams=2, seconds=10)).problems == [
        f"{HANDLES_LEFT + 1} files more are open at the end than before the load"
    ]


def test_a_gap_that_was_filled_again_is_told() -> None:
    gap = watched()
    gap.most_gaps = 1.0
    assert judged(saw_of_system=gap).problems == ["up to 1 gaps in coverage while the load lasted"]


def test_a_table_tells_what_was_seen() -> None:
    report = judged()
    table = soak_table(report.figures, report.problems)
    assert "| streams at once, for how long | 2, 5 minutes |" in table
    assert "| holds | yes |" in table
    assert soak_table(report.figures, ["a leak"]).endswith("| holds | **no** |\n\n- a leak")


def test_the_rise_is_that_of_the_line_through_all_values() -> None:
    assert rise([1.0, 2.0, 3.0]) == 2.0
    assert rise([5.0]) == 0.0


def test_a_single_step_is_no_trend() -> None:
    assert rise([100.0] * 8 + [120.0] * 4) == 0.0


def test_python_clients_say_the_words_that_the_others_say() -> None:
    assert len(COMMON) > 100
    assert len(SYLLABLES) > 40
    chance = Random(1)  # noqa: S311  (words)
    assert words(chance, 50) != words(chance, 50)
