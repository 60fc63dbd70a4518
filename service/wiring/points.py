"""The operating points of the settings, checked against the detectors that there are."""

from collections.abc import Iterator
from typing import Final

from service.core.points import OperatingPoint, PointScope
from service.core.screening import Point
from service.settings import Check, Mistake, Settings, refuse
from service.wiring.detectors import Detectors, detectors_of


def points_of(settings: Settings, there_are: Detectors | None = None) -> list[Point]:
    """Return the operating points as scores are held to them; by default for its own detectors.

    Raises:
        ConfigError: as `mistakes_in_points`.
    """
    refuse(mistakes_in_points(settings, there_are))
    return [point.to_point() for point in fixed_points(settings)]


def fixed_points(settings: Settings) -> list[OperatingPoint]:
    """Return the points of the settings, as lists show them."""
    return [
        OperatingPoint(
            id=point.name,
            version=0,
            detector=point.detector,
            category=point.category,
            part=point.part,
            threshold=point.threshold,
            action=point.action,
            scope=PointScope(models=frozenset(point.models)),
            owner="settings",
        )
        for point in settings.operating_points
    ]


def mistakes_in_points(settings: Settings, there_are: Detectors | None = None) -> Iterator[Mistake]:
    """Yield points of a detector that there is not, or of a category that it gives no score for.

    They would never be crossed, and nobody would notice.

    Raises:
        ConfigError: a detector cannot be loaded whose categories are not known else.
    """
    there_are = there_are or detectors_of(settings)
    for i, point in enumerate(settings.operating_points):
        scored = there_are.categories.get(point.detector)
        if scored is None:
            named = ", ".join(there_are.categories)
            words = f"no detector is named {point.detector!r}; there are: {named}"
            yield Mistake(("operating_points", i, "detector"), words)
        elif point.detector in there_are.shadows:
            words = f"{point.detector} is a shadow, scored and recorded alone: name another"
            yield Mistake(("operating_points", i, "detector"), words)
        elif point.category not in scored:
            named = ", ".join(sorted(scored))
            what = f"{point.detector} gives no score for {str(point.category)!r}"
            words = f"{what}; it does for: {named}"
            yield Mistake(("operating_points", i, "category"), words)


POINTS_CHECK: Final = Check(frozenset({"operating_points", "detectors"}), mistakes_in_points)
