"""Scores for a report: of many samples, by any detector."""

from collections.abc import Mapping, Sequence

from detectors.api import Category, Detector, Sample

Given = Mapping[Category, float]


def score_samples(detector: Detector, samples: Sequence[Sample], batch: int) -> list[Given]:
    """Return the detector's scores of each sample, `batch` of them at a time."""
    scores: list[Given] = []
    for start in range(0, len(samples), batch):
        scores += detector.score(samples[start : start + batch])
    return scores


def any_of(scores: Given) -> float:
    """Return the probability of misuse of whatever kind.

    A detector that has no score for it speaks of single categories: then its highest counts.
    """
    return scores[Category.ANY] if Category.ANY in scores else max(scores.values())
