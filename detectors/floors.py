"""Quality floors: figures that a shipped model must not fall below, or rise above.

A TOML file: for each part a `[part.least]` and a `[part.most]` table, whose keys are
`kind/source/figure` as in the report.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from detectors.api import Part
from detectors.errors import DataError
from detectors.evaluation import Report

Floors = Mapping[str, Mapping[str, Mapping[str, float]]]


def read(path: Path) -> Floors:
    """Read a floors file; raises `DataError` when it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"floors cannot be read from {path}: {error}") from error


def breaches(reports: Mapping[Part, Report], floors: Floors) -> list[str]:
    """Return a sentence for each floor that is missed; a figure that is not there misses it."""
    return [
        sentence for part, bounds in floors.items() for sentence in _missed(reports, part, bounds)
    ]


def _missed(
    reports: Mapping[Part, Report], part: str, bounds: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    found = reports.get(Part(part))
    for bound, sign in (("least", 1), ("most", -1)):
        for place, limit in bounds.get(bound, {}).items():
            kind, source, name = place.split("/")
            estimate = found.figures.get((kind, source, name)) if found else None
            if estimate is None:
                yield f"{part}: {place} is not in the report"
            elif sign * estimate.value < sign * limit:
                yield f"{part}: {place} is {estimate.value:.3f}, but at {bound} {limit} is allowed"
