"""The weights of a text's words added up in C (`words.c`), by way of ctypes: no headers needed.

Functions are `PYFUNCTYPE`: they keep the interpreter's lock. A call takes a microsecond or two,
and handing the lock to another thread could cost the event loop milliseconds. Addresses that go
into C are of buffers which the object that calls owns.
"""

import ctypes
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.compiling import SOURCE, library_name
from detectors.features import BUCKETS, kinds_of_characters, last_break, normalised_bytes
from detectors.plain import GrowingSlice

_CLOSED: Final = b" "

Append = Callable[[int, int, bytes, int], float]
"""(slice, model, text, bytes of text) → margin."""


@dataclass(frozen=True, slots=True)
class Library:
    """The functions of `words.c`; what they do is said there."""

    model_bytes: int
    slice_bytes: int
    margin: Callable[[int, bytes, int], float]
    add: Append
    attempt: Append
    forget: Callable[[int], None]


def load_library(folder: Path = SOURCE.parent) -> Library | None:
    """Load what was compiled from this source; None where that is not there, or not loadable."""
    try:
        found = ctypes.CDLL(str(folder / library_name()))
    except OSError:
        return None
    address, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    appending = ctypes.PYFUNCTYPE(ctypes.c_double, address, address, text, size)
    return Library(
        ctypes.PYFUNCTYPE(size)(("watchgate_model_bytes", found))(),
        ctypes.PYFUNCTYPE(size)(("watchgate_slice_bytes", found))(),
        ctypes.PYFUNCTYPE(ctypes.c_double, address, text, size)(("watchgate_margin", found)),
        appending(("watchgate_add", found)),
        appending(("watchgate_try", found)),
        ctypes.PYFUNCTYPE(None, address)(("watchgate_forget", found)),
    )


class NativeWeights:
    """One number a bucket, as 32-bit floats, and the kinds of characters."""

    __slots__ = ("_model", "address", "library")

    def __init__(self, library: Library, weights: Sequence[float]) -> None:
        """Copy the weights, `features.BUCKETS` of them; raises `ValueError` for another number."""
        if len(weights) != BUCKETS:
            raise ValueError(f"{len(weights)} weights, but there are {BUCKETS} buckets")
        self.library = library
        model = array("f", weights).tobytes() + kinds_of_characters()
        self._model = ctypes.create_string_buffer(model, library.model_bytes)
        self.address = ctypes.addressof(self._model)

    def margin(self, text: str) -> float:
        """Return the sum of a text's bucket weights over the root of their number, else -inf."""
        data = normalised_bytes(text)
        return self.library.margin(self.address, data, len(data))

    def growing(self) -> GrowingSlice:
        """Return an empty slice that can be added to."""
        return NativeSlice(self)


class NativeSlice:
    """A slice whose open word is in C while it is ASCII, and else tried anew with each piece."""

    __slots__ = ("_add", "_address", "_is_ascii", "_state", "_tail", "_weights")

    def __init__(self, weights: NativeWeights) -> None:
        self._weights = weights
        self._state = ctypes.create_string_buffer(weights.library.slice_bytes)
        self._address = ctypes.addressof(self._state)
        self._add = weights.library.add
        self._tail = ""  # with all text after the last break
        self._is_ascii = True

    def add(self, text: str) -> float:
        """Append text and return the margin of all text so far."""
        if not (self._is_ascii and text.isascii()):
            return self._add_any(text)
        self._tail += text
        data = text.encode()
        return self._add(self._address, self._weights.address, data, len(data))

    def _add_any(self, text: str) -> float:
        tail = self._reopened() + text
        end = last_break(tail)
        self._call(self._add, normalised_bytes(tail[:end]) + _CLOSED)
        self._tail = tail[end:]
        self._is_ascii = self._tail.isascii()
        how = self._add if self._is_ascii else self._weights.library.attempt
        return self._call(how, normalised_bytes(self._tail))

    def _reopened(self) -> str:
        """Return the text after the last break, of which then nothing is in C."""
        if self._is_ascii:
            self._weights.library.forget(self._address)
            return self._tail[last_break(self._tail) :]
        return self._tail

    def _call(self, function: Append, data: bytes) -> float:
        return function(self._address, self._weights.address, data, len(data))
