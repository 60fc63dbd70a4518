"""What counts requests against their limits, made from the settings."""

import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator

from service.gateway.limiter import Limiter
from service.gateway.memory_limiter import MemoryLimiter
from service.gateway.memory_limits_file import kept_counts
from service.gateway.meters import Meters
from service.gateway.redis_limiter import RedisLimiter, RedisTerms
from service.gateway.redis_link import RedisAddress
from service.settings import RedisLimits, Settings


@contextlib.asynccontextmanager
async def limiter_of(settings: Settings, meters: Meters) -> AsyncIterator[Limiter]:
    """Give a gateway's limiter; at the end all that it counted is kept.

    Every request must be settled by then.

    Raises:
        AlreadyRunning: another process counts in this data_dir, and limits.kind is memory.
    """
    limits = settings.limits
    if isinstance(limits, RedisLimits):
        limiter = RedisLimiter(_terms(limits), meters, secrets.token_hex(8))
        async with limiter.connected():
            yield limiter
    else:
        async with kept_counts(settings.data_dir / "limits") as (counts, ticks):
            yield MemoryLimiter(meters, counts, ticks=ticks)


def _terms(limits: RedisLimits) -> RedisTerms:
    address = RedisAddress.of(limits.url)
    return RedisTerms(
        address=address,
        prefix=limits.prefix,
        timeout_s=limits.timeout_ms / 1000,
        lease_s=limits.lease_s,
        gateways=limits.gateways,
        share_tiers=limits.share_tiers,
        tls=_tls(limits) if address.is_tls else None,
    )


def _tls(limits: RedisLimits) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=limits.ca_file)
    if (certificate := limits.client_certificate) is not None:
        context.load_cert_chain(*certificate)
    return context
