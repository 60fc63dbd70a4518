"""A text as rules look at it: in windows, as it stands and normalised."""

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate

from detectors.features import normalise
from detectors.rules.engine import Span

WINDOW = 1 << 18
"""Characters that are looked at together: bounds the memory that a text of any length takes."""
OVERLAP = 1 << 14
"""Characters that a window shares with the one before it; a longer match may be missed there."""

_BLOCK = 256  # characters that are normalised together to find a place


# Unfolds to more than any other, and is frequent in Arabic: done beforehand, NFKC is left with a
# text that it only looks through, and all of it takes half the time.
_LIGATURE = "\ufdfa"
_UNFOLDED = unicodedata.normalize("NFKC", _LIGATURE)

_Form = Callable[[str], bytes]


def _raw(text: str) -> bytes:
    return text.encode(errors="replace")


def _normalised(text: str) -> bytes:
    return normalise(text.replace(_LIGATURE, _UNFOLDED)).encode(errors="replace")


class View:
    """One window of a text; each form is made when a rule first asks for it."""

    def __init__(self, text: str, start: int = 0) -> None:
        self.text = text
        self.start = start
        """Where the window starts in its text, in characters."""

    @cached_property
    def raw(self) -> bytes:
        """As it stands, in UTF-8; a lone surrogate becomes a question mark."""
        return _raw(self.text)

    @cached_property
    def normalised(self) -> bytes:
        """Normalised, in UTF-8."""
        return self.raw.lower() if self.text.isascii() else _normalised(self.text)

    def raw_span(self, span: Span) -> Span:
        """Turn a span in bytes of `raw` into one in characters of the text."""
        return self._in_text(span, self._ends_in_raw, _raw)

    def normalised_span(self, span: Span) -> Span:
        """Turn a span in bytes of `normalised` into about the one in characters of the text.

        It is the place up to which the text normalises to as many bytes.
        """
        return self._in_text(span, self._ends_in_normalised, _normalised)

    def _in_text(self, span: Span, ends: Sequence[int], form: _Form) -> Span:
        if self.text.isascii():
            return span[0] + self.start, span[1] + self.start
        start, end = (self._character_at(byte, ends, form) for byte in span)
        return start + self.start, max(start, end) + self.start

    def _character_at(self, byte: int, ends: Sequence[int], form: _Form) -> int:
        """Find the block by where each ends, then the character in it: quick in a long text."""
        block = min(bisect_left(ends, byte), len(ends) - 1)
        start = block * _BLOCK
        text = self.text[start : start + _BLOCK]
        rest = byte - (ends[block - 1] if block else 0)
        return start + bisect_left(range(len(text)), rest, key=lambda size: len(form(text[:size])))

    @cached_property
    def _ends_in_raw(self) -> Sequence[int]:
        return self._ends(_raw)

    @cached_property
    def _ends_in_normalised(self) -> Sequence[int]:
        return self._ends(_normalised)

    def _ends(self, form: _Form) -> Sequence[int]:
        blocks = range(0, len(self.text), _BLOCK)
        return list(accumulate(len(form(self.text[at : at + _BLOCK])) for at in blocks))


def views(text: str) -> Iterator[View]:
    """Cut a text into windows that overlap; most texts are one."""
    if len(text) <= WINDOW:
        yield View(text)
        return
    for start in range(0, len(text) - OVERLAP, WINDOW - OVERLAP):
        yield View(text[start : start + WINDOW], start)
