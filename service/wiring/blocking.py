"""Which detectors can block, and what keeps a point of the settings from doing so by one."""

from collections.abc import Iterator, Mapping, Sequence

from detectors.api import InlineDetector, Part, ReadingDetector, close_all
from service.core.screening import Point, applies_to
from service.core.tiers import TIERS, Safeguard
from service.settings import Mistake, Model, Settings, Upstream, refuse
from service.wiring.detectors import Detectors

Blocking = InlineDetector | ReadingDetector
"""What is fast enough for what is on its way: it looks at a text, or at what probes read."""


def blocking_detectors(
    settings: Settings, points: Sequence[Point], there_are: Detectors
) -> dict[str, Blocking]:
    """Load the detectors by which points of the settings block; return them by name.

    Raises:
        ConfigError: a point could never block by its detector.
    """
    names = sorted({point.detector for point in points if point.blocks})
    loaded = {name: there_are.factories[name]() for name in names}
    found = {name: it for name, it in loaded.items() if isinstance(it, Blocking)}
    close_all(it for name, it in loaded.items() if name not in found)
    refuse(_mistakes(settings, points, found))
    return found


def is_told(upstream: Upstream, detector: ReadingDetector) -> bool:
    """Say whether the settings let an upstream's probes tell what a detector understands."""
    probes = upstream.probes
    return probes is not None and probes.digest in {None, detector.probes}


def _mistakes(
    settings: Settings, points: Sequence[Point], found: Mapping[str, Blocking]
) -> Iterator[Mistake]:
    for i, point in enumerate(points):
        detector = found.get(point.detector)
        if not point.blocks or isinstance(detector, InlineDetector):
            continue
        for words in _why_not(settings, point, detector):
            yield Mistake(("operating_points", i, "action"), words)
    for i, model in enumerate(settings.models):
        if Safeguard.ANSWER_WINDOW in TIERS[model.tier].requires and _by_readings_alone(
            model, points, found
        ):
            yield Mistake(
                ("operating_points",),
                f"models[{i}] is of tier {model.tier}, which requires a point on answers with "
                "action block whose detector reads the text: of an answer that probes tell "
                "nothing of, the others look at nothing",
            )


def _why_not(settings: Settings, point: Point, detector: ReadingDetector | None) -> Iterator[str]:
    """Yield why a point cannot block by a detector of readings, or by one that is too slow."""
    name = point.detector
    if detector is None:
        yield f"{name} cannot block: it is too slow to score what is on its way; let it page"
    elif point.part is not Part.ANSWER:
        yield (
            f"{name} can cut off answers alone: it judges what probes read while the model is at "
            "work, and a prompt was let in before that; let it page"
        )
    elif not detector.categories_of(point.part):
        yield f"{name} has no probes of answers: train them with rows that have a `response`"
    elif point.category not in detector.categories_of(point.part):
        yield f"{name} gives no score for {str(point.category)!r} of answers: name another category"
    else:
        numbered = {it.name: (j, it) for j, it in enumerate(settings.upstreams)}
        for model in settings.models:
            j, upstream = numbered[model.upstream]
            if applies_to(point, model.name, model.tier) and not is_told(upstream, detector):
                what = "sockets" if upstream.probes is None else f"digest to {detector.probes}"
                yield (
                    f"{name} cuts off by what probes in vLLM tell, and those of the model "
                    f"{model.name!r} tell it nothing: set upstreams[{j}].probes.{what}, let it "
                    "page, or name the models that it is for"
                )


def _by_readings_alone(
    model: Model, points: Sequence[Point], found: Mapping[str, Blocking]
) -> bool:
    mine = [
        found.get(it.detector)
        for it in points
        if it.blocks and it.part is Part.ANSWER and applies_to(it, model.name, model.tier)
    ]
    return bool(mine) and all(isinstance(it, ReadingDetector) for it in mine)
