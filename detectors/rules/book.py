"""The rules for one part of an exchange, matched all at once."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from detectors.features import normalise
from detectors.rules.encoded import DEPTH, Kind, Payload, payloads
from detectors.rules.engine import MOST_SPANS, PatternSet, Span
from detectors.rules.matchers import matchers_of
from detectors.rules.rule import Rule
from detectors.rules.views import View, views

_BETWEEN = "\n\x00\n"  # between decoded texts: spaces of a pattern do not lead over it


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule, given by its number, matched."""

    rule: int
    span: Span
    """In characters of the text."""
    said: str
    """What stands there; of an encoded text what it says."""
    through: tuple[Kind, ...] = ()
    """How it was encoded, outermost first."""


class Book:
    """Rules that look at the same part."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._matchers = matchers_of(rules)
        self._encoded: Mapping[Kind, list[int]] = {
            kind: [n for n, rule in enumerate(rules) if kind in rule.encoded] for kind in Kind
        }
        self._asked = [n for n, rule in enumerate(rules) if rule.prompt_pattern]
        self._prompts = PatternSet([rules[n].flagged(rules[n].prompt_pattern) for n in self._asked])

    def found(self, text: str, prompt: str = "") -> set[int]:
        """Return the numbers of the rules that match a text, beside a prompt where there is one."""
        found = self._found(text, 0)
        if found:
            found -= self._unasked(found, prompt)
            found -= {n for n in found if self._is_echo(n, text, prompt)}
        return found

    def places(self, text: str, prompt: str = "") -> list[Place]:
        """Return where the rules of `found` match, in the order of the text."""
        found = self.found(text, prompt)
        places = dict.fromkeys(self._places(text, found, 0))  # windows overlap
        return sorted(places, key=lambda place: (place.span, place.rule))

    def _found(self, text: str, depth: int) -> set[int]:
        found: set[int] = set()
        decoded: list[str] = []
        for view in views(text):
            for matcher in self._matchers:
                found.update(matcher.found(view))
            for payload in payloads(view):
                found.update(self._encoded[payload.kind])
                decoded.append(payload.text)
        if decoded and depth < DEPTH:
            found |= self._found(_BETWEEN.join(decoded), depth + 1)
        return found

    def _places(self, text: str, rules: set[int], depth: int) -> Iterator[Place]:
        decoded: list[Payload] = []
        for view in views(text):
            yield from self._places_in(view, text, rules)
            for payload in payloads(view):
                decoded.append(payload)
                for number in rules.intersection(self._encoded[payload.kind]):
                    yield Place(number, payload.span, payload.text, (payload.kind,))
        if decoded and depth < DEPTH:
            yield from self._places_inside(decoded, rules, depth + 1)

    def _places_in(self, view: View, text: str, rules: set[int]) -> Iterator[Place]:
        for matcher in self._matchers:
            for number in rules.intersection(matcher.found(view)):
                for start, end in matcher.spans(number, view):
                    yield Place(number, (start, end), text[start:end])

    def _places_inside(
        self, decoded: Sequence[Payload], rules: set[int], depth: int
    ) -> Iterator[Place]:
        """Yield what matches in decoded texts, at the places of what was decoded."""
        starts = [0, *accumulate(len(it.text) + len(_BETWEEN) for it in decoded)]
        text = _BETWEEN.join(it.text for it in decoded)
        for place in self._places(text, rules, depth):
            outer = decoded[bisect_right(starts, place.span[0]) - 1]
            through = (outer.kind, *place.through)
            yield Place(place.rule, outer.span, place.said, through)

    def _unasked(self, found: set[int], prompt: str) -> set[int]:
        """Return the rules that ask for a prompt of another kind."""
        asking = found.intersection(self._asked)
        if not asking:
            return set()
        there = {self._asked[n] for n in _found_in_any(self._prompts, views(prompt))}
        return asking - there

    def _is_echo(self, number: int, text: str, prompt: str) -> bool:
        """Say whether all that a rule found stands in the prompt as well, where the rule asks."""
        if not self.rules[number].unless_in_prompt:
            return False
        known = normalise(prompt)
        places = list(self._places(text, {number}, 0))
        return len(places) < MOST_SPANS and all(normalise(it.said) in known for it in places)


def _found_in_any(patterns: PatternSet, windows: Iterable[View]) -> set[int]:
    return {number for view in windows for number in patterns.found_in(view.normalised)}
