"""Where plugins in vLLM tell a gateway process what they see, made from the settings."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from service.errors import CannotListen
from service.gateway.balancer import Balancer
from service.gateway.probe_doors import Door, SocketDoor, TlsDoor
from service.gateway.probe_link import REFUSALS, UPDATES, LinkTallies, ProbeLink
from service.settings import ProbeListener, Probes, Settings
from service.telemetry.labels import declare
from service.telemetry.ops import listen_on
from service.telemetry.probe_metrics import ProbeMetrics


@asynccontextmanager
async def listening_to_probes(
    settings: Settings, boot: str, upstreams: Mapping[str, Balancer], metrics: ProbeMetrics
) -> AsyncIterator[None]:
    """Listen until the block ends, for each upstream that the settings name probes for.

    Raises:
        CannotListen: the folder for sockets does not take one, an address is taken, or its
            certificates cannot be used.
    """
    async with AsyncExitStack() as stack:
        for number, upstream in enumerate(settings.upstreams):
            if upstream.probes is None:
                continue
            where = f"upstreams[{number}].probes"
            door = door_of(upstream.probes, where)
            tallies = _tallies(upstream.name, metrics)
            link = ProbeLink(door, boot, upstream.probes.digest, tallies)
            try:
                await stack.enter_async_context(link.listening())
            except OSError as error:
                words = f"{where}.sockets: {door}: {error.strerror or error}"
                raise CannotListen(words) from None
            upstreams[upstream.name].probes = link
        yield


def door_of(probes: Probes, where: str) -> Door:
    """Return where plugins come in; `where` is the path of the settings.

    Raises:
        CannotListen: an address is taken, or its certificates cannot be used.
    """
    if probes.sockets is not None:
        return SocketDoor(probes.sockets)
    if probes.listen is None:
        raise ValueError("the settings take no probes without a place where they are listened to")
    tls = _tls(probes.listen, f"{where}.listen")
    return TlsDoor(listen_on((probes.listen.host, probes.listen.port), f"{where}.listen"), tls)


def _tls(listen: ProbeListener, where: str) -> ssl.SSLContext:
    """Return what shows a certificate, and asks for one. Both ends are ours: no older TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(listen.ca_file)
        context.load_cert_chain(listen.cert_file, listen.key_file, password="")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        files = ", ".join(map(str, (listen.ca_file, listen.cert_file, listen.key_file)))
        raise CannotListen(f"{where}: {why}: {files}") from None
    return context


def _tallies(upstream: str, metrics: ProbeMetrics) -> LinkTallies:
    declare(metrics.updates, [upstream], UPDATES)
    declare(metrics.refused, [upstream], REFUSALS)
    metrics.engines.labels(upstream).set(0)
    return LinkTallies(
        updates=lambda outcome, count: metrics.updates.labels(upstream, outcome).inc(count),
        refused=lambda reason: metrics.refused.labels(upstream, reason).inc(),
        engines=metrics.engines.labels(upstream).set,
    )
