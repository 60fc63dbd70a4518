"""The gateway's own screens, put together from the settings and the detectors that there are."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from detectors.api import Category, Detector, InlineDetector, Part
from detectors.registry import CATEGORIES, FACTORIES
from service.core.screening import Point
from service.core.screens import ModelScreens, screens_of
from service.settings import Mistake, Model, Settings, refuse
from service.wiring.points import points_of


class Detectors(NamedTuple):
    """The detectors that there are, by name, and what they give scores for."""

    factories: Mapping[str, Callable[[], Detector]] = FACTORIES
    categories: Mapping[str, Collection[Category]] = CATEGORIES


SHIPPED: Final = Detectors()


def screens_by_model(settings: Settings, there_are: Detectors) -> Mapping[str, ModelScreens]:
    """Return what stands between each model and its callers; loads the detectors for it.

    Raises:
        ConfigError: a point that blocks names a detector that is too slow to run inline.
    """
    points = points_of(settings, there_are.categories)
    detectors = _inline_detectors(points, there_are)
    return {model.name: _screens(settings, model, points, detectors) for model in settings.models}


def _screens(
    settings: Settings, model: Model, points: Sequence[Point], detectors: Sequence[InlineDetector]
) -> ModelScreens:
    return ModelScreens(
        policy=settings.policy(model),
        prompt=screens_of(points, detectors, model.name, model.tier, Part.PROMPT),
        answer=screens_of(points, detectors, model.name, model.tier, Part.ANSWER),
        observe_only=settings.screening.observe_only,
    )


def _inline_detectors(points: Sequence[Point], there_are: Detectors) -> list[InlineDetector]:
    names = sorted({point.detector for point in points if point.blocks})
    detectors = {name: there_are.factories[name]() for name in names}
    found = {name: it for name, it in detectors.items() if isinstance(it, InlineDetector)}
    refuse(
        Mistake(
            ("operating_points", i, "action"),
            f"{point.detector} cannot block: it is too slow to score what is on its way; let it "
            "page",
        )
        for i, point in enumerate(points)
        if point.blocks and point.detector not in found
    )
    return list(found.values())
