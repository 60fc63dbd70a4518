"""Stems and pairs of neighbouring stems of a text, hashed: what the lexical detector looks at.

Plain Python on purpose: training and scoring share this one function, so they cannot drift
apart, and it costs about as much for one text as for one text of a batch.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from zlib import crc32

BUCKETS = 1 << 19
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
# A run of characters that may be marks: only so many are put in order together, see `ordered`.
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

# Where characters neither join nor swap places with neighbours, but for combining ones: letters of
# Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, punctuation, signs, kana, Han, Hangul syllables,
# wide signs, emoji.
_STEADY = (
    (0x80, 0x300), (0x370, 0x700), (0x1E00, 0x2C00), (0x3000, 0x3100), (0x3400, 0xA000),
    (0xAC00, 0xD7A4), (0xFE00, 0xFE10), (0xFEFF, 0xFF5F), (0x1F300, 0x1FB00),
)  # fmt: skip

_WORD = re.compile(f"[{_ALONE}]|[^\\W{_ALONE}]+(?:[{_MARKS}]+[^\\W{_ALONE}]*)*")
# Splitting where these are finds what _WORD finds in an ASCII text, six times as fast.
_WORDS_APART = bytes(it if chr(it).isalnum() or it == ord("_") else 32 for it in range(0x80))
_WORDS_APART += bytes(range(0x80, 0x100))

STEM = 6
"""So many characters of a word count, so that most forms of a word are one."""

LONGEST_RUN = 2_000
"""After so many characters without a break a word ends, so that a growing text is settled."""
_LONG_RUN = re.compile(f"[^{_BREAKS}]{{{LONGEST_RUN}}}")

# Digits that stand for letters. All of them, always: "15" may be "is", and a number that is read as
# letters is as rare as before.
_DIGITS = str.maketrans("01345678", "oieasgtb")
_DIGIT = re.compile(r"[0-9]")
_ASCII = bytes(range(0x80)).lower().translate(bytes.maketrans(b"01345678", b"oieasgtb"))
_FOLD_ASCII = _ASCII + bytes(range(0x80, 0x100))

# Cyrillic and Greek letters that look like a Latin one, small and capital; always folded, so that
# a word is one word whatever alphabet its letters are borrowed from. Of Greek nu the capital looks
# like another letter than the small one.
LOOK_ALIKES = {
    ord(letter): latin
    for latin, letters in {
        "a": "\u0430\u0410\u03b1\u0391", "b": "\u0432\u0412\u03b2\u0392", "c": "\u0441\u0421",
        "d": "\u0501", "e": "\u0435\u0415\u03b5\u0395", "g": "\u0261",
        "h": "\u043d\u041d\u03b7\u0397\u04bb\u04ba", "i": "\u0456\u0406\u03b9\u0399",
        "j": "\u0458\u0408", "k": "\u043a\u041a\u03ba\u039a", "m": "\u043c\u041c\u03bc\u039c",
        "n": "\u039d", "o": "\u043e\u041e\u03bf\u039f", "p": "\u0440\u0420\u03c1\u03a1",
        "q": "\u051b", "s": "\u0455\u0405", "t": "\u0442\u0422\u03c4\u03a4", "v": "\u03bd",
        "w": "\u051d", "x": "\u0445\u0425\u03c7\u03a7", "y": "\u0443\u0423\u03c5\u03a5",
        "z": "\u03b6\u0396",
    }.items()
    for letter in letters
}  # fmt: skip
_LOOK_ALIKE = re.compile(f"[{''.join(map(chr, LOOK_ALIKES))}]")

MASK = BUCKETS - 1
PAIR = 0x9E3779B1  # odd and far from a power of two, so that "a b" and "b a" fall apart


def normalise(text: str) -> str:
    """Fold what looks the same into one form: NFKC, no invisible characters, casefolded."""
    return text.lower() if text.isascii() else ordered(text).casefold()


def fold(text: str) -> str:
    """Normalise, and turn look-alike letters of other alphabets, and digits, into Latin letters.

    Rules match what `normalise` gives; words are hashed as they are here.
    """
    if text.isascii():
        return text.encode().translate(_FOLD_ASCII).decode()
    found = ordered(text)
    if _LOOK_ALIKE.search(found):
        found = found.translate(LOOK_ALIKES)
    folded = found.casefold()
    return folded.translate(_DIGITS) if _DIGIT.search(folded) else folded


def ordered(text: str) -> str:
    """Put a text into NFKC, without what is not seen.

    CPython's normalisation takes quadratic time in a run of combining marks, so such a run is
    put in order 32 by 32: no writing system stacks as many, and a text of nothing else would
    stop an event loop for seconds.
    """
    visible = _MANY_MARKS.sub(rf"\g<0>{_JOINER}", _INVISIBLE.sub("", text))
    return unicodedata.normalize("NFKC", visible).replace(_JOINER, "")


def with_cuts(text: str) -> str:
    """Put a space after every `LONGEST_RUN` characters without a break."""
    return _LONG_RUN.sub(r"\g<0> ", text) if len(text) >= LONGEST_RUN else text


def words(text: str) -> list[bytes]:
    """Return the words of a folded text, in order, as UTF-8."""
    if text.isascii():
        return _ascii_words(text)
    return [word.encode() for word in _WORD.findall(text)]


def _ascii_words(text: str) -> list[bytes]:
    return text.encode().translate(_WORDS_APART).split()


def stems(text: str) -> list[bytes]:
    """Return what counts of the words of a folded text, in order, as UTF-8."""
    if text.isascii():
        return [word[:STEM] for word in _ascii_words(text)]
    return [word[:STEM].encode() for word in _WORD.findall(text)]


def hashes(text: str) -> list[int]:
    """Return the hash of each word of `text`, in order: that of its stem."""
    return list(map(crc32, stems(fold(with_cuts(text)))))


def normalised_bytes(text: str) -> bytes:
    """Return `text` for C, folded; a surrogate becomes a sign like others."""
    return fold(text).encode(errors="replace")


GAP, MARK, LETTER, ALONE, UNSEEN = range(5)
"""Kinds of characters: in no word; continues a word; also starts one; is a word by itself; is
removed by `fold`."""
CHANGES = 8
"""Added to the kind of a character that has to be normalised, or that may change its neighbours."""


@cache
def kinds_of_characters() -> bytes:
    """Return the kind of each character below `CHARACTERS` for C, which finds words by it.

    This is what `words` does: a word is one of kind `ALONE`, or a `LETTER` and all of kinds `MARK`
    and `LETTER` after it. A text in which nothing `CHANGES` has the same words as it stands, but
    for the case of ASCII and what is `UNSEEN`.
    """
    kinds = bytearray(CHARACTERS)
    everything = "".join(map(chr, range(CHARACTERS)))
    for kind, pattern in ((MARK, _MARKS), (LETTER, r"\w"), (ALONE, _ALONE)):
        for found in re.finditer(f"[{pattern}]+", everything):
            kinds[found.start() : found.end()] = bytes([kind]) * len(found[0])
    return bytes(kinds[:0x80]) + _with_changes(kinds)[0x80:]


def _with_changes(kinds: bytes | bytearray) -> bytes:
    """Add `CHANGES` to kinds, but for characters that are sure to do without."""
    found = bytearray(kind | CHANGES for kind in kinds)
    for start, end in _STEADY:
        numbers = range(start, end)
        stay = fold(text := "".join(map(chr, numbers))) == text  # a shortcut for many
        for number in numbers:
            found[number] = kinds[number] if stay else _kind_by_itself(chr(number), kinds)
    return bytes(found)


def _kind_by_itself(character: str, kinds: Sequence[int]) -> int:
    kind = kinds[ord(character)]
    folded = fold(character)
    if folded == "":
        return UNSEEN
    is_sign = kind == GAP and all(kinds[ord(it)] == GAP for it in folded)
    is_steady = is_sign or folded == character
    return kind if is_steady and not unicodedata.combining(character) else kind | CHANGES


def last_break(text: str) -> int:
    """Return where the last break of `text` is: no text after it changes the words before it.

    For any `a`, `b` whose `b` starts at a break, `hashes(a + b) == hashes(a) + hashes(b)`. Without
    a break it is 0.
    """
    found = _LAST_BREAK.match(text)
    return found.end() if found else 0


def bucket(word: int) -> int:
    """Return the bucket, in [0, BUCKETS), of a word by its hash."""
    return word & MASK


def bucket_of_pair(first: int, second: int) -> int:
    """Return the bucket, in [0, BUCKETS), of two neighbouring words by their hashes."""
    return (first * PAIR + second) & MASK
