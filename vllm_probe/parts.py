"""The running figures of one part, prompts or answers, of all requests at once.

Requests share arrays, in which each has a slot: eight steps in which two hundred requests generate
a token each are a handful of array operations (but for windows, which slide one by one).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import numpy as np

from vllm_probe.steps import Floats, Ints

_LOWEST: Final = np.float32(-np.inf)


class Pooling(StrEnum):
    """How the scores of a part's tokens become one."""

    MEAN = "mean"
    MAX = "max"
    EMA = "ema"
    """Exponential moving average, which begins as the first token's score."""
    LAST = "last"
    """The last token's score."""
    WINDOW = "window"
    """The highest mean of so many tokens in a row, or the mean of all where there are fewer."""


WINDOW_TOKENS: Final = 16
HALF_LIFE_TOKENS: Final = 16.0


class Part:
    """How many tokens were read, and their scores so far; arrays are (slots, probes)."""

    def __init__(
        self, probes: int, poolings: Iterable[Pooling], *, window: int, half_life: float
    ) -> None:
        """Have no slot.

        `poolings` alone can be asked for: of others nothing is kept. `window` are the tokens of
        `Pooling.WINDOW`; after `half_life` tokens a score counts half in `Pooling.EMA`.
        """
        self._poolings = frozenset(poolings)
        self._window = window
        self._keep = np.float32(0.5 ** (1 / half_life))
        self.read: Ints = np.zeros(0, np.int64)
        self._sum, self._highest, self._ema, self._last, self._best = (
            np.zeros((0, probes), np.float32) for _ in range(5)
        )
        self._ring = np.zeros((0, window, probes), np.float32)
        """The last scores of each: token t is at t % window."""

    def grow(self, slots: int) -> None:
        """Have so many slots."""
        for name in ("read", "_sum", "_highest", "_ema", "_last", "_best", "_ring"):
            old = getattr(self, name)
            new = np.zeros((slots, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def clear(self, slot: int) -> None:
        """Have read nothing of a slot."""
        self.read[slot] = 0
        self._sum[slot] = self._ema[slot] = self._last[slot] = self._ring[slot] = 0
        self._highest[slot] = self._best[slot] = _LOWEST

    def add(self, slots: Ints, scores: Floats, counts: Ints) -> None:
        """Take the next tokens of some slots, of which none is named twice.

        Args:
            slots: n of them.
            scores: (tokens, probes); those of the first slot, then of the second.
            counts: (n,); how many tokens of each there are: one at least.
        """
        starts = counts.cumsum() - counts
        if Pooling.MEAN in self._poolings:
            self._sum[slots] += np.add.reduceat(scores, starts)
        if Pooling.MAX in self._poolings:
            highest = np.maximum.reduceat(scores, starts)
            self._highest[slots] = np.maximum(self._highest[slots], highest)
        if Pooling.LAST in self._poolings:
            self._last[slots] = scores[starts + counts - 1]
        if Pooling.EMA in self._poolings:
            self._average(slots, scores, starts, counts)
        if Pooling.WINDOW in self._poolings:
            for slot, of_slot in zip(slots.tolist(), np.split(scores, starts[1:]), strict=True):
                self._slide(slot, np.concatenate([self._recent(slot), of_slot]))
                self._remember(slot, of_slot)
        self.read[slots] += counts

    def pooled(self, slots: Ints, pooling: Pooling) -> Floats:
        """Return what became of the scores of slots of which a token was read: (slots, probes)."""
        if pooling is Pooling.MEAN:
            read = np.maximum(1, self.read[slots, None]).astype(np.float32)
            mean: Floats = self._sum[slots] / read
            return mean
        found = {
            Pooling.MAX: self._highest,
            Pooling.EMA: self._ema,
            Pooling.LAST: self._last,
            Pooling.WINDOW: self._best,
        }
        kept: Floats = found[pooling][slots]
        return kept

    def _average(self, slots: Ints, scores: Floats, starts: Ints, counts: Ints) -> None:
        after = (starts + counts).repeat(counts) - np.arange(1, len(scores) + 1)
        weights = (1 - self._keep) * self._keep ** after.astype(np.float32)
        is_first = self.read[slots, None] == 0
        before = np.where(is_first, scores[starts], self._ema[slots])
        kept = self._keep ** counts[:, None].astype(np.float32)
        self._ema[slots] = kept * before + np.add.reduceat(weights[:, None] * scores, starts)

    def _recent(self, slot: int) -> Floats:
        """Return the last scores of a slot, one fewer than a window at most, the oldest first."""
        read = int(self.read[slot])
        count = min(read, self._window - 1)
        places = np.arange(read - count, read) % self._window
        recent: Floats = self._ring[slot, places]
        return recent

    def _remember(self, slot: int, scores: Floats) -> None:
        count, read = len(scores), int(self.read[slot])
        for number in range(max(0, count - self._window), count):
            self._ring[slot, (read + number) % self._window] = scores[number]

    def _slide(self, slot: int, joined: Floats) -> None:
        """Let the window slide over recent and new scores."""
        if len(joined) < self._window:
            self._best[slot] = joined.mean(axis=0)
            return
        sums = np.cumsum(joined, axis=0, dtype=np.float64)
        sums[self._window :] -= sums[: -self._window].copy()
        means = (sums[self._window - 1 :] / self._window).astype(np.float32)
        highest = means.max(axis=0)
        seen_one = int(self.read[slot]) >= self._window
        self._best[slot] = np.maximum(self._best[slot], highest) if seen_one else highest
