"""Spans: a text is scored whole up to a limit, and beyond in pieces that are chosen evenly."""

from collections.abc import Iterator

SPAN_CHARS = 18_000
SPANS = 30
MAX_CHARS = SPAN_CHARS * SPANS
"""Up to here (540,000 characters) every character is scored; beyond, the text is sampled."""


def spans(text: str) -> Iterator[str]:
    """Give the whole text, or of one over `MAX_CHARS` so many spans, first and last included."""
    if len(text) <= MAX_CHARS:
        yield text
        return
    last = len(text) - SPAN_CHARS
    for number in range(SPANS):
        start = last * number // (SPANS - 1)
        yield text[start : start + SPAN_CHARS]
