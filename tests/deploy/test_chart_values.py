"""values.yaml: each value is described, and each is used."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from helm_python.errors import HelmError

from scripts.chart_values import VALUES, Value, values_of
from tests.real_parts.helm import Values, given, merged, texts, with_value

Base = tuple[Values, Values, Mapping[str, str]]
"""Values as given, the same with the chart's defaults, and what is rendered from them."""

ALL: Final = values_of(VALUES.read_text())
LEAVES: Final = [it for it in ALL if not it.is_section or it.path == "secrets.env"]
EVERYTHING: Final[Mapping[str, Mapping[str, Any]]] = {
    "production": {"networkPolicy.vllm.allowMonitoring": True, "monitoring.podMonitor.vllm": True},
    "keda": {
        "networkPolicy.administrators": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "settings.limits": {"kind": "redis", "url": "${WATCHGATE_REDIS_URL}"},
        "settings.event_log.partitions": 99,
    },
    "minimal": {},
}
"""Values under which each one has an effect, in some of them."""
PEERS: Final = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
LIKE: Final[Mapping[str, object]] = {
    "resources": {"requests": {"cpu": "7"}, "limits": {"memory": "7Gi"}},
    "size": "77Gi",
}
"""Another value by its last key."""
OTHERS: Final[Mapping[str, object]] = {
    "image.digest": "sha256:" + "1" * 64,
    "image.pullPolicy": "Always",
    "image.pullSecrets": ["other"],
    "secrets.env": {"WATCHGATE_PEPPER": {"key": "other"}},
    "env": {"OTHER": "x"},
    "mounts": [{"name": "other", "secret": "other", "path": "/other"}],
    "gateway.service.type": "NodePort",
    "networkPolicy.vllm.port": 7,
    "networkPolicy.vllm.cidrs": ["192.0.2.0/24"],
    "networkPolicy.vllm.podLabels": {"other": "x"},
    "pod.tolerations": [{"key": "other"}],
    "pod.zoneSpread": "DoNotSchedule",
    "pod.hostAntiAffinity": "required",
    "strimzi.apiVersion": "kafka.strimzi.io/v1beta2",
    "strimzi.user.authentication": "tls",
    "monitoring.podMonitor.interval": "7s",
    "settings.log_level": "DEBUG",
    "settings.upstreams": [{"name": "large", "url": "http://192.0.2.9:8000"}],
    "settings.models": [{"name": "other", "upstream": "large", "tier": 0}],
    "settings.event_log.bootstrap_servers": ["192.0.2.9:9092"],
    "settings.event_log.security.protocol": "SASL_PLAINTEXT",
    "settings.store.url": "postgresql://u:p@192.0.2.9/w",
    "settings.limits.kind": "memory",
    "settings.alerts.alertmanagers": ["http://192.0.2.9:9093"],
    "settings.detectors": [{"kind": "lexical"}],
    "settings.operating_points": [],
    "strimzi.cluster": "other",
    "links.grafana": "https://other.example/",
    "links.docs": "https://other.example/",
}
"""A value other than the one of EVERYTHING, where its type alone does not say one."""


def setup(name: str) -> Values:
    values = given(name)
    for path, value in EVERYTHING[name].items():
        values = with_value(values, path.split("."), value)
    return values


@pytest.fixture(scope="module")
def bases(chart_with_files: Path) -> Sequence[Base]:
    found = [setup(name) for name in EVERYTHING]
    return [(it, merged(it), texts(it, chart_with_files)) for it in found]


def at(values: Mapping[str, Any], value: Value) -> object:
    found: Any = values
    for key in value.keys:
        found = found[key]
    return found


def another(value: Value, now: object) -> object:
    """Return a value other than the one of now."""
    if value.path in OTHERS:
        return OTHERS[value.path]
    if value.keys[-1] in LIKE:
        return LIKE[value.keys[-1]]
    if value.keys[0] == "networkPolicy" and not isinstance(value.default, bool | str):
        return {"ports": [7], "to": []} if isinstance(value.default, dict) else PEERS
    if isinstance(value.default, dict):
        return {"other": "x"}
    if isinstance(value.default, bool):
        return not now
    return now + 1 if isinstance(now, int | float) else f"{now}x"


def test_every_value_is_described() -> None:
    assert [it.path for it in ALL if not it.words] == []


def without_redis(base: Values) -> Values:
    """Return values under which limits may be counted in memory."""
    changed = with_value(base, ["gateway", "autoscaling", "enabled"], value=False)
    changed = with_value(changed, ["gateway", "replicas"], 1)
    return with_value(changed, ["settings", "limits"], {"kind": "memory"})


@pytest.mark.parametrize("value", LEAVES, ids=lambda it: it.path)
def test_every_value_changes_what_is_rendered(
    value: Value, bases: Sequence[Base], chart_with_files: Path
) -> None:
    for base, all_values, before in bases:
        changed = with_value(base, value.keys, another(value, at(all_values, value)))
        if value.path == "settings.limits.kind":
            changed = without_redis(base)
        with suppress(HelmError):  # what else is given does not go together with it
            if texts(changed, chart_with_files) != before:
                return
    pytest.fail(f"{value.path} changes nothing")
