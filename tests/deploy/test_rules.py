"""The shipped alert rules: checked and tested by promtool, described, and no case left out."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from service.telemetry.metrics import Metrics
from tests.deploy.rule_cases import (
    CASES,
    RULE_FILES,
    Rule,
    cases_of,
    entries_of,
    promtool_tests,
    rules_of,
)
from tests.real_parts.debian import debian_program

ALERTING: Final = [rule for file in RULE_FILES for rule in rules_of(file)]
NOT_OURS: Final = {
    "up",  # Prometheus' own: whether a target answers
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions_total",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:request_queue_time_seconds_bucket",
    "vllm:request_queue_time_seconds_count",
    "vllm:request_success_total",
}
"""What rules may look at beside Watchgate's metrics: as vLLM 0.32 names its own."""
DASHBOARDS: Final = {
    f"https://grafana.example/d/watchgate-{it}"
    for it in ("overview", "gateway", "pipeline", "detectors", "access", "vllm", "slos")
}


def by_name(it: Path | Rule) -> str:
    return it.stem if isinstance(it, Path) else it.alert


@pytest.fixture(scope="session")
def promtool() -> Path:
    return debian_program("prometheus", "promtool")


def test_promtool_finds_nothing_wrong_with_the_rules(promtool: Path) -> None:
    files = [str(file) for file in RULE_FILES]
    command = [str(promtool), "check", "rules", "--lint=all", "--lint-fatal", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", RULE_FILES, ids=by_name)
def test_every_alert_fires_when_it_should_and_only_then(
    file: Path, promtool: Path, tmp_path: Path
) -> None:
    paths = []
    for step, text in promtool_tests(file):
        paths.append(tmp_path / f"{step}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    command = [str(promtool), "test", "rules", *map(str, paths)]
    seldom = {**os.environ, "GOGC": "800"}  # collecting garbage takes two fifths of its time else
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=seldom
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTING, ids=by_name)
def test_every_alert_has_cases_before_and_after_at_the_threshold_and_healthy(rule: Rule) -> None:
    cases = [case for case in cases_of(rule.file) if case.is_of(rule)]
    assert len(cases) == 1, f"{CASES / rule.file.name}: one entry for {rule.alert} {rule.labels}"
    assert all((cases[0].firing or cases[0].common, cases[0].threshold, cases[0].healthy))


@pytest.mark.parametrize("file", RULE_FILES, ids=by_name)
def test_every_case_is_about_one_rule(file: Path) -> None:
    for case in cases_of(file):
        assert sum(case.is_of(rule) for rule in rules_of(file)) == 1, case.alert
    assert {it.stem for it in CASES.glob("*.yaml")} <= {it.stem for it in RULE_FILES}


@pytest.mark.parametrize("rule", ALERTING, ids=by_name)
def test_every_alert_says_how_grave_it_is_and_where_to_look(rule: Rule) -> None:
    assert rule.alert.startswith("Watchgate")
    assert rule.labels["severity"] in {"page", "ticket"}
    assert rule.labels["component"]
    words = rule.annotations
    assert set(words) == {"summary", "description", "dashboard_url", "runbook_url"}
    assert words["description"].endswith((".", "(+Inf: never)."))
    assert not words["summary"].endswith(".")
    assert words["dashboard_url"] in DASHBOARDS
    assert words["runbook_url"] == f"https://watchgate.example/docs/runbooks/{rule.alert}/"


@pytest.mark.parametrize("rule", ALERTING, ids=by_name)
def test_words_name_only_labels_that_the_alert_carries(rule: Rule) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
    (case,) = (case for case in cases_of(rule.file) if case.is_of(rule))
    assert named <= {*case.labels, *rule.labels}


def made_names() -> set[str]:
    """Return the names of all series of Watchgate's own metrics."""
    names: set[str] = set()
    for spec in Metrics(CollectorRegistry()).specs:
        parts = ("_bucket", "_count", "_sum") if spec.kind == "histogram" else ("",)
        names |= {spec.name + part for part in parts}
    return names


def recorded(files: Iterable[Path]) -> set[str]:
    return {it["record"] for file in files for it in entries_of(file) if "record" in it}


@pytest.mark.parametrize("file", RULE_FILES, ids=by_name)
def test_rules_name_only_metrics_that_there_are(file: Path) -> None:
    known = made_names() | NOT_OURS | recorded([file])
    named = {
        name
        for it in entries_of(file)
        for name in re.findall(r"\b(?:watchgate[_:]|vllm:|up\b)[\w:]*", it["expr"])
    }
    assert named
    assert named <= known


def test_every_metric_that_is_not_ours_is_looked_at() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in RULE_FILES)
    assert not [name for name in NOT_OURS if not re.search(rf"\b{name}\b", text)]
