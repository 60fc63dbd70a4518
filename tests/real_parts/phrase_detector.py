"""A detector that is sure of one harmless phrase, and of nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.api import Category, Part, Sample

PHRASE: Final = "the forbidden passage"
NAME: Final = "phrase"
Scores = Mapping[Category, float]


class GrowingPhrase:
    """Remembers as much of the text as the phrase could begin in."""

    def __init__(self) -> None:
        self._tail = ""
        self._was_found = False

    def add(self, text: str) -> Scores:
        self._was_found = self._was_found or PHRASE in self._tail + text
        self._tail = (self._tail + text)[-len(PHRASE) + 1 :]
        return _scores(self._was_found)


@dataclass(frozen=True, slots=True)
class PhraseDetector:
    """1.0 for a text that holds the phrase, else 0.0."""

    name: str = NAME
    version: str = "1"
    parts: frozenset[Part] = frozenset({Part.PROMPT, Part.ANSWER})
    max_chars: int = 10**9
    engine: str = "python"

    def score(self, samples: Sequence[Sample]) -> list[Scores]:
        return [self.score_text(sample.text, sample.part) for sample in samples]

    def score_text(self, text: str, part: Part) -> Scores:
        assert part in self.parts
        return _scores(PHRASE in text)

    def growing(self, part: Part) -> GrowingPhrase:
        assert part in self.parts
        return GrowingPhrase()


class BrokenDetector(PhraseDetector):
    """Fails on whatever holds the phrase."""

    def score_text(self, text: str, part: Part) -> Scores:
        if PHRASE in text:
            raise RuntimeError("this detector fails")
        return super().score_text(text, part)

    def growing(self, part: Part) -> GrowingPhrase:
        assert part in self.parts
        return _BreakingPhrase()


class _BreakingPhrase(GrowingPhrase):
    def add(self, text: str) -> Scores:
        if super().add(text)[Category.ANY]:
            raise RuntimeError("this detector fails")
        return _scores(False)


def _scores(found: bool) -> Scores:
    return {Category.ANY: 1.0 if found else 0.0}
