from collections.abc import Mapping, Sequence

from detectors import lexical
from detectors.api import Category, Part, Sample
from detectors.cost import ANSWER_CHARS, BATCH, TEXT_CHARS, measure


class Counting:
    """Notes the sizes of what it is given."""

    name = "counting"
    version = "1"
    parts = frozenset({Part.PROMPT, Part.EXCHANGE})

    def __init__(self) -> None:
        self.batches: set[int] = set()
        self.sizes: set[tuple[Part, int, int]] = set()

    def score(self, samples: Sequence[Sample]) -> list[Mapping[Category, float]]:
        self.batches.add(len(samples))
        self.sizes.update((it.part, len(it.text), len(it.prompt)) for it in samples)
        return [{Category.ANY: 0.5} for _ in samples]


def test_any_detector_is_measured_alone_in_batches_and_on_exchanges() -> None:
    detector = Counting()

    cost = measure(detector)

    assert detector.batches == {1, BATCH}
    assert detector.sizes == {
        (Part.PROMPT, TEXT_CHARS, 0),
        (Part.EXCHANGE, ANSWER_CHARS, TEXT_CHARS),
    }
    assert cost.engine == ""
    assert cost.single_us > 0
    assert cost.thousand_exchanges_s > 0


def test_an_inline_detector_says_what_runs_it() -> None:
    detector = lexical.load()

    assert measure(detector).engine == detector.engine
