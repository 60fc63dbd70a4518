"""RE2, the only engine that rules are matched by: linear in the text, whatever the pattern.

No other file imports it. Its wrapper for Python has no types.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import re2  # type: ignore[import-not-found,import-untyped,unused-ignore]

Span = tuple[int, int]
"""Start and end in bytes or characters, as its owner says."""

MOST_TOGETHER = 1_000
"""So many patterns share a filter: RE2 gives each the same memory."""
MOST_SPANS = 100
"""So many places of one pattern are told: each costs a search of its own."""


def _options() -> Any:  # noqa: ANN401 - the wrapper has no types
    options = re2.Options()
    options.log_errors = False  # it would write patterns to stderr; the exception says the same
    return options


class Pattern:
    """One pattern; raises `ValueError` with RE2's own words where it is none."""

    __slots__ = ("_regexp",)

    def __init__(self, pattern: str) -> None:
        try:
            self._regexp = re2.compile(pattern.encode(errors="replace"), _options())
        except re2.error as error:
            raise ValueError(_words_of(error)) from None

    def found_in(self, text: bytes) -> bool:
        """Say whether it is anywhere in UTF-8 text."""
        return self._regexp.search(text) is not None

    def groups(self, text: bytes) -> Iterator[tuple[Span, bytes]]:
        """Yield where it is found and its first group, or where it has none all of it.

        Linear as long as the pattern looks no further than its match goes.
        """
        for match in self._regexp.finditer(text):
            group = 1 if self._regexp.groups and match.span(1)[0] >= 0 else 0
            start, end = match.span(group)
            yield (start, end), text[start:end]


class PatternSet:
    """Many patterns found in about one pass for each thousand of them.

    RE2's filter looks for the literals that patterns cannot do without, all at once, and runs
    only the patterns whose literals are there. A pattern without a literal is run each time.
    """

    __slots__ = ("_filters",)

    def __init__(self, patterns: Sequence[str]) -> None:
        encoded = [pattern.encode(errors="replace") for pattern in patterns]
        self._filters = [
            (start + first, compiled)
            for start in range(0, len(encoded), MOST_TOGETHER)
            for first, compiled in _filters(encoded[start : start + MOST_TOGETHER])
        ]

    def found_in(self, text: bytes) -> Sequence[int]:
        """Return the numbers, in order, of the patterns that are anywhere in UTF-8 text."""
        return [
            first + number
            for first, compiled in self._filters
            for number in sorted(compiled.Match(text) or ())
        ]

    def spans(self, number: int, text: bytes) -> list[Span]:
        """Return where a pattern is found, in bytes; of very many places the first."""
        first, compiled = [it for it in self._filters if it[0] <= number][-1]
        places = islice(compiled.re(number - first).finditer(text), MOST_SPANS)
        return [match.span() for match in places]


def _filters(patterns: Sequence[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield filters, each with the number of its first pattern; more where one has no room."""
    compiled = re2.Filter()
    for pattern in patterns:
        compiled.Add(pattern, _options())
    try:
        compiled.Compile()
        yield 0, compiled
    except re2.error:
        if len(patterns) == 1:
            raise
        half = len(patterns) // 2
        yield from _filters(patterns[:half])
        yield from ((half + first, it) for first, it in _filters(patterns[half:]))


def _words_of(error: Exception) -> str:
    found = error.args[0] if error.args else error
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)
