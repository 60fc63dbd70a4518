import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from detectors import lexical
from detectors.api import Category, LeftOut, Part, Sample
from detectors.cascade import Cascade, StageUse
from detectors.judge import Judge, JudgeConfig
from detectors.judge.errors import Unreachable
from detectors.registry import CATEGORIES, WORKING
from service.errors import ConfigError
from service.settings import Settings
from service.settings.detectors import JudgeDetector
from service.telemetry.metrics import Metrics
from service.wiring.detectors import detectors_of, parts_of, stages_counted_by
from service.wiring.points import points_of

LEXICAL = {"kind": "lexical"}
EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"
OWN_RULE = """
rules:
  - id: house-word
    category: privacy
    parts: [answer]
    description: A word of the house.
    probability: 0.9
    pattern: xyzzy-house
    tests:
      match: ["the xyzzy-house is here"]
      no_match: ["nothing"]
"""


def settings(*detectors: dict[str, Any], points: tuple[dict[str, Any], ...] = ()) -> Settings:
    given: dict[str, Any] = {
        "upstreams": [{"name": "u", "url": "http://a:1"}],
        "models": [{"name": "m", "upstream": "u", "tier": 1}],
        "operating_points": points,
    }
    return Settings.model_validate(given | ({"detectors": detectors} if detectors else {}))


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(lexical.MODEL_FOLDER, tmp_path / "own"))


def test_without_a_word_of_the_settings_all_that_is_shipped_works() -> None:
    found = detectors_of(settings())
    assert found.factories.keys() == WORKING.keys()
    assert found.categories == {it: CATEGORIES[it] for it in WORKING}
    assert [it.name for it in found.working()] == list(WORKING)
    assert (found.shadows, found.stages) == (set(), set())


def test_a_model_of_ones_own_has_a_name_of_its_own(own_model: Path) -> None:
    own = {"kind": "lexical", "name": "lexical-acme", "model": str(own_model), "shadow": True}
    found = detectors_of(settings(LEXICAL, own))
    shipped, mine = found.working()
    assert (shipped.name, mine.name) == ("lexical", "lexical-acme")
    assert found.categories["lexical-acme"] == {Category.ANY}
    sample = [Sample("a text", Part.PROMPT)]
    assert shipped.score(sample) == mine.score(sample)


def test_rules_of_ones_own_bring_their_categories(tmp_path: Path) -> None:
    file = tmp_path / "house.yaml"
    file.write_text(OWN_RULE)
    section = {"kind": "rules", "files": [str(file)], "shipped": False}
    found = detectors_of(settings(section))
    assert found.categories["rules"] == {Category.ANY, Category.PRIVACY}
    [rules] = found.working()
    [scores] = rules.score([Sample("the xyzzy-house is here", Part.ANSWER)])
    assert scores[Category.PRIVACY] == 0.9


def test_a_detector_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'lexical' cannot be loaded: .*cannot be read"):
        detectors_of(settings({"kind": "lexical", "model": str(tmp_path)}))


def test_a_cascade_works_in_the_place_of_its_stages(own_model: Path) -> None:
    own = {"kind": "lexical", "name": "own", "model": str(own_model), "shadow": True}
    stages = [
        {"detector": "lexical"},
        {"detector": "rules", "combine": "max"},
        {"detector": "own", "max_share": 0.5, "band": [0.2, 1.0], "parts": ["prompt"]},
    ]
    told: list[tuple[str, StageUse]] = []
    found = detectors_of(
        settings(
            {"kind": "lexical"}, {"kind": "rules"}, own, {"kind": "cascade", "stages": stages}
        ),
        lambda *use: told.append(use),
    )
    [suite] = found.working()
    assert isinstance(suite, Cascade)
    assert (suite.name, found.stages) == ("suite", {"lexical", "rules", "own"})
    assert found.categories["suite"] == CATEGORIES["lexical"] | CATEGORIES["rules"]
    assert [it.only for it in suite.stages] == [None, None, {Part.PROMPT}]
    assert parts_of([suite])["own"] == {Part.PROMPT}
    [staged] = suite.score_staged([Sample("What is the capital of France?", Part.PROMPT)])
    assert set(staged.by_stage) | set(staged.left_out) == {"lexical", "rules", "own"}
    assert [(name, use.stage) for name, use in told] == [
        ("suite", "lexical"),
        ("suite", "rules"),
        ("suite", "own"),
    ]


def test_no_point_is_held_to_a_shadow(own_model: Path) -> None:
    own = {"kind": "lexical", "name": "own", "model": str(own_model), "shadow": True}
    point = {"category": "any", "part": "prompt", "threshold": 0.5, "action": "page"}
    wrong = settings(LEXICAL, own, points=({**point, "detector": "own"},))
    with pytest.raises(ConfigError, match="own is a shadow"):
        points_of(wrong)
    fine = settings(LEXICAL, own, points=({**point, "detector": "lexical"},))
    [made] = points_of(fine)
    there_are = detectors_of(fine)
    assert there_are.scores(made)
    assert not there_are._replace(shadows={"lexical"}).scores(made)


def test_what_stages_are_used_for_is_counted() -> None:
    registry = CollectorRegistry()
    told = stages_counted_by(Metrics(registry))
    told("suite", StageUse("dear", 3, {LeftOut.BUDGET: 4, LeftOut.FAILED: 1}, 700, 0.25))

    def value(name: str, **labels: str) -> float | None:
        every = {"detector": "suite", "stage": "dear", **labels}
        return registry.get_sample_value(f"watchgate_detector_stage_{name}_total", every)

    outcomes = [value("texts", outcome=it) for it in ("scored", "budget", "failed")]
    assert outcomes == [3, 4, 1]
    assert (value("chars"), value("seconds")) == (700, 0.25)


def test_a_plugin_is_a_detector_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    plugin = {"kind": "plugin", "name": "length", "factory": "length_detector:make"}
    found = detectors_of(settings(LEXICAL, {**plugin, "options": {"doubtful_ratio": 7}}))
    assert found.categories["length"] == {Category.OTHER}
    assert found.working()[1].version == "1-7"
    with pytest.raises(ConfigError, match="'length' cannot be loaded: length_detector:no failed"):
        detectors_of(settings({**plugin, "factory": "length_detector:no"}))


JUDGE = {
    "kind": "judge",
    "url": "http://127.0.0.1:9",
    "model": "guard",
    "family": "qwen3guard",
    "api_key": "secret-of-the-guard",
}


def test_a_judge_is_known_by_its_family_before_its_guard_is_there(tmp_path: Path) -> None:
    found = detectors_of(settings(LEXICAL, {**JUDGE, "parts": ["exchange"], "retries": 0}))
    assert Category.ANY in found.categories["judge"]
    judge = found.working()[1]
    assert isinstance(judge, Judge)
    assert judge.parts == {Part.EXCHANGE}
    judge.close()
    policy = {**JUDGE, "family": "gpt-oss-safeguard", "policy": str(tmp_path / "absent.txt")}
    with pytest.raises(ConfigError, match=r"'judge' cannot be loaded: the policy .*absent\.txt"):
        detectors_of(settings(policy))


def test_detectors_at_work_are_closed_at_the_end_those_in_cascades_too() -> None:
    stages = [{"detector": "lexical"}, {"detector": "judge"}]
    found = detectors_of(
        settings(LEXICAL, {**JUDGE, "retries": 0}, {"kind": "cascade", "stages": stages})
    )
    with found.at_work() as (suite,):
        assert isinstance(suite, Cascade)
        judge = suite.stages[1].detector
        with pytest.raises(Unreachable):
            judge.score([Sample("a text", Part.PROMPT)])
    with pytest.raises(RuntimeError, match="shutdown"):
        judge.score([Sample("a text", Part.PROMPT)])


def test_what_was_fine_at_first_and_cannot_be_loaded_any_more_is_named(tmp_path: Path) -> None:
    policy = tmp_path / "policy.txt"
    policy.write_text("What is misuse.")
    section = {**JUDGE, "family": "gpt-oss-safeguard", "policy": str(policy)}
    found = detectors_of(settings(section))
    policy.unlink()
    with pytest.raises(ConfigError, match=r"'judge' cannot be loaded: the policy .*policy\.txt"):
        found.working()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"family": "classify"}, "labels: list the model's labels"),
        ({"overlap_chars": 9_000}, "overlap_chars: from 0 to a quarter of max_chars"),
        ({"url": "https://127.0.0.1:9", "ca_file": "/dev/null"}, "ca_file: no PEM file"),
    ],
)
def test_settings_that_no_judge_can_be_made_of_are_a_clear_mistake(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        detectors_of(settings({**JUDGE, **changed}))


def test_the_settings_of_a_judge_are_those_of_its_config() -> None:
    of_section = set(JudgeDetector.model_fields) - {"kind", "shadow"}
    assert of_section == {field.name for field in fields(JudgeConfig)}
    assert "secret-of-the-guard" not in repr(settings(LEXICAL, JUDGE))
    with pytest.raises(ConfigError, match="labels") as caught:
        detectors_of(settings({**JUDGE, "family": "classify"}))
    assert "secret-of-the-guard" not in str(caught.value)
