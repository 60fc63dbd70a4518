"""The weights of a text's words added up in plain Python: what works everywhere.

`detectors.native` does the same several times faster where a C compiler was at hand. All sums are
of integers, so that both give the very same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, sqrt
from operator import sub
from typing import Protocol

from detectors.decoding import may_encode
from detectors.features import MASK, PAIR, hashes, last_break, with_cuts
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
"""The mean of a text counts so many times: for 128 words it is what the other way gives."""

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
    """Looks up what the words and word pairs of a text weigh."""

    def margin(self, text: str) -> float:
        """Return how far the words of a text speak for misuse, or -inf without a word.

        That is the sum of weights over the root of their number: of the whole text up to `LONG`
        words, else of its worst stretch; or `STEEPNESS` times that of its worst stretch of `SHORT`
        words less a shift, if that is more. Or, for heads that are `mean`, `MEAN` times the mean of
        the whole text. A bucket that is remembered weighs nothing.
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
    def shift(self) -> float:
        """What is taken from the margin of a short stretch."""
        ...

    def weight_of(self, bucket: int) -> int:
        """Return the weight of a bucket, `ONE` for 1."""
        ...

    def growing(self) -> GrowingMargin:
        """Return an empty text that can be added to."""
        ...


@dataclass(frozen=True, slots=True)
class PlainWeights:
    """One integer a bucket, `ONE` for 1, and the shift of short stretches."""

    weights: Sequence[int]
    shift: float
    mean: bool = False

    def margin(self, text: str) -> float:
        """Return the margin of a text; beyond the limit, of the worst of its spans."""
        return max(map(self._margin, spans(text)))

    def _margin(self, text: str) -> float:
        stretches = Stretches(self)
        stretches.take(hashes(text))
        return stretches.margin()

    def may_hide(self, text: str) -> bool:
        """Say no where nothing is hidden for sure."""
        return may_hide(text)

    def weight_of(self, bucket: int) -> int:
        """Return the weight of a bucket."""
        return self.weights[bucket]

    def growing(self) -> GrowingMargin:
        """Return an empty text that can be added to."""
        return PlainGrowing(self)


def may_hide(text: str) -> bool:
    """Say no where nothing is hidden for sure."""
    words = text.split()
    return may_encode(words) or may_be_rotated(words)


def _nothing_seen() -> list[int]:
    return [-1] * SLOTS


def _no_past() -> list[int]:
    return [0]


@dataclass(slots=True)
class Stretches:
    """Sums over the last words of a text, and the highest so far."""

    model: PlainWeights
    seen: list[int] = field(default_factory=_nothing_seen)
    """The bucket in each slot."""
    past: list[int] = field(default_factory=_no_past)
    """The sums after each of the last words, at most `LONG`, in order."""
    count: int = 0
    best_long: float = -inf
    best_short: float = -inf
    last: int | None = None

    def copy(self) -> "Stretches":
        """Return the same, apart from this."""
        best = self.best_long, self.best_short
        return Stretches(self.model, self.seen.copy(), self.past, self.count, *best, self.last)

    def take(self, words: Sequence[int]) -> None:
        """Append words by their hashes."""
        if not words:
            return
        known = len(self.past)
        sums = [*self.past, *self._sums(words)]
        self.best_short = max(self.best_short, _highest(sums, known, SHORT))
        self.best_long = max(self.best_long, _highest(sums, known, LONG))
        self.past = sums[-LONG:]
        self.count += len(words)
        self.last = words[-1]

    def _sums(self, words: Sequence[int]) -> list[int]:
        """Return the sum after each word; written out, as it takes most of the time."""
        seen, weights, total, last = self.seen, self.model.weights, self.past[-1], self.last
        sums = []
        for word in words:
            found = word & MASK
            if seen[found % SLOTS] != found:
                seen[found % SLOTS] = found
                total += weights[found]
            if last is not None:
                found = (last * PAIR + word) & MASK
                if seen[found % SLOTS] != found:
                    seen[found % SLOTS] = found
                    total += weights[found]
            last = word
            sums.append(total)
        return sums

    def margin(self) -> float:
        """Return `WordWeights.margin` of the words so far."""
        count = self.count
        if not count:
            return -inf
        if self.model.mean:
            return self.past[-1] * MEAN / ((2 * count - 1) * ONE)
        if count <= LONG:
            margin = self.past[-1] / (sqrt(2 * count - 1) * ONE)
        else:
            margin = self.best_long / _LONG_UNIT
        if count <= SHORT:
            return margin
        return max(margin, STEEPNESS * (self.best_short / _SHORT_UNIT) - self.model.shift)


def _highest(sums: Sequence[int], known: int, words: int) -> float:
    """Return the highest sum of so many words that end after the `known` sums; -inf without."""
    first = max(known, words)
    return max(map(sub, sums[first:], sums[first - words : len(sums) - words]), default=-inf)


class PlainGrowing:
    """Stretches up to the last break; the text after it may still change, and is tried anew."""

    __slots__ = ("_open", "_settled")

    def __init__(self, model: PlainWeights) -> None:
        self._settled = Stretches(model)
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
