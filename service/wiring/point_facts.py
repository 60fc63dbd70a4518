"""What operating points are held to when they are set: detectors, models, the settings' own."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from detectors.api import Detector, InlineDetector, ReadingDetector, close_all
from service.core.points import KnownDetector, PointFacts, PointModel
from service.core.policies import HOLDING
from service.errors import ConfigError, Unacceptable
from service.settings import Settings
from service.wiring.detectors import Detectors, detectors_of
from service.wiring.points import fixed_points


class _Known(Mapping[str, KnownDetector]):
    """The detectors by name: each is loaded when it is looked up, and not again.

    Which there are is found out when the first is: whoever lists keys or takes a point back needs
    no detector, and can do so while the files of one are damaged.
    """

    def __init__(self, find: Callable[[], Detectors]) -> None:
        self._find = find
        self._loaded: dict[str, KnownDetector] = {}

    @cached_property
    def _there_are(self) -> Detectors:
        try:
            return self._find()
        except ConfigError as error:
            raise Unacceptable("detector", str(error)) from error

    def __getitem__(self, name: str) -> KnownDetector:
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._there_are.factories[name])
        return self._loaded[name]

    def _load(self, name: str, make: Callable[[], Detector]) -> KnownDetector:
        try:
            detector = make()
        except Exception as error:  # whatever it was: the administrator is told
            raise Unacceptable("detector", f"{name} cannot be loaded here: {error}") from error
        close_all([detector])
        scored, is_shadow = self._there_are.categories[name], name in self._there_are.shadows
        return KnownDetector(
            scored,
            detector.parts,
            is_inline=isinstance(detector, InlineDetector),
            is_shadow=is_shadow,
            reads_probes=isinstance(detector, ReadingDetector),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._there_are.factories)

    def __len__(self) -> int:
        return len(self._there_are.factories)


def point_facts(settings: Settings, there_are: Detectors | None = None) -> PointFacts:
    """Return what points are checked against; loads no detector yet."""
    known = _Known(lambda: there_are or detectors_of(settings))
    return PointFacts(known, _models(settings), fixed_points(settings))


def _models(settings: Settings) -> list[PointModel]:
    observed = settings.screening.observe_only
    probed = {upstream.name for upstream in settings.upstreams if upstream.probes is not None}
    return [
        PointModel(
            model.name,
            model.tier,
            can_cut_off=observed or settings.policy(model).answer_mode in HOLDING,
            has_probes=model.upstream in probed,
        )
        for model in settings.models
    ]
