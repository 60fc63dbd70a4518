"""The operating points of the settings, checked against the detectors that there are."""

from collections.abc import Collection, Mapping

from detectors.api import Category
from detectors.registry import CATEGORIES
from service.core.screening import Point
from service.errors import ConfigError
from service.settings import Settings


def points_of(
    settings: Settings, categories: Mapping[str, Collection[Category]] = CATEGORIES
) -> list[Point]:
    """Return the operating points as the screener takes them.

    Raises:
        ConfigError: a point names a detector that there is not, or a category that its detector
            gives no score for: it would never be crossed, and nobody would notice.
    """
    for i, point in enumerate(settings.operating_points):
        if point.detector not in categories:
            raise ConfigError(
                f"operating_points[{i}].detector: no detector is named {point.detector!r}; "
                f"there are: {', '.join(categories)}"
            )
        scored = categories[point.detector]
        if point.category not in scored:
            raise ConfigError(
                f"operating_points[{i}].category: {point.detector} gives no score for "
                f"{str(point.category)!r}; it does for: {', '.join(sorted(scored))}"
            )
    return [
        Point(
            name=point.name,
            detector=point.detector,
            category=point.category,
            part=point.part,
            threshold=point.threshold,
            action=point.action,
            models=frozenset(point.models),
        )
        for point in settings.operating_points
    ]
