"""Probes as they are kept: a folder with `manifest.json` and `probes.npz`, which is numbers alone.

    log-odds of probe i for a token = weights[i] @ residual stream entering layers[i] + offsets[i]

The manifest names the weights of the model that the probes were trained on, as nothing else in a
probe would tell that it reads another.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vllm_probe.errors import ProbeError
from vllm_probe.parts import Pooling
from vllm_probe.steps import Floats

FORMAT: Final = 1
_ARRAYS: Final = "probes.npz"
_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Probe:
    """What one probe looks for, where, and how the scores of a part's tokens become one."""

    category: str
    layer: int
    """It reads what enters this layer; 0 is the first."""
    pooling: Pooling


@dataclass(frozen=True, slots=True)
class Binding:
    """The model that probes belong to."""

    weights: str
    """SHA-256 over its files, in hexadecimal digits: see `digests`."""
    layers: int
    hidden_size: int
    template: str = ""
    """SHA-256 of its chat template; empty: any will do."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Several probes of one model."""

    probes: tuple[Probe, ...]
    weights: Floats
    """(probes, hidden size)"""
    offsets: Floats
    """(probes,)"""
    binding: Binding
    digest: str
    """SHA-256 of the arrays and of what is said of them, in hexadecimal digits: verdicts name it.
    """

    @property
    def layers(self) -> tuple[int, ...]:
        """Those that are read, each once, in order."""
        return tuple(sorted({it.layer for it in self.probes}))


def save(
    folder: Path, probes: Sequence[Probe], weights: Floats, offsets: Floats, binding: Binding
) -> str:
    """Write probes into a folder, the manifest last; return their digest."""
    buffer = io.BytesIO()
    np.savez(buffer, weights=weights.astype(np.float32), offsets=offsets.astype(np.float32))
    said = {
        "probes": [
            {"category": it.category, "layer": it.layer, "pooling": it.pooling} for it in probes
        ],
        "model": {
            "weights_sha256": binding.weights,
            "layers": binding.layers,
            "hidden_size": binding.hidden_size,
            "template_sha256": binding.template,
        },
    }
    digest = digest_of(buffer.getvalue(), said)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _ARRAYS).write_bytes(buffer.getvalue())
    manifest = {"format": FORMAT, "sha256": digest, **said}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return digest


def digest_of(arrays: bytes, said: Mapping[str, Any]) -> str:
    """Return the digest of arrays and of the parts of a manifest that speak of them."""
    spoken = {it: said.get(it) for it in ("probes", "model")}
    return hashlib.sha256(arrays + json.dumps(spoken, sort_keys=True).encode()).hexdigest()


def load(folder: Path) -> Probes:
    """Read probes.

    Raises:
        ProbeError: the folder holds none, or they are damaged or of a later format.
    """
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        data = (folder / _ARRAYS).read_bytes()
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ProbeError(f"{folder} holds no probes: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ProbeError(f"{folder}/{_MANIFEST}: this version knows format {FORMAT} alone")
    digest = digest_of(data, manifest)
    if digest != manifest.get("sha256"):
        raise ProbeError(f"{folder}: {_ARRAYS} and {_MANIFEST} do not fit: copy both again")
    try:
        return _probes(manifest, data, digest)
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeError(f"{folder}/{_MANIFEST} cannot be read: {error!r}") from None


def _probes(manifest: Mapping[str, Any], data: bytes, digest: str) -> Probes:
    arrays = np.load(io.BytesIO(data), allow_pickle=False)
    model = manifest["model"]
    binding = Binding(
        str(model["weights_sha256"]),
        int(model["layers"]),
        int(model["hidden_size"]),
        str(model.get("template_sha256", "")),
    )
    probes = tuple(
        Probe(str(it["category"]), int(it["layer"]), Pooling(it["pooling"]))
        for it in manifest["probes"]
    )
    weights, offsets = arrays["weights"], arrays["offsets"]
    if weights.shape != (len(probes), binding.hidden_size) or offsets.shape != (len(probes),):
        raise ValueError("the arrays are not as many probes of this hidden size")
    if not all(0 <= it.layer < binding.layers for it in probes):
        raise ValueError("a probe reads a layer that the model does not have")
    if not (np.isfinite(weights).all() and np.isfinite(offsets).all()):
        raise ValueError("a weight is not a number")
    return Probes(probes, weights, offsets, binding, digest)
