"""An example of a detector: long answers to short prompts, which may be what a model recites."""

import math
from collections.abc import Mapping, Sequence

from detectors.api import Category, Part, Sample


class LengthDetector:
    """Scores how much longer an answer is than its prompt."""

    parts = frozenset({Part.EXCHANGE})

    def __init__(self, name: str, doubtful_ratio: float) -> None:
        self.name = name
        self.version = f"1-{doubtful_ratio:g}"  # changes whenever a score could
        self._doubtful_ratio = doubtful_ratio

    def score(self, samples: Sequence[Sample]) -> Sequence[Mapping[Category, float]]:
        """Return a mapping for each sample, in order: category → probability."""
        return [{Category.OTHER: self._probability(sample)} for sample in samples]

    def _probability(self, sample: Sample) -> float:
        ratio = (len(sample.text) + 1) / (len(sample.prompt) + 1)
        return 1 / (1 + math.exp(-math.log(ratio / self._doubtful_ratio)))


def make(name: str, doubtful_ratio: float = 50.0) -> LengthDetector:
    """What the settings name: called with the name that they give, and their options."""
    return LengthDetector(name, doubtful_ratio)
