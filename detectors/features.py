"""Words and pairs of neighbouring words of a text, hashed: what the lexical detector looks at.

Plain Python on purpose: training and scoring share this one function, so they cannot drift
apart, and it costs about as much for one text as for one text of a batch.
"""

import re
import unicodedata
from itertools import pairwise
from zlib import crc32

BUCKETS = 1 << 18
"""How many features there are; a power of two."""

# Characters that are not seen, and that are used to hide words: soft hyphen, zero-width spaces
# and joiners, direction marks, variation selectors, tags.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)

# Scripts written without spaces (Thai, Lao, Burmese, Khmer, Kana, Han): a character is a word.
_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# Elsewhere a word may hold marks that `\w` leaves out (combining, Hebrew, Arabic, Indic).
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_WORD = re.compile(f"[{_ALONE}]|[^\\W{_ALONE}]+(?:[{_MARKS}]+[^\\W{_ALONE}]*)*")
_ASCII_WORD = re.compile(rb"\w+")  # finds what _WORD finds in an ASCII text, twice as fast

_MASK = BUCKETS - 1
_PAIR = 0x9E3779B1  # odd and far from a power of two, so that "a b" and "b a" fall apart


def normalise(text: str) -> str:
    """Fold what looks the same into one form: NFKC, without invisible characters, casefolded.

    CPython's normalisation takes quadratic time in a run of combining marks: pass slices of
    bounded length.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()


def words(text: str) -> list[bytes]:
    """Return the words of a normalised text, in order, as UTF-8."""
    if text.isascii():
        return _ASCII_WORD.findall(text.encode())
    return [word.encode() for word in _WORD.findall(text)]


def buckets(text: str) -> set[int]:
    """Return the buckets, each in [0, BUCKETS), of the words and word pairs of `text`."""
    hashes = list(map(crc32, words(normalise(text))))
    found = {value & _MASK for value in hashes}
    found.update([(a * _PAIR + b) & _MASK for a, b in pairwise(hashes)])
    return found
