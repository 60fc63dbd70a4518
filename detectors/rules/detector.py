"""The detector `rules`: how sure its author was of the surest rule that matches."""

from collections.abc import Sequence
from dataclasses import dataclass

from detectors import api
from detectors.api import Category, Part, Sample
from detectors.rules import NAME
from detectors.rules.book import Book
from detectors.rules.rule import Rule

FLOOR = 0.01
"""The score where no rule matches: rules know little of what they were not written for."""

_SCORING = 1  # raise it when the same rules begin to give other scores


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that matched, and where: for people who look into a case."""

    rule: str
    category: Category
    probability: float
    start: int
    """In characters of the text; of an encoded text where it stands encoded."""
    end: int
    through: tuple[str, ...]
    """How what matched was encoded, outermost first; mostly not at all."""


class Rules:
    """A `Detector` made of rules; what it scores depends on nothing but the text and the rules."""

    def __init__(self, rules: Sequence[Rule], digest: str, name: str = NAME) -> None:
        self.name = name
        self.rules = tuple(rules)
        self._version = f"{_SCORING}-{digest[:12]}"
        self._books = {part: Book([it for it in rules if part in it.parts]) for part in Part}
        self.categories = frozenset({Category.ANY, *(rule.category for rule in rules)})
        """What it gives scores for."""

    @property
    def version(self) -> str:
        """Changes with the rule files, their signatures, and what is made of them."""
        return self._version

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that rules speak of."""
        return frozenset(part for part, book in self._books.items() if book.rules)

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return for each category the highest probability of its rules that match, or the floor.

        `ANY` is the highest of all.
        """
        return [self._scores(sample) for sample in samples]

    def matching(self, sample: Sample) -> list[Rule]:
        """Return the rules that match."""
        book = self._books[sample.part]
        return [book.rules[number] for number in sorted(book.found(sample.text, sample.prompt))]

    def reasons(self, sample: Sample) -> list[api.Reason]:
        """Return the rules that match, the surest first; never a word of the text."""
        found = sorted(self.matching(sample), key=lambda it: (-it.probability, it.id))
        return [api.Reason("rule", it.id, it.category, it.probability) for it in found]

    def _scores(self, sample: Sample) -> dict[Category, float]:
        scores = dict.fromkeys(sorted(self.categories), FLOOR)
        for rule in self.matching(sample):
            for category in (rule.category, Category.ANY):
                scores[category] = max(scores[category], rule.probability)
        return scores

    def explain(self, text: str, part: Part, prompt: str = "") -> list[Reason]:
        """Return which rules match and where, in the order of the text.

        Positions are exact where the text is ASCII or the rule looks at it as it stands; elsewhere
        they may be off by the characters that normalising takes together.
        """
        book = self._books[part]
        return [
            Reason(
                book.rules[place.rule].id,
                book.rules[place.rule].category,
                book.rules[place.rule].probability,
                *place.span,
                tuple(map(str, place.through)),
            )
            for place in book.places(text, prompt)
        ]
