"""What is tallied step by step, beside the same scores taken together."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_probe.parts import Pooling
from vllm_probe.steps import Floats, Step
from vllm_probe.tallies import Tallies

POOLINGS = (
    Pooling.MEAN,
    Pooling.MAX,
    Pooling.EMA,
    Pooling.WINDOW,
    Pooling.LAST,
    Pooling.MEAN,
)
WINDOW, HALF_LIFE = 4, 3.0


def pooled(scores: Floats) -> Floats:
    """Pool a part's scores, (tokens, probes), all at once."""
    keep = 0.5 ** (1 / HALF_LIFE)
    average = scores[0].astype(np.float64)
    for score in scores[1:]:
        average = score + keep * (average - score)
    ends = range(WINDOW, len(scores) + 1)
    means = [scores[end - WINDOW : end].mean(axis=0) for end in ends] or [scores.mean(axis=0)]
    found = {
        Pooling.MEAN: scores.mean(axis=0),
        Pooling.MAX: scores.max(axis=0),
        Pooling.EMA: average,
        Pooling.WINDOW: np.max(means, axis=0),
        Pooling.LAST: scores[-1],
    }
    return np.array([found[it][number] for number, it in enumerate(POOLINGS)])


class Engine:
    """Computes requests in steps, as vLLM might, and keeps what it computed of which."""

    def __init__(self) -> None:
        self.tallies = Tallies(POOLINGS, window=WINDOW, half_life=HALF_LIFE)
        self.scores: dict[str, Floats] = {}
        self.prompts: dict[str, int] = {}
        self.computed: dict[str, int] = {}
        self.read: dict[str, list[int]] = {}
        self.reached: dict[str, int] = {}
        """Tokens before are behind: those that came from a cache stay unread."""

    def admit(self, name: str, prompt: int, answer: int, cached: int = 0) -> None:
        random = np.random.default_rng(len(self.scores))
        size = (prompt + answer, len(POOLINGS))
        self.scores[name] = random.normal(size=size).astype(np.float32)
        self.prompts[name], self.computed[name], self.read[name] = prompt, cached, []

    def preempt(self, name: str, cached: int = 0) -> None:
        """Take the cache away, but for some tokens; what was computed is computed again."""
        self.computed[name] = min(cached, self.computed[name])

    def step(self, counts: dict[str, int], steps: int = 1) -> None:
        """Compute so many tokens of each, in so many steps."""
        names = [name for name in counts if self.left(name)]
        rows, starts = [], [0]
        for name in names:
            first = self.computed[name]
            taken = self.scores[name][first : first + min(counts[name], self.left(name))]
            rows.append(taken)
            starts.append(starts[-1] + len(taken))
            new = range(max(first, self.reached.get(name, 0)), first + len(taken))
            self.read[name] += new
            self.reached[name] = max(self.reached.get(name, 0), new.stop)
        if names:
            step = Step(
                names,
                np.array(starts),
                np.array([self.computed[name] for name in names]),
                np.array([self.prompts[name] for name in names]),
                steps,
            )
            self.tallies.add(step, np.concatenate(rows))
        for name, taken in zip(names, rows, strict=True):
            self.computed[name] += len(taken)

    def left(self, name: str) -> int:
        return len(self.scores[name]) - self.computed[name]

    def check(self, name: str) -> None:
        """Hold what was tallied against the scores of the tokens that were read."""
        length = self.prompts[name]
        parts = [
            (range(length), self.tallies.prompts([name])),
            (range(length, len(self.scores[name])), self.tallies.answers([name])),
        ]
        for tokens, found in parts:
            read = [it for it in self.read[name] if it in tokens]
            assert found.read.tolist() == [len(read)]
            expected = pooled(self.scores[name][read]) if read else np.zeros(len(POOLINGS))
            assert found.scores[0] == pytest.approx(expected, abs=1e-4)


@given(seed=st.integers(0, 2**32))
def test_steps_of_any_kind_tally_what_was_read_once(seed: int) -> None:
    random, engine = Random(seed), Engine()  # noqa: S311  (a test's course)
    names = [f"chatcmpl-{number}" for number in range(random.randint(1, 6))]
    for name in names:
        prompt = random.randint(1, 30)
        cached = random.choice([0, 0, random.randrange(prompt)])
        engine.admit(name, prompt, random.randint(0, 12), cached)
    for _ in range(60):
        started = [name for name in names if engine.computed[name] >= engine.prompts[name]]
        counts = dict.fromkeys(started, 1)
        if waiting := [name for name in names if name not in started]:
            counts[random.choice(waiting)] = random.randint(1, 9)
        if random.random() < 0.1:
            engine.preempt(random.choice(names), random.choice([0, 0, 7]))
            continue
        if not waiting and random.random() < 0.5:
            steps = random.randint(2, 5)
            engine.step(dict.fromkeys(started, steps), steps)
            continue
        engine.step(counts)
    for name in names:
        if engine.read[name]:
            engine.check(name)


def test_a_cached_beginning_is_told_as_unread() -> None:
    engine = Engine()
    engine.admit("a", prompt=20, answer=3, cached=16)
    engine.step({"a": 4})
    found = engine.tallies.prompts(["a"])
    assert (found.tokens.tolist(), found.read.tolist()) == ([20], [4])
    engine.check("a")


def test_a_prompt_is_read_once_its_last_chunk_is() -> None:
    engine = Engine()
    engine.admit("a", prompt=20, answer=1)
    engine.step({"a": 19})
    assert not engine.tallies.is_prompt_read("a")
    assert engine.tallies.prompts(["a"]).tokens.tolist() == [19]
    engine.step({"a": 1})
    assert engine.tallies.is_prompt_read("a")


def test_what_is_computed_again_after_a_preemption_counts_once() -> None:
    engine = Engine()
    engine.admit("a", prompt=10, answer=20)
    engine.step({"a": 10})
    for _ in range(5):
        engine.step({"a": 1})
    engine.preempt("a")
    engine.step({"a": 15})
    for _ in range(5):
        engine.step({"a": 1})
    assert engine.tallies.answers(["a"]).read.tolist() == [10]
    engine.check("a")


@pytest.mark.parametrize("pooling", Pooling)
def test_a_pooling_tallies_the_same_with_and_without_the_others(pooling: Pooling) -> None:
    alone, among = (
        Tallies(it, window=WINDOW, half_life=HALF_LIFE) for it in ([pooling], list(Pooling))
    )
    scores = np.random.default_rng(3).normal(size=(16, 1)).astype(np.float32)
    for first, count in ((0, 7), (7, 3), *((number, 1) for number in range(10, 16))):
        place = (np.array([0, count]), np.array([first]), np.array([10]))
        step, rows = Step(["a"], *place), scores[first : first + count]
        alone.add(step, rows)
        among.add(step, rows.repeat(len(Pooling), axis=1))
    column = list(Pooling).index(pooling)
    assert alone.prompts(["a"]).scores == pytest.approx(among.prompts(["a"]).scores[:, [column]])
    assert alone.answers(["a"]).scores == pytest.approx(among.answers(["a"]).scores[:, [column]])


def test_many_requests_come_and_go_in_the_same_slots() -> None:
    engine = Engine()
    for turn in range(5):
        names = [f"{turn}-{number}" for number in range(100)]
        for name in names:
            engine.admit(name, prompt=3, answer=3)
        for _ in range(3):
            engine.step(dict.fromkeys(names, 3))
            engine.step(dict.fromkeys(names, 1))
        for name in names:
            engine.check(name)
        engine.tallies.forget(names)
        assert names[0] not in engine.tallies
    assert len(engine.tallies._seen) == 128
