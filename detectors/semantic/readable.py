"""Writes a text as a reader sees it: what people see through, a model of words stumbles over.

What is ordinary stays as it is, to the character. All takes linear time, and is a matter of
regular expressions: a text in a hundred is changed.
"""

import re
from collections.abc import Iterator
from typing import Final

from detectors.features import LOOK_ALIKES, ordered
from detectors.lexical import revealed

_LOOK_ALIKE: Final = f"[{''.join(map(chr, LOOK_ALIKES))}]"
_MIXED_ALPHABETS: Final = re.compile(f"[A-Za-z]{_LOOK_ALIKE}|{_LOOK_ALIKE}[A-Za-z]")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_LEET: Final = str.maketrans("01345678", "oieasgtb")
_LEET_WORD: Final = re.compile(r"(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]*[013457][A-Za-z0-9]*")
_CAPITAL_INSIDE: Final = re.compile(r"(?<=[A-Za-z])[A-Z]")
_LETTER_INSIDE: Final = re.compile(r"(?<=[A-Za-z])[A-Za-z]")
_SPACES: Final = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")

LEET_SHARE: Final = 0.3
"""A text of which so many words hold digits among letters is read as if those were letters."""
CAPITALS_SHARE: Final = 0.4
"""A text of which so many letters within words are capitals is read in small letters."""
LEAST_WORDS: Final = 4
LEAST_LETTERS: Final = 20
"""A text with fewer words, or letters within words, says too little of how it is written."""


def readings(text: str) -> Iterator[str]:
    """Yield a text as a reader sees it, and after it what it hides in encodings and in rot13."""
    yield readable(text)
    for hidden in revealed(text):
        if hidden.strip():
            yield readable(hidden)


def readable(text: str) -> str:
    """Return a text without disguises of its letters."""
    if not text.isascii():
        text = _plain_letters(text)
    return _small(_without_digits(_SPACES.sub(" ", text)))


def _plain_letters(text: str) -> str:
    """Take out what is not seen, and where alphabets are mixed in a word, write Latin letters."""
    seen = ordered(text)
    return seen.translate(LOOK_ALIKES) if _MIXED_ALPHABETS.search(seen) else seen


def _without_digits(text: str) -> str:
    words = len(_WORD.findall(text))
    if words < LEAST_WORDS or len(_LEET_WORD.findall(text)) < LEET_SHARE * words:
        return text
    return text.translate(_LEET)


def _small(text: str) -> str:
    inside = len(_LETTER_INSIDE.findall(text))
    if inside < LEAST_LETTERS or len(_CAPITAL_INSIDE.findall(text)) < CAPITALS_SHARE * inside:
        return text
    return text.lower()
