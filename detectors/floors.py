"""Quality floors: figures that a shipped model must not fall below, or rise above.

A TOML file: for each part a `[part.least]` and a `[part.most]` table, whose keys are
`kind/source/figure` as in the JSON report. A floor may bind a figure that cannot be measured, for
want of rows: it is no claim then, but it guards against a change.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from detectors.api import Part
from detectors.errors import DataError
from detectors.estimates import Key
from detectors.evaluation import Report
from detectors.reading import unreadable

Floors = Mapping[str, Mapping[str, Mapping[str, float]]]


def read(path: Path) -> Floors:
    """Read a floors file; raises `DataError` when it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, "a TOML file of floors") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"floors cannot be read from {path}: {error}") from error


def breaches(reports: Mapping[Part, Report], floors: Floors) -> list[str]:
    """Return a sentence for each floor that is missed; a figure that is not there misses it.

    Raises:
        DataError: the floors speak of something that is no part, or no figure.
    """
    return [
        sentence
        for part, bounds in floors.items()
        for sentence in _missed(reports, _part(part), bounds)
    ]


def _part(name: str) -> Part:
    if name not in set(Part):
        raise DataError(f"floors speak of a part {name!r}, but parts are {', '.join(Part)}")
    return Part(name)


def _missed(
    reports: Mapping[Part, Report], part: Part, bounds: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    found = reports.get(part)
    for bound, sign in (("least", 1), ("most", -1)):
        for place, limit in bounds.get(bound, {}).items():
            estimate = found.figures.get(_key(place)) if found else None
            if estimate is None:
                yield f"{part}: {place} is not in the report"
            elif sign * estimate.value < sign * limit:
                yield f"{part}: {place} is {estimate.value:.3f}, but at {bound} {limit} is allowed"


def _key(place: str) -> Key:
    names = place.split("/")
    if len(names) != len(("kind", "source", "figure")):
        raise DataError(f"floors speak of {place!r}, but a figure is kind/source/figure")
    return names[0], names[1], names[2]
