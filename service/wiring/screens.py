"""The gateway's own screens, put together from the settings and the detectors that there are."""

import logging
from collections.abc import Mapping, Sequence

from detectors.api import Detector, InlineDetector, Part, ReadingDetector, close_all
from service.core.directory import Snapshot
from service.core.policies import HOLDING
from service.core.screening import Point, applies_to
from service.core.screens import ModelScreens, reading_screens_of, screens_of
from service.settings import Model, Settings
from service.wiring.blocking import Blocking, blocking_detectors, is_told
from service.wiring.detectors import Detectors
from service.wiring.points import points_of

_log = logging.getLogger(__name__)


class Screens:
    """Makes the screens of models, with the detectors that points need which block.

    Those of the settings are loaded at once, those of the store by `prepare`.
    """

    def __init__(self, settings: Settings, there_are: Detectors) -> None:
        """Load the detectors of the settings' points.

        Raises:
            ConfigError: a point names a detector by which it could never block.
        """
        self.fixed: Sequence[Point] = points_of(settings, there_are)
        self._settings = settings
        self._there_are = there_are
        self._models = {model.name: model for model in settings.models}
        self._upstreams = {upstream.name: upstream for upstream in settings.upstreams}
        self._loaded = blocking_detectors(settings, self.fixed, there_are)

    def by_model(self) -> Mapping[str, ModelScreens]:
        """Return the screens of all models by the points of the settings."""
        return {name: self.of(name, self.fixed) for name in self._models}

    def prepare(self, snapshot: Snapshot) -> None:
        """Load what points of the store block by; one that cannot be loaded is told, and ignored.

        It is called by one thread at a time, and may be so while others make screens.
        """
        needed = {point.detector for point in snapshot.points.values() if point.blocks}
        for name in sorted(needed - self._loaded.keys()):
            try:
                detector = self._there_are.factories[name]()
            except Exception as error:  # noqa: BLE001  (whatever it was: the gateway serves on)
                _log.error("points that block by %s are ignored: %s", name, type(error).__name__)
                continue
            if isinstance(detector, Blocking):
                self._loaded.setdefault(name, detector)  # a newer one may have come meanwhile
            else:
                close_all([detector])
                _log.error("points that block by %s are ignored: it is too slow", name)

    def use(self, new: Detector) -> None:
        """Make screens with this version of a detector from now on."""
        if isinstance(new, Blocking):
            self._loaded[new.name] = new

    def can_apply(self, point: Point) -> bool:
        """Say whether a point has the effect that it asks for, on all models that it is for."""
        if not point.blocks:
            return True
        mine = [it for it in self._models.values() if applies_to(point, it.name, it.tier)]
        return self._can_score(point) and all(self._can_block(point, it) for it in mine)

    def _can_score(self, point: Point) -> bool:
        detector = self._loaded.get(point.detector)
        if isinstance(detector, ReadingDetector) and (
            point.part is not Part.ANSWER
            or point.category not in detector.categories_of(point.part)
        ):
            return False
        return detector is not None and self._there_are.scores(point)

    def _can_block(self, point: Point, model: Model) -> bool:
        """Say whether there is something to block by: answers that were released are gone."""
        detector = self._loaded[point.detector]
        if isinstance(detector, ReadingDetector) and not self._is_told(model, detector):
            return False
        held = self._settings.policy(model).answer_mode in HOLDING
        return held or point.part is not Part.ANSWER or self._settings.screening.observe_only

    def _is_told(self, model: Model, detector: ReadingDetector) -> bool:
        return is_told(self._upstreams[model.upstream], detector)

    def of(self, model: str, points: Sequence[Point]) -> ModelScreens:
        """Return the screens of a model by these points; detectors must have been loaded."""
        one = self._models[model]
        points = [point for point in points if self._can_score(point)]
        loaded = [self._loaded[name] for name in sorted(self._loaded)]
        inline = [it for it in loaded if isinstance(it, InlineDetector)]
        readers = [it for it in loaded if isinstance(it, ReadingDetector)]
        told = [it for it in readers if self._is_told(one, it)]
        return ModelScreens(
            policy=self._settings.policy(one),
            prompt=screens_of(points, inline, model, one.tier, Part.PROMPT),
            answer=screens_of(points, inline, model, one.tier, Part.ANSWER),
            observe_only=self._settings.screening.observe_only,
            readings=reading_screens_of(points, told, model, one.tier),
        )
