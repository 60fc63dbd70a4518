"""Rules matched against one window of a text: one matcher for each kind of key.

A matcher's `found` gives the numbers of the rules it finds, its `spans` where a found rule stands:
most texts match nothing, so places are looked for only when somebody asks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from detectors.rules import fuzzy
from detectors.rules.engine import MOST_SPANS, Pattern, PatternSet, Span
from detectors.rules.rule import Form, Rule
from detectors.rules.secret_formats import FORMATS
from detectors.rules.views import View


class Matcher(Protocol):
    """Finds the rules that have one kind of key."""

    def found(self, view: View) -> Iterable[int]:
        """Return the numbers of the rules that match a window."""
        ...

    def spans(self, rule: int, view: View) -> Iterator[Span]:
        """Yield where a rule matches, in characters of the text; at most `MOST_SPANS` places."""
        ...


class Patterns:
    """All patterns of one form of text."""

    def __init__(self, rules: Sequence[Rule], form: Form) -> None:
        pairs = [
            (number, rule.flagged(pattern))
            for number, rule in enumerate(rules)
            if rule.text is form
            for pattern in rule.pattern
        ]
        self._is_raw = form is Form.RAW
        self._rules = [number for number, _ in pairs]
        self._set = PatternSet([pattern for _, pattern in pairs])

    def found(self, view: View) -> Iterable[int]:
        """Return the numbers of the rules that match a window."""
        return [self._rules[it] for it in self._set.found_in(self._text(view))]

    def spans(self, rule: int, view: View) -> Iterator[Span]:
        """Yield where a rule matches."""
        on_text = view.raw_span if self._is_raw else view.normalised_span
        for number, owner in enumerate(self._rules):
            if owner == rule:
                yield from map(on_text, self._set.spans(number, self._text(view)))

    def _text(self, view: View) -> bytes:
        return view.raw if self._is_raw else view.normalised


class Secrets:
    """All formats of secrets that rules ask for; what a pattern finds is checked."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._names = list(dict.fromkeys(name for rule in rules for name in rule.secret))
        self._rules = {
            name: [number for number, rule in enumerate(rules) if name in rule.secret]
            for name in self._names
        }
        self._set = PatternSet([FORMATS[name].pattern for name in self._names])
        self._patterns = {name: Pattern(FORMATS[name].pattern) for name in self._names}

    def found(self, view: View) -> Iterable[int]:
        """Return the numbers of the rules that match a window."""
        for number in self._set.found_in(view.raw):
            name = self._names[number]
            if next(self._of(name, view), None):
                yield from self._rules[name]

    def spans(self, rule: int, view: View) -> Iterator[Span]:
        """Yield where a rule matches."""
        for name in self._names:
            if rule in self._rules[name]:
                yield from map(view.raw_span, islice(self._of(name, view), MOST_SPANS))

    def _of(self, name: str, view: View) -> Iterator[Span]:
        for span, secret in self._patterns[name].groups(view.raw):
            if FORMATS[name].check(secret):
                yield span


class FuzzyTexts:
    """All signatures; each file of them is looked at once a window."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules: Mapping[int, tuple[fuzzy.Signatures, float]] = {
            number: (rule.fuzzy.signatures, rule.fuzzy.least)
            for number, rule in enumerate(rules)
            if rule.fuzzy
        }

    def found(self, view: View) -> Iterable[int]:
        """Return the numbers of the rules that match a window."""
        if not self._rules:
            return
        sketch = fuzzy.sketch_of(view.normalised)
        for number, (signatures, least) in self._rules.items():
            if signatures.highest(sketch) >= least:
                yield number

    def spans(self, rule: int, view: View) -> Iterator[Span]:
        """Yield from the first to the last run of words that is known."""
        if rule in self._rules:
            yield view.normalised_span(self._rules[rule][0].span(view.normalised))


class Canaries:
    """All canaries."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = {number: it.canary for number, it in enumerate(rules) if it.canary}

    def found(self, view: View) -> Iterable[int]:
        """Return the numbers of the rules that match a window."""
        return [n for n, canary in self._rules.items() if canary.found_in(view.normalised)]

    def spans(self, rule: int, view: View) -> Iterator[Span]:
        """Yield where a rule matches."""
        if rule in self._rules:
            places = islice(self._rules[rule].spans(view.normalised), MOST_SPANS)
            yield from map(view.normalised_span, places)


def matchers_of(rules: Sequence[Rule]) -> list[Matcher]:
    """Return what finds the rules, by their place in the sequence."""
    return [
        Patterns(rules, Form.NORMALISED),
        Patterns(rules, Form.RAW),
        Secrets(rules),
        FuzzyTexts(rules),
        Canaries(rules),
    ]
