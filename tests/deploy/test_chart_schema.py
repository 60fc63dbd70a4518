"""Values that cannot be meant are refused, in words that say what would be right."""

import json
from typing import Any

import pytest
from helm_python.errors import HelmError

from scripts.chart_schema import TARGET, schema, text_of
from scripts.chart_values import VALUES
from tests.real_parts.helm import given, rendered, with_value


def refusal(path: str, value: object, name: str = "minimal") -> str:
    with pytest.raises(HelmError) as refused:
        rendered(with_value(given(name), path.split("."), value))
    return str(refused.value)


def test_the_schema_is_what_values_and_settings_make() -> None:
    assert TARGET.read_text() == text_of(schema(VALUES.read_text())), "run: make chart"


def test_every_mapping_of_the_schema_says_what_it_takes() -> None:
    def check(one: Any, where: str) -> None:  # noqa: ANN401  (JSON)
        if isinstance(one, dict):
            is_mapping = one.get("type") == "object" and where != "/properties/global"
            if is_mapping and not ("propertyNames" in one or "additionalProperties" in one):
                pytest.fail(f"{where} takes anything")
            for key, value in one.items():
                check(value, f"{where}/{key}")

    check(json.loads(TARGET.read_text()), "")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("gatway", {}, "additional properties 'gatway' not allowed"),
        ("gateway.replica", 2, "at '/gateway': additional properties 'replica' not allowed"),
        ("gateway.replicas", 0, "at '/gateway/replicas': minimum: got 0, want 1"),
        ("gateway.replicas", "2", "at '/gateway/replicas': got string, want integer"),
        ("image.digest", "sha256:12", "at '/image/digest': 'sha256:12' does not match pattern"),
        ("gateway.journal.size", "24G", "at '/gateway/journal/size': '24G' does not match pattern"),
        ("secrets.existingSecret", "", "at '/secrets/existingSecret': minLength: got 0, want 1"),
        ("pod.runAsUser", 0, "at '/pod/runAsUser': minimum: got 0, want 1"),
        ("networkPolicy.callers", [{}], "at '/networkPolicy/callers/0': minProperties"),
        ("mounts", [{"name": "a", "path": "/a"}], "at '/mounts/0': missing property 'secret'"),
        ("settings.upstreams", [], "at '/settings/upstreams': minItems: got 0, want 1"),
        ("settings.log_levle", "INFO", "at '/settings': additional properties 'log_levle'"),
        ("settings.store.url", "sqlite:///a.db", "at '/settings/store/url': 'sqlite:///a.db' does"),
    ],
)
def test_what_is_no_value_is_refused(path: str, value: object, sentence: str) -> None:
    assert sentence in refusal(path, value)


@pytest.mark.parametrize(
    "path",
    [
        "settings.data_dir", "settings.ops", "settings.gateway.host", "settings.gateway.workers",
        "settings.console.port", "settings.journal.max_bytes", "settings.event_log.kind",
    ],
)  # fmt: skip
def test_what_the_chart_sets_itself_cannot_be_given(path: str) -> None:
    section, _, key = path.rpartition(".")
    where = section.replace(".", "/")
    assert f"at '/{where}': additional properties '{key}' not allowed" in refusal(path, "x")


def test_two_kinds_of_autoscaling_are_refused_together() -> None:
    both = {"hpa": {"enabled": True}, "keda": {"enabled": True}}
    said = refusal("screener", both)
    assert "at '/screener/keda/enabled': value must be false" in said
    for one in both:
        assert rendered(with_value(given("minimal"), ["screener", one, "enabled"], value=True))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("gateway.replicas", 2, "several gateways would each count limits for themselves"),
        ("screener.replicas", 13, "13 screeners would share 12 partitions"),
        ("screener.keda", {"enabled": True, "maxReplicas": 99}, "99 screeners would share 12"),
        ("screener.hpa", {"minReplicas": 9}, "screener.hpa: minReplicas 9 is over maxReplicas 6"),
        ("monitoring.podMonitor", {"enabled": True, "vllm": True}, "lets only gateways reach vLLM"),
    ],
)
def test_what_does_not_go_together_is_refused(path: str, value: object, sentence: str) -> None:
    assert sentence in refusal(path, value)
