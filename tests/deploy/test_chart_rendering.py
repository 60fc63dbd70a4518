"""What helm makes of the chart is what Kubernetes takes."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from helm_python.chart import Chart, lint

from scripts.chart_values import CHART
from tests.real_parts.helm import FILES, ROOT, Object, of_kind, pods, rendered

OLDEST, NEWEST = "1.30", "1.35"
CASES = [*((file, OLDEST) for file in FILES), (CHART / "ci" / "production-values.yaml", NEWEST)]
CUSTOM = (".coreos.com/", ".strimzi.io/", "keda.sh/")
ERROR = 3


def values(file: Path) -> dict[str, object]:
    return dict(yaml.safe_load(file.read_text()))


def is_custom(one: Object) -> bool:
    return any(it in one["apiVersion"] or one["apiVersion"].startswith(it[1:]) for it in CUSTOM)


def test_the_six_files_are_there() -> None:
    assert {file.name.removesuffix("-values.yaml") for file in FILES} == {
        "minimal", "production", "keda", "external-vllm", "judges", "openshift",
    }  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_helm_lint_finds_nothing(file: Path) -> None:
    report = lint(CHART, values(file), strict=True)
    assert report["errors"] == []
    assert [it for it in report["messages"] if it["severity"] > 1] == []


@pytest.mark.parametrize(("file", "version"), CASES, ids=lambda it: getattr(it, "stem", it))
def test_kubernetes_takes_every_object(file: Path, version: str) -> None:
    objects = rendered(values(file))
    assert len(objects) > 15
    for one in objects:
        if not is_custom(one):
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_two_objects_have_one_name(file: Path) -> None:
    metadata = [(it["kind"], it["metadata"]) for it in rendered(values(file))]
    names = [(kind, it["namespace"], it["name"]) for kind, it in metadata]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_pods_name_is_there(file: Path) -> None:
    objects = rendered(values(file))
    there = {(it["kind"], it["metadata"]["name"]) for it in objects}
    mine = {it.get("configMap") for it in values(file).get("mounts", [])}  # type: ignore[attr-defined]
    for component, template in pods(objects):
        spec = template["spec"]
        if component != "migrate":
            assert ("ServiceAccount", spec["serviceAccountName"]) in there
        for volume in spec["volumes"]:
            if "configMap" in volume and volume["configMap"]["name"] not in mine:
                assert ("ConfigMap", volume["configMap"]["name"]) in there
    for one in of_kind(objects, "StatefulSet"):
        assert ("Service", one["spec"]["serviceName"]) in there
    for one in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = one["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in there


def test_the_chart_has_watchgates_version() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    with Chart.load(CHART) as chart:
        assert f'version = "{chart.metadata["appVersion"]}"' in project
        assert chart.version == chart.metadata["appVersion"]
