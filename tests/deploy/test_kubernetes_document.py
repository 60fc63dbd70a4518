"""docs/kubernetes.md: what it shows works, and what it names is there."""

import re

import pytest
import yaml

from scripts.chart_values import VALUES, values_of
from tests.real_parts.helm import ROOT, given, named, rendered, settings

TEXT = (ROOT / "docs" / "kubernetes.md").read_text()
PROSE = TEXT[: TEXT.index("<!-- made: values -->")]
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
MENTIONED = re.compile(
    r"`((?:gateway|screener|networkPolicy|strimzi|monitoring|migrate|image|secrets)\.[\w.]+)[:`]"
)


def merge(below: object, above: object) -> object:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merge(below.get(key), value) for key, value in above.items()}}
    return above


@pytest.mark.parametrize("block", BLOCKS, ids=",".join)
def test_values_that_it_shows_are_taken(block: dict[str, object]) -> None:
    merged = merge(given("minimal"), block)
    assert isinstance(merged, dict)
    objects = rendered(merged)
    for component in ("gateway", "screener", "enforcer", "console"):
        assert settings(objects, component)


def test_the_least_that_it_shows_is_enough() -> None:
    objects = rendered(BLOCKS[0])
    assert named(objects, "StatefulSet", "wg-watchgate-gateway")
    [container, _] = named(objects, "StatefulSet", "wg-watchgate-gateway")["spec"]["template"][
        "spec"
    ]["containers"]
    assert container["image"] == "registry.example.com/watchgate:0.1.0"
    assert "VLLM_API_KEY" in {it["name"] for it in container["env"]}


def test_values_that_it_names_are_there() -> None:
    there = {value.path for value in values_of(VALUES.read_text())}
    given_by_settings = {"settings.gateway", "settings.event_log"}
    found = set(MENTIONED.findall(PROSE))
    assert len(found) > 8
    assert {it for it in found if it not in there | given_by_settings} == set()


def test_keys_of_the_secret_that_it_makes_are_those_of_the_chart() -> None:
    made = set(re.findall(r"--from-literal=([\w-]+)=", PROSE))
    default = yaml.safe_load(VALUES.read_text())["secrets"]["env"]
    assert {it["key"] for it in default.values()} <= made
