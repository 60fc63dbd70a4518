"""Scores that come from vLLM's cache of the beginnings of prompts."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_probe.cached import CachedScores
from vllm_probe.steps import Floats, Step

BLOCK = 4
PROBES = 2


def step_of(*requests: tuple[str, int, int]) -> Step:
    """Return a step: (name, computed before, rows) of each request."""
    rows = [count for _, _, count in requests]
    return Step(
        [name for name, _, _ in requests],
        np.concatenate([[0], np.cumsum(rows)]),
        np.array([computed for _, computed, _ in requests]),
        np.array([100] * len(requests)),
    )


def scores_of(first: int, count: int) -> Floats:
    """Scores that tell a token by its number."""
    return np.arange(first, first + count, dtype=np.float32)[:, None].repeat(PROBES, axis=1)


@pytest.fixture
def cached() -> CachedScores:
    return CachedScores(PROBES, BLOCK)


def test_what_was_computed_before_is_put_before_what_is_new(cached: CachedScores) -> None:
    tables = np.array([[5, 2, 9]])
    cached.complete(step_of(("a", 0, 10)), scores_of(0, 10), tables, np.array([0]))
    again = np.array([[5, 2, 7]])
    step, scores = cached.complete(step_of(("b", 8, 2)), scores_of(50, 2), again, np.array([0]))
    assert (step.computed.tolist(), step.starts.tolist()) == ([0], [0, 10])
    assert scores[:, 0].tolist() == [*range(8), 50, 51]


def test_a_request_that_goes_on_is_left_as_it_is(cached: CachedScores) -> None:
    tables = np.array([[1, 2], [3, 4]])
    first = step_of(("a", 0, 5), ("b", 0, 3))
    cached.complete(first, scores_of(0, 8), tables, np.array([0, 0]))
    step = step_of(("a", 5, 1), ("b", 3, 2))
    found, scores = cached.complete(step, scores_of(20, 3), tables, np.array([5, 3]))
    assert found.computed.tolist() == [5, 3]
    assert scores[:, 0].tolist() == [20, 21, 22]


def test_of_a_cached_beginning_that_was_never_computed_nothing_is_told(
    cached: CachedScores,
) -> None:
    cached.complete(step_of(("a", 0, 4)), scores_of(0, 4), np.array([[1]]), np.array([0]))
    for table in ([[1, 2]], [[1, 999]]):  # the second block came from elsewhere
        step, scores = cached.complete(
            step_of(("b", 8, 1)), scores_of(9, 1), np.array([[*table[0], 3]]), np.array([0])
        )
        assert step.computed.tolist() == [8]
        assert len(scores) == 1


@given(seed=st.integers(0, 2**32))
def test_a_block_gives_the_scores_that_were_computed_into_it_last(seed: int) -> None:
    random, cached = Random(seed), CachedScores(PROBES, BLOCK)  # noqa: S311  (a test's course)
    content: dict[int, Floats] = {}
    for turn in range(20):
        if content and random.random() < 0.5:
            blocks = random.sample(sorted(content), random.randint(1, len(content)))
            free = next(it for it in range(100, 200) if it not in content)
            tables = np.array([[*blocks, free]])
            computed = len(blocks) * BLOCK
            step, scores = cached.complete(
                step_of(("b", computed, 1)), scores_of(-1, 1), tables, np.array([0])
            )
            assert step.computed.tolist() == [0]
            assert (scores[:-1] == np.concatenate([content[it] for it in blocks])).all()
        else:
            block = random.randrange(8)
            content[block] = scores_of(1000 * turn, BLOCK)
            tables = np.array([[block]])
            cached.complete(step_of(("a", 0, BLOCK)), content[block], tables, np.array([0]))
