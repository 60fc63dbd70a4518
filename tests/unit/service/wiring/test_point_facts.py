"""What points that are set are held to: the detectors of the settings, as they are here."""

from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part
from service.core.points import OperatingPoint, flaws_of_promotion
from service.errors import Unacceptable
from service.settings import Settings
from service.wiring.detectors import detectors_of
from service.wiring.point_facts import point_facts

POINT = OperatingPoint("op_1", 1, "rules", Category.ANY, Part.PROMPT, 0.9, "page")


def settings(*detectors: dict[str, Any]) -> Settings:
    given: dict[str, Any] = {
        "upstreams": [{"name": "u", "url": "http://a:1"}],
        "models": [{"name": "m", "upstream": "u", "tier": 1}],
        "detectors": detectors,
    }
    return Settings.model_validate(given)


def test_a_point_on_a_shadow_is_not_promoted() -> None:
    facts = point_facts(settings({"kind": "rules", "shadow": True}))

    [flaw] = flaws_of_promotion(POINT, facts, 0.0)

    assert flaw.field == "detector"
    assert "rules is a shadow" in flaw.words
    assert [*flaws_of_promotion(POINT, point_facts(settings({"kind": "rules"})), 0.0)] == []


def test_a_detector_that_cannot_be_loaded_is_told_in_words(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: nonsense")
    there_are = detectors_of(settings({"kind": "rules"}))
    given = settings({"kind": "rules", "files": [str(rules)], "shipped": False})
    with pytest.raises(Unacceptable, match="rules cannot be loaded here") as caught:
        [
            *flaws_of_promotion(
                POINT, point_facts(given, there_are._replace(factories=broken(given))), 0.0
            )
        ]
    assert caught.value.param == "detector"


def test_no_detector_is_looked_for_before_one_is_needed(tmp_path: Path) -> None:
    model = tmp_path / "model"
    facts = point_facts(settings({"kind": "lexical", "model": str(model)}))  # there is none

    assert [it.name for it in facts.models] == ["m"]
    with pytest.raises(Unacceptable, match="'lexical' cannot be loaded") as caught:
        list(facts.detectors)
    assert caught.value.param == "detector"


def broken(given: Settings) -> dict[str, Any]:
    """Return a factory whose files went wrong since the settings were read."""
    from detectors import rules  # noqa: PLC0415

    [section] = given.detectors
    return {"rules": lambda: rules.load(section.files)}  # type: ignore[union-attr]
