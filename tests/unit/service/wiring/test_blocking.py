"""Points that block by what probes tell: what settings and the store may ask for."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part
from service.core.directory import Snapshot
from service.core.points import OperatingPoint, PointScope, flaws
from service.core.screening import Point
from service.errors import ConfigError
from service.settings import Settings
from service.wiring.detectors import Detectors
from service.wiring.in_effect import in_effect
from service.wiring.point_facts import point_facts
from service.wiring.screens import Screens
from tests.real_parts import phrase_detector
from tests.real_parts.phrase_detector import PhraseDetector
from tests.real_parts.reading_detector import NAME, PROBES, InsideDetector

ANY = frozenset({Category.ANY})
DETECTORS = Detectors(
    {NAME: InsideDetector, phrase_detector.NAME: PhraseDetector},
    {NAME: ANY, phrase_detector.NAME: ANY},
)
ANSWER = {
    "detector": NAME,
    "category": "any",
    "part": "answer",
    "threshold": 0.9,
    "action": "block",
}
POINT = Point("op_1", NAME, Category.ANY, Part.ANSWER, 0.9, "block", frozenset(), version=1)


def settings(
    *points: dict[str, Any], tier: int = 1, mode: str = "window", **probes: object
) -> Settings:
    """Return settings of two models: `probed`, and `dark`, whose vLLM has no probes."""
    told = {"sockets": "/run/probes", **probes}
    return Settings.model_validate(
        {
            "upstreams": [
                {"name": "without", "url": "http://a:1"},
                {"name": "with", "url": "http://b:1", "probes": told},
            ],
            "models": [
                {"name": "probed", "upstream": "with", "tier": tier},
                {"name": "dark", "upstream": "without", "tier": 1},
            ],
            "operating_points": points,
            "screening": {"tiers": {1: {"answer": {"mode": mode, "window_chars": 40}}}},
        },
        context={"base": Path("/")},
    )


def of_probed(**changes: object) -> dict[str, Any]:
    return {**ANSWER, "models": ["probed"], **changes}


def refused(*points: dict[str, Any], **more: Any) -> str:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        Screens(settings(*points, **more), DETECTORS)
    return str(caught.value)


def test_a_point_on_the_answers_of_a_model_with_probes_has_a_screen() -> None:
    screens = Screens(settings(of_probed()), DETECTORS).by_model()
    (screen,) = screens["probed"].readings
    assert [it.threshold for it in screen.points] == [0.9]
    assert screens["probed"].holds_answers
    assert screens["dark"].readings == ()
    assert screens["probed"].prompt == screens["probed"].answer == ()


def test_check_config_tells_of_it_and_of_no_bound() -> None:
    told, _ = in_effect(settings(of_probed()), DETECTORS)
    (blocks,) = told["answer"]["blocks"]
    assert blocks["detector"] == "inside/1"
    assert (told["answer"]["mode"], told["answer"]["max_unscanned_chars"]) == ("window", None)


def test_a_prompt_cannot_be_blocked_by_what_probes_read_of_it() -> None:
    said = refused(of_probed(), of_probed(part="prompt"))
    assert said.startswith("operating_points[1].action: inside can cut off answers alone")


def test_probes_of_prompts_alone_are_told_with_how_to_train_others() -> None:
    of_prompts = partial(InsideDetector, parts=frozenset({Part.PROMPT}))
    with pytest.raises(ConfigError, match="inside has no probes of answers: train them with rows"):
        Screens(settings(of_probed()), DETECTORS._replace(factories={NAME: of_prompts}))


def test_a_model_whose_upstream_has_no_probes_is_told_with_what_to_set() -> None:
    said = refused(ANSWER)
    assert "those of the model 'dark' tell it nothing: set upstreams[0].probes.sockets" in said
    assert "probed" not in said.replace("probes", "")


def test_probes_that_the_detector_does_not_understand_are_told_where_settings_name_them() -> None:
    Screens(settings(of_probed(), digest=PROBES), DETECTORS)
    said = refused(of_probed(), digest="b" * 64)
    assert f"set upstreams[1].probes.digest to {PROBES}" in said


def test_from_tier_2_on_a_detector_that_reads_the_text_has_to_block_too() -> None:
    said = refused(of_probed(), tier=2)
    assert said.startswith("operating_points: models[0] is of tier 2")
    both = of_probed(detector=phrase_detector.NAME)
    screens = Screens(settings(of_probed(), both, tier=2), DETECTORS).by_model()["probed"]
    assert (len(screens.answer), len(screens.readings)) == (1, 1)
    assert screens.max_unscanned_chars == 0


def test_points_of_the_store_apply_where_probes_tell_and_are_ignored_elsewhere() -> None:
    screens = Screens(settings(), DETECTORS)
    assert not screens.can_apply(POINT), "it is not loaded"
    screens.prepare(Snapshot(points={"op_1": POINT}))
    on_probed = replace(POINT, models=frozenset({"probed"}))
    assert screens.can_apply(on_probed)
    assert not screens.can_apply(POINT), "one of its models has no probes"
    assert not screens.can_apply(replace(POINT, part=Part.PROMPT, models=frozenset({"probed"})))
    assert screens.can_apply(replace(POINT, part=Part.PROMPT, action="page"))
    assert len(screens.of("probed", [POINT]).readings) == 1
    assert not screens.of("dark", [POINT]).holds_answers
    assert screens.of("probed", [replace(POINT, part=Part.PROMPT)]).prompt == ()


def test_a_point_of_the_store_on_observed_answers_is_ignored() -> None:
    screens = Screens(settings(mode="observe"), DETECTORS)
    screens.prepare(Snapshot(points={"op_1": POINT}))
    assert not screens.can_apply(replace(POINT, models=frozenset({"probed"})))
    assert not screens.of("probed", [POINT]).holds_answers


def test_another_version_of_the_detector_takes_the_place_of_the_one_before() -> None:
    screens = Screens(settings(of_probed()), DETECTORS)
    screens.use(InsideDetector(version="2"))
    (screen,) = screens.by_model()["probed"].readings
    assert screen.detector.version == "2"


@pytest.mark.parametrize(
    ("part", "model", "words"),
    [
        (Part.ANSWER, "probed", None),
        (Part.ANSWER, "dark", "those of the model 'dark' tell nothing: set its upstream's probes"),
        (Part.PROMPT, "probed", "inside can cut off answers alone"),
    ],
)
def test_the_admin_api_says_the_same_when_a_point_is_proposed(
    part: Part, model: str, words: str | None
) -> None:
    facts = point_facts(settings(), DETECTORS)
    scope = PointScope(models=frozenset({model}))
    point = OperatingPoint("op_1", 1, NAME, Category.ANY, part, 0.9, "block", scope)
    found = list(flaws(point, facts, 0.0))
    assert [flaw.field for flaw in found] == (["action"] if words else [])
    assert all(words in flaw.words for flaw in found if words)
