"""Who may reach whom: vLLM is the gateways' alone."""

from collections.abc import Mapping

import pytest

from tests.real_parts.helm import (
    NAMESPACE,
    Object,
    Values,
    given,
    named,
    of_kind,
    pods,
    rendered,
)
from tests.real_parts.network_policies import Peer, is_covered, may_reach

VLLM = 8000
OPS = {"gateway": 9464, "screener": 9465, "enforcer": 9466, "console": 9469}
PROMETHEUS = Peer("monitoring", {"app.kubernetes.io/name": "prometheus"})
STRANGER = Peer(NAMESPACE, {"app": "something"})
OUTSIDE = Peer()


class Cluster:
    """The pods of a release, and those around it."""

    def __init__(self, values: Values, vllm_namespace: str = NAMESPACE) -> None:
        objects = rendered(values)
        self.policies = of_kind(objects, "NetworkPolicy")
        self.services = of_kind(objects, "Service")
        self.pods: Mapping[str, Peer] = {
            name: Peer(NAMESPACE, template["metadata"]["labels"])
            for name, template in pods(objects)
        }
        self.vllm = Peer(vllm_namespace, {"app": "vllm", "pod-template-hash": "1"})

    def who_reaches(self, target: Peer, port: int, *others: Peer) -> set[str]:
        """Return the components that do, and "others" if any of these does."""
        found = {
            name for name, pod in self.pods.items() if may_reach(self.policies, pod, target, port)
        }
        more = any(may_reach(self.policies, it, target, port) for it in others)
        return found | ({"others"} if more else set())


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("minimal", NAMESPACE), ("production", "models"), ("keda", NAMESPACE), ("judges", NAMESPACE)],
)
def test_only_gateways_reach_vllm(name: str, namespace: str) -> None:
    cluster = Cluster(given(name), namespace)
    others = [STRANGER, PROMETHEUS, OUTSIDE, Peer(namespace, {"app": "neighbour"})]
    assert cluster.who_reaches(cluster.vllm, VLLM, *others) == {"gateway"}
    for port in (22, 80, 8001):
        assert cluster.who_reaches(cluster.vllm, port, *others) == set()


def test_a_gateway_of_another_release_or_namespace_does_not_reach_vllm() -> None:
    cluster = Cluster(given("minimal"))
    gateway = cluster.pods["gateway"].labels
    others = [
        Peer("elsewhere", gateway),
        Peer(NAMESPACE, {**gateway, "app.kubernetes.io/instance": "other"}),
    ]
    assert not any(may_reach(cluster.policies, it, cluster.vllm, VLLM) for it in others)


def test_monitoring_reaches_vllm_only_where_that_is_asked_for() -> None:
    values = given("minimal") | {"networkPolicy": {"vllm": {"allowMonitoring": True}}}
    cluster = Cluster(values)
    assert cluster.who_reaches(cluster.vllm, VLLM, PROMETHEUS) == {"gateway", "others"}
    assert cluster.who_reaches(cluster.vllm, VLLM, STRANGER) == {"gateway"}


def test_only_gateways_go_to_a_vllm_outside() -> None:
    cluster = Cluster(given("external-vllm"))
    rack, elsewhere = Peer(address="10.20.0.5"), Peer(address="10.21.0.5")
    assert cluster.who_reaches(rack, VLLM) == {"gateway"}
    assert cluster.who_reaches(elsewhere, VLLM) == set()


@pytest.mark.parametrize("name", ["minimal", "production", "external-vllm"])
def test_every_pod_and_so_every_service_is_covered_both_ways(name: str) -> None:
    cluster = Cluster(given(name))
    for pod in cluster.pods.values():
        assert is_covered(cluster.policies, pod, "Ingress")
        assert is_covered(cluster.policies, pod, "Egress")
    for service in cluster.services:
        selector = service["spec"]["selector"].items()
        chosen = [pod for pod in cluster.pods.values() if selector <= pod.labels.items()]
        assert chosen, service["metadata"]["name"]
        assert all(is_covered(cluster.policies, pod) for pod in chosen)


def test_callers_reach_the_gateways_port_and_nothing_else_of_ours() -> None:
    cluster = Cluster(given("minimal"))
    reached = {
        (name, port)
        for name, pod in cluster.pods.items()
        for port in (8080, 8081, 9468, *OPS.values())
        if may_reach(cluster.policies, OUTSIDE, pod, port)
    }
    assert reached == {("gateway", 8080)}


def with_probes(values: Values) -> Values:
    """Let the gateways listen for probes inside vLLM."""
    files = {it: f"/etc/probes/{it}" for it in ("cert_file", "key_file", "ca_file")}
    listen = {"host": "0.0.0.0", "port": 9470, **files}  # noqa: S104  (as in a pod)
    settings = values["settings"]
    upstream = {**settings["upstreams"][0], "probes": {"listen": listen}}
    return {**values, "settings": {**settings, "upstreams": [upstream]}}


@pytest.mark.parametrize(("name", "namespace"), [("minimal", NAMESPACE), ("production", "models")])
def test_vllm_alone_reaches_where_gateways_listen_for_its_probes(name: str, namespace: str) -> None:
    cluster = Cluster(with_probes(given(name)), namespace)
    gateway = cluster.pods["gateway"]
    assert may_reach(cluster.policies, cluster.vllm, gateway, 9470)
    assert cluster.who_reaches(gateway, 9470, STRANGER, PROMETHEUS, OUTSIDE) == set()
    assert not may_reach(cluster.policies, cluster.vllm, gateway, OPS["gateway"])
    assert not may_reach(Cluster(given(name), namespace).policies, cluster.vllm, gateway, 9470)


def test_a_vllm_outside_reaches_where_gateways_listen_for_its_probes() -> None:
    cluster = Cluster(with_probes(given("external-vllm")))
    rack, elsewhere = Peer(address="10.20.0.5"), Peer(address="10.21.0.5")
    assert may_reach(cluster.policies, rack, cluster.pods["gateway"], 9470)
    assert not may_reach(cluster.policies, elsewhere, cluster.pods["gateway"], 9470)


def test_probes_find_each_gateway_by_one_name_before_it_is_ready() -> None:
    objects = rendered(with_probes(given("minimal")))
    service = named(objects, "Service", "wg-watchgate-gateway-pods")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"]
    assert {"name": "probes-9470", "port": 9470, "targetPort": "probes-9470"} in service["ports"]
    container = dict(pods(objects))["gateway"]["spec"]["containers"][0]
    assert {"name": "probes-9470", "containerPort": 9470} in container["ports"]


def test_callers_that_are_named_are_the_only_ones() -> None:
    cluster = Cluster(given("production"))
    gateway = cluster.pods["gateway"]
    ingress = Peer("ingress-nginx", {"app": "ingress-nginx"})
    assert may_reach(cluster.policies, ingress, gateway, 8080)
    assert not may_reach(cluster.policies, OUTSIDE, gateway, 8080)
    assert not may_reach(cluster.policies, STRANGER, gateway, 8080)


def test_prometheus_reads_the_ops_ports_and_others_do_not() -> None:
    cluster = Cluster(given("minimal"))
    for name, port in OPS.items():
        pod = cluster.pods[name]
        assert may_reach(cluster.policies, PROMETHEUS, pod, port)
        assert not may_reach(cluster.policies, STRANGER, pod, port)
        if name != "console":
            assert may_reach(cluster.policies, PROMETHEUS, pod, 9468)


def test_the_admin_api_is_for_those_who_are_named() -> None:
    proxy = Peer(NAMESPACE, {"app": "admin-proxy"})
    shut, open_ = Cluster(given("minimal")), Cluster(given("external-vllm"))
    assert not may_reach(shut.policies, proxy, shut.pods["console"], 8081)
    assert may_reach(open_.policies, proxy, open_.pods["console"], 8081)
    assert not may_reach(open_.policies, STRANGER, open_.pods["console"], 8081)


def test_each_process_reaches_what_it_needs_and_no_more() -> None:
    cluster = Cluster(given("judges"))
    guard = Peer(NAMESPACE, {"app": "guard"})
    journalled = {"gateway", "screener", "enforcer"}
    assert cluster.who_reaches(guard, 8000) == {"screener"}
    assert cluster.who_reaches(OUTSIDE, 5432) == {*journalled, "console", "migrate"}
    assert cluster.who_reaches(OUTSIDE, 9092) == {*journalled, "console"}
    assert cluster.who_reaches(OUTSIDE, 6379) == {"gateway"}
    assert cluster.who_reaches(OUTSIDE, 9093) == {*journalled, "console"}  # Kafka's TLS port too
    assert cluster.who_reaches(OUTSIDE, 443) == set()


def test_policies_are_left_out_only_where_that_is_asked_for() -> None:
    objects: list[Object] = of_kind(rendered(given("openshift")), "NetworkPolicy")
    assert objects == []
