"""Which steps are read together."""

from types import SimpleNamespace

import numpy as np
import pytest

from vllm_probe.runs import Run
from vllm_probe.steps import Step


def run_of(*, computed: tuple[int, ...] = (10, 20), rows: int = 1) -> Run:
    """Return a run of two requests, whose prompts have 10 tokens."""
    starts = np.array([0, rows, 2 * rows])
    step = Step(["a", "b"], starts, np.array(computed), np.array([10, 10]))
    return Run(step, {"a": rows, "b": rows}, [["states"]])


def scheduled(ended: tuple[str, ...] = (), **counts: int) -> SimpleNamespace:
    """Return what vLLM's scheduler says of a step."""
    return SimpleNamespace(finished_req_ids=set(ended), num_scheduled_tokens=counts)


def test_the_next_token_of_each_request_goes_on() -> None:
    assert run_of().may_go_on
    assert run_of().goes_on(scheduled(b=1, a=1))


@pytest.mark.parametrize(
    "other",
    [
        scheduled(a=1),
        scheduled(a=1, b=1, c=1),
        scheduled(a=1, c=1),
        scheduled(a=1, b=2),
        scheduled(("c",), a=1, b=1),
        scheduled(("a",)),
    ],
    ids=["fewer", "more", "others", "of two tokens", "after an end", "of none"],
)
def test_another_step_ends_it(other: SimpleNamespace) -> None:
    assert not run_of().goes_on(other)


def test_prompts_are_read_at_once() -> None:
    assert not run_of(computed=(9, 20)).may_go_on
    assert not run_of(rows=2).may_go_on


def test_its_steps_are_one_in_which_each_request_has_a_token_of_each() -> None:
    run = run_of()
    run.states += [["states"], ["states"]]
    step = run.joined()
    assert (step.starts.tolist(), step.steps) == ([0, 3, 6], 3)
    assert step.computed.tolist() == [10, 20]


def test_it_knows_where_its_last_step_began() -> None:
    run = run_of()
    run.states.append(["states"])
    assert run.ends_with(["a", "b"], np.array([11, 21]))
    assert not run.ends_with(["a", "b"], np.array([11, 20]))
    assert not run.ends_with(["b", "a"], np.array([11, 21]))
    assert not run.ends_with(["a"], np.array([11]))
