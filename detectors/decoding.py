"""What a text hides from a reader of words: base64, hexadecimal digits, letters one by one.

What is found is a text of its own, which grows as the text does: what `Revealing` gives for pieces,
put together, is what it gives for the whole, wherever it was cut. One layer is taken off, so there
is less to read than there was, in linear time.
"""

import re
from base64 import b64decode
from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Final

RUN: Final = 24
"""So many characters of base64 or hexadecimal digits make a run, if text comes out of them."""

LETTERS: Final = 6
"""So many single letters make a run: each followed by a space, or by three between words."""

SINGLES: Final = LETTERS - 1
"""So many of them are a word each; the last may be the first of a longer one."""

_IN_RUN: Final = "[A-Za-z0-9+/]"
_MAYBE: Final = re.compile(
    rf"(?<!{_IN_RUN}){_IN_RUN}{{{RUN}}}|(?<!\S)(?:\S (?:  )?){{{SINGLES}}}(?=\S)"
)
_REACH: Final = max(RUN, 4 * LETTERS)
"""A run that does not count yet began at most so many characters ago."""

_ONE: Final = 1
_SINGLES: Final = b"\1" * SINGLES

_ENCODED: Final = re.compile(f"{_IN_RUN}*")
_HEX: Final = re.compile("[0-9A-Fa-f]*")
_UNSEEN: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufffd]")
_Utf8: Final = getincrementaldecoder("utf-8")


def reveal(text: str) -> str:
    """Return what a whole text hides, a space before each run."""
    return Revealing().add(text)


def may_encode(words: Sequence[str]) -> bool:
    """Say no of a text, split at spaces, where no run can be: six times as fast as a search."""
    sizes = list(map(len, words))
    if sizes.count(1) >= SINGLES and _SINGLES in bytes(map(_ONE.__eq__, sizes)):
        return True
    return max(sizes, default=0) >= RUN


class Revealing:
    """Reads a text that comes piece by piece; its memory is bounded."""

    __slots__ = ("_run", "_skip", "_tail")

    def __init__(self) -> None:
        self._tail = ""  # where a run may have begun, and the character before
        self._skip = 0  # so many characters of that are not to be read again
        self._run: _Encoded | _Spaced | None = None

    def add(self, text: str) -> str:
        """Append text, and return what is revealed by it."""
        data, at = self._tail + text, self._skip
        maybe = may_encode(data.split())  # once: there may be thousands of runs
        found = ""
        while True:
            if self._run is None:
                at = self._look(data, at, maybe=maybe)
            if self._run is None:
                return found
            at, revealed = self._run.read(data, at)
            found += revealed
            if at == len(data):
                self._tail = data[-1:]
                self._skip = len(self._tail)
                return found
            self._run = None

    def _look(self, data: str, at: int, *, maybe: bool) -> int:
        """Open the first run from `at` on, if there may be one, and return where it begins."""
        match = _MAYBE.search(data, at) if maybe else None
        if match is None:
            keep = max(at, len(data) - _REACH)
            start = max(keep - 1, 0)
            self._tail, self._skip = data[start:], keep - start
            return len(data)
        self._run = _Spaced() if " " in match[0] else _Encoded()
        return match.start()


class _Encoded:
    """A run of base64 or of hexadecimal digits; one that is neither reveals nothing."""

    __slots__ = ("_begun", "_decoder", "_rest", "_unit")

    def __init__(self) -> None:
        self._begun = False
        self._unit = 0  # characters that are decoded together; 0: none are
        self._rest = ""  # of a unit that is not whole
        self._decoder = _Utf8("replace")

    def read(self, data: str, at: int) -> tuple[int, str]:
        """Read on from `at`; return where the run ends, and what it reveals."""
        match = _ENCODED.match(data, at)
        end = match.end() if match else at
        if self._begun:
            return end, self._decode(data[at:end])
        self._begun = True
        self._unit = _unit_of(data[at : at + RUN])
        return end, " " + self._decode(data[at:end]) if self._unit else ""

    def _decode(self, digits: str) -> str:
        if not self._unit:
            return ""
        digits = self._rest + digits
        is_hex = self._unit == 2  # noqa: PLR2004 - two digits are a byte
        usable = _hex_digits(digits) if is_hex else len(digits)
        whole = usable - usable % self._unit
        self._rest = digits[whole:]
        if usable < len(digits):
            self._unit = 0
        return _UNSEEN.sub(" ", self._decoder.decode(_bytes_of(digits[:whole], is_hex=is_hex)))


class _Spaced:
    """Letters one by one: a space between them is none, three are one."""

    __slots__ = ("_spaces",)

    def __init__(self) -> None:
        self._spaces = 3  # since the last letter

    def read(self, data: str, at: int) -> tuple[int, str]:
        """Read on from `at`; return where the run ends, and what it reveals."""
        found: list[str] = []
        spaces = self._spaces
        for place in range(at, len(data)):
            character = data[place]
            if character == " ":
                spaces += 1
            elif spaces == 1:
                found.append(character)
                spaces = 0
            elif spaces == 3:  # noqa: PLR2004 - see the class
                found.append(f" {character}")
                spaces = 0
            else:
                return place, "".join(found)
            if spaces > 3:  # noqa: PLR2004 - as above
                return place, "".join(found)
        self._spaces = spaces
        return len(data), "".join(found)


def _unit_of(digits: str) -> int:
    """Return how many characters at the start of a run are decoded together; 0 if none can be."""
    if _hex_digits(digits) == RUN and _is_text(bytes.fromhex(digits)):
        return 2
    return 4 if _is_text(b64decode(digits)) else 0


def _hex_digits(digits: str) -> int:
    match = _HEX.match(digits)
    return match.end() if match else 0


def _bytes_of(digits: str, *, is_hex: bool) -> bytes:
    return bytes.fromhex(digits) if is_hex else b64decode(digits)


def _is_text(data: bytes) -> bool:
    return not _UNSEEN.search(_Utf8("replace").decode(data))
