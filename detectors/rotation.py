"""Finds what is written in rot13: around its most frequent words of English, which are no words.

What is found is a text of its own, as in `decoding`: what `Unrotating` gives for pieces, put
together, is what it gives for the whole, wherever it was cut.
"""

import re
from collections.abc import Sequence
from typing import Final

_WORDS = "gur naq lbh ubj sbe gung jvgu guvf sebz lbhe unir jung vagb jvyy jura znxr tvir"
HINTS: Final = frozenset(_WORDS.split())
"""The, and, you, how, for, that, with, this, from, your, have, what, into, will, when, make, give.

Of 30,000 prompts that were not in rot13 three had one of them.
"""

REACH: Final = 160
"""So many characters on either side of a hint are read."""

_LONGEST_HINT: Final = max(map(len, HINTS))
_TOKEN_OR_SPACE: Final = re.compile(r"\S+|\s+")
_SMALL, _LARGE = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROT13: Final = str.maketrans(
    _SMALL + _LARGE, _SMALL[13:] + _SMALL[:13] + _LARGE[13:] + _LARGE[:13]
)


def rot13(text: str) -> str:
    """Move each Latin letter by thirteen places."""
    return text.translate(_ROT13)


def may_be_rotated(words: Sequence[str]) -> bool:
    """Say no of a text, split at spaces, where no hint is."""
    return not HINTS.isdisjoint(map(str.lower, words))


def unrotate(text: str) -> str:
    """Return what a whole text says in rot13."""
    return Unrotating().add(text)


class Unrotating:
    """Reads a text that comes piece by piece; its memory is bounded."""

    __slots__ = ("_before", "_left", "_word")

    def __init__(self) -> None:
        self._before = ""  # the last characters, which no hint has reached
        self._left = 0  # so many of those to come are reached
        self._word = ""  # the beginning of the word so far

    def add(self, text: str) -> str:
        """Append text, and return what is found by it; a hint counts once its word has ended."""
        found = []
        for piece in _TOKEN_OR_SPACE.findall(text):
            if piece[0].isspace():
                if self._word.lower() in HINTS:
                    found.append(self._reach())
                self._word = ""
            else:
                self._word = (self._word + piece)[: _LONGEST_HINT + 1]
            found.append(self._read(piece))
        return rot13("".join(found))

    def _reach(self) -> str:
        before, self._before, self._left = self._before, "", REACH
        return f" {before}" if before else ""

    def _read(self, piece: str) -> str:
        reached = piece[: self._left]
        self._left -= len(reached)
        self._before = (self._before + piece[len(reached) :])[-REACH:]
        return reached
