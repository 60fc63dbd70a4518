"""The chart, rendered by Helm's own engine, and its objects as a test asks for them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from helm_python.chart import Chart

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "watchgate"
FILES: Final = sorted((CHART / "ci").glob("*-values.yaml"))
"""Values files as installations have them."""
NAMESPACE: Final = "llm"
Object = dict[str, Any]
Values = dict[str, Any]


def given(name: str) -> Values:
    """Return the values of a file of the chart's ci/."""
    return dict(yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text()))


@cache
def _loaded(chart: Path) -> Chart:
    return Chart.load(chart)


def merged(values: Values) -> Values:
    """Return the values with the chart's defaults, as templates see them."""
    return _loaded(CHART).merge_values(dict(values))


def texts(values: Values, chart: Path = CHART) -> Mapping[str, str]:
    """Render; return the text that each template gives."""
    rendered = _loaded(chart).render(dict(values), name="wg", namespace=NAMESPACE)
    return {path.removeprefix("watchgate/templates/"): text for path, text in rendered.items()}


def rendered(values: Values, chart: Path = CHART) -> Sequence[Object]:
    """Render; return the objects. They are rendered once: change none of them."""
    return _objects(json.dumps(values), chart)


@cache
def _objects(values: str, chart: Path) -> Sequence[Object]:
    found = [
        one
        for path, text in texts(json.loads(values), chart).items()
        if path.endswith(".yaml")
        for one in yaml.load_all(text, yaml.CSafeLoader)
    ]
    return [one for one in found if one]


def of_kind(objects: Sequence[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [one for one in objects if one["kind"] in kinds]


def named(objects: Sequence[Object], kind: str, name: str) -> Object:
    """Return one object."""
    [found] = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the pod templates, by component."""
    for one in of_kind(objects, "StatefulSet", "Deployment", "Job"):
        template = one["spec"]["template"]
        yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def settings(objects: Sequence[Object], component: str) -> str:
    """Return the settings file of a component's processes."""
    maps = [
        one
        for one in of_kind(objects, "ConfigMap")
        if one["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    [found] = [it["data"]["watchgate.yaml"] for it in maps if "watchgate.yaml" in it["data"]]
    return str(found)


def with_value(values: Values, keys: Sequence[str], value: object) -> Values:
    """Return values with another one at a path."""
    first, *rest = keys
    below = with_value(values.get(first) or {}, rest, value) if rest else value
    return {**values, first: below}
