"""Which tokens of which requests were read, and what the probes made of them so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vllm_probe.parts import HALF_LIFE_TOKENS, WINDOW_TOKENS, Part, Pooling
from vllm_probe.steps import Floats, Ints, Step

_FIRST_SLOTS: Final = 64


@dataclass(frozen=True, slots=True)
class Tallied:
    """What is known of a part of n requests."""

    tokens: Ints
    """(n,): so many it has, as far as it was computed."""
    read: Ints
    """(n,): of so many of them activations were seen; the others came from a cache."""
    scores: Floats
    """(n, probes): log-odds, pooled as each probe was trained; 0 where nothing was read."""


class Tallies:
    """All requests that are under way."""

    def __init__(
        self,
        poolings: Iterable[Pooling],
        *,
        window: int = WINDOW_TOKENS,
        half_life: float = HALF_LIFE_TOKENS,
    ) -> None:
        """Know of none. `poolings`: one for each probe, in their order."""
        by_probe = np.array([*poolings])
        self._columns = {it: np.flatnonzero(by_probe == it) for it in Pooling if it in by_probe}
        """Which probes are pooled so."""
        self._prompts, self._answers = (
            Part(len(by_probe), self._columns, window=window, half_life=half_life) for _ in range(2)
        )
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._seen: Ints = np.zeros(0, np.int64)
        """How many tokens of each were computed, or found in a cache, up to now."""
        self._lengths: Ints = np.zeros(0, np.int64)
        """Of prompts."""

    def __contains__(self, request: str) -> bool:
        """Say whether a request is known."""
        return request in self._slots

    def add(self, step: Step, scores: Floats) -> None:
        """Take the scores of a step's rows, (rows, probes).

        A token counts once: after a preemption what was read before is computed again.
        """
        slots = np.fromiter(map(self._slot_of, step.requests), np.int64, len(step.requests))
        self._lengths[slots] = step.prompts
        whose = np.arange(len(slots)).repeat(step.counts)
        tokens = np.arange(len(scores)) + (step.computed - step.starts[:-1])[whose]
        is_new = tokens >= self._seen[slots][whose]
        is_prompt = tokens < step.prompts[whose]
        for part, rows in (
            (self._prompts, is_new & is_prompt),
            (self._answers, is_new & ~is_prompt),
        ):
            counts = np.bincount(whose[rows], minlength=len(slots))
            if rows.any():
                part.add(slots[counts > 0], scores[rows], counts[counts > 0])
        self._seen[slots] = np.maximum(self._seen[slots], step.computed + step.counts)

    def prompts(self, requests: Sequence[str]) -> Tallied:
        """Return what is known of prompts."""
        slots = self._slots_of(requests)
        return self._tallied(
            self._prompts, slots, np.minimum(self._lengths[slots], self._seen[slots])
        )

    def answers(self, requests: Sequence[str]) -> Tallied:
        """Return what is known of what was generated; the last token is never computed."""
        slots = self._slots_of(requests)
        return self._tallied(self._answers, slots, self.answer_tokens(requests))

    def answer_tokens(self, requests: Sequence[str]) -> Ints:
        """Return how many generated tokens of each were computed; (requests,)."""
        slots = self._slots_of(requests)
        tokens: Ints = np.maximum(0, self._seen[slots] - self._lengths[slots])
        return tokens

    def reached(self, requests: Sequence[str]) -> Ints:
        """Return how many tokens of each were computed, or found in a cache; (requests,)."""
        slots = [self._slots.get(it) for it in requests]
        return np.array([0 if it is None else self._seen[it] for it in slots], np.int64)

    def is_prompt_read(self, request: str) -> bool:
        """Say whether all of a prompt was computed or found in a cache."""
        slot = self._slots[request]
        return bool(self._seen[slot] >= self._lengths[slot])

    def forget(self, requests: Iterable[str]) -> None:
        """Forget requests that have ended."""
        for request in requests:
            if (slot := self._slots.pop(request, None)) is not None:
                self._free.append(slot)

    def _tallied(self, part: Part, slots: Ints, tokens: Ints) -> Tallied:
        read = part.read[slots]
        scores = np.zeros((len(slots), sum(map(len, self._columns.values()))), np.float32)
        for pooling, columns in self._columns.items():
            scores[:, columns] = part.pooled(slots, pooling)[:, columns]
        scores[read == 0] = 0
        return Tallied(tokens, read, scores)

    def _slots_of(self, requests: Sequence[str]) -> Ints:
        return np.fromiter(map(self._slots.__getitem__, requests), np.int64, len(requests))

    def _slot_of(self, request: str) -> int:
        slot = self._slots.get(request)
        if slot is None:
            slot = self._slots[request] = self._free.pop() if self._free else self._new_slot()
            for part in (self._prompts, self._answers):
                part.clear(slot)
            self._seen[slot] = 0
        return slot

    def _new_slot(self) -> int:
        slot = len(self._slots)
        if slot >= len(self._seen):
            size = max(_FIRST_SLOTS, 2 * slot)
            for part in (self._prompts, self._answers):
                part.grow(size)
            self._seen = np.resize(self._seen, size)
            self._lengths = np.resize(self._lengths, size)
        return slot
