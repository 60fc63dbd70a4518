"""What the benchmark of probes makes of its figures."""

import dataclasses

import msgspec
import pytest

from load_tests.bench_probes import FIGURES, Found, judge, report
from load_tests.engines import PLAIN, PROBED, Done

WALL, CPU, LATENCY, RATE = FIGURES
JOB = Done(
    cpu_s=3.0,
    steps_s=[1.0, 0.5, 0.1, 0.3],
    reads_s=[],
    tokens=[[number, 7, 8] for number in range(16)],
)


def found_with(*, slower: float = 1.0, read_s: float = 0.001) -> Found:
    """Seven pairs of jobs, with the plugin so many times slower."""
    probed = msgspec.structs.replace(
        JOB,
        cpu_s=JOB.cpu_s * slower,
        steps_s=[it * slower for it in JOB.steps_s],
    )
    steps = {"a token": [(read_s, 0.2)] * 10}
    return Found({PLAIN: [JOB] * 7, PROBED: [probed] * 7}, steps)


def test_latency_is_that_of_the_steps_after_the_prompts_were_read() -> None:
    assert LATENCY.values(JOB) == pytest.approx([100.0, 300.0])
    assert RATE.values(JOB) == pytest.approx([48 / 1.9])


def test_a_report_tells_ratios_shares_and_how_many_answers_are_the_same() -> None:
    said = report(found_with(slower=1.005), 1.5)
    assert "| CPU seconds a job | 3.00 | 3.01 | 1.005 (1.005 to 1.005) |" in said
    assert "| a token | 1,000 | 200.0 | 0.50 (0.50 to 0.50) |" in said
    assert "7 pairs; 112 of 112 answers have the same tokens" in said


def test_costs_up_to_a_hundredth_are_within_the_budget() -> None:
    assert judge(found_with(slower=1.009)) == []


def test_a_cost_that_is_for_certain_above_the_budget_is_told() -> None:
    broken = judge(found_with(slower=1.02, read_s=0.003))
    assert [it.split(":")[0] for it in broken] == [
        *(it.title for it in (WALL, CPU, LATENCY)),
        "a token",
    ]


def test_a_cost_that_may_be_within_the_budget_is_none() -> None:
    slow, same = (found_with(slower=it).jobs[PROBED] for it in (1.03, 1.0))
    mixed = dataclasses.replace(
        found_with(), jobs={PLAIN: [JOB] * 7, PROBED: [*slow[:4], *same[:3]]}
    )
    assert judge(mixed) == []


def test_other_tokens_and_too_few_prompts_are_told() -> None:
    other = msgspec.structs.replace(JOB, tokens=[[0, 7, 9], *JOB.tokens[1:]])
    assert judge(Found({PLAIN: [JOB], PROBED: [other]})) == [
        "16 prompts are too few: compare 100 at least",
        "1 of 16 answers have other tokens",
    ]
