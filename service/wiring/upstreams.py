"""The upstreams of a gateway, made from the settings."""

import ssl
from collections.abc import Iterator

from service.core.balancing import EjectionPolicy
from service.gateway.balancer import Balancer, BalancingPolicy, Replica
from service.gateway.meters import Meters
from service.gateway.upstream import UpstreamClient, UpstreamTarget
from service.gateway.upstream_health import HealthCheck
from service.settings import Upstream


def balancer_of(upstream: Upstream, meters: Meters) -> Balancer:
    """Return what sends requests to an upstream; its replicas are counted from now on."""
    policy = _policy(upstream)
    replicas = []
    for target in _targets(upstream):
        name = _name(target)
        replica = Replica(
            name,
            _client(upstream, target),
            policy.ejection,
            meters.ejections(upstream.name, name),
            max_connections=upstream.max_connections,
        )
        meters.watch(upstream.name, replica)
        replicas.append(replica)
    return Balancer(upstream.name, replicas, policy)


def checks_of(upstream: Upstream, balancer: Balancer) -> Iterator[HealthCheck]:
    """Yield the checks of an upstream's replicas; none if they are turned off."""
    if not upstream.health_interval_s:
        return
    for replica in balancer.replicas:
        client = UpstreamClient(
            replica.client.target,
            connect_timeout_s=upstream.health_timeout_s,
            read_timeout_s=upstream.health_timeout_s,
            total_timeout_s=upstream.health_timeout_s,
            max_connections=1,
            keep_alive_s=upstream.keep_alive_s,
        )
        yield HealthCheck(replica, client, upstream.health_interval_s)


def _policy(upstream: Upstream) -> BalancingPolicy:
    it = upstream.balancing
    return BalancingPolicy(
        EjectionPolicy(it.eject_after_failures, it.eject_first_s, it.eject_longest_s),
        affinity_bytes=it.affinity_bytes,
        affinity_slack=it.affinity_slack,
    )


def _targets(upstream: Upstream) -> Iterator[UpstreamTarget]:
    tls = tls_of(upstream)
    key = upstream.api_key.get_secret_value() if upstream.api_key else None
    for url in upstream.replicas:
        yield UpstreamTarget.from_url(upstream.name, url, api_key=key or None, tls=tls)


def tls_of(upstream: Upstream) -> ssl.SSLContext | None:
    """Return what to trust and to show; None: the system's authorities, and nothing."""
    if upstream.ca_file is None and upstream.cert_file is None:
        return None
    context = ssl.create_default_context(cafile=upstream.ca_file)
    if upstream.cert_file is not None:
        context.load_cert_chain(upstream.cert_file, upstream.key_file)
    return context


def _name(target: UpstreamTarget) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}{target.base_path}"


def _client(upstream: Upstream, target: UpstreamTarget) -> UpstreamClient:
    return UpstreamClient(
        target,
        connect_timeout_s=upstream.connect_timeout_s,
        read_timeout_s=upstream.read_timeout_s,
        total_timeout_s=upstream.total_timeout_s,
        max_connections=upstream.max_connections,
        keep_alive_s=upstream.keep_alive_s,
    )
