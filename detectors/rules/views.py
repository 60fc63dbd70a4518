"""A text as rules look at it: in windows, as it stands and normalised."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property

from detectors.features import normalise
from detectors.rules.engine import Span

WINDOW = 1 << 18
"""Characters that are looked at together: bounds the memory that a text of any length takes."""
OVERLAP = 1 << 14
"""Characters that a window shares with the one before it; a longer match may be missed there."""


class View:
    """One window of a text; each form is made when a rule first asks for it."""

    def __init__(self, text: str, start: int = 0) -> None:
        self.text = text
        self.start = start
        """Where the window starts in its text, in characters."""

    @cached_property
    def raw(self) -> bytes:
        """As it stands, in UTF-8; a lone surrogate becomes a question mark."""
        return self.text.encode(errors="replace")

    @cached_property
    def normalised(self) -> bytes:
        """Normalised, in UTF-8."""
        return (
            self.raw.lower()
            if self.text.isascii()
            else normalise(self.text).encode(errors="replace")
        )

    def raw_span(self, span: Span) -> Span:
        """Turn a span in bytes of `raw` into one in characters of the text."""
        if self.text.isascii():
            return span[0] + self.start, span[1] + self.start
        before = len(self.raw[: span[0]].decode(errors="ignore"))
        inside = len(self.raw[span[0] : span[1]].decode(errors="ignore"))
        return before + self.start, before + inside + self.start

    def normalised_span(self, span: Span) -> Span:
        """Turn a span in bytes of `normalised` into about the one in characters of the text.

        Exact where normalising keeps the number of characters; elsewhere the place up to which
        the text normalises to as many bytes.
        """
        if self.text.isascii():
            return self.raw_span(span)
        start, end = (self._character_at(it) for it in span)
        return start + self.start, max(start, end) + self.start

    def _character_at(self, byte: int) -> int:
        def bytes_up_to(characters: int) -> int:
            return len(normalise(self.text[:characters]).encode(errors="replace"))

        return bisect_left(range(len(self.text)), byte, key=bytes_up_to)


def views(text: str) -> Iterator[View]:
    """Cut a text into windows that overlap; most texts are one."""
    if len(text) <= WINDOW:
        yield View(text)
        return
    for start in range(0, len(text) - OVERLAP, WINDOW - OVERLAP):
        yield View(text[start : start + WINDOW], start)
