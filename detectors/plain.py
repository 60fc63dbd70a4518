"""The weights of a text's words added up in plain Python: what works everywhere.

`detectors.native` does the same several times faster where a C compiler was at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Protocol

from detectors.features import buckets, buckets_of, hashes, last_break
from detectors.slices import slices


class GrowingSlice(Protocol):
    """A slice that comes piece by piece; its memory is bounded by the length of a slice."""

    def add(self, text: str) -> float:
        """Append text and return `WordWeights.margin` of all text so far."""
        ...


class WordWeights(Protocol):
    """Looks up what the words and word pairs of a text weigh."""

    def margin(self, text: str) -> float:
        """Return the sum of a text's bucket weights over the root of their number, else -inf."""
        ...

    def highest(self, text: str) -> float:
        """Return the highest margin of a text's slices."""
        ...

    def growing(self) -> GrowingSlice:
        """Return an empty slice that can be added to."""
        ...


@dataclass(frozen=True, slots=True)
class PlainWeights:
    """One number a bucket."""

    weights: Sequence[float]

    def margin(self, text: str) -> float:
        """Return the sum of a text's bucket weights over the root of their number, else -inf."""
        found = buckets(text)
        return over_root(self.sum_of(found), len(found))

    def highest(self, text: str) -> float:
        """Return the highest margin of a text's slices."""
        return max(map(self.margin, slices(text)))

    def growing(self) -> GrowingSlice:
        """Return an empty slice that can be added to."""
        return PlainSlice(self)

    def sum_of(self, found: set[int]) -> float:
        """Add up the weights of buckets."""
        return sum(map(self.weights.__getitem__, found))


class PlainSlice:
    """Buckets seen and their sum, up to the last break; the text after it may still change."""

    __slots__ = ("_last", "_open", "_seen", "_sum", "_weights")

    def __init__(self, weights: PlainWeights) -> None:
        self._weights = weights
        self._seen: set[int] = set()
        self._sum = 0.0
        self._last: list[int] = []
        self._open = ""

    def add(self, text: str) -> float:
        """Append text and return the margin of all text so far."""
        tail = self._open + text
        end = last_break(tail)
        self._settle(tail[:end])
        self._open = tail[end:]
        new = self._new_buckets(hashes(self._open))
        return over_root(self._sum + self._weights.sum_of(new), len(self._seen) + len(new))

    def _settle(self, text: str) -> None:
        found = hashes(text)
        new = self._new_buckets(found)
        self._seen |= new
        self._sum += self._weights.sum_of(new)
        self._last = found[-1:] or self._last

    def _new_buckets(self, found: Sequence[int]) -> set[int]:
        return buckets_of(found, self._last) - self._seen


def over_root(total: float, count: int) -> float:
    """Return a sum over the root of the number of its terms, and -inf where there are none."""
    return total / sqrt(count) if count else -inf
