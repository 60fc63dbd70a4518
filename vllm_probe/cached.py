"""Scores of the tokens in vLLM's cache: prompts whose beginning comes from there are read whole.

A score is kept for each place of the cache, by the number of its block, until another token is
computed into that place: what vLLM gives out of its cache was computed by the same weights, adapter
and tokens before, which is how it finds a block. It takes four bytes for a token and probe.
"""

from dataclasses import replace

import numpy as np

from vllm_probe.steps import Floats, Ints, Step


class CachedScores:
    """The scores of all places of one cache."""

    def __init__(self, probes: int, block_tokens: int) -> None:
        """Have none. `block_tokens`: how many a block of the cache holds."""
        self._block_tokens = block_tokens
        self._scores = np.full((0, probes), np.nan, np.float32)

    def complete(
        self, step: Step, scores: Floats, tables: Ints, reached: Ints
    ) -> tuple[Step, Floats]:
        """Keep a step's scores, and put those of cached tokens before them.

        Args:
            step: what was computed.
            scores: (rows, probes); of its rows.
            tables: (n, blocks); the numbers of the blocks that hold the tokens of each request.
            reached: (n,); how many tokens of each were read already. Those from there to what was
                computed before came from the cache.

        Returns:
            The step as if all of it had been computed, as far as it once was.
        """
        self._keep(step, scores, tables)
        behind = np.flatnonzero(step.computed > reached)
        if not len(behind):
            return step, scores
        rows = np.split(scores, step.starts[1:-1])
        computed = step.computed.copy()
        for number in behind:
            tokens = np.arange(reached[number], step.computed[number])
            found = self._found(self._places(tables[number][None], np.zeros_like(tokens), tokens))
            if found is not None:
                rows[number] = np.concatenate([found, rows[number]])
                computed[number] = reached[number]
        starts = np.concatenate([[0], np.cumsum([len(it) for it in rows])])
        return replace(step, starts=starts, computed=computed), np.concatenate(rows)

    def _keep(self, step: Step, scores: Floats, tables: Ints) -> None:
        counts = step.counts
        requests = np.arange(len(counts)).repeat(counts)
        tokens = np.arange(len(scores)) + (step.computed - step.starts[:-1]).repeat(counts)
        places = self._places(tables, requests, tokens)
        highest = int(places.max(initial=-1))
        if highest >= len(self._scores):
            more = np.full((2 * highest + 1, self._scores.shape[1]), np.nan, np.float32)
            more[: len(self._scores)] = self._scores
            self._scores = more
        self._scores[places] = scores

    def _places(self, tables: Ints, requests: Ints, tokens: Ints) -> Ints:
        number, within = np.divmod(tokens, self._block_tokens)
        blocks = tables[requests, number].astype(np.int64)
        places: Ints = blocks * self._block_tokens + within
        return places

    def _found(self, places: Ints) -> Floats | None:
        """Return the scores of places, if all of them are known."""
        if places.max(initial=-1) >= len(self._scores):
            return None
        found: Floats = self._scores[places]
        return None if np.isnan(found).any() else found
