"""Known texts found by hashes of their word runs, with edits and whatever is filled in.

A text's *shingles* are the hashes of each run of `RUN` words. Of these one in `ONE_IN` is kept,
chosen by the hash itself, so that the same run is kept in every text (Broder, "On the resemblance
and containment of documents", 1997). The share of a signature's hashes that a text has too
estimates how much of the signed text it contains, however much else it holds. Words are those of
the normalised text, in letters, digits and most of what is above ASCII.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.errors import ArtefactError
from detectors.rules.engine import Span

SCHEMA: Final = 1
RUN: Final = 3
"""Words in a shingle."""
ONE_IN: Final = 4
"""One of so many shingles is kept; a power of two."""
LEAST_HASHES: Final = 8
"""A signature has so many hashes at least: fewer estimate nothing."""

Hashes = npt.NDArray[np.uint64]
Sketch = npt.NDArray[np.uint32]
"""Sorted, each once."""

_PUNCTUATION = re.compile(rb"\xe2\x80[\x90-\xbf]")  # quotes and dashes that a typesetter uses
_PIECE = 1 << 18  # bytes that are hashed at a time: bounds memory
_SEED = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_FACTORS = np.array(
    [0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3], np.uint64
)


_BASE = 0x100000001B3  # odd, so that it has an inverse modulo 2^64


@cache
def _powers() -> tuple[Hashes, Hashes]:
    """Return the powers of the base and of its inverse, as many as a piece has bytes."""
    bases = (_BASE, pow(_BASE, -1, 1 << 64))
    base, inverse = (np.cumprod(np.full(_PIECE, it, np.uint64), dtype=np.uint64) for it in bases)
    return base, inverse


def _in_words() -> npt.NDArray[np.bool_]:
    found = np.zeros(256, bool)
    found[list(b"0123456789abcdefghijklmnopqrstuvwxyz")] = True
    found[0x80:] = True
    return found


_IN_WORD = _in_words()
_OF_BYTE = (np.arange(1, 257, dtype=np.uint64) * np.uint64(_SEED)) ^ np.uint64(_SEED >> 7)


@dataclass(frozen=True, slots=True)
class Signature:
    """One known text: its hashes, and where it came from. The text itself is not kept."""

    id: str
    source: str
    hashes: Sketch


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text: their hashes, and where they start and end in bytes."""

    hashes: Hashes
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class Signatures:
    """Signatures that can be looked up all at once."""

    def __init__(
        self, signatures: Sequence[Signature], licences: Mapping[str, str], digest: str = ""
    ) -> None:
        self.signatures = tuple(signatures)
        self.digest = digest
        """Of the file that they were read from."""
        self.licences = dict(licences)
        """Source → licence."""
        owners = np.repeat(np.arange(len(signatures)), [len(it.hashes) for it in signatures])
        every = np.concatenate([np.zeros(0, np.uint32), *(it.hashes for it in signatures)])
        order = np.argsort(every, kind="stable")
        self._hashes, self._owners = every[order], owners[order]
        self._known = np.unique(every)
        self._sizes = np.array([len(it.hashes) for it in signatures], np.float64)

    def highest(self, sketch: Sketch) -> float:
        """Return the highest share of a signature that a text contains, in [0, 1]."""
        found = self.shares(sketch)
        return float(found.max()) if len(found) else 0.0

    def shares(self, sketch: Sketch) -> npt.NDArray[np.float64]:
        """Return how much of each signature a text contains, in [0, 1]."""
        common = sketch[self._is_known(sketch)]
        if not len(common):
            return np.zeros(len(self._sizes))
        first = np.searchsorted(self._hashes, common, "left")
        last = np.searchsorted(self._hashes, common, "right")
        owners = np.concatenate([self._owners[a:b] for a, b in zip(first, last, strict=True)])
        return np.bincount(owners, minlength=len(self._sizes)) / self._sizes

    def _is_known(self, sketch: Sketch) -> npt.NDArray[np.bool_]:
        if not len(self._known):
            return np.zeros(len(sketch), bool)
        at = np.minimum(np.searchsorted(self._known, sketch), len(self._known) - 1)
        is_known: npt.NDArray[np.bool_] = np.equal(self._known[at], sketch)
        return is_known

    def span(self, text: bytes) -> Span:
        """Return where in a normalised text the first and the last known shingle stand."""
        words = words_of(text)
        kept, numbers = _kept(_shingles(words.hashes))
        known = numbers[self._is_known(kept)]
        if not len(known):
            return 0, len(text)
        return int(words.starts[known[0]]), int(words.ends[known[-1] + RUN - 1])


def sketch_of(text: bytes) -> Sketch:
    """Return the hashes that are kept of a normalised text in UTF-8."""
    return np.unique(_kept(_shingles(words_of(text).hashes))[0])


def words_of(text: bytes) -> Words:
    """Find and hash the words of a normalised text in UTF-8, in linear time and little memory."""
    text = _PUNCTUATION.sub(b"   ", text)
    pieces = [_words_of_piece(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE)]
    if len(pieces) == 1:
        return pieces[0]
    offsets = range(0, len(text), _PIECE)
    none = [np.zeros(0, np.int64)]
    return Words(
        np.concatenate([np.zeros(0, np.uint64), *(it.hashes for it in pieces)]),
        np.concatenate(none + [it.starts + at for it, at in zip(pieces, offsets, strict=True)]),
        np.concatenate(none + [it.ends + at for it, at in zip(pieces, offsets, strict=True)]),
    )


def _words_of_piece(text: bytes) -> Words:
    """Hash each word as a polynomial in its bytes: differences of one running sum give all."""
    array = np.frombuffer(text, np.uint8)
    inside = np.zeros(len(array) + 2, bool)
    inside[1:-1] = _IN_WORD[array]
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    powers, inverses = _powers()
    sums = np.zeros(len(array) + 1, np.uint64)
    np.cumsum(_OF_BYTE[array] * powers[: len(array)], out=sums[1:])
    return Words(_mixed((sums[ends] - sums[starts]) * inverses[starts]), starts, ends)


def _mixed(values: Hashes) -> Hashes:
    values = (values ^ (values >> _HALF)) * _MIX
    return values ^ (values >> _HALF)


def _shingles(words: Hashes) -> Hashes:
    count = len(words) - RUN + 1
    if count < 1:
        return words[:0]
    total = words[:count] * _FACTORS[0]
    for number in range(1, RUN):
        total += words[number : number + count] * _FACTORS[number]
    return _mixed(total)


def _kept(shingles: Hashes) -> tuple[Sketch, npt.NDArray[np.int64]]:
    """Return the hashes that are kept, and the number of the first word of each."""
    numbers = np.flatnonzero(shingles & np.uint64(ONE_IN - 1) == 0)
    return (shingles[numbers] >> _HALF).astype(np.uint32), numbers


def save(path: Path, signatures: Signatures) -> None:
    """Write signatures as JSON, hashes in base64; equal signatures give equal bytes."""
    entries = [
        {"id": it.id, "source": it.source, "hashes": _packed(it.hashes)}
        for it in signatures.signatures
    ]
    content = {
        "schema": SCHEMA,
        "run": RUN,
        "one_in": ONE_IN,
        "licences": signatures.licences,
        "signatures": entries,
    }
    path.write_text(json.dumps(content, indent=0, ensure_ascii=True) + "\n", encoding="utf-8")


def load(path: Path) -> Signatures:
    """Read what `save` wrote; raises `ArtefactError` where it is another kind of file."""
    try:
        blob = path.read_bytes()
        return _read(json.loads(blob), hashlib.sha256(blob).hexdigest())
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ArtefactError(
            f"{path} holds no signatures ({error}); make it anew with "
            "python -m detectors.rules_signatures"
        ) from None


def _read(content: dict[str, Any], digest: str) -> Signatures:
    made = {key: content[key] for key in ("schema", "run", "one_in")}
    if made != {"schema": SCHEMA, "run": RUN, "one_in": ONE_IN}:
        raise ValueError(f"it was made in another way: {made}")
    return Signatures(
        [
            Signature(str(it["id"]), str(it["source"]), _unpacked(it["hashes"]))
            for it in content["signatures"]
        ],
        content["licences"],
        digest,
    )


def _packed(hashes: Sketch) -> str:
    return base64.b64encode(hashes.astype("<u4").tobytes()).decode()


def _unpacked(packed: str) -> Sketch:
    found = np.frombuffer(base64.b64decode(packed, validate=True), "<u4").astype(np.uint32)
    if len(found) < LEAST_HASHES:
        raise ValueError(f"a signature has {len(found)} hashes, but {LEAST_HASHES} are needed")
    return found
