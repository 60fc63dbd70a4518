"""A detector of readings that takes the log-odds of its first probe for what they say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.api import Category, Part, Reading, Sample

NAME: Final = "inside"
PROBES: Final = "a" * 64
LEAST_READ: Final = 8
Scores = Mapping[Category, float]


@dataclass(frozen=True, slots=True)
class InsideDetector:
    """Understands readings of `PROBES` of at least `LEAST_READ` tokens."""

    name: str = NAME
    version: str = "1"
    parts: frozenset[Part] = frozenset({Part.PROMPT, Part.ANSWER})
    probes: str = PROBES
    categories: frozenset[Category] = frozenset({Category.ANY})

    def categories_of(self, part: Part) -> frozenset[Category]:
        return self.categories if part in self.parts else frozenset()

    def understands(self, reading: Reading | None) -> bool:
        return reading is not None and reading.probes == self.probes and reading.read >= LEAST_READ

    def score_reading(self, reading: Reading, part: Part) -> Scores:
        assert self.understands(reading)
        if part not in self.parts:
            return {}
        return {Category.ANY: 1 / (1 + math.exp(-reading.log_odds[0]))}

    def score(self, samples: Sequence[Sample]) -> list[Scores]:
        return [{} for _ in samples]
