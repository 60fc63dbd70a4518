"""What is told of requests, and when."""

import numpy as np
import pytest

from vllm_probe.parts import Pooling
from vllm_probe.probes import Binding, Probe, Probes
from vllm_probe.steps import Step
from vllm_probe.watch import EVERY_STEPS, Watch
from vllm_probe.wire import Update

PROBES = Probes(
    (Probe("any", 1, Pooling.MEAN), Probe("any", 1, Pooling.MAX)),
    np.zeros((2, 4), np.float32),
    np.zeros(2, np.float32),
    Binding("00", layers=2, hidden_size=4),
    "digest",
)


class Engine:
    """Computes tokens, whose score is their number."""

    def __init__(self) -> None:
        self.told: list[Update] = []
        self.watch = Watch(PROBES, self.told.extend)
        self.computed: dict[str, int] = {}

    def compute(self, prompt: int, steps: int = 1, **counts: int) -> list[Update]:
        """Compute so many tokens of each request, whose prompts have so many; return the news."""
        before = len(self.told)
        firsts = [self.computed.get(name, 0) for name in counts]
        scores = [np.arange(a, a + n) for a, n in zip(firsts, counts.values(), strict=True)]
        step = Step(
            list(counts),
            np.concatenate([[0], np.cumsum(list(counts.values()))]),
            np.array(firsts),
            np.array([prompt] * len(counts)),
            steps,
        )
        rows = np.concatenate(scores).astype(np.float32)[:, None].repeat(2, axis=1)
        self.watch.step(step, rows)
        for name, first in zip(counts, firsts, strict=True):
            self.computed[name] = first + counts[name]
        return self.told[before:]


@pytest.fixture
def engine() -> Engine:
    return Engine()


def test_a_prompt_is_told_once_when_all_of_it_is_read(engine: Engine) -> None:
    assert engine.compute(10, a=6) == []
    assert engine.compute(10, a=4) == [Update("a", "prompt", 10, 10, (4.5, 9.0), False)]
    assert engine.compute(10, a=1) == []


def test_an_answer_is_told_every_few_tokens(engine: Engine) -> None:
    engine.compute(10, a=10)
    news = [engine.compute(10, a=1) for _ in range(2 * EVERY_STEPS)]
    told = {number + 1: it for number, it in enumerate(news) if it}
    assert list(told) == [EVERY_STEPS, 2 * EVERY_STEPS]
    assert told[8] == [Update("a", "answer", 8, 8, (13.5, 17.0), False)]


def test_steps_that_are_taken_together_tell_what_they_would_have_told_one_by_one(
    engine: Engine,
) -> None:
    engine.compute(10, a=10)
    assert engine.compute(10, steps=5, a=5) == []
    assert engine.watch.quiet_steps == EVERY_STEPS - 5
    assert engine.compute(10, steps=3, a=3) == [Update("a", "answer", 8, 8, (13.5, 17.0), False)]
    assert engine.watch.quiet_steps == EVERY_STEPS


def test_all_answers_are_told_of_together(engine: Engine) -> None:
    engine.compute(10, a=10)
    engine.compute(10, steps=6, a=6)
    engine.compute(10, a=1, b=10)
    told = [(it.request, it.tokens) for it in engine.compute(10, a=1, b=1)]
    assert told == [("a", 8), ("b", 1)]
    assert engine.compute(10, steps=7, a=7, b=7) == []
    told = [(it.request, it.tokens) for it in engine.compute(10, a=1, b=1)]
    assert told == [("a", 16), ("b", 9)]


def test_an_answer_that_does_not_grow_is_not_told_of_again(engine: Engine) -> None:
    engine.compute(10, a=10, b=10)
    assert len(engine.compute(10, steps=8, a=8, b=8)) == 2
    assert [it.request for it in engine.compute(10, steps=8, a=8)] == ["a"]


def test_the_steps_are_counted_anew_for_the_first_of_requests(engine: Engine) -> None:
    engine.compute(10, a=10)
    engine.compute(10, steps=5, a=5)
    engine.watch.ended({"a"})
    engine.compute(10, b=10)
    assert engine.watch.quiet_steps == EVERY_STEPS


def test_the_last_of_a_request_is_told_when_it_ends(engine: Engine) -> None:
    engine.compute(10, a=10, b=10)
    engine.compute(10, a=1, b=1)
    engine.told.clear()
    engine.watch.ended({"a", "never-seen"})
    assert engine.told == [
        Update("a", "prompt", 10, 10, (4.5, 9.0), True),
        Update("a", "answer", 1, 1, (10.0, 10.0), True),
    ]
    engine.watch.ended({"a"})
    assert len(engine.told) == 2


def test_a_request_that_ends_in_its_prompt_tells_how_much_was_read(engine: Engine) -> None:
    engine.compute(10, a=6)
    engine.watch.ended({"a"})
    assert engine.told[0] == Update("a", "prompt", 6, 6, (2.5, 5.0), True)
    assert (engine.told[1].tokens, engine.told[1].read) == (0, 0)
