"""Many texts as arrays of buckets: what training learns from, and the same margins as in use.

An implementation of its own of what `plain.Words` does, with numpy, so that each checks the
other (`agreement`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from detectors.features import BUCKETS, bucket, bucket_of_pair, hashes
from detectors.plain import FEWEST, LONG, MEAN, SHORT, SLOTS, STEEPNESS

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

FIRST_WORDS = 300
"""Training sees so many words of a text."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The n words of m texts, one after the other.

    `words` and `pairs` (with the word before) have shape (n,), a pair being -1 where there is none;
    `new_words` and `new_pairs` say which of them are not remembered; text i is from `starts[i]` to
    `starts[i + 1]`.
    """

    words: Places
    pairs: Places
    new_words: NDArray[np.bool_]
    new_pairs: NDArray[np.bool_]
    starts: Places

    def sizes(self) -> Places:
        """Return how many words each text has, shape (m,)."""
        return np.diff(self.starts)

    def features(self, *, mean: bool = False) -> sparse.csr_matrix:
        """Return a matrix (m, BUCKETS): of its first words and pairs each has 1 over their root.

        Or `MEAN` over their number, for heads that are `mean`: a short text teaches as much as a
        long one, though its own margin is less (`FEWEST`).
        """
        rows = np.repeat(np.arange(len(self.starts) - 1), self.sizes())
        is_seen = np.arange(len(rows)) - self.starts[rows] < FIRST_WORDS
        is_pair = is_seen & (self.pairs >= 0)
        row = np.concatenate([rows[is_seen], rows[is_pair]])
        column = np.concatenate([self.words[is_seen], self.pairs[is_pair]])
        shape = (len(self.starts) - 1, BUCKETS)
        matrix = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        sizes = np.minimum(self.sizes(), FIRST_WORDS)
        unit = _number(sizes) / MEAN if mean else _root(sizes)
        return (sparse.diags(1 / unit) @ matrix).tocsr()

    def margins(self, weights: Numbers) -> tuple[Numbers, Numbers]:
        """Return the margins of the long and of the short stretches, each of shape (m,).

        They are -inf where there is none: in a text without words, or without more than `SHORT`.
        """
        sums, sizes = self._sums(weights), self.sizes()
        whole = (sums[self.starts[1:]] - sums[self.starts[:-1]]) / _root(sizes)
        long = np.where((sizes > 0) & (sizes <= LONG), whole, self._highest(sums, LONG))
        return long, self._highest(sums, SHORT)

    def means(self, weights: Numbers) -> Numbers:
        """Return the margins of heads that are `mean`, of shape (m,); without words -inf."""
        sums, sizes = self._sums(weights), self.sizes()
        number = np.maximum(_number(sizes), FEWEST)
        whole = (sums[self.starts[1:]] - sums[self.starts[:-1]]) * MEAN / number
        return np.where(sizes > 0, whole, -np.inf)

    def _sums(self, weights: Numbers) -> Numbers:
        gains = np.where(self.new_words, weights[self.words], 0.0)
        gains += np.where(self.new_pairs, weights[self.pairs], 0.0)
        return np.concatenate([[0.0], np.cumsum(gains)])

    def _highest(self, sums: Numbers, words: int) -> Numbers:
        """Return the highest margin of stretches of so many words; -inf in a text of no more."""
        best = np.full(len(self.starts) - 1, -np.inf)
        for number in np.flatnonzero(self.sizes() > words).tolist():
            start, end = self.starts[number], self.starts[number + 1]
            gains = sums[start + words : end + 1] - sums[start : end + 1 - words]
            best[number] = gains.max() / np.sqrt(2 * words)
        return best

    def stretches(self, texts: Places, words: int, most: int) -> tuple["Corpus", Places]:
        """Cut from each of some texts up to `most` stretches of so many words, evenly.

        Only texts half as long again give any. Also returns the text that each was cut from.
        """
        cuts = [
            (start, number)
            for number in texts.tolist()
            for start in _evenly(self.starts[number], self.starts[number + 1], words, most)
        ]
        places = np.concatenate([np.arange(start, start + words) for start, _ in cuts] or [_NONE])
        pairs = self.pairs[places]
        pairs[::words] = -1
        starts = np.arange(len(cuts) + 1) * words
        everywhere = np.ones(len(places), np.bool_)
        cut = Corpus(self.words[places], pairs, everywhere, pairs >= 0, starts)
        return cut, np.array([number for _, number in cuts], np.int64)


_NONE = np.zeros(0, np.int64)


def _number(words: Places) -> Places:
    """Return how many words and pairs there are; 1 where there are none."""
    number: Places = np.maximum(2 * words - 1, 1)
    return number


def _root(words: Places) -> Numbers:
    root: Numbers = np.sqrt(_number(words))
    return root


def _evenly(start: int, end: int, words: int, most: int) -> list[int]:
    if end - start < words * 3 // 2:
        return []
    count = min(most, (end - start) // words)
    last = end - words - start
    return [int(start + last * n // max(count - 1, 1)) for n in range(count)]


def corpus(texts: Sequence[str]) -> Corpus:
    """Find the words of texts."""
    words: list[int] = []
    pairs: list[int] = []
    new_words: list[bool] = []
    new_pairs: list[bool] = []
    starts = [0]
    for text in texts:
        found = hashes(text)
        here = [bucket(it) for it in found]
        before = [-1, *map(bucket_of_pair, found, found[1:])][: len(here)]
        seen: dict[int, int] = {}
        for word, pair in zip(here, before, strict=True):
            new_words.append(_is_new(seen, word))
            new_pairs.append(pair >= 0 and _is_new(seen, pair))
        words += here
        pairs += before
        starts.append(len(words))
    return Corpus(
        words=np.array(words, np.int64),
        pairs=np.array(pairs, np.int64),
        new_words=np.array(new_words, np.bool_),
        new_pairs=np.array(new_pairs, np.bool_),
        starts=np.array(starts, np.int64),
    )


def _is_new(seen: dict[int, int], found: int) -> bool:
    slot = found % SLOTS
    is_new = seen.get(slot) != found
    seen[slot] = found
    return is_new


def combined(long: Numbers, short: Numbers, shift: float) -> Numbers:
    """Return the margin of texts from that of their stretches, as `plain.WordWeights` has it."""
    margin: Numbers = np.maximum(long, STEEPNESS * short - shift)
    return margin
