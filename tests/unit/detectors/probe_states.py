"""States of labelled rows that nobody had to compute: a layer and pooling that tells, and noise."""

from pathlib import Path
from typing import Final

import numpy as np

from detectors.data import Row
from detectors.probe.states import Manifest, States, begin, kept, shards
from vllm_probe.collecting import LINEAR, path_of
from vllm_probe.digests import template_digest
from vllm_probe.parts import Pooling

HIDDEN: Final = 6
LAYERS: Final = (2, 5)
TELLING: Final = (5, Pooling.EMA)
"""Where the label is seen."""
SOURCES: Final = 6


def row(number: int, *, answers: bool = False) -> Row:
    """Return one of many rows: sources have either label, and jailbreaks come of two of them."""
    source = number % SOURCES
    label = source % 2 if not answers else (number // SOURCES) % 2
    categories = ("jailbreak",) if label and source in {1, 3} else ("fraud",) * label
    response = f"answer {number}" if answers else None
    return Row(str(number), f"text {number}", label, f"s{source}", "MIT", response, categories)


def rows(count: int, *, answers: bool = False) -> list[Row]:
    return [row(number, answers=answers) for number in range(count)]


def manifest(count: int, rows_sha256: str = "00") -> Manifest:
    return Manifest(
        weights_sha256="ab" * 32,
        template_sha256="cd" * 32,
        layers_of_model=8,
        hidden_size=HIDDEN,
        layers=LAYERS,
        poolings=LINEAR,
        max_tokens=512,
        dtype="float32",
        rows=count,
        rows_sha256=rows_sha256,
    )


def states_of(some: list[Row], *, strength: float = 3.0) -> States:
    """Return states in which one dimension of one place tells the label."""
    random = np.random.default_rng(3)
    values = random.normal(size=(len(some), len(LAYERS), len(LINEAR), HIDDEN))
    place = LAYERS.index(TELLING[0]), LINEAR.index(TELLING[1])
    values[:, *place, 0] += strength * np.array([it.label for it in some])
    return States(manifest(len(some)), [kept(it) for it in some], values.astype(np.float16))


def model(folder: Path, *, weights: bytes = b"weights", layers: int = 8) -> Path:
    """Make a folder that looks like that of a model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(
        f'{{"num_hidden_layers": {layers}, "hidden_size": {HIDDEN}}}'
    )
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert template_digest(folder)
    return folder


def write(folder: Path, some: list[Row], of_model: Manifest, states: States) -> None:
    """Write states as a collector does."""
    begin(folder, some, of_model)
    for number, chosen in shards(len(some)):
        with path_of(folder, number).open("wb") as file:
            np.save(file, states.values[chosen])
