"""The operating points of the settings, checked against the detectors that there are."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from detectors.api import Category
from detectors.registry import CATEGORIES
from service.core.points import OperatingPoint, PointScope
from service.core.screening import Point
from service.settings import Check, Mistake, Settings, refuse

Scored = Mapping[str, Collection[Category]]
"""Detector → what it gives scores for."""


def points_of(settings: Settings, categories: Scored = CATEGORIES) -> list[Point]:
    """Return the operating points as scores are held to them.

    Raises:
        ConfigError: as `mistakes_in_points`.
    """
    refuse(mistakes_in_points(settings, categories))
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


def mistakes_in_points(settings: Settings, categories: Scored = CATEGORIES) -> Iterator[Mistake]:
    """Yield points of a detector that there is not, or of a category that it gives no score for.

    They would never be crossed, and nobody would notice.
    """
    for i, point in enumerate(settings.operating_points):
        scored = categories.get(point.detector)
        if scored is None:
            yield Mistake(
                ("operating_points", i, "detector"),
                f"no detector is named {point.detector!r}; there are: {', '.join(categories)}",
            )
        elif point.category not in scored:
            yield Mistake(
                ("operating_points", i, "category"),
                f"{point.detector} gives no score for {str(point.category)!r}; "
                f"it does for: {', '.join(sorted(scored))}",
            )


POINTS_CHECK: Final = Check(frozenset({"operating_points"}), mistakes_in_points)
