"""Who may reach whom, by NetworkPolicies, as a network that enforces them would decide.

Only what the chart uses: labels that are equal, names of namespaces, blocks of addresses, ports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod, or an address outside of the cluster if it has no namespace."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "203.0.113.9"


def may_reach(policies: Sequence[Policy], source: Peer, target: Peer, port: int) -> bool:
    """Say whether TCP gets from one to the other."""
    out = _allows(policies, source, target, port, "Egress")
    return out and _allows(policies, target, source, port, "Ingress")


def is_covered(policies: Sequence[Policy], pod: Peer, way: str = "Ingress") -> bool:
    """Say whether a policy for that way selects the pod; what none selects is open to all."""
    return any(_selects(one, pod) and way in one["spec"]["policyTypes"] for one in policies)


def _allows(policies: Sequence[Policy], pod: Peer, other: Peer, port: int, way: str) -> bool:
    if not pod.namespace or not is_covered(policies, pod, way):
        return True
    rules = [
        rule
        for one in policies
        if _selects(one, pod) and way in one["spec"]["policyTypes"]
        for rule in one["spec"].get(way.lower()) or []
    ]
    side = "from" if way == "Ingress" else "to"
    mine = pod.namespace
    return any(_has_port(rule, port) and _has_peer(rule.get(side), other, mine) for rule in rules)


def _selects(policy: Policy, pod: Peer) -> bool:
    same = policy["metadata"]["namespace"] == pod.namespace
    return same and _matches(policy["spec"]["podSelector"], pod.labels)


def _has_port(rule: Policy, port: int) -> bool:
    wanted = [it["port"] for it in rule.get("ports", ()) if it.get("protocol", "TCP") == "TCP"]
    return not rule.get("ports") or port in wanted


def _has_peer(peers: Sequence[Policy] | None, other: Peer, namespace: str) -> bool:
    return peers is None or any(_is(it, other, namespace) for it in peers)


def _is(peer: Policy, other: Peer, namespace: str) -> bool:
    if "ipBlock" in peer:
        return ip_address(other.address) in ip_network(peer["ipBlock"]["cidr"])
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": other.namespace}
        is_there = _matches(peer["namespaceSelector"], labels)
    else:
        is_there = other.namespace == namespace
    return is_there and _matches(peer.get("podSelector", {}), other.labels)


def _matches(selector: Policy, labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
