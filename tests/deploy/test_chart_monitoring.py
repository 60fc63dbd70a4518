"""What Prometheus' operator and Grafana get: the very files that are tested, with other links."""

import json
from pathlib import Path

import yaml

from tests.deploy.conftest import DASHBOARD, RULES
from tests.real_parts.helm import CHART, Object, given, named, of_kind, pods, rendered

GRAFANA, DOCS = "https://grafana.example.com/", "https://docs.example.com/watchgate/"
LIMIT_BYTES = 1024 * 1024


def linked(content: object) -> object:
    text = json.dumps(content).replace("https://grafana.example/", GRAFANA)
    return json.loads(text.replace("https://watchgate.example/docs/", DOCS))


def dashboards(objects: list[Object]) -> list[Object]:
    return [it for it in of_kind(objects, "ConfigMap") if "dashboard" in it["metadata"]["name"]]


def test_rules_are_the_files_with_our_links(chart_with_files: Path) -> None:
    objects = rendered(given("production"), chart_with_files)
    [rule] = of_kind(objects, "PrometheusRule")
    assert rule["spec"] == linked(RULES)
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert rule["metadata"]["name"] == "wg-watchgate-rules-stand-in"


def test_dashboards_are_the_files_with_our_links(chart_with_files: Path) -> None:
    objects = list(rendered(given("production"), chart_with_files))
    [one] = dashboards(objects)
    assert json.loads(one["data"]["stand-in.json"]) == linked(DASHBOARD)
    assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert one["metadata"]["annotations"] == {"grafana_folder": "Watchgate"}


def test_files_of_rules_and_dashboards_arrive_whole() -> None:
    objects = rendered(given("production"))
    for file in (CHART / "rules").glob("*.yaml"):
        rule = named(objects, "PrometheusRule", f"wg-watchgate-rules-{file.stem}")
        assert rule["spec"] == linked(yaml.safe_load(file.read_text()))
    for file in (CHART / "dashboards").glob("*.json"):
        one = named(objects, "ConfigMap", f"wg-watchgate-dashboard-{file.stem}")
        text = one["data"][file.name]
        assert json.loads(text) == linked(json.loads(file.read_text()))
        assert len(text.encode()) < LIMIT_BYTES


def test_nothing_is_there_unless_it_is_asked_for(chart_with_files: Path) -> None:
    objects = list(rendered(given("minimal"), chart_with_files))
    assert of_kind(objects, "PodMonitor", "PrometheusRule") == []
    assert dashboards(objects) == []


def test_every_ops_port_is_scraped_as_one_job() -> None:
    objects = rendered(given("production"))
    [monitor] = of_kind(objects, "PodMonitor")
    endpoints = monitor["spec"]["podMetricsEndpoints"]
    scraped = {it["port"] for it in endpoints}
    for it in endpoints:
        assert it["relabelings"] == [{"targetLabel": "job", "replacement": "watchgate"}]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    for component, template in pods(objects):
        assert wanted <= template["metadata"]["labels"].items()
        ports = {
            port["name"]
            for container in template["spec"]["containers"]
            for port in container.get("ports", ())
        }
        assert component == "migrate" or ports & scraped


def test_vllm_is_a_job_of_its_own() -> None:
    values = given("production") | {
        "networkPolicy": {"vllm": {"allowMonitoring": True, "namespace": "models"}},
        "monitoring": {"podMonitor": {"enabled": True, "vllm": True}},
    }
    monitor = named(rendered(values), "PodMonitor", "wg-watchgate-vllm")
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["models"]}
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["portNumber"] == 8000
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "vllm"}]
