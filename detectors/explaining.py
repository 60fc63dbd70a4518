"""What a score rests on: for people who look at one text, who may see all of it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from math import inf, sqrt
from typing import Any
from zlib import crc32

from detectors.api import Category, Detector, ExplainingDetector, Reason, Sample
from detectors.errors import DataError
from detectors.features import bucket, bucket_of_pair, fold, hashes, stems, with_cuts, words
from detectors.plain import FEWEST, LONG, MEAN, ONE, SHORT, SLOTS, STEEPNESS, WordWeights
from detectors.slices import spans

MOST = 20
"""So many words and pairs are told."""

_OWN_WORD = re.compile(r"\w+")


def told(detector: Detector, sample: Sample) -> list[dict[str, Any]]:
    """Return the reasons of a detector as JSON has them.

    Raises:
        DataError: it gives none.
    """
    if not isinstance(detector, ExplainingDetector):
        raise DataError(f"{detector.name} does not say what its scores rest on")
    return [asdict(it) for it in detector.reasons(sample)]


def of_words(model: WordWeights, text: str) -> list[Reason]:
    """Return what the words and pairs add to the margin, of those that weigh most.

    Of a long text those of the stretch that decided, by the kind of misuse that the text is most
    suspect of, see `WordWeights.margin`.
    """
    deciding = max(_stretches(model, text), key=lambda it: it.margin)
    reasons = [
        Reason(it.kind, it.name, Category.ANY, deciding.factor * it.weight)
        for it in deciding.weighed
        if it.weight
    ]
    return sorted(reasons, key=lambda it: (-abs(it.weight), it.name))[:MOST]


@dataclass(frozen=True, slots=True)
class OneKind:
    """What words weigh for one kind of misuse, by its number."""

    model: WordWeights
    number: int

    @property
    def shift(self) -> float:
        """What is taken from the margin of a short stretch."""
        return self.model.constants[self.number][0]

    @property
    def intercept(self) -> float:
        """What is added to each margin."""
        return self.model.constants[self.number][1]

    def weight_of(self, bucket: int) -> int:
        """Return the weight of a bucket."""
        return self.model.weights_of(bucket)[self.number]


def _stretches(model: WordWeights, text: str) -> Iterator["Stretch"]:
    """Yield what decided for each kind, in each span of a text."""
    kinds = [OneKind(model, number) for number in range(len(model.constants))]
    return (Stretch.deciding(kind, it) for it in spans(text) for kind in kinds)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A word, or a word with the one before it, and its weight where it was counted."""

    kind: str
    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words whose weights, each times the factor, make up log-odds but for a constant."""

    margin: float
    factor: float
    weighed: Sequence[Weighed]

    @classmethod
    def deciding(cls, kind: OneKind, text: str) -> "Stretch":
        """Return the stretch of a text that has the log-odds of the text."""
        each, constant = list(_weighed(kind, own_words(text))), kind.intercept
        if not each:
            return cls(-inf, 0.0, ())
        if kind.model.mean:
            return cls._of(each, MEAN / (max(2 * len(each) - 1, FEWEST) * ONE), constant)
        if len(each) <= LONG:
            whole = cls._of(each, 1 / (sqrt(2 * len(each) - 1) * ONE), constant)
        else:
            whole = cls._of(_worst(each, LONG), 1 / (sqrt(2 * LONG) * ONE), constant)
        if len(each) <= SHORT:
            return whole
        factor = STEEPNESS / (sqrt(2 * SHORT) * ONE)
        short = cls._of(_worst(each, SHORT), factor, constant - kind.shift)
        return max(whole, short, key=lambda it: it.margin)

    @classmethod
    def _of(cls, each: Sequence[Sequence[Weighed]], factor: float, constant: float) -> "Stretch":
        weighed = [it for one in each for it in one]
        return cls(factor * sum(it.weight for it in weighed) + constant, factor, weighed)


def _weighed(kind: OneKind, of_text: Sequence[tuple[int, str]]) -> Iterator[Sequence[Weighed]]:
    """Yield what each word adds, alone and with the one before it, as `Stretches` counts it."""
    weigh = _counted_once(kind)
    before: tuple[int, str] | None = None
    for word, name in of_text:
        found = [Weighed("word", name, weigh(bucket(word)))]
        if before is not None:
            pair = weigh(bucket_of_pair(before[0], word))
            found.append(Weighed("pair", f"{before[1]} {name}", pair))
        before = word, name
        yield found


def _counted_once(kind: OneKind) -> Callable[[int], int]:
    """Return a function that weighs buckets; one that is remembered weighs nothing."""
    seen = [-1] * SLOTS

    def weigh(found: int) -> int:
        if seen[found % SLOTS] == found:
            return 0
        seen[found % SLOTS] = found
        return kind.weight_of(found)

    return weigh


def _worst(each: Sequence[Sequence[Weighed]], size: int) -> Sequence[Sequence[Weighed]]:
    """Return so many words in a row whose weights add up to the most."""
    sums = [0, *accumulate(sum(it.weight for it in one) for one in each)]
    end = max(range(size, len(sums)), key=lambda it: sums[it] - sums[it - size])
    return each[end - size : end]


def own_words(text: str) -> list[tuple[int, str]]:
    """Return the hash of each word and how it stands in the text, as far as that can be told.

    Folding moves no letter past a space, so that each piece between spaces has its own words; one
    that has as many before it was folded tells them as they stand.
    """
    found = [it for piece in with_cuts(text).split() for it in _words_of(piece)]
    read = hashes(text)
    if [word for word, _ in found] == read:
        return found
    names = [it.decode() for it in words(fold(with_cuts(text)))]
    return list(zip(read, names, strict=True))


def _words_of(piece: str) -> list[tuple[int, str]]:
    folded = fold(piece)
    found, own = stems(folded), _OWN_WORD.findall(piece)
    names = own if len(own) == len(found) else [it.decode() for it in words(folded)]
    return list(zip(map(crc32, found), names, strict=True))
