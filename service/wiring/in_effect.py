"""What each model gets under the settings, told from the parts that a gateway is made of."""

from collections.abc import Iterable
from typing import Any, Final

from service.core.screening import BLOCK
from service.core.screens import ModelScreens, ReadingScreen, Screen
from service.core.tiers import TIERS
from service.settings import Model, Settings, Upstream
from service.wiring.detectors import Detectors, detectors_of
from service.wiring.screens import Screens

_WORKERS_ALONE: Final = "none"
"""The mode of prompts that no point blocks: they are scored once they are recorded."""


def in_effect(settings: Settings, there_are: Detectors | None = None) -> list[dict[str, Any]]:
    """Return an object of plain JSON values for each model; loads the detectors that block.

    Raises:
        ConfigError: as `Screens`.
        ArtefactError: a detector cannot be loaded.
    """
    screens = Screens(settings, there_are or detectors_of(settings)).by_model()
    upstreams = {upstream.name: upstream for upstream in settings.upstreams}
    return [
        _model(model, upstreams[model.upstream], screens[model.name]) for model in settings.models
    ]


def _model(model: Model, upstream: Upstream, screens: ModelScreens) -> dict[str, Any]:
    policy = screens.policy
    return {
        "model": model.name,
        "tier": model.tier,
        "upstream": upstream.name,
        "upstream_model": model.upstream_model,
        "replicas": list(upstream.replicas),
        "evidence": TIERS[model.tier].evidence,
        "observe_only": screens.observe_only,
        "prompt": {
            "mode": BLOCK if screens.prompt else _WORKERS_ALONE,
            "deadline_ms": round(policy.prompt_deadline_s * 1000, 6),
            "on_error": policy.prompt_on_error,
            "blocks": _points(screens.prompt),
        },
        "answer": {
            "mode": str(screens.answer_mode),
            "window_chars": screens.window_chars,
            "max_unscanned_chars": screens.max_unscanned_chars,
            "on_error": policy.answer_on_error,
            "blocks": _points((*screens.answer, *screens.readings)),
        },
    }


def _points(screens: Iterable[Screen | ReadingScreen]) -> list[dict[str, Any]]:
    return [
        {
            "point": point.name,
            "detector": f"{screen.detector.name}/{screen.detector.version}",
            "category": str(point.category),
            "threshold": point.threshold,
        }
        for screen in screens
        for point in screen.points
    ]
