"""The weights of a text's words added up in C (`words.c`), by way of ctypes: no headers needed.

Functions are `PYFUNCTYPE`: they keep the interpreter's lock. A call takes a microsecond or two,
and handing the lock to another thread could cost the event loop milliseconds. They have no
`argtypes`, which would take as long again: pointers are to the memory of objects that hold it, and
sizes are 32-bit. A text is far below that: `slices.MAX_CHARS`.
"""

import ctypes
import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.compiling import SOURCE, library_name
from detectors.features import (
    BUCKETS,
    CHARACTERS,
    LONGEST_RUN,
    kinds_of_characters,
    last_break,
    normalised_bytes,
    with_cuts,
)
from detectors.plain import MOST_KINDS, GrowingMargin, OfKind, may_hide
from detectors.slices import spans

_CLOSED: Final = b" "
_CONSTANTS: Final = struct.Struct(f"=QQ{2 * MOST_KINDS}d")
"""How many kinds, whether the mean counts, and of each kind shift and intercept."""
_WEIGHTS_AT: Final = _CONSTANTS.size + CHARACTERS

State = ctypes.Array[ctypes.c_char]
"""The memory of a text that grows."""
Append = Callable[[State, bytes, bytes, int], float]
"""(text, model, more text, its bytes) → margin."""
Score = Callable[[bytes, bytes, int], float]
"""(model, text, bytes of text) → margin."""


@dataclass(frozen=True, slots=True)
class Library:
    """The functions of `words.c`; what they do is said there."""

    model_bytes: Callable[[int], int]
    text_bytes: Callable[[int], int]
    is_normal: Callable[[bytes, bytes, int], int]
    may_hide: Callable[[bytes, int], int]
    ascii_margin: Score
    margin: Score
    begin: Callable[[State, int], None]
    add_ascii: Append
    add: Append
    attempt: Append
    forget: Callable[[State], None]

    def empty(self, kinds: int) -> State:
        """Return the memory of an empty text that is held to so many kinds."""
        state = ctypes.create_string_buffer(self.text_bytes(kinds))
        self.begin(state, kinds)
        return state


def load_library(folder: Path = SOURCE.parent) -> Library | None:
    """Load what was compiled from this source; None where that is not there, or not loadable."""
    try:
        found = ctypes.CDLL(str(folder / library_name()))
    except OSError:
        return None
    number, size, nothing = map(ctypes.PYFUNCTYPE, (ctypes.c_double, ctypes.c_int, None))
    return Library(
        model_bytes=size(("watchgate_model_bytes", found)),
        text_bytes=size(("watchgate_text_bytes", found)),
        is_normal=size(("watchgate_is_normal", found)),
        may_hide=size(("watchgate_may_hide", found)),
        ascii_margin=number(("watchgate_ascii_margin", found)),
        margin=number(("watchgate_margin", found)),
        begin=nothing(("watchgate_begin", found)),
        add_ascii=number(("watchgate_add_ascii", found)),
        add=number(("watchgate_add", found)),
        attempt=number(("watchgate_try", found)),
        forget=nothing(("watchgate_forget", found)),
    )


class NativeWeights:
    """The kinds of characters, and of each bucket a 16-bit integer for each kind of misuse."""

    __slots__ = (
        "_ascii_margin",
        "_empty",
        "_is_normal",
        "_margin",
        "constants",
        "library",
        "mean",
        "model",
    )

    def __init__(self, library: Library, kinds: Sequence[OfKind], *, mean: bool = False) -> None:
        """Copy the weights.

        Raises:
            ValueError: there are not `features.BUCKETS`, one does not fit 16 bits, or there are
                no kinds, or over `plain.MOST_KINDS`.
        """
        _check(kinds)
        self.library = library
        self.constants = [(it.shift, it.intercept) for it in kinds]
        self.mean = mean
        self.model = _constants(self.constants, mean=mean) + kinds_of_characters() + _weights(kinds)
        self._is_normal = library.is_normal
        self._ascii_margin = library.ascii_margin
        self._margin = library.margin
        self._empty = library.empty(len(kinds))

    def margin(self, text: str) -> float:
        """Return the margin of a text, see `plain.WordWeights`."""
        return max(map(self._margin_of, spans(text)))

    def _margin_of(self, text: str) -> float:
        if text.isascii():
            return self._ascii_margin(self.model, text.encode(), len(text))
        data = self.encoded(with_cuts(text))
        return self._margin(self.model, data, len(data))

    def may_hide(self, text: str) -> bool:
        """Say no where nothing is hidden for sure."""
        if text.isascii():
            return bool(self.library.may_hide(text.encode(), len(text)))
        return may_hide(text)

    def weights_of(self, bucket: int) -> Sequence[int]:
        """Return the weight of a bucket for each kind."""
        kinds = len(self.constants)
        return struct.unpack_from(f"={kinds}h", self.model, _WEIGHTS_AT + 2 * kinds * bucket)

    def encoded(self, text: str) -> bytes:
        """Return a text for C: in a form that has the words of the normalised one.

        For most texts that is their own or lower case, and normalising takes longer than all else.
        """
        data = text.encode(errors="replace")
        if self._is_normal(self.model, data, len(data)):
            return data
        data = text.lower().encode(errors="replace")
        return data if self._is_normal(self.model, data, len(data)) else normalised_bytes(text)

    def growing(self) -> GrowingMargin:
        """Return an empty text that can be added to."""
        return NativeGrowing(self, type(self._empty).from_buffer_copy(self._empty))


def _check(kinds: Sequence[OfKind]) -> None:
    if not 0 < len(kinds) <= MOST_KINDS:
        raise ValueError(f"{len(kinds)} kinds, but one to {MOST_KINDS} are needed")
    for it in kinds:
        if len(it.weights) != BUCKETS:
            raise ValueError(f"{len(it.weights)} weights, but there are {BUCKETS} buckets")


def _constants(of_kinds: Sequence[tuple[float, float]], *, mean: bool) -> bytes:
    numbers = [number for pair in of_kinds for number in pair]
    unused = [0.0] * (2 * MOST_KINDS - len(numbers))
    return _CONSTANTS.pack(len(of_kinds), mean, *numbers, *unused)


def _weights(kinds: Sequence[OfKind]) -> bytes:
    """Return the weights of each bucket side by side: one way to memory finds all."""
    found = array("h", bytes(2 * len(kinds) * BUCKETS))
    for number, it in enumerate(kinds):
        found[number :: len(kinds)] = _in_16_bits(it.weights)
    return found.tobytes()


def _in_16_bits(weights: Sequence[int]) -> "array[int]":
    try:
        return array("h", weights)
    except (OverflowError, TypeError) as error:
        raise ValueError(f"a weight is no integer of 16 bits: {error}") from None


class NativeGrowing:
    """A text whose open word is in C while it is ASCII, and else tried anew with each piece."""

    __slots__ = ("_add_ascii", "_encoded", "_is_ascii", "_library", "_model", "_state", "_tail")

    def __init__(self, weights: NativeWeights, empty: State) -> None:
        self._encoded = weights.encoded
        self._library = weights.library
        self._add_ascii = weights.library.add_ascii
        self._model = weights.model
        self._state = empty
        self._tail = ""  # with all text after the last break
        self._is_ascii = True

    def add(self, text: str) -> float:
        """Append text and return the margin of all text so far."""
        if not (self._is_ascii and text.isascii()):
            return self._add_any(text)
        self._tail = tail = text if text[:1] == " " else self._tail + text  # a space is a break
        if len(tail) >= LONGEST_RUN:
            self._tail = _after_break(with_cuts(tail))
        return self._add_ascii(self._state, self._model, text.encode(), len(text))

    def _add_any(self, text: str) -> float:
        tail = with_cuts(self._reopened() + text)
        end = last_break(tail)
        self._call(self._library.add, self._encoded(tail[:end]) + _CLOSED)
        self._tail = tail[end:]
        self._is_ascii = self._tail.isascii()
        if self._is_ascii:
            return self._call(self._add_ascii, self._tail.encode())
        return self._call(self._library.attempt, self._encoded(self._tail))

    def _reopened(self) -> str:
        """Return the text after the last break, of which then nothing is in C."""
        if self._is_ascii:
            self._library.forget(self._state)
            return _after_break(self._tail)
        return self._tail

    def _call(self, function: Append, data: bytes) -> float:
        return function(self._state, self._model, data, len(data))


def _after_break(text: str) -> str:
    return text[last_break(text) :]
