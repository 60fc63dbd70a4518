"""Detectors of the settings whose files change, in a screener that works."""

import logging
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.events.schema import Verdict
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.wiring.detectors import detectors_of
from service.wiring.reloading import DetectorWatch, show_versions
from service.workers.screener import Screener
from tests.unit.service.workers.screening_parts import NOW, MemoryWriter, prompt

RULE = """
rules:
  - id: house-word
    category: privacy
    parts: [prompt]
    description: A word of the house.
    probability: {probability}
    pattern: xyzzy-house
    tests:
      match: ["the xyzzy-house is here"]
      no_match: ["nothing"]
"""
TEXT = "the xyzzy-house is here"


class Screening:
    """A screener by the settings, and the watch of its detectors' files."""

    def __init__(self, *sections: dict[str, Any]) -> None:
        settings = Settings.model_validate(
            {
                "upstreams": [{"name": "u", "url": "http://a:1"}],
                "models": [{"name": "m", "upstream": "u", "tier": 1}],
                "detectors": sections,
            }
        )
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        there_are = detectors_of(settings)
        working = there_are.working()
        show_versions(working, metrics)
        self._writer = MemoryWriter()
        self._screener = Screener(working, tuple, self._writer, metrics, clock=lambda: NOW)
        self._watch = DetectorWatch(there_are.reloadable, self._screener.use, metrics)

    def verdicts(self) -> dict[str, Verdict]:
        """Screen the text, and return what each detector says."""
        before = len(self._writer.records)
        self._screener.handle([prompt(TEXT)])
        return {verdict.detector: verdict for verdict in self._writer.verdicts[before:]}

    def look(self) -> None:
        """Look as often as a change takes to count."""
        self._watch.look()
        self._watch.look()

    def reloads(self, outcome: str) -> float | None:
        labels = {"detector": "house", "outcome": outcome}
        return self.registry.get_sample_value("watchgate_detector_reloads_total", labels)

    def info(self, version: str) -> float | None:
        labels = {"detector": "house", "version": version}
        return self.registry.get_sample_value("watchgate_detector_info", labels)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "house.yaml"
    file.write_text(RULE.format(probability=0.9))
    return file


def house(file: Path) -> dict[str, Any]:
    return {"kind": "rules", "name": "house", "files": [str(file)], "shipped": False}


def suite(file: Path) -> tuple[dict[str, Any], ...]:
    return house(file), {"kind": "cascade", "stages": [{"detector": "house"}]}


def test_rules_that_change_are_used_from_the_next_batch_on(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    screening = Screening(house(file))
    before = screening.verdicts()["house"]
    assert (before.scores["privacy"], screening.info(before.version)) == (0.9, 1)
    assert (screening.reloads("loaded"), screening.reloads("refused")) == (0, 0)
    file.write_text(RULE.format(probability=0.3))
    with caplog.at_level(logging.INFO):
        screening.look()
    after = screening.verdicts()["house"]
    assert (after.scores["privacy"], after.unscanned) == (0.3, None)
    assert (screening.info(before.version), screening.info(after.version)) == (0, 1)
    assert (screening.reloads("loaded"), screening.reloads("refused")) == (1, 0)
    said = [it.getMessage() for it in caplog.records]
    assert said == [f"house: version {after.version} took the place of {before.version}"]


def test_rules_that_cannot_be_used_are_refused_with_the_reason_in_one_line(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    screening = Screening(house(file))
    before = screening.verdicts()["house"]
    file.write_text(RULE.format(probability=7) + "    unknown: 1\n")
    screening.look()
    screening.look()
    after = screening.verdicts()["house"]
    assert (after.version, after.scores, after.completes) == (before.version, before.scores, True)
    assert (screening.reloads("loaded"), screening.reloads("refused")) == (0, 1)
    [said] = [it.getMessage() for it in caplog.records]
    assert f"house: the changed files are refused, {before.version} stays" in said
    assert "probability is 7" in said
    assert "unknown" in said
    assert "\n" not in said


def test_a_cascade_uses_the_new_version_of_its_stage(file: Path) -> None:
    screening = Screening(*suite(file))
    before = screening.verdicts()
    file.write_text(RULE.format(probability=0.3))
    screening.look()
    after = screening.verdicts()
    assert after["house"].scores["privacy"] == 0.3
    assert after["suite"].scores["privacy"] == pytest.approx(0.3)
    assert after["suite"].version != before["suite"].version
    assert screening.info(after["house"].version) == 1


def test_what_is_shipped_is_not_looked_at() -> None:
    section = {"kind": "rules", "name": "house"}
    screening = Screening(section)
    assert screening.reloads("loaded") is None
    [verdict] = screening.verdicts().values()
    assert screening.info(verdict.version) == 1
