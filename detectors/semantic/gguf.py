"""Reads GGUF, the format of llama.cpp: what a small Llama of 4 bits needs of it.

The format: github.com/ggml-org/ggml, docs/gguf.md. The library `gguf` reads the same, but takes
ten times as long for a vocabulary, which every process that loads the encoder would wait for.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.errors import ArtefactError

MAGIC: Final = b"GGUF"
VERSION: Final = 3
ALIGNMENT: Final = 32
BLOCK: Final = 32
"""Weights that share a scale."""

Floats = NDArray[np.float32]
_SCALARS: Final = dict(enumerate(["B", "b", "H", "h", "I", "i", "f", "?"])) | {
    10: "Q",
    11: "q",
    12: "d",
}
_TEXT, _ARRAY = 8, 9
_HALF = np.dtype("<f2")
_Q8_0 = np.dtype([("scale", _HALF), ("values", "i1", (BLOCK,))])
_Q4_1 = np.dtype([("scale", _HALF), ("least", _HALF), ("pairs", "u1", (BLOCK // 2,))])


def _plain(stored: NDArray[Any]) -> Floats:
    return stored.astype(np.float32)


def _of_8_bits(blocks: NDArray[Any]) -> Floats:
    return blocks["values"] * blocks["scale"].astype(np.float32)[:, None]


def _of_4_bits(blocks: NDArray[Any]) -> Floats:
    low, high = blocks["pairs"] & 15, blocks["pairs"] >> 4
    scale, least = (blocks[it].astype(np.float32)[:, None] for it in ("scale", "least"))
    return np.concatenate([low, high], axis=1) * scale + least


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of tensor: how its elements are stored, how many weights each holds."""

    stored: np.dtype[Any]
    weights: int
    read: Callable[[NDArray[Any]], Floats]


KINDS: Final[Mapping[int, Kind]] = MappingProxyType(
    {
        0: Kind(np.dtype("<f4"), 1, _plain),
        3: Kind(_Q4_1, BLOCK, _of_4_bits),
        8: Kind(_Q8_0, BLOCK, _of_8_bits),
    }
)


class Gguf:
    """A file's fields, and its tensors when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Read the head of a file; `ArtefactError` where it is of another format."""
        self._data = memoryview(path.read_bytes())
        self._at = 0
        try:
            self._read_head(path)
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise ArtefactError(f"{path} is damaged: {type(error).__name__}") from error

    def _read_head(self, path: Path) -> None:
        magic, version, tensors, fields = self._unpack("4sIQQ")
        if (magic, version) != (MAGIC, VERSION):
            raise ArtefactError(f"{path} is no GGUF of version {VERSION}")
        self.fields = {self._text(): self._value(self._number()) for _ in range(fields)}
        self._tensors = {self._text(): self._tensor() for _ in range(tensors)}
        alignment = self.fields.get("general.alignment", ALIGNMENT)
        self._start = -(-self._at // alignment) * alignment

    def tensor(self, name: str) -> Floats:
        """Return a tensor in full precision, of shape (outputs, inputs) or (width,)."""
        shape, kind, offset = self._tensors[name]
        count = int(np.prod(shape)) // kind.weights
        stored = np.frombuffer(self._data, kind.stored, count, self._start + offset)
        return kind.read(stored).reshape(shape)

    def _unpack(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def _number(self, form: str = "I") -> int:
        return int(self._unpack(form)[0])

    def _text(self) -> str:
        length = self._number("Q")
        self._at += length
        return bytes(self._data[self._at - length : self._at]).decode()

    def _value(self, kind: int) -> Any:  # noqa: ANN401 - a number, a text, or a list of them
        if kind == _TEXT:
            return self._text()
        if kind != _ARRAY:
            return self._unpack(_SCALARS[kind])[0]
        inner, count = self._number(), self._number("Q")
        if inner in {_TEXT, _ARRAY}:
            return [self._value(inner) for _ in range(count)]
        return list(self._unpack(f"{count}{_SCALARS[inner]}"))

    def _tensor(self) -> tuple[tuple[int, ...], Kind, int]:
        sizes = self._unpack(f"{self._number()}Q")
        return tuple(reversed(sizes)), KINDS[self._number()], self._number("Q")
