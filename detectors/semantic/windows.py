"""Windows: a text is read in overlapping runs of tokens, each of a length that a model knows.

Tokenising and encoding both cost time in proportion to what is read, so both are bounded: above
`MAX_CHARS` a text is sampled before it is tokenised, above `MAX_TOKENS` before it is encoded.
Samples lie evenly, first and last included.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

Tokenise = Callable[[str], Sequence[int]]
Tokens = tuple[int, ...]

PIECE_CHARS: Final = 1_000
"""A text is tokenised in pieces of this many characters: a word without end stays cheap."""

MAX_PIECES: Final = 200
"""So many pieces are tokenised at most."""

MAX_CHARS: Final = MAX_PIECES * PIECE_CHARS
"""Up to here every character is tokenised; of a longer text `MAX_PIECES` pieces are."""

WINDOW_TOKENS: Final = 192
OVERLAP_TOKENS: Final = 32
STEP_TOKENS: Final = WINDOW_TOKENS - OVERLAP_TOKENS

MAX_WINDOWS: Final = 64
"""So many windows are encoded at most."""

LEAST_WINDOWS: Final = 2
"""The first and the last."""

MAX_TOKENS: Final = OVERLAP_TOKENS + MAX_WINDOWS * STEP_TOKENS
"""Up to here every token is encoded (10,272 tokens, some 45,000 characters of English)."""

PARAGRAPH_CHARS: Final = 700
"""Paragraphs that follow each other are read together up to here: less than a window's worth."""

_BLANK_LINES: Final = re.compile(r"\n\s*\n")


def pieces(text: str) -> Iterator[str]:
    """Cut a text into at most `MAX_PIECES` pieces of at most `PIECE_CHARS` characters."""
    for number in evenly(-(-len(text) // PIECE_CHARS), MAX_PIECES):
        yield text[number * PIECE_CHARS : (number + 1) * PIECE_CHARS]


def sampled(text: str) -> str:
    """Return a text, or of one over `MAX_CHARS` the pieces that are read."""
    return text if len(text) <= MAX_CHARS else "".join(pieces(text))


def tokens_of(text: str, tokenise: Tokenise) -> Tokens:
    """Return the tokens of a text's pieces, one after the other."""
    return tuple(chain.from_iterable(map(tokenise, pieces(text))))


def windows(tokens: Tokens, most: int = MAX_WINDOWS) -> list[Tokens]:
    """Cut tokens into at most `most` windows, `LEAST_WINDOWS` or more; no token makes no window.

    All but the only window of a short text hold `WINDOW_TOKENS` tokens: the last begins earlier
    than the grid says, so that it is no stump.
    """
    if not tokens:
        return []
    rest = max(0, len(tokens) - WINDOW_TOKENS)
    steps = evenly(-(-rest // STEP_TOKENS) + 1, most)
    starts = (min(number * STEP_TOKENS, rest) for number in steps)
    return [tokens[start : start + WINDOW_TOKENS] for start in starts]


def paragraphs(text: str) -> list[str]:
    """Cut a text at blank lines; neighbours stay together up to `PARAGRAPH_CHARS` characters."""
    found: list[str] = []
    for one in filter(str.strip, _BLANK_LINES.split(text)):
        if found and len(found[-1]) + len(one) <= PARAGRAPH_CHARS:
            found[-1] = f"{found[-1]}\n\n{one}"
        else:
            found.append(one)
    return found


def evenly(count: int, most: int) -> Sequence[int]:
    """Return the numbers below `count`, or `most` of them that lie evenly, first and last in."""
    if count <= most:
        return range(count)
    return [(count - 1) * number // (most - 1) for number in range(most)]
