"""The models' screens, kept as the operating points ask that apply now.

Points of the settings stay; those of the store come with its snapshot, and some expire. A request
finds its model with its screens ready: what is for one project or one surface alone is looked up,
on models that have such points.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from detectors.api import Detector
from service.core.directory import Snapshot
from service.core.points import Count, tally
from service.core.screening import Point, applies_to, applies_within, unexpired
from service.core.screens import ModelScreens
from service.gateway.exchange import ServedModel

_NO_POINTS: Final[Mapping[str, Point]] = {}


class ScreenMaker(Protocol):
    """Makes screens of points. It never waits: detectors were loaded before."""

    @property
    def fixed(self) -> Sequence[Point]:
        """The points of the settings."""
        ...

    def of(self, model: str, points: Sequence[Point]) -> ModelScreens:
        """Return the screens of a model by the points that block; others are passed over."""
        ...

    def can_apply(self, point: Point) -> bool:
        """Say whether a point has an effect here."""
        ...

    def use(self, new: Detector) -> None:
        """Make screens with this version of a detector from now on."""
        ...


class ServedPoints:
    """Changes the models when the points change. Of the event loop's thread alone."""

    def __init__(
        self,
        models: dict[str, ServedModel],
        maker: ScreenMaker,
        count: Count,
        clock: Callable[[], float],
    ) -> None:
        """Take the models as they are by the points of the settings."""
        self._models = models
        self._maker = maker
        self._count = count
        self._clock = clock
        self._of_store = _NO_POINTS
        self._until = math.inf
        self._by = {name: _points_of(it, maker.fixed) for name, it in models.items()}
        self._renew()

    def use(self, snapshot: Snapshot) -> None:
        """Take what a snapshot of the store says; nothing happens if its points are as before."""
        if snapshot.points is not self._of_store:
            self._of_store = snapshot.points
            self._renew()

    def use_detector(self, new: Detector) -> None:
        """Screen by this version of a detector whatever begins from now on."""
        self._maker.use(new)
        for name, model in self._models.items():
            if any(it.detector == new.name for it in self._by[name]):
                self._models[name] = screened_by(model, self._by[name], self._maker)

    def tick(self) -> None:
        """Let what has expired apply no more; to be called each second."""
        if self._clock() >= self._until:
            self._renew()

    def _renew(self) -> None:
        now = self._clock()
        points = [*self._maker.fixed, *self._of_store.values()]
        left, self._until = unexpired(points, now)
        for name, model in self._models.items():
            mine = _points_of(model, left)
            if mine != self._by[name]:
                self._by[name] = mine
                self._models[name] = screened_by(model, mine, self._maker)
        for counted in tally(points, now, self._maker.can_apply):
            self._count(*counted)


class Narrowed:
    """One model in as many variants as its points tell apart, each made when it is first asked."""

    __slots__ = ("_made", "_maker", "_model", "_points", "_projects", "_surfaces")

    def __init__(self, model: ServedModel, points: Sequence[Point], maker: ScreenMaker) -> None:
        """Make no variant yet; `model` is the one that only broad points are for."""
        self._model = model
        self._points = points
        self._maker = maker
        self._projects = {it.project for it in points}
        self._surfaces = {it.surface for it in points}
        self._made: dict[tuple[str | None, str | None], ServedModel] = {}

    def of(self, project: str, surface: str) -> ServedModel:
        """Return the model as it is for a project's requests on a surface."""
        key = (
            project if project in self._projects else None,
            surface if surface in self._surfaces else None,
        )
        if (made := self._made.get(key)) is None:
            made = self._made[key] = self._make(project, surface)
        return made

    def _make(self, project: str, surface: str) -> ServedModel:
        mine = [it for it in self._points if applies_within(it, project, surface)]
        if not any(it.is_narrow for it in mine):
            return self._model
        return self._model.screened_by(self._maker.of(self._model.name, mine))


def screened_by(model: ServedModel, points: Sequence[Point], maker: ScreenMaker) -> ServedModel:
    """Return a model behind the screens that its points ask for."""
    broad = [it for it in points if not it.is_narrow]
    made = model.screened_by(maker.of(model.name, broad))
    if len(broad) == len(points):
        return made
    return made.with_variants(Narrowed(made, points, maker))


def _points_of(model: ServedModel, points: Iterable[Point]) -> tuple[Point, ...]:
    """Return the points that the gateway itself has to look for."""
    tier = model.tier.number
    return tuple(it for it in points if it.blocks and applies_to(it, model.name, tier))
