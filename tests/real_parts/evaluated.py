"""Two detectors that were evaluated side by side, on rows of stand-ins."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from detectors.api import Category, Part, Sample
from detectors.comparison import Evaluated, evaluate_all
from detectors.data import Row
from detectors.estimates import Needs, Options

OPTIONS = Options(needs=Needs(rows=10, above=1), battery_rows=15)


class Hashing:
    """Finds stand-ins for misuse, but for some: a hash of the text decides."""

    version = "1"

    def __init__(self, name: str, parts: frozenset[Part]) -> None:
        self.name = name
        self.parts = parts

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        return [{Category.ANY: self._score(it.text), Category.CYBER: 0.5} for it in samples]

    def _score(self, text: str) -> float:
        return 0.4 * ("badthing" in text) + 0.6 * crc32(text.encode()) / 2**32


def rows_of(answer: str | None) -> list[Row]:
    return [
        Row(f"{source}-{n}", f"{word} secretword {n}", label, source, "MIT", answer, ("cyber",))
        for source, label, word in (("calm |<b>", 0, "bake"), ("loud", 1, "badthing"))
        for n in range(120)
    ]


def two_evaluated() -> list[Evaluated]:
    """Evaluate one that scores prompts, and one that scores answers too."""
    detectors = [
        Hashing("first <i>", frozenset({Part.PROMPT})),
        Hashing("second", frozenset({Part.PROMPT, Part.ANSWER})),
    ]
    rows = [*rows_of(None), *rows_of("an answer")]
    return evaluate_all(detectors, rows, lambda _: None, OPTIONS)
