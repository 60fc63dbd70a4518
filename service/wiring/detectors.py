"""The detectors of the settings: made when they are needed, known by name before that."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from detectors import artefacts, lexical, plugins, probe, rules, semantic
from detectors.api import (
    Category,
    Detector,
    LeftOut,
    Part,
    ReadingDetector,
    Sample,
    close_all,
)
from detectors.budgets import Budget
from detectors.cascade import Cascade, Combine, Stage, StageUse
from detectors.errors import DataError, DetectorError
from detectors.registry import CATEGORIES, WORKING
from detectors.reloading import Reloadable
from service.core.screening import Point
from service.errors import ConfigError
from service.settings import Settings
from service.settings import detectors as sections
from service.telemetry.labels import declare
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from detectors.judge import Judge

Factory = Callable[[], Detector]
_SCORED: Final = "scored"
_STAGE_OUTCOMES: Final = (_SCORED, *LeftOut)
_CATEGORIES: Final = {name: CATEGORIES[name] for name in WORKING}
Told = Callable[[str, StageUse], None]
"""Hears of each stage of a cascade, after each batch: the cascade's name, and what it was used
for."""


class Detectors(NamedTuple):
    """The detectors that there are, by name."""

    factories: Mapping[str, Factory] = WORKING
    """Those of the settings raise ConfigError for what cannot be loaded."""
    categories: Mapping[str, Collection[Category]] = _CATEGORIES
    """What they give scores for."""
    shadows: Collection[str] = ()
    """They are scored and recorded, and no point is held to them."""
    stages: Collection[str] = ()
    """They work within a cascade, not beside it."""
    reloadable: Sequence[Reloadable] = ()
    """They are made of files of the settings' own, which may change."""

    def scores(self, point: Point) -> bool:
        """Say whether scores may be held to a point: they are given, and not by a shadow."""
        scored = self.categories.get(point.detector, ())
        return point.category in scored and point.detector not in self.shadows

    def working(self) -> list[Detector]:
        """Make those that score exchanges by themselves; whoever calls closes them."""
        return [make() for name, make in self.factories.items() if name not in self.stages]

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Sequence[Detector]]:
        """Make those that score exchanges by themselves, and close them at the end."""
        made = self.working()
        try:
            yield made
        finally:
            close_all(made)


SHIPPED: Final = Detectors()


def parts_of(detectors: Sequence[Detector]) -> Mapping[str, Collection[Part]]:
    """Return what each scores, and each stage of a cascade, by name."""
    cascades = [it for it in detectors if isinstance(it, Cascade)]
    stages = {it.detector.name: it.parts for cascade in cascades for it in cascade.stages}
    return {it.name: it.parts for it in detectors} | stages


def _say_nothing(_cascade: str, _use: StageUse) -> None:
    """Nobody counts."""


def stages_counted_by(metrics: Metrics) -> Told:
    """Return what counts the use of stages."""

    def told(cascade: str, use: StageUse) -> None:
        outcomes = {_SCORED: use.scored, **{str(why): n for why, n in use.left_out.items()}}
        for outcome, count in outcomes.items():
            metrics.stage_texts.labels(cascade, use.stage, outcome).inc(count)
        metrics.stage_chars.labels(cascade, use.stage).inc(use.chars)
        metrics.stage_seconds.labels(cascade, use.stage).inc(use.seconds)

    return told


def declare_stages(detectors: Sequence[Detector], metrics: Metrics) -> None:
    """Show 0 of all that is counted of the stages of cascades."""
    for cascade in (it for it in detectors if isinstance(it, Cascade)):
        stages = [stage.detector.name for stage in cascade.stages]
        declare(metrics.stage_texts, [cascade.name], stages, _STAGE_OUTCOMES)
        declare(metrics.stage_chars, [cascade.name], stages)
        declare(metrics.stage_seconds, [cascade.name], stages)


def detectors_of(settings: Settings, told: Told = _say_nothing) -> Detectors:
    """Return the detectors of the settings; loads those whose categories cannot be known else.

    Raises:
        ConfigError: such a one cannot be loaded.
    """
    simple = [it for it in settings.detectors if not isinstance(it, sections.CascadeDetector)]
    cascades = [it for it in settings.detectors if isinstance(it, sections.CascadeDetector)]
    held = {it.name: _held(it, paths) for it in simple if (paths := _own_files(it))}
    factories = {it.name: _factory(it, held) for it in simple}
    categories = {it.name: _categories(it, factories[it.name]) for it in simple}
    shadows = {it.name for it in simple if it.shadow}
    for one in cascades:
        stages = [stage.detector for stage in one.stages]
        factories[one.name] = partial(_cascade, one, factories, shadows, partial(told, one.name))
        counting = [categories[name] for name in stages if name not in shadows]
        categories[one.name] = frozenset[Category]().union(*counting)
    staged = {stage.detector for one in cascades for stage in one.stages}
    return Detectors(factories, categories, shadows, staged, tuple(held.values()))


_Simple = (
    sections.LexicalDetector
    | sections.RulesDetector
    | sections.SemanticDetector
    | sections.JudgeDetector
    | sections.ProbeDetector
    | sections.PluginDetector
)


def _own_files(section: _Simple) -> Sequence[Path]:
    """Return the files to look at for a change; those that are shipped change with the code."""
    match section:
        case sections.LexicalDetector(model=Path() as folder):
            return folder / artefacts.MANIFEST, folder / artefacts.MODEL
        case sections.RulesDetector(files=files):
            return files
        case sections.ProbeDetector(probes=Path() as folder):
            heads = folder / probe.HEADS
            return folder / artefacts.MANIFEST, heads / artefacts.MANIFEST, heads / artefacts.MODEL
    return ()


def _held(section: _Simple, paths: Sequence[Path]) -> Reloadable:
    try:
        return Reloadable(section.name, paths, _loader(section))
    except DetectorError as error:
        raise _cannot_be_loaded(section, error) from None


def _cannot_be_loaded(section: _Simple, error: DetectorError) -> ConfigError:
    return ConfigError(f"the detector {section.name!r} cannot be loaded: {error}")


def _factory(section: _Simple, held: Mapping[str, Reloadable]) -> Factory:
    if section.name in held:
        return partial(_version_in_use, held[section.name])
    return partial(_loaded, section)


def _loaded(section: _Simple) -> Detector:
    try:
        return _loader(section)()
    except DetectorError as error:
        raise _cannot_be_loaded(section, error) from None


def _version_in_use(held: Reloadable) -> Detector:
    return held.detector


def _loader(section: _Simple) -> Factory:
    match section:
        case sections.LexicalDetector():
            return partial(lexical.load, section.model or lexical.MODEL_FOLDER, section.name)
        case sections.RulesDetector():
            shipped = (rules.SHIPPED,) if section.shipped else ()
            return partial(rules.load, (*shipped, *section.files), section.name)
        case sections.SemanticDetector():
            folder = section.model or semantic.MODEL_FOLDER
            return partial(semantic.load, folder, section.name, section.layers)
        case sections.JudgeDetector():
            return partial(_judge, section)
        case sections.ProbeDetector():
            folder = section.probes or probe.MODEL_FOLDER
            return partial(probe.load, folder, section.name, section.least_read)
        case sections.PluginDetector():
            return partial(plugins.load, section.factory, section.name, section.options)


def _shipped(section: _Simple) -> str | None:
    """Name what is shipped just so: its categories are known without loading it."""
    match section:
        case sections.LexicalDetector(model=None):
            return lexical.NAME
        case sections.RulesDetector(files=(), shipped=True):
            return rules.NAME
        case sections.SemanticDetector(model=None, layers=semantic.DEEP):
            return semantic.NAME
        case sections.ProbeDetector(probes=None):
            return probe.NAME
    return None


def _categories(section: _Simple, make: Factory) -> Collection[Category]:
    if (shipped := _shipped(section)) is not None:
        return CATEGORIES[shipped]
    try:
        if isinstance(section, sections.JudgeDetector):  # whose guard need not be there yet
            with contextlib.closing(_judge(section)) as judge:
                return judge.categories
        detector = make()
        if isinstance(detector, ReadingDetector):
            return detector.categories
        try:
            scored = detector.score([Sample("", part) for part in sorted(detector.parts)])
        finally:
            close_all([detector])
    except DetectorError as error:
        raise _cannot_be_loaded(section, error) from None
    return frozenset[Category]().union(*scored)


def _judge(section: sections.JudgeDetector) -> "Judge":
    from detectors.judge import Judge, JudgeConfig  # noqa: PLC0415  (httpx is for judges alone)

    given = section.model_dump(exclude={"kind", "shadow", "api_key", "ca_file", "policy", "parts"})
    try:
        policy = "" if section.policy is None else section.policy.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the policy {section.policy} cannot be read: {error}") from None
    config = JudgeConfig(
        api_key="" if section.api_key is None else section.api_key.get_secret_value(),
        ca_file="" if section.ca_file is None else str(section.ca_file),
        policy=policy,
        parts=frozenset(section.parts) or None,
        **given,
    )
    return Judge(config)


def _cascade(
    section: sections.CascadeDetector,
    factories: Mapping[str, Factory],
    shadows: Collection[str],
    told: Callable[[StageUse], None],
) -> Cascade:
    stages: Sequence[Stage] = [
        Stage(
            detector=factories[it.detector](),
            combine=Combine.SHADOW if it.detector in shadows else Combine(it.combine),
            weight=it.weight,
            band=it.band,
            budget=_budget(it),
            required=it.required,
            only=frozenset(it.parts) or None,
        )
        for it in section.stages
    ]
    return Cascade(section.name, stages, told)


def _budget(section: sections.Stage) -> Budget | None:
    if section.max_share is None and section.max_chars_per_s is None:
        return None
    return Budget(section.max_share, section.max_chars_per_s, clock=time.monotonic)
