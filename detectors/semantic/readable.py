"""Writes a text as a reader sees it: what people see through, a model of words stumbles over.

What is ordinary stays as it is, to the character. All takes linear time, and is a matter of
regular expressions: a text in a hundred is changed.
"""

import re
from collections.abc import Iterator
from typing import Final

from detectors.features import LOOK_ALIKES, ordered
from detectors.lexical import revealed

_LATIN: Final = {it: latin for it, latin in LOOK_ALIKES.items() if it != ord("\u03bc")}
"""Look-alike letters and the Latin ones, but for mu, which is a unit's prefix."""
_LOOK_ALIKE: Final = f"[{''.join(map(chr, _LATIN))}]"
_WITH_LOOK_ALIKES: Final = re.compile(f"[A-Za-z]*{_LOOK_ALIKE}(?:{_LOOK_ALIKE}|[A-Za-z])*")
_LATIN_LETTER: Final = re.compile("[A-Za-z]")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_LEET: Final = str.maketrans("01345678", "oieasgtb")
_LEET_WORD: Final = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]*[013457][A-Za-z0-9]*"
)
_CAPITAL_INSIDE: Final = re.compile(r"(?<=[A-Za-z])[A-Z]")
_LETTER_INSIDE: Final = re.compile(r"(?<=[A-Za-z])[A-Za-z]")
_SPACES: Final = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")

MIXED_SHARE: Final = 0.3
"""A text in which so many of the words with look-alikes mix alphabets is in disguise: all of its
look-alikes are read as Latin letters, else those in such words alone."""
LEET_SHARE: Final = 0.3
"""A text of which so many words hold digits among letters is read as if those were letters."""
CAPITALS_SHARE: Final = 0.4
"""A text of which so many letters within words are capitals is read in small letters."""
LEAST_WORDS: Final = 4
LEAST_LETTERS: Final = 20
"""A text with fewer words, or letters within words, says too little of how it is written."""


def readings(text: str) -> Iterator[str]:
    """Yield a text as a reader sees it, and after it what it hides in encodings and in rot13.

    Where letters were guessed, what is seen without guessing is yielded, too: a formula may look
    like letters in disguise.
    """
    seen = _seen(text)
    guessed = _guessed(seen)
    yield _small(guessed)
    if guessed != seen:
        yield _small(seen)
    for hidden in revealed(text):
        if hidden.strip():
            yield readable(hidden)


def readable(text: str) -> str:
    """Return a text without disguises of its letters."""
    return _small(_guessed(_seen(text)))


def _seen(text: str) -> str:
    """Return a text without what is not seen."""
    return _SPACES.sub(" ", text if text.isascii() else ordered(text))


def _guessed(text: str) -> str:
    return _without_digits(text if text.isascii() else _in_latin(text))


def _in_latin(text: str) -> str:
    words = _WITH_LOOK_ALIKES.findall(text)
    mixed = sum(_LATIN_LETTER.search(it) is not None for it in words)
    if not mixed:
        return text
    if mixed >= MIXED_SHARE * len(words):
        return text.translate(_LATIN)
    return _WITH_LOOK_ALIKES.sub(_translated_if_mixed, text)


def _translated_if_mixed(found: re.Match[str]) -> str:
    word = found[0]
    return word.translate(_LATIN) if _LATIN_LETTER.search(word) else word


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
