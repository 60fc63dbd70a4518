"""Where plugins in vLLM tell a gateway process what they see, made from the settings."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from service.errors import CannotListen
from service.gateway.balancer import Balancer
from service.gateway.probe_link import REFUSALS, UPDATES, LinkTallies, ProbeLink
from service.settings import Settings
from service.telemetry.labels import declare
from service.telemetry.probe_metrics import ProbeMetrics


@asynccontextmanager
async def listening_to_probes(
    settings: Settings, boot: str, upstreams: Mapping[str, Balancer], metrics: ProbeMetrics
) -> AsyncIterator[None]:
    """Listen until the block ends, for each upstream that the settings name probes for.

    Raises:
        CannotListen: the folder for sockets does not take one.
    """
    async with AsyncExitStack() as stack:
        for number, upstream in enumerate(settings.upstreams):
            if upstream.probes is None:
                continue
            tallies = _tallies(upstream.name, metrics)
            probes = upstream.probes
            link = ProbeLink(probes.sockets, boot, probes.digest, tallies)
            try:
                await stack.enter_async_context(link.listening())
            except OSError as error:
                where = f"upstreams[{number}].probes.sockets: {probes.sockets}"
                raise CannotListen(f"{where}: {error.strerror or error}") from None
            upstreams[upstream.name].probes = link
        yield


def _tallies(upstream: str, metrics: ProbeMetrics) -> LinkTallies:
    declare(metrics.updates, [upstream], UPDATES)
    declare(metrics.refused, [upstream], REFUSALS)
    metrics.engines.labels(upstream).set(0)
    return LinkTallies(
        updates=lambda outcome, count: metrics.updates.labels(upstream, outcome).inc(count),
        refused=lambda reason: metrics.refused.labels(upstream, reason).inc(),
        engines=metrics.engines.labels(upstream).set,
    )
