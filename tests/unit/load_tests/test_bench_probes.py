"""What the benchmark of probes makes of its figures."""

import dataclasses

import msgspec
import pytest

from load_tests.bench_probes import FIGURES, PLAIN, PROBED, Found, judge, report
from load_tests.engines import Done

WALL, CPU, LATENCY, RATE = FIGURES
JOB = Done(
    cpu_s=3.0,
    steps_s=[1.0, 0.5, *[0.1] * 8, *[0.3] * 7, 0.7, 0.01],
    reads_s=[],
    tokens=[[number] * 18 for number in range(16)],
    first=0,
)
ROUNDS = 4


def slowed(slower: float) -> Done:
    """Return the job, so many times slower."""
    steps_s = [it * slower for it in JOB.steps_s]
    return msgspec.structs.replace(JOB, cpu_s=JOB.cpu_s * slower, steps_s=steps_s)


def found_with(*, slower: float = 1.0, read_s: float = 0.001) -> Found:
    """Some rounds, with the plugin so many times slower."""
    jobs = {PLAIN: [JOB] * 2 * ROUNDS, PROBED: [slowed(slower)] * 2 * ROUNDS}
    return Found(jobs, {"a token": [(read_s, 0.2)] * 10})


def test_latency_is_a_mean_of_steps_after_the_prompts_were_read() -> None:
    assert LATENCY.of(JOB) == pytest.approx(225.0)
    assert RATE.of(JOB) == pytest.approx(16 * 18 / 5.11)


def test_an_engine_that_is_always_slower_changes_no_ratio() -> None:
    slow = 1.04
    by_turns = {
        PLAIN: [JOB, slowed(slow)] * ROUNDS,
        PROBED: [slowed(slow * 1.005), slowed(1.005)] * ROUNDS,
    }
    ratio = Found(by_turns).ratio(LATENCY)
    assert (ratio.low, ratio.high) == pytest.approx((1.005, 1.005))


def test_a_report_tells_ratios_shares_and_how_many_answers_are_the_same() -> None:
    said = report(found_with(slower=1.005), 1.5)
    assert "| CPU seconds a job | 3.00 | 3.01 | 1.005 (1.005 to 1.005) |" in said
    assert "| a token | 1,000 | 200.0 | 0.50 (0.50 to 0.50) |" in said
    assert "4 rounds; 128 of 128 answers have the same tokens" in said


def test_costs_up_to_a_hundredth_are_within_the_budget() -> None:
    assert judge(found_with(slower=1.009)) == []


def test_a_cost_that_is_for_certain_above_the_budget_is_told() -> None:
    broken = judge(found_with(slower=1.02, read_s=0.003))
    assert [it.split(":")[0] for it in broken] == [
        *(it.title for it in (WALL, CPU, LATENCY)),
        "a token",
    ]


def test_a_cost_that_may_be_within_the_budget_is_none() -> None:
    mixed = dataclasses.replace(
        found_with(),
        jobs={PLAIN: [JOB] * 8, PROBED: [slowed(1.03)] * 4 + [slowed(1.0)] * 4},
    )
    assert judge(mixed) == []


def test_other_tokens_and_too_few_prompts_are_told() -> None:
    other = msgspec.structs.replace(JOB, tokens=[[7] * 18, *JOB.tokens[1:]])
    assert judge(Found({PLAIN: [JOB, JOB], PROBED: [other, JOB]})) == [
        "32 prompts are too few: compare 100 at least",
        "1 of 32 answers have other tokens",
    ]
