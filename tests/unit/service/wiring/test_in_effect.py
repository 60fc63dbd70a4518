"""What check-config tells of each model."""

from typing import Any

import pytest

from detectors.api import Category
from service.errors import ConfigError
from service.settings import Settings
from service.wiring.detectors import Detectors
from service.wiring.in_effect import in_effect
from tests.real_parts.phrase_detector import NAME, PhraseDetector

CATEGORIES = {NAME: frozenset({Category.ANY}), "slow": frozenset({Category.ANY})}


class SlowDetector:
    """A detector that is not for texts on their way."""

    name = "slow"
    version = "1"


DETECTORS = Detectors({NAME: PhraseDetector, "slow": SlowDetector}, CATEGORIES)  # type: ignore[dict-item]


def point(part: str, **more: object) -> dict[str, object]:
    blocks = {"detector": NAME, "category": "any", "threshold": 0.5, "action": "block"}
    return {**blocks, "part": part, **more}


def told(*points: dict[str, object], tier: int = 1, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    settings = Settings.model_validate(
        {
            "upstreams": [{"name": "u", "urls": ["http://a:1", "http://b:1"]}],
            "models": [{"name": "m", "upstream": "u", "upstream_model": "org/m", "tier": tier}],
            "operating_points": points,
            **more,
        }
    )
    (model,) = in_effect(settings, DETECTORS)
    return model


def test_a_model_is_told_with_its_tier_its_upstream_and_its_evidence() -> None:
    model = told()
    assert {name: model[name] for name in ("model", "tier", "upstream", "upstream_model")} == {
        "model": "m", "tier": 1, "upstream": "u", "upstream_model": "org/m",
    }  # fmt: skip
    assert model["replicas"] == ["http://a:1", "http://b:1"]
    assert (model["evidence"], told(tier=2)["evidence"]) == ("written", "synced")


def test_without_a_point_that_blocks_the_workers_alone_screen() -> None:
    model = told(point("prompt", action="page"), tier=2)
    assert model["prompt"] == {
        "mode": "none", "deadline_ms": 50.0, "on_error": "refuse", "blocks": [],
    }  # fmt: skip
    assert model["answer"] == {
        "mode": "observe", "window_chars": None, "max_unscanned_chars": None,
        "on_error": "refuse", "blocks": [],
    }  # fmt: skip


def test_points_that_block_are_told_with_their_detectors_and_what_may_leak() -> None:
    model = told(point("prompt"), point("answer", threshold=0.75), tier=2)
    blocks = {"detector": "phrase/1", "category": "any"}
    assert model["prompt"]["mode"] == "block"
    assert model["prompt"]["blocks"] == [
        {"point": "phrase/any/prompt/block", "threshold": 0.5, **blocks}
    ]
    assert model["answer"] == {
        "mode": "window", "window_chars": 400, "max_unscanned_chars": 0, "on_error": "refuse",
        "blocks": [{"point": "phrase/any/answer/block", "threshold": 0.75, **blocks}],
    }  # fmt: skip


def test_a_policy_of_the_tier_shows() -> None:
    prompt = {"deadline_ms": 9.5, "on_error": "refuse"}
    answer = {"mode": "buffer", "on_error": "refuse"}
    tiers = {1: {"prompt": prompt, "answer": answer}}
    model = told(point("answer"), screening={"tiers": tiers})
    assert (model["prompt"]["deadline_ms"], model["prompt"]["on_error"]) == (9.5, "refuse")
    assert (model["answer"]["mode"], model["answer"]["window_chars"]) == ("buffer", None)
    assert model["answer"]["max_unscanned_chars"] == 0


@pytest.mark.parametrize(
    "more",
    [
        {"screening": {"observe_only": True, "tiers": {1: {"answer": {"mode": "window"}}}}},
        {"screening": {"tiers": {1: {"answer": {"mode": "window", "on_error": "release"}}}}},
    ],
    ids=["observe_only", "release"],
)
def test_where_nothing_bounds_the_leak_none_is_told(more: dict[str, Any]) -> None:
    model = told(point("answer"), **more)
    assert model["answer"]["mode"] == "window"
    assert model["answer"]["max_unscanned_chars"] is None


def test_points_of_other_models_are_not_told() -> None:
    assert told(point("prompt", models=["another"]))["prompt"]["mode"] == "none"


def test_a_detector_that_is_too_slow_to_block_is_refused_with_the_point() -> None:
    with pytest.raises(ConfigError, match=r"^operating_points\[1\]\.action: slow cannot block"):
        told(point("prompt"), point("prompt", detector="slow"))
