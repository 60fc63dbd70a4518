"""Slices: a text is scored in pieces of bounded length, on a grid that starts where it starts.

Where a slice lies does not depend on how the text goes on, so a growing text has the same slices
as the whole that it becomes.
"""

from collections.abc import Iterator

SLICE_CHARS = 2_000
"""Texts are scored in slices of this many characters; the highest slice speaks for the text."""

OVERLAP_CHARS = 200
"""Neighbouring slices share this much, so that a phrase on a border is seen whole by one."""

STEP_CHARS = SLICE_CHARS - OVERLAP_CHARS
"""Slice k starts at character k * STEP_CHARS, if there is text that no earlier slice holds."""

MAX_SLICES = 300
"""Work is bounded: above `MAX_CHARS`, this many slices are chosen evenly, first and last in."""

MAX_CHARS = OVERLAP_CHARS + MAX_SLICES * STEP_CHARS
"""Up to here (540,200 characters) every character is scored; beyond, the text is sampled."""


def slices(text: str) -> Iterator[str]:
    """Cut a text into overlapping slices: at least one, at most `MAX_SLICES`."""
    last = -(-max(0, len(text) - SLICE_CHARS) // STEP_CHARS)
    count = min(last + 1, MAX_SLICES)
    for number in range(count):
        start = STEP_CHARS * (last * number // (count - 1) if count > 1 else 0)
        yield text[start : start + SLICE_CHARS]
