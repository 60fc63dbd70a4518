"""Detector `probe`: what probes inside the served model say of an exchange, as probabilities.

The plugin in vLLM tells log-odds (`vllm_probe`), the gateway records them with the exchange, and
here they become scores. A part that nothing was told of, or too little, has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from detectors import artefacts
from detectors.api import Category, Part, Reading, Sample
from detectors.errors import ArtefactError
from detectors.probe import HEADS, LEAST_READ, NAME
from detectors.semantic.detector import Head, read_heads
from vllm_probe.errors import ProbeError
from vllm_probe.probes import load as load_probes

_PROBES: Final = "probes"


@dataclass(frozen=True, slots=True)
class Probe:
    """Scores prompts and answers by what was read of them; answers in the light of their prompts.

    The states of an answer come of the prompt before it, so that one head serves both parts.
    """

    probes: str
    count: int
    """How many log-odds a reading has."""
    heads: Mapping[Part, Head]
    version: str
    least_read: float = LEAST_READ
    name: str = NAME

    @property
    def parts(self) -> frozenset[Part]:
        """Those that there are heads for."""
        return frozenset(self.heads)

    @property
    def categories(self) -> frozenset[Category]:
        """Those that there are scores for, of whichever part."""
        return frozenset[Category]().union(*map(self.categories_of, self.heads))

    def categories_of(self, part: Part) -> frozenset[Category]:
        """Return those that there are scores for of a part."""
        head = self.heads.get(part)
        return frozenset() if head is None else frozenset({Category.ANY, *head.categories})

    def understands(self, reading: Reading | None) -> bool:
        """Say whether a reading is of these probes, and of enough of the tokens."""
        return (
            reading is not None
            and reading.probes == self.probes
            and len(reading.log_odds) == self.count
            and reading.tokens > 0
            and reading.read >= self.least_read * reading.tokens
        )

    def score_reading(self, reading: Reading, part: Part) -> dict[Category, float]:
        """Return the scores of a reading that is understood; `{}` for a part without a head."""
        head = self.heads.get(part)
        return {} if head is None else head.scores([np.array(reading.log_odds, np.float32)])

    def score(self, samples: Sequence[Sample]) -> list[dict[Category, float]]:
        """Return the scores of each sample, in order; `{}` where there is no reading to judge."""
        return [
            self.score_reading(it.reading, it.part)
            if it.reading is not None and self.understands(it.reading)
            else {}
            for it in samples
        ]


def save(folder: Path, probes: str, heads: Mapping[Part, Head]) -> str:
    """Write the heads of probes beside them; return the version."""
    return save_content(folder, probes, {str(it): head.content() for it, head in heads.items()})


def save_content(folder: Path, probes: str, content: Mapping[str, Any]) -> str:
    """Write heads as they are kept; return the version."""
    return artefacts.save(folder / HEADS, NAME, {**content, _PROBES: probes}).version


def load(folder: Path, name: str = NAME, least_read: float = LEAST_READ) -> Probe:
    """Load probes with their heads.

    Raises:
        ArtefactError: they are missing, damaged, or not of each other.
    """
    artefact = artefacts.load(folder / HEADS, NAME)
    try:
        probes = load_probes(folder)
    except ProbeError as error:
        raise ArtefactError(str(error)) from None
    content = dict(artefact.content)
    if content.pop(_PROBES, None) != probes.digest:
        raise ArtefactError(
            f"{folder / HEADS} belongs to other probes than {folder} holds: copy the whole folder"
        )
    heads = read_heads(content, folder / HEADS)
    count = len(probes.probes)
    if not heads or any(
        linear.weights.shape[1] != count
        for head in heads.values()
        for linear in (head.kinds, head.of_categories)
    ):
        raise ArtefactError(f"{folder / HEADS} is not for {count} probes")
    version = f"{artefact.version}.{probes.digest[:12]}"
    return Probe(probes.digest, count, heads, version, least_read, name)
