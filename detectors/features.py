"""Words and pairs of neighbouring words of a text, hashed: what the lexical detector looks at.

Plain Python on purpose: training and scoring share this one function, so they cannot drift
apart, and it costs about as much for one text as for one text of a batch.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

BUCKETS = 1 << 18
"""How many features there are; a power of two."""

CHARACTERS = 0x40000
"""Above this no character is in a word."""

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
# A run of characters that may be marks: only so many are put in order together, see `normalise`.
_MANY_MARKS = re.compile(r"[^\x00-\x7f\w]{32}")
_JOINER = "\u034f"  # CGJ: invisible, and normalisation moves nothing past it

# Characters that no word before them can hold, whatever follows: signs of ASCII, Thai, Lao,
# Burmese and Khmer consonants, punctuation, arrows, box drawing, dingbats, kana, Han, emoji.
_BREAKS = (
    "\x00-/:-@\\[-^`{-\xa7\u0e01-\u0e30\u0e81-\u0eb0\u1000-\u102a\u1780-\u17a2\u2010-\u2027"
    "\u2030-\u205e\u2190-\u245f\u2500-\u2775\u2794-\u2bff\u3008-\u3020\u3041-\u3096\u30a0-\u30fa"
    "\u3400-\u9fff\uf900-\ufaff\uff01-\uff0f\uff5b-\uff9d\U0001f300-\U0001faff"
    "\U00020000-\U0002fa1f"
)
_LAST_BREAK = re.compile(f"(?s:.*)(?=[{_BREAKS}])")

_WORD = re.compile(f"[{_ALONE}]|[^\\W{_ALONE}]+(?:[{_MARKS}]+[^\\W{_ALONE}]*)*")
_ASCII_WORD = re.compile(rb"\w+")  # finds what _WORD finds in an ASCII text, twice as fast

_MASK = BUCKETS - 1
_PAIR = 0x9E3779B1  # odd and far from a power of two, so that "a b" and "b a" fall apart


def normalise(text: str) -> str:
    """Fold what looks the same into one form: NFKC, without invisible characters, casefolded.

    CPython's normalisation takes quadratic time in a run of combining marks, so such a run is
    put in order 32 by 32: no writing system stacks as many, and a text of nothing else would
    stop an event loop for seconds.
    """
    if text.isascii():
        return text.lower()
    visible = _MANY_MARKS.sub(rf"\g<0>{_JOINER}", _INVISIBLE.sub("", text))
    return unicodedata.normalize("NFKC", visible).replace(_JOINER, "").casefold()


def words(text: str) -> list[bytes]:
    """Return the words of a normalised text, in order, as UTF-8."""
    if text.isascii():
        return _ASCII_WORD.findall(text.encode())
    return [word.encode() for word in _WORD.findall(text)]


def hashes(text: str) -> list[int]:
    """Return the hash of each word of `text`, in order."""
    return list(map(crc32, words(normalise(text))))


def normalised_bytes(text: str) -> bytes:
    """Return `text` for C, which folds ASCII by itself; a surrogate becomes a sign like others."""
    if text.isascii():
        return text.encode()
    return normalise(text).encode(errors="replace")


def kinds_of_characters() -> bytes:
    """Return the kind of each character below `CHARACTERS` for C, which finds words by it.

    0 is in no word, 1 continues a word, 2 also starts one, 3 is a word by itself. This is what
    `words` does: a word is one of kind 3, or one of kind 2 and all of kinds 1 and 2 after it.
    """
    kinds = bytearray(CHARACTERS)
    everything = "".join(map(chr, range(CHARACTERS)))
    for kind, pattern in enumerate((_MARKS, r"\w", _ALONE), start=1):
        for found in re.finditer(f"[{pattern}]+", everything):
            kinds[found.start() : found.end()] = bytes([kind]) * len(found[0])
    return bytes(kinds)


def last_break(text: str) -> int:
    """Return where the last break of `text` is: no text after it changes the words before it.

    For any `a`, `b` whose `b` starts at a break, `hashes(a + b) == hashes(a) + hashes(b)`. Without
    a break it is 0.
    """
    found = _LAST_BREAK.match(text)
    return found.end() if found else 0


def buckets(text: str) -> set[int]:
    """Return the buckets, each in [0, BUCKETS), of the words and word pairs of `text`."""
    return buckets_of(hashes(text))


def buckets_of(found: Sequence[int], before: Sequence[int] = ()) -> set[int]:
    """Return the buckets of words by their hashes, paired with the one word `before`, if any."""
    numbers = {value & _MASK for value in found}
    numbers.update([(a * _PAIR + b) & _MASK for a, b in pairwise([*before, *found])])
    return numbers
