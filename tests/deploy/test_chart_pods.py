"""Pods: hardened, probed, spread, and stopped in order with nothing left behind."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from service.commands.processes import STOP_MARGIN_S
from tests.real_parts.helm import FILES, Object, given, merged, named, of_kind, pods, rendered

NAMES = [file.stem.removesuffix("-values") for file in FILES]
GIB = 1024**3
UNITS = {"Gi": GIB, "Ti": 1024 * GIB}


def containers(name: str) -> Iterator[tuple[str, Object, Object]]:
    for component, template in pods(rendered(given(name))):
        for container in template["spec"]["containers"]:
            yield component, template["spec"], container


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_is_hardened(name: str) -> None:
    for _, pod, container in containers(name):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["fsGroupChangePolicy"] == "OnRootMismatch"
        assert security.get("runAsUser", 10001) == security.get("fsGroup", 10001) == 10001
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert not any("hostPath" in volume for volume in pod["volumes"])


def test_a_platform_may_choose_the_user() -> None:
    for _, pod, _ in containers("openshift"):
        assert "runAsUser" not in pod["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("name", NAMES)
def test_what_may_be_written_to_is_a_volume(name: str) -> None:
    for _, pod, container in containers(name):
        mounts = {it["mountPath"]: it for it in container["volumeMounts"]}
        assert mounts["/var/lib/watchgate"]["name"] == "data"
        writable = {path for path, it in mounts.items() if not it.get("readOnly")}
        assert writable == {"/var/lib/watchgate", "/tmp"}  # noqa: S108
        there = {it["name"] for it in pod["volumes"]} | {"data"}
        assert {it["name"] for it in mounts.values()} <= there


def test_only_what_serves_callers_is_asked_whether_it_is_ready() -> None:
    for component, _, container in containers("production"):
        if component == "migrate":
            continue
        port = "ops-shipper" if container["name"] == "shipper" else "ops"
        assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": port}
        assert container["startupProbe"]["httpGet"] == {"path": "/health", "port": port}
        assert port in {it["name"] for it in container["ports"]}
        if container["name"] == "shipper":  # Kafka away must not take a gateway out of service
            assert "readinessProbe" not in container
        else:
            assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": port}


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_has_time_to_stop_in_order(name: str) -> None:
    values = merged(given(name))
    lead_s = values["gateway"]["stop"]["leadSeconds"]
    writers_s = {
        "gateway": lead_s + values["settings"]["gateway"]["drain_s"] + STOP_MARGIN_S,
        "screener": values["screener"]["stop"]["workSeconds"],
        "enforcer": values["enforcer"]["stop"]["workSeconds"],
    }
    for component, pod, container in containers(name):
        grace_s = pod["terminationGracePeriodSeconds"]
        if component in writers_s and container["name"] == "shipper":
            words = container["lifecycle"]["preStop"]["exec"]["command"]
            assert words[:3] == ["watchgate", "drained", "--wait"]
            wait_s = int(words[3].removesuffix("s"))
            ship_s = values[component]["stop"]["shipSeconds"]
            order = [writers_s[component], writers_s[component] + ship_s, wait_s, grace_s - 10]
            assert all(earlier <= later for earlier, later in pairwise(order))
        elif component == "gateway":
            sleep = container["lifecycle"]["preStop"]["exec"]["command"]
            assert sleep == ["sleep", str(lead_s)]


@pytest.mark.parametrize("name", NAMES)
def test_journals_are_on_volumes_that_hold_them_and_that_nothing_deletes(name: str) -> None:
    values = merged(given(name))
    sets = of_kind(rendered(given(name)), "StatefulSet")
    assert len(sets) == 3
    for one in sets:
        spec = one["spec"]
        component = one["metadata"]["labels"]["app.kubernetes.io/component"]
        kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
        assert spec["persistentVolumeClaimRetentionPolicy"] == kept
        [claim] = spec["volumeClaimTemplates"]
        size = claim["spec"]["resources"]["requests"]["storage"]
        held = int(size[:-2]) * UNITS[size[-2:]]
        assert held >= 1.1 * values[component]["journal"]["maxBytes"]
        assert [it["name"] for it in spec["template"]["spec"]["containers"]] == [
            component,
            "shipper",
        ]


@pytest.mark.parametrize("name", NAMES)
def test_pods_of_a_kind_are_spread_and_maintenance_leaves_some(name: str) -> None:
    objects = rendered(given(name))
    budgets = of_kind(objects, "PodDisruptionBudget")
    for component, template in pods(objects):
        spec, labels = template["spec"], template["metadata"]["labels"]
        [spread] = spec["topologySpreadConstraints"]
        assert spread["topologyKey"] == "topology.kubernetes.io/zone"
        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
        [terms] = spec["affinity"]["podAntiAffinity"].values()
        term = terms[0].get("podAffinityTerm", terms[0])
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()
        chosen = [
            it for it in budgets if it["spec"]["selector"]["matchLabels"].items() <= labels.items()
        ]
        assert len(chosen) == (component != "migrate")


def test_no_number_of_pods_is_fixed_where_something_else_sets_it() -> None:
    for name, scaled in (("production", {"gateway", "screener"}), ("keda", {"screener"})):
        for one in of_kind(rendered(given(name)), "StatefulSet"):
            component = one["metadata"]["labels"]["app.kubernetes.io/component"]
            assert ("replicas" not in one["spec"]) == (component in scaled)


def test_keda_looks_at_the_group_of_screeners() -> None:
    scaled = named(rendered(given("keda")), "ScaledObject", "wg-watchgate-screener")
    [trigger] = scaled["spec"]["triggers"]
    assert trigger["metadata"] == {
        "bootstrapServers": "broker-0.example.com:9092,broker-1.example.com:9092",
        "consumerGroup": "watchgate-screener",
        "topic": "watchgate.exchanges",
        "lagThreshold": "200",
        "tls": "enable",
        "sasl": "scram_sha256",
    }
    assert trigger["authenticationRef"] == {"name": "kafka"}


def test_the_store_is_migrated_before_pods_are_replaced() -> None:
    objects = rendered(given("production"))
    job = named(objects, "Job", "wg-watchgate-migrate")
    settings = named(objects, "ConfigMap", "wg-watchgate-migrate")
    for one in (job, settings):
        assert one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    weight = settings["metadata"]["annotations"]["helm.sh/hook-weight"]
    assert int(weight) < 0  # its settings come before it
    spec = job["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"] == ["store", "migrate"]
    assert "serviceAccountName" not in spec  # that of the release is not there yet
