"""The weights of a text's words added up in C (`words.c`), by way of ctypes: no headers needed.

Functions are `PYFUNCTYPE`: they keep the interpreter's lock. A call takes a microsecond or two,
and handing the lock to another thread could cost the event loop milliseconds. They have no
`argtypes`, which would take as long again: pointers are to the memory of objects that hold it, and
sizes are 32-bit. A slice is far below that.
"""

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from detectors.compiling import SOURCE, library_name
from detectors.features import BUCKETS, kinds_of_characters, last_break, normalised_bytes
from detectors.plain import GrowingSlice
from detectors.slices import MAX_CHARS, slices

_CLOSED: Final = b" "

State = ctypes.Array[ctypes.c_char]
"""The memory of a slice."""
Append = Callable[[State, bytes, bytes, int], float]
"""(slice, model, text, bytes of text) → margin, or infinity if the slice has no room."""
Score = Callable[[bytes, bytes, int], float]
"""(model, text, bytes of text) → margin."""


@dataclass(frozen=True, slots=True)
class Library:
    """The functions of `words.c`; what they do is said there."""

    model_bytes: int
    is_normal: Callable[[bytes, bytes, int], int]
    margin: Score
    highest: Score
    add: Append
    attempt: Append
    forget: Callable[[State], None]
    slice_bytes: Callable[[State | None, int], int]
    move: Callable[[State, int, State | None], None]

    def moved(self, old: State | None, more_bytes: int) -> State:
        """Return the memory of a slice that goes on where `old` stands, with room for more text."""
        size = self.slice_bytes(old, more_bytes)
        new = ctypes.create_string_buffer(size)
        self.move(new, size, old)
        return new


def load_library(folder: Path = SOURCE.parent) -> Library | None:
    """Load what was compiled from this source; None where that is not there, or not loadable."""
    try:
        found = ctypes.CDLL(str(folder / library_name()))
    except OSError:
        return None
    number, size, nothing = map(ctypes.PYFUNCTYPE, (ctypes.c_double, ctypes.c_int, None))
    return Library(
        model_bytes=size(("watchgate_model_bytes", found))(),
        is_normal=size(("watchgate_is_normal", found)),
        margin=number(("watchgate_margin", found)),
        highest=number(("watchgate_highest", found)),
        add=number(("watchgate_add", found)),
        attempt=number(("watchgate_try", found)),
        forget=nothing(("watchgate_forget", found)),
        slice_bytes=size(("watchgate_slice_bytes", found)),
        move=nothing(("watchgate_move", found)),
    )


class NativeWeights:
    """One number a bucket, as 16-bit floats, and the kinds of characters."""

    __slots__ = ("_empty", "_highest", "_is_normal", "_margin", "library", "model")

    def __init__(self, library: Library, weights: Sequence[float]) -> None:
        """Copy the weights.

        Raises:
            ValueError: there are not `features.BUCKETS`, or one is not exact in 16 bits.
        """
        if len(weights) != BUCKETS:
            raise ValueError(f"{len(weights)} weights, but there are {BUCKETS} buckets")
        self.library = library
        self.model = _half_precision(weights) + kinds_of_characters()
        self._is_normal = library.is_normal
        self._margin = library.margin
        self._highest = library.highest
        self._empty = library.moved(None, 0)

    def margin(self, text: str) -> float:
        """Return the sum of a text's bucket weights over the root of their number, else -inf."""
        data = self.encoded(text)
        return self._margin(self.model, data, len(data))

    def highest(self, text: str) -> float:
        """Return the highest margin of a text's slices."""
        if text.isascii() and len(text) <= MAX_CHARS:
            return self._highest(self.model, text.encode(), len(text))
        return max(map(self.margin, slices(text)))

    def encoded(self, text: str) -> bytes:
        """Return a text for C: in a form that has the words of the normalised one.

        For most texts that is their own or lower case, and normalising takes longer than all else.
        """
        data = text.encode(errors="replace")
        if self._is_normal(self.model, data, len(data)):
            return data
        data = text.lower().encode(errors="replace")
        return data if self._is_normal(self.model, data, len(data)) else normalised_bytes(text)

    def growing(self) -> GrowingSlice:
        """Return an empty slice that can be added to."""
        return NativeSlice(self, type(self._empty).from_buffer_copy(self._empty))


def _half_precision(weights: Sequence[float]) -> bytes:
    layout = f"={len(weights)}e"
    try:
        data = struct.pack(layout, *weights)
    except OverflowError:
        data = b""
    if not data or any(map(float.__ne__, struct.unpack(layout, data), weights)):
        raise ValueError("a weight is not exact in 16 bits")
    return data


class NativeSlice:
    """A slice whose open word is in C while it is ASCII, and else tried anew with each piece."""

    __slots__ = ("_add", "_encoded", "_is_ascii", "_library", "_model", "_state", "_tail")

    def __init__(self, weights: NativeWeights, empty: State) -> None:
        self._encoded = weights.encoded
        self._library = weights.library
        self._add = weights.library.add
        self._model = weights.model
        self._state = empty
        self._tail = ""  # with all text after the last break
        self._is_ascii = True

    def add(self, text: str) -> float:
        """Append text and return the margin of all text so far."""
        if not (self._is_ascii and text.isascii()):
            return self._add_any(text)
        self._tail = text if text[:1] == " " else self._tail + text  # a space is a break
        margin = self._add(self._state, self._model, text.encode(), len(text))
        return margin if margin < inf else self._call(self._add, text.encode())

    def _add_any(self, text: str) -> float:
        tail = self._reopened() + text
        end = last_break(tail)
        self._call(self._add, self._encoded(tail[:end]) + _CLOSED)
        self._tail = tail[end:]
        self._is_ascii = self._tail.isascii()
        how = self._add if self._is_ascii else self._library.attempt
        return self._call(how, self._encoded(self._tail))

    def _reopened(self) -> str:
        """Return the text after the last break, of which then nothing is in C."""
        if self._is_ascii:
            self._library.forget(self._state)
            return self._tail[last_break(self._tail) :]
        return self._tail

    def _call(self, function: Append, data: bytes) -> float:
        margin = function(self._state, self._model, data, len(data))
        if margin < inf:
            return margin
        self._state = self._library.moved(self._state, len(data))
        return function(self._state, self._model, data, len(data))
