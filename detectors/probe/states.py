"""States of labelled rows on disk: a folder that `collecting` fills and `training` reads.

`manifest.json` says of which model and how they are; `rows.jsonl` holds what is known of each row
but its text, which is told by a digest alone; `states-NNNNN.npy` hold the numbers, of `SHARD_ROWS`
rows each.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.data import Row
from detectors.errors import DataError
from detectors.probe.binding import binding_of
from vllm_probe.collecting import LINEAR, path_of
from vllm_probe.parts import Pooling
from vllm_probe.probes import Binding

FORMAT: Final = 1
SHARD_ROWS: Final = 256
_MANIFEST, _ROWS = "manifest.json", "rows.jsonl"
_RIGHT: Final = "a folder that `watchgate probes collect` made"
Floats = NDArray[np.float32]


class Kept(msgspec.Struct, frozen=True):
    """What is known of a row, without its text."""

    id: str
    source: str
    licence: str
    label: int
    categories: tuple[str, ...]
    is_answer: bool
    digest: str
    """Of prompt and answer: see `digest_of`."""


class Manifest(msgspec.Struct, frozen=True):
    """Whose states they are, and how they were read."""

    weights_sha256: str
    template_sha256: str
    layers_of_model: int
    hidden_size: int
    layers: tuple[int, ...]
    """What enters them was kept."""
    poolings: tuple[Pooling, ...]
    max_tokens: int
    dtype: str
    rows: int
    rows_sha256: str
    format: int = FORMAT

    @property
    def binding(self) -> Binding:
        """The model that probes trained on these states belong to."""
        return Binding(
            self.weights_sha256, self.layers_of_model, self.hidden_size, self.template_sha256
        )

    @property
    def row_bytes(self) -> int:
        """How much a row takes on disk."""
        return len(self.layers) * len(self.poolings) * self.hidden_size * 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are to be read."""

    model: Path
    layers: Sequence[int] = ()
    """Empty: some that lie evenly in the middle of the model."""
    max_tokens: int = 512
    dtype: str = "bfloat16"
    python: Path = Path(sys.executable)
    """One that has torch and transformers, as that of vLLM has."""


def digest_of(prompt: str, answer: str | None) -> str:
    """Return the SHA-256 of a prompt, or of a prompt and its answer."""
    both = prompt if answer is None else f"{prompt}\0{answer}"
    return hashlib.sha256(both.encode("utf-8", "surrogatepass")).hexdigest()


def kept(row: Row) -> Kept:
    """Return what is kept of a row."""
    is_answer = row.response is not None
    digest = digest_of(row.text, row.response)
    return Kept(row.id, row.source, row.licence, row.label, row.categories, is_answer, digest)


def manifest_of(rows: Sequence[Row], plan: Plan) -> Manifest:
    """Say whose states of which rows a plan would give.

    Raises:
        DataError: the folder holds no model whose layers are there.
    """
    bound = binding_of(plan.model)
    layers = bound.layers
    chosen = tuple(sorted(set(plan.layers))) or _middle(layers)
    if not all(0 <= it < layers for it in chosen):
        raise DataError(f"the layers of {plan.model} are 0 to {layers - 1}; asked for: {chosen}")
    lines = b"".join(map(_line, rows))
    return Manifest(
        weights_sha256=bound.weights,
        template_sha256=bound.template,
        layers_of_model=layers,
        hidden_size=bound.hidden_size,
        layers=chosen,
        poolings=LINEAR,
        max_tokens=plan.max_tokens,
        dtype=plan.dtype,
        rows=len(rows),
        rows_sha256=hashlib.sha256(lines).hexdigest(),
    )


def _middle(layers: int) -> tuple[int, ...]:
    """Return five layers from a quarter to four fifths of the way: meaning is plainest there."""
    return tuple(sorted({round(layers * (0.25 + 0.1375 * step)) for step in range(5)}))


def _line(row: Row) -> bytes:
    return msgspec.json.encode(kept(row)) + b"\n"


def begin(folder: Path, rows: Sequence[Row], manifest: Manifest) -> None:
    """Write all but the states, or see that they are those of a job that was begun.

    Raises:
        DataError: the folder holds something else, or cannot be written.
    """
    path = folder / _MANIFEST
    try:
        if path.exists():
            if read_manifest(folder) != manifest:
                raise DataError(
                    f"{folder} holds states of another model, of other rows, or read in another "
                    "way: name another folder, or remove it"
                )
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ROWS).write_bytes(b"".join(map(_line, rows)))
        path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}") from None


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: there is none, or it is of another format.
    """
    path = folder / _MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; name {_RIGHT}") from None
    except msgspec.DecodeError as error:
        raise DataError(f"{path} is no manifest of states: {error}; name {_RIGHT}") from None
    if found.format != FORMAT:
        raise DataError(f"{path} is of format {found.format}; this version reads {FORMAT}")
    return found


def shards(count: int) -> Iterator[tuple[int, slice]]:
    """Yield the number of each shard of so many rows, and which they are."""
    for number, start in enumerate(range(0, count, SHARD_ROWS)):
        yield number, slice(start, min(start + SHARD_ROWS, count))


def missing(folder: Path, count: int) -> list[tuple[int, slice]]:
    """Return the shards that are not on disk yet."""
    return [it for it in shards(count) if not path_of(folder, it[0]).exists()]


@dataclass(frozen=True, slots=True)
class States:
    """The states of n rows."""

    manifest: Manifest
    rows: Sequence[Kept]
    values: NDArray[np.float16]
    """Of shape (n, layers, poolings, hidden size)."""

    def of(self, layer: int, pooling: Pooling) -> Floats:
        """Return those of one layer, pooled: (n, hidden size)."""
        places = self.manifest.layers.index(layer), self.manifest.poolings.index(pooling)
        found: Floats = self.values[:, *places].astype(np.float32)
        return found

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return some of them."""
        rows = [it for it, is_one in zip(self.rows, chosen, strict=True) if is_one]
        return type(self)(self.manifest, rows, self.values[chosen])


def read(folder: Path) -> States:
    """Read all states of a folder.

    Raises:
        DataError: some are missing, or are not what the manifest says.
    """
    manifest = read_manifest(folder)
    left = missing(folder, manifest.rows)
    if left:
        raise DataError(f"{folder} lacks {len(left)} files of states: let `collect` go on with it")
    try:
        lines = (folder / _ROWS).read_bytes()
        rows = [msgspec.json.decode(it, type=Kept) for it in lines.splitlines()]
        found: Any = [np.load(path_of(folder, number)) for number, _ in shards(manifest.rows)]
        values = np.concatenate(found)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be read: {error}") from None
    shape = manifest.rows, len(manifest.layers), len(manifest.poolings), manifest.hidden_size
    if values.shape != shape or hashlib.sha256(lines).hexdigest() != manifest.rows_sha256:
        raise DataError(f"{folder} is not what its {_MANIFEST} says: collect it again")
    return States(manifest, rows, values)
