"""The weights of a text's words added up in plain Python: what works everywhere.

`detectors.native` does the same several times faster where a C compiler was at hand. All sums are
of integers, so that both give the very same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf, sqrt
from operator import sub
from typing import Protocol

from detectors.decoding import may_encode
from detectors.features import BUCKETS, MASK, PAIR, hashes, last_break, with_cuts
from detectors.log_odds import added
from detectors.rotation import may_be_rotated
from detectors.slices import spans

LONG = 256
"""A text of more words than this is as suspect as its worst stretch of so many."""

SHORT = 12
"""A text of more words than this is also as suspect as its worst stretch of so many, more or less:
a request between pages of prose is short."""

STEEPNESS = 1.75
"""Of short stretches a text has many, and the worst of many is high by chance: its margin counts
this many times, less the head's `shift`."""

MEAN = 16
"""The mean of a text counts so many times: for 128 words it is what the other way gives.

It is the mean of so many words at least: of fewer it would tell more than they do, and the first
words of an answer that grows would be as suspect as the worst of texts.
"""

FEWEST = 2 * MEAN - 1
"""So many words and pairs are there at least, for that."""

MOST_KINDS = 4
"""A head is made of so many kinds at most."""

ONE = 1_024
"""Weights are integers: so many are 1."""

SLOTS = 512
"""Buckets that are remembered, each in the slot of its lowest bits, so that what is repeated
counts once in a while, and no text takes memory without bound."""

_LONG_UNIT, _SHORT_UNIT = sqrt(2 * LONG) * ONE, sqrt(2 * SHORT) * ONE


class GrowingMargin(Protocol):
    """The margin of a text that comes piece by piece; its memory is bounded."""

    def add(self, text: str) -> float:
        """Append text and return `WordWeights.margin` of all text so far."""
        ...


class WordWeights(Protocol):
    """Looks up what the words and word pairs of a text weigh, for each kind of misuse."""

    def margin(self, text: str) -> float:
        """Return how far the words of a text speak for misuse, or -inf without a word.

        For each kind that is the sum of weights over the root of their number: of the whole text up
        to `LONG` words, else of its worst stretch; or `STEEPNESS` times that of its worst stretch
        of `SHORT` words less a shift, if that is more. Or, for heads that are `mean`, `MEAN` times
        the mean of the whole text. A bucket that is remembered weighs nothing. With the kind's
        intercept it makes log-odds; the odds of all kinds are added up, of which this is the log.
        """
        ...

    def may_hide(self, text: str) -> bool:
        """Say no where nothing is hidden for sure: in no encoding, and not in rot13."""
        ...

    @property
    def mean(self) -> bool:
        """Say whether the mean of the whole text counts."""
        ...

    @property
    def constants(self) -> Sequence[tuple[float, float]]:
        """Return of each kind what is taken from short stretches, and the intercept."""
        ...

    def weights_of(self, bucket: int) -> Sequence[int]:
        """Return the weight of a bucket for each kind, `ONE` for 1."""
        ...

    def growing(self) -> GrowingMargin:
        """Return an empty text that can be added to."""
        ...


@dataclass(frozen=True, slots=True)
class OfKind:
    """One integer a bucket, `ONE` for 1, the shift of short stretches, and the intercept."""

    weights: Sequence[int]
    shift: float
    intercept: float = 0.0


class PlainWeights:
    """The weights of some kinds, `MOST_KINDS` at most."""

    __slots__ = ("kinds", "mean", "tables")

    def __init__(self, kinds: Sequence[OfKind], *, mean: bool = False) -> None:
        """Keep the weights, and after them a 0, which a bucket that is remembered weighs."""
        self.kinds = tuple(kinds)
        self.mean = mean
        self.tables = [[*it.weights, 0] for it in kinds]

    @property
    def constants(self) -> Sequence[tuple[float, float]]:
        """Return of each kind the shift and the intercept."""
        return [(it.shift, it.intercept) for it in self.kinds]

    def margin(self, text: str) -> float:
        """Return the margin of a text; beyond the limit, of the worst of its spans."""
        return max(map(self._margin, spans(text)))

    def _margin(self, text: str) -> float:
        words = Words(self)
        words.take(hashes(text))
        return words.margin()

    def may_hide(self, text: str) -> bool:
        """Say no where nothing is hidden for sure."""
        return may_hide(text)

    def weights_of(self, bucket: int) -> Sequence[int]:
        """Return the weight of a bucket for each kind."""
        return [it.weights[bucket] for it in self.kinds]

    def growing(self) -> GrowingMargin:
        """Return an empty text that can be added to."""
        return PlainGrowing(self)


def may_hide(text: str) -> bool:
    """Say no where nothing is hidden for sure."""
    words = text.split()
    return may_encode(words) or may_be_rotated(words)


class Sums:
    """What the last words of a text weigh for one kind, and the highest so far."""

    __slots__ = ("best_long", "best_short", "past")

    def __init__(self) -> None:
        self.past = [0]  # the sums after each of the last words, at most `LONG`, in order
        self.best_long = self.best_short = -inf

    def copy(self) -> "Sums":
        """Return the same, apart from this."""
        found = Sums()
        found.past, found.best_long, found.best_short = self.past, self.best_long, self.best_short
        return found

    def take(self, gains: Iterable[int]) -> None:
        """Append what some words weigh."""
        known = len(self.past)
        sums = [*self.past[:-1], *accumulate(gains, initial=self.past[-1])]
        self.best_short = max(self.best_short, _highest(sums, known, SHORT))
        self.best_long = max(self.best_long, _highest(sums, known, LONG))
        self.past = sums[-LONG:]

    def margin(self, count: int, shift: float, *, mean: bool) -> float:
        """Return `WordWeights.margin` of so many words by this kind, without the intercept."""
        if mean:
            return self.past[-1] * MEAN / (max(2 * count - 1, FEWEST) * ONE)
        if count <= LONG:
            margin = self.past[-1] / (sqrt(2 * count - 1) * ONE)
        else:
            margin = self.best_long / _LONG_UNIT
        if count <= SHORT:
            return margin
        return max(margin, STEEPNESS * (self.best_short / _SHORT_UNIT) - shift)


class Words:
    """The words of a text so far: which are remembered, and what they weigh for each kind."""

    __slots__ = ("_count", "_last", "_model", "_seen", "_sums")

    def __init__(self, model: PlainWeights) -> None:
        self._model = model
        self._seen = [-1] * SLOTS  # the bucket in each slot
        self._count = 0
        self._last: int | None = None
        self._sums = [Sums() for _ in model.kinds]

    def copy(self) -> "Words":
        """Return the same, apart from this."""
        found = Words(self._model)
        found._seen, found._count, found._last = self._seen.copy(), self._count, self._last
        found._sums = [it.copy() for it in self._sums]
        return found

    def take(self, words: Sequence[int]) -> None:
        """Append words by their hashes."""
        if not words:
            return
        buckets = self._new_buckets(words)
        for table, sums in zip(self._model.tables, self._sums, strict=True):
            sums.take([table[word] + table[pair] for word, pair in buckets])
        self._count += len(words)
        self._last = words[-1]

    def _new_buckets(self, words: Sequence[int]) -> list[tuple[int, int]]:
        """Return the buckets of each word and its pair, or `BUCKETS` where one is remembered."""
        seen, last = self._seen, self._last
        buckets = []
        for hashed in words:
            word, pair = hashed & MASK, BUCKETS
            if seen[word % SLOTS] == word:
                word = BUCKETS
            else:
                seen[word % SLOTS] = word
            if last is not None:
                found = (last * PAIR + hashed) & MASK
                if seen[found % SLOTS] != found:
                    seen[found % SLOTS] = pair = found
            last = hashed
            buckets.append((word, pair))
        return buckets

    def margin(self) -> float:
        """Return `WordWeights.margin` of the words so far."""
        count, mean = self._count, self._model.mean
        if not count:
            return -inf
        both = zip(self._model.kinds, self._sums, strict=True)
        return added([it.intercept + sums.margin(count, it.shift, mean=mean) for it, sums in both])


def _highest(sums: Sequence[int], known: int, words: int) -> float:
    """Return the highest sum of so many words that end after the `known` sums; -inf without."""
    first = max(known, words)
    return max(map(sub, sums[first:], sums[first - words : len(sums) - words]), default=-inf)


class PlainGrowing:
    """The words up to the last break; the text after it may still change, and is tried anew."""

    __slots__ = ("_open", "_settled")

    def __init__(self, model: PlainWeights) -> None:
        self._settled = Words(model)
        self._open = ""

    def add(self, text: str) -> float:
        """Append text and return the margin of all text so far."""
        tail = with_cuts(self._open + text)
        end = last_break(tail)
        self._settled.take(hashes(tail[:end]))
        self._open = tail[end:]
        tried = self._settled.copy()
        tried.take(hashes(self._open))
        return tried.margin()
