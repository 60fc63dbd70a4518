"""Probes on disk: they come back as they were, or not at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vllm_probe.errors import ProbeError
from vllm_probe.parts import Pooling
from vllm_probe.probes import Binding, Probe, digest_of, load, save

PROBES = (
    Probe("any", 16, Pooling.MEAN),
    Probe("cyber", 8, Pooling.MAX),
    Probe("any", 8, Pooling.EMA),
)
BINDING = Binding("ab" * 32, layers=30, hidden_size=5)
WEIGHTS = np.arange(15, dtype=np.float32).reshape(3, 5)
OFFSETS = np.array([0.5, -1, 2], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "probes", PROBES, WEIGHTS, OFFSETS, BINDING)
    return tmp_path / "probes"


def test_probes_come_back_as_they_were(folder: Path) -> None:
    found = load(folder)
    assert (found.probes, found.binding) == (PROBES, BINDING)
    assert (found.weights == WEIGHTS).all()
    assert (found.offsets == OFFSETS).all()
    assert found.layers == (8, 16)


def test_the_digest_is_of_the_numbers(tmp_path: Path) -> None:
    digests = {
        save(tmp_path / "a", PROBES, WEIGHTS, OFFSETS, BINDING),
        save(tmp_path / "b", PROBES, WEIGHTS, OFFSETS, BINDING),
    }
    assert digests == {load(tmp_path / "a").digest}
    assert save(tmp_path / "c", PROBES, WEIGHTS * 2, OFFSETS, BINDING) not in digests
    assert (
        save(tmp_path / "d", PROBES, WEIGHTS, OFFSETS, replace(BINDING, weights="0")) not in digests
    )


def test_what_is_said_of_the_numbers_cannot_be_changed_alone(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"layer": 8', '"layer": 9'))
    with pytest.raises(ProbeError, match="copy both again"):
        load(folder)


def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest, and let it fit the arrays again."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = "to be made"
    how(manifest)
    if manifest["sha256"] == "to be made":
        manifest["sha256"] = digest_of((folder / "probes.npz").read_bytes(), manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda it: it.update(format=2), "knows format 1 alone"),
        (lambda it: it.update(sha256="00"), "copy both again"),
        (lambda it: it["probes"].pop(), "not as many probes"),
        (lambda it: it["model"].update(hidden_size=6), "of this hidden size"),
        (lambda it: it["probes"][0].update(layer=30), "layer that the model does not have"),
        (lambda it: it["probes"][0].update(pooling="median"), "'median' is not a valid Pooling"),
        (lambda it: it.pop("model"), "'model'"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(
    folder: Path, how: Callable[[dict[str, Any]], object], words: str
) -> None:
    change(folder, how)
    with pytest.raises(ProbeError, match=words):
        load(folder)


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    save(tmp_path, PROBES, WEIGHTS * np.nan, OFFSETS, BINDING)
    with pytest.raises(ProbeError, match="not a number"):
        load(tmp_path)


def test_a_folder_without_probes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="holds no probes"):
        load(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff")
    (tmp_path / "probes.npz").write_bytes(b"")
    with pytest.raises(ProbeError, match="holds no probes"):
        load(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ProbeError, match="knows format 1 alone"):
        load(tmp_path)


def test_pickled_arrays_are_refused(folder: Path) -> None:
    np.savez(folder / "probes.npz", weights=np.array([{}], dtype=object), offsets=OFFSETS)
    change(folder, lambda _: None)
    with pytest.raises(ProbeError, match="allow_pickle=False"):
        load(folder)
