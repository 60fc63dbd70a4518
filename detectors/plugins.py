"""Detectors of others: a function that makes one, named by its module."""

import importlib
from collections.abc import Mapping

from detectors.api import Category, Detector, Part, Sample, check_scores
from detectors.errors import DetectorError

Option = str | int | float | bool
_TRIED = ("", "A text to see what it is scored by.")


def load(factory: str, name: str, options: Mapping[str, Option]) -> Detector:
    """Make a detector by `module:function`, called with the name and the options by name.

    Raises:
        DetectorError: there is no such function, it fails, or what it makes is no detector.
    """
    module, _, function = factory.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)(name=name, **options)
    except Exception as error:
        raise DetectorError(f"{factory} failed: {type(error).__name__}: {error}") from error
    detector: Detector = made
    _check(detector, factory, name)
    return detector


def _check(detector: Detector, factory: str, name: str) -> None:
    lacks = [it for it in ("name", "version", "parts", "score") if not hasattr(detector, it)]
    if lacks:
        raise DetectorError(f"{factory} made no detector: it has no {', '.join(lacks)}")
    if detector.name != name:
        raise DetectorError(f"{factory} made a detector named {detector.name!r}, and not {name!r}")
    if not detector.parts or not set(detector.parts) <= set(Part):
        raise DetectorError(f"{factory}: `parts` must be a set of detectors.api.Part, not empty")
    for part in detector.parts:
        samples = [Sample(text, part) for text in _TRIED]
        try:
            scored = detector.score(samples)
            check_scores(scored, len(samples))
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise DetectorError(f"{factory} does not score {part}: {what}") from error
        if not all(scores and set(scores) <= set(Category) for scores in scored):
            raise DetectorError(f"{factory}: scores are by detectors.api.Category, at least one")
